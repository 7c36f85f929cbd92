/** What can happen to a sector's record. Decides: the events, their fields and what is answered. */
import { z } from 'zod'
import { deal, type SubmitResult, seed, ticket } from '../venus/index.ts'
import { persisted, report, storedProof, TEXT_CHARS_MAX, unseal } from './sector-record.ts'

const text = z.string().max(TEXT_CHARS_MAX)
const task = z.string().min(1).max(64)
const at = z.number()
const commitments = { commR: z.string(), commD: z.string() }

export const SECTOR_EVENTS = {
  /** From the deals: it holds these now. */
  DEALS: z.object({ pieces: z.array(deal) }),
  /** From the stores: room is kept for it. */
  RESERVED: z.object({ store: z.string(), sizeBytes: z.int().min(0) }),
  TICKET: z.object({ ticket }),
  PRE_COMMIT: z.object({ ...commitments, ticket, reset: z.boolean() }),
  SEED: z.object({ seed }),
  PROOF: z.object({ proof: storedProof, reset: z.boolean() }),
  PERSISTED: z.object({ persisted }),
  REPORT: z.object({ report }),
  /** Its worker asked whether it should go on. */
  HEARD: z.object({ at }),
  FINALIZED: z.object({ at }),
  ABORTED: z.object({ at, reason: text }),
  /** By an operator: at once if nobody works on it any more, or when its worker says so. */
  ABORT: z.object({ at, by: text, reason: text, now: z.boolean() }),
  FINALIZE: z.object({ at, by: text, reason: text }),
  UPGRADE: z.object({ at, task }),
  /** There was no deal for it after all. */
  UPGRADE_OFF: z.object({ task }),
  SNAP_PROOF: z.object({ ...commitments, sha256: z.string(), persisted }),
  REBUILD: z.object({ at, by: text }),
  REBUILD_TAKE: z.object({ task }),
  UNSEAL: z.object({ unseal }),
  UNSEAL_TAKE: z.object({ task }),
  UNSEALED: z.object({ at, pieceCid: text, error: text }),
}

type Events = typeof SECTOR_EVENTS
export type SectorEvent = {
  [TType in keyof Events]: { type: TType } & z.infer<Events[TType]>
}[keyof Events]

/** Refusals are answers of their own: nothing has changed then. */
export type SectorAnswer =
  | { done: true }
  | { refused: 'conflict' | 'limit-exceeded'; message: string }
  | { result: SubmitResult; desc: string }
  | { report: { finalized: boolean; abortReason: string | null } }
