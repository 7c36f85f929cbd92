/** The erasure code of the store, on threads of its own. */

export { copyBytes } from './copy-bytes.ts'
export { Erasure, type ErasureOptions } from './erasure.ts'
export { MemoryPool, pooledBytes } from './memory-pool.ts'
export { canRebuild, rebuildSources } from './rebuild-plan.ts'
export type { Stripe } from './stripe.ts'
