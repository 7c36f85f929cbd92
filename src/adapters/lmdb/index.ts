export type { LmdbStoreOptions } from './environment.ts'
export { LmdbStore } from './store.ts'
