export {
  type Compacted,
  type CopyProgress,
  compactStore,
  copyStore,
  openersOf,
  requireUnused,
  retireStore,
} from './care.ts'
export { flush, replaceFile } from './durable-files.ts'
export type { LmdbStoreOptions } from './environment.ts'
export { LmdbStore } from './store.ts'
