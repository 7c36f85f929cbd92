/** Balancing. Decides: how even disks are made, how fast, and how much of that meets on one disk. */
import { z } from 'zod'

const COLLECT_MS = 5_000
/** Half of what a lane holds: what is dropped or repaired has lanes of its own. */
const MOVES_MAX = 10
/** Reading for a move is a part of what a disk can do; clients need the rest. */
const MOVES_PER_SOURCE_MAX = 1
/** A new disk is the best place for each of them: it would have no time for its clients. */
const MOVES_INTO_DISK_MAX = 2
/** Two points of a hundred; heartbeats tell usage about as finely. */
const TOLERANCE = 0.02
/** As many units as tell what a disk has, large and small; each costs a read. */
const SAMPLES = 64

export const balanceConfig = z.strictObject({
  /** Between two looks where nothing else happens. */
  collectMs: z.int().min(50).default(COLLECT_MS),
  movesMax: z.int().min(1).max(200).default(MOVES_MAX),
  /** Away from one disk at a time. */
  movesPerSourceMax: z.int().min(1).max(100).default(MOVES_PER_SOURCE_MAX),
  /** Onto one disk at a time. */
  movesIntoDiskMax: z.int().min(1).max(100).default(MOVES_INTO_DISK_MAX),
  /** As a part of a disk: what is nearer to the level of its idc is even enough. */
  tolerance: z.number().min(0.001).max(0.5).default(TOLERANCE),
  /** Units of a disk that one look chooses from, drawn by chance. */
  samples: z.int().min(1).max(1_000).default(SAMPLES),
})
export type BalanceConfig = z.output<typeof balanceConfig>
