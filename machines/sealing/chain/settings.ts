/**
 * How the simulated chain behaves. Decides: the settings, their defaults and bounds, and the words for
 * messages and faults. Leaves to others: what follows from them. Pure.
 */
import { z } from 'zod'

/** What sectors put on the chain. */
export const MESSAGE_KINDS = ['preCommit', 'prove', 'snapUp'] as const
export type MessageKind = (typeof MESSAGE_KINDS)[number]

/**
 * What can become of a message instead of landing: `fail` runs out of gas, `permFail` is refused by the
 * chain, `notFound` is lost on the way, `shouldAbort` lands and leaves nothing of the sector behind.
 */
export const MESSAGE_FAULTS = ['fail', 'permFail', 'notFound', 'shouldAbort'] as const
export type MessageFault = (typeof MESSAGE_FAULTS)[number]

/** What can be set to happen at a rate: the faults per message, `reorg` per block. */
export const RATED_FAULTS = [...MESSAGE_FAULTS, 'reorg'] as const
export type RatedFault = (typeof RATED_FAULTS)[number]

const share = z.number().min(0).max(1)
const MESSAGES_OF_BATCH_MAX = 100
const DAY_MS = 86_400_000
/** A reorganisation goes no deeper than what a chain calls final. */
export const REORG_DEPTH_MAX = 900

const batch = (count: number) => z.int().min(1).max(MESSAGES_OF_BATCH_MAX).default(count)

export const ratesSchema = z.object({
  fail: share.optional(),
  permFail: share.optional(),
  notFound: share.optional(),
  shouldAbort: share.optional(),
  reorg: share.optional(),
})
export type Rates = z.output<typeof ratesSchema>

export const chainSettings = z.object({
  /** From one height to the next. */
  blockMs: z.int().min(5).max(DAY_MS).default(30_000),
  /** Blocks on top of a message until it counts as landed. */
  confidence: z.int().min(0).max(REORG_DEPTH_MAX).default(10),
  /** Blocks from the one with the precommit to the one that the seed is drawn from. */
  seedDelay: z.int().min(1).max(100_000).default(150),
  /** Blocks on top of that one until the seed is given. */
  seedMargin: z.int().min(0).max(REORG_DEPTH_MAX).default(6),
  /** Messages of one kind and miner that are sent together. */
  preCommitBatch: batch(2),
  proveBatch: batch(4),
  snapUpBatch: batch(1),
  /** What an incomplete batch waits for at most. */
  batchWaitMs: z.int().min(0).max(DAY_MS).default(3_600_000),
  faults: ratesSchema.default({}),
})
export type ChainSettings = z.output<typeof chainSettings>

/** Of a configuration, where nothing has to be said. */
export const chainConfig = chainSettings.extend({
  /** What all randomness of the chain comes from, fixed when it is founded. Drawn when not given. */
  seed: z.string().min(1).max(256).optional(),
})
export type ChainConfig = z.output<typeof chainConfig>

export function batchOf(settings: ChainSettings, kind: MessageKind): number {
  return settings[`${kind}Batch`]
}
