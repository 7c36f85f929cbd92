/**
 * The section `manager` of the app's configuration. Decides: for whom sectors are allocated, which stores
 * there are, and the manager's policy. Leaves to others: the chain's own settings (heights, batches).
 */
import { isAbsolute } from 'node:path'
import { z } from 'zod'
import { SEAL_PROOFS, sealProofOfSize } from '../venus/index.ts'

/** Finality: a ticket of this depth does not change any more. */
const TICKET_LOOKBACK = 900
/** A day of blocks of 30 s: precommits with older tickets are refused by the chain. */
const TICKET_AGE_MAX = 2_880
const PING_INTERVAL_MS = 30_000
/** 90 days, as long as the history of a sector. */
const PROOFS_KEPT_MS = 90 * 86_400_000

const name = z
  .string()
  .regex(/^[0-9A-Za-z][\w.-]{0,63}$/, 'a letter or digit, then at most 63 of them, "_", "." or "-"')

const sectorSize = z.string().transform((text, context) => {
  try {
    return sealProofOfSize(text)
  } catch (thrown) {
    context.addIssue({ code: 'custom', message: (thrown as Error).message })
    return z.NEVER
  }
})

const miner = z
  .strictObject({
    id: z.int().min(0),
    /** `8KiB`. */
    sectorSize,
    /** The first number that it gets; those below are never used. */
    initialNumber: z.int().min(0).default(0),
    /** Whether it gets new sectors. */
    enabled: z.boolean().default(true),
    enableDeals: z.boolean().default(true),
    /** Whether its sectors without deals may be upgraded to hold some. */
    enableSnapUp: z.boolean().default(true),
  })
  .transform(({ sectorSize: proof, ...rest }) => ({ ...rest, proof }))
export type MinerConfig = z.output<typeof miner>

const store = z.strictObject({
  /** As workers call it. */
  name,
  /** Where this node sees it; its files are checked if they can be reached. */
  path: z.string().refine((path) => isAbsolute(path), 'an absolute path'),
  meta: z.record(z.string(), z.string()).exactOptional(),
  /** What may be reserved and stored; without it, what its disk has free. */
  capacityBytes: z.int().min(1).exactOptional(),
})
export type StoreConfig = z.output<typeof store>

const policy = z.strictObject({
  /** Blocks below the head that tickets come from. */
  ticketLookback: z.int().min(1).default(TICKET_LOOKBACK),
  /** Blocks that a ticket is good for, counted from its assignment. */
  ticketAgeMax: z.int().min(1).default(TICKET_AGE_MAX),
  /** How often workers ping; a name is another worker's to take after three intervals of silence. */
  pingIntervalMs: z.int().min(100).default(PING_INTERVAL_MS),
  /** How long a proof can be looked at after it was submitted. */
  proofsKeptMs: z.int().min(0).default(PROOFS_KEPT_MS),
  /**
   * Whether data and proofs are checked, as the reference processors make them. Off for workers whose
   * processors are others.
   */
  verifyContent: z.boolean().default(true),
})

export const managerConfig = z
  .strictObject({
    enabled: z.boolean().default(true),
    miners: z.array(miner).min(1, 'a manager has at least one miner').max(100),
    stores: z.array(store).max(1_000).default([]),
    policy: policy.prefault({}),
    /** Where pieces lie; nodes of a cluster share it. Default: in the app's directory of the node. */
    pieceStore: z.string().exactOptional(),
    /** Of one piece in the piece store. Default: the largest sector, since a piece is in one sector. */
    pieceBytesMax: z.int().min(1).exactOptional(),
  })
  .superRefine(({ miners, stores }, context) => {
    for (const [path, twice] of [
      ['miners', doubled(miners.map(({ id }) => id))],
      ['stores', doubled(stores.map((one) => one.name))],
    ] as const) {
      if (twice === undefined) continue
      context.addIssue({ code: 'custom', path: [path], message: `${twice} is there twice` })
    }
  })
export type ManagerConfig = z.output<typeof managerConfig>

/** @param config null: nobody says which sectors there are */
export function pieceBytesMaxOf(config: ManagerConfig | null): number {
  const proofs = config?.miners.map(({ proof }) => proof) ?? SEAL_PROOFS
  return config?.pieceBytesMax ?? Math.max(...proofs.map(({ sizeBytes }) => sizeBytes))
}

function doubled<T>(values: readonly T[]): T | undefined {
  return values.find((value, index) => values.indexOf(value) !== index)
}
