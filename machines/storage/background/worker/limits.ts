/** How much a worker does at a time, and how long it waits. Decides: each figure, with its reason. */

const MIB = 1_048_576

export interface MoveLimits {
  /** A tasklet is what is reported and, on its way, held in memory: 16 MiB are a few flushes of a disk. */
  taskletBytesMax: number
  /** While one is written the next is read. Each of them may hold its bytes. */
  taskletsAtOnce: number
  /** Of one tasklet, where they are made anew: groups that are made up, or put, together. */
  groupsAtOnce: number
  /**
   * Of one task: each holds all shards of five blobs of 4 MiB, some 32 MiB, or of as many small ones. One is computed
   * while the next is read; a third one made nothing faster, and memory that its blobnode cannot keep.
   */
  recoveriesAtOnce: number
  /** Of a put or a list, `retryMs` apart: a blobnode that is restarted is back by then. */
  triesMax: number
  /** Of one that says that it is busy. */
  busyTriesMax: number
  retryMs: number
  /** Until enough sources are read-only: the lock of the volume is told to all chunks within a second. */
  readyTriesMax: number
  readyWaitMs: number
  /** Shorter ones of a server count. */
  leaseMs: number
  /** Asked for work, a node may think for so long: less than any way in between keeps a silent connection. */
  acquireWaitMs: number
  /** Between two questions to a node that answers at once that it has none. */
  acquirePauseMs: number
  /** Between two reports at least: each is a step of an actor. */
  reportMs: number
  /** For a call that holds or ends a lease: well within it. */
  callMs: number
}

export const MOVE_LIMITS: MoveLimits = {
  taskletBytesMax: 16 * MIB,
  taskletsAtOnce: 3,
  groupsAtOnce: 8,
  recoveriesAtOnce: 2,
  ...{ triesMax: 3, busyTriesMax: 30, retryMs: 1_000 },
  ...{ readyTriesMax: 3, readyWaitMs: 1_000 },
  leaseMs: 10_000,
  ...{ acquireWaitMs: 8_000, acquirePauseMs: 500 },
  reportMs: 500,
  callMs: 3_000,
}
