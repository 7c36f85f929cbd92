/**
 * A node's store: an ordered map of bytes on one disk (LMDB in production).
 *
 * Decides: what a write promises. Two moments are told apart, because the store tells them apart:
 * *visible* (reads see it; a crash may lose it) and *flushed* (a crash does not). Transactions are
 * applied in the order of the calls, and a flushed transaction implies the earlier ones.
 * Leaves to others: the meaning of keys and values.
 */
export interface Store {
  /** The value, or undefined. The bytes are the caller's to keep. */
  get(key: Uint8Array): Uint8Array | undefined
  /** Rows with `from <= key < to` in bytewise order; `reverse` starts at the end. */
  range(options: StoreRange): Iterable<StoreRow>
  /** The number of rows with `from <= key < to`, without reading them. */
  count(from: Uint8Array, to: Uint8Array): number
  /** The rows of this moment, for a read that takes long. Whoever asks for it closes it. */
  snapshot(): StoreSnapshot
  /**
   * Applies all writes or none. Outcomes come by callback, never before the call returns:
   * `visible` first, then `flushed`; or one `failed`, after which nothing of it is or will be there.
   * Final outcomes come in the order of the calls. The bytes must not change before theirs has come.
   */
  write(transaction: StoreTransaction): void
  /** Waits for what is under way and closes; later calls throw. */
  close(): Promise<void>
}

export interface StoreRange {
  from: Uint8Array
  to: Uint8Array
  reverse?: boolean
  limit?: number
}

/**
 * What no later write changes. While it is open the store cannot use again the space of what was
 * removed or replaced since: so it is given up after `SNAPSHOT_OPEN_MAX_MS`, whatever its reader does.
 */
export interface StoreSnapshot {
  /**
   * Rows with `from <= key < to` in bytewise order, until their keys and values come to `bytesMax`; the
   * last one may exceed it, so that there is one if the range has any. Undefined when the snapshot was
   * closed or given up.
   */
  page(range: StorePage): StoreRow[] | undefined
  close(): void
}

/** Bytes of a key that every store takes, at most: LMDB's limit with pages of 4 KiB. */
export const STORE_KEY_BYTES_MAX = 1_978

/** Ten times what a shard of some gigabytes takes to be read and written elsewhere. */
export const SNAPSHOT_OPEN_MAX_MS = 600_000

export interface StorePage {
  from: Uint8Array
  to: Uint8Array
  bytesMax: number
}

export interface StoreRow {
  key: Uint8Array
  value: Uint8Array
}

/** Sets a row, or removes it when the value is null. */
export type StoreWrite = readonly [key: Uint8Array, value: Uint8Array | null]

export interface StoreTransaction {
  writes: readonly StoreWrite[]
  /** Apply only while this row has exactly these bytes: how an owner notices its successor. */
  condition?: { key: Uint8Array; equals: Uint8Array }
  visible?: () => void
  flushed?: () => void
  failed: (failure: StoreFailure) => void
}

/**
 * `fenced`: the condition did not hold. `full`: no space. `broken`: any other refusal of the disk.
 * After `full` or `broken` the caller must not assume that a later write would be different.
 */
export interface StoreFailure {
  kind: 'fenced' | 'full' | 'broken'
  message: string
}
