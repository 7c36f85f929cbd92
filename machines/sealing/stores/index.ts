/** The room of stores: the local one of each thread, and those that sealed sectors are kept in. */
export * from './attached.ts'
export { errnoOf, flush, isMissing, moveDurably, namesIn, replaceFile } from './durable.ts'
export { type HoldDeps, holdStore, type StoreHold } from './holder.ts'
export { BEAT_MS, HolderWatch, SILENT_MS } from './holder-record.ts'
export * from './layout.ts'
export * from './local-store.ts'
export * from './local-stores.ts'
export * from './quarantine.ts'
