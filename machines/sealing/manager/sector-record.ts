/**
 * What the manager knows of one sector. Decides: the record and its parts. Leaves to others: what may
 * happen to it (`sector-rules.ts`).
 */
import { z } from 'zod'
import { allocatedSector, deal, seed, ticket } from '../venus/index.ts'

/** `online`: somebody seals it. `finalized`: it is done, and at rest. */
export const STANDINGS = ['online', 'finalized', 'upgrading', 'aborted'] as const
export type Standing = (typeof STANDINGS)[number]

/** Reports that are kept, the newest at the end: what an operator looks at first. */
export const REPORTS_MAX = 20
/** Pieces of one sector that are wanted unsealed at a time. */
export const UNSEALS_MAX = 16
export const TEXT_CHARS_MAX = 2_000

const at = z.number()
const text = z.string().max(TEXT_CHARS_MAX)
const commitments = z.object({ commR: z.string(), commD: z.string() })

export const report = z.object({
  at,
  worker: text,
  location: text,
  prev: text,
  next: text,
  event: text,
  failure: z.object({ level: text, desc: text }).nullable(),
})
export type Report = z.infer<typeof report>

export const persisted = z.object({
  at,
  store: z.string(),
  sizeBytes: z.int().min(0),
  /** False where the manager's node does not see the store. */
  checked: z.boolean(),
})
export type Persisted = z.infer<typeof persisted>

export const storedProof = z.object({ sha256: z.string(), bytes: z.int().min(0) })

const upgrade = z.object({
  at,
  /** A hash of the task that got it. */
  task: z.string(),
  deals: z.array(deal),
  proof: commitments.extend({ sha256: z.string(), persisted }).nullable(),
})

/** What an operator asked for, and who got it. */
const wish = { at, by: text, task: z.string().nullable() }
export const unseal = z.object({
  ...wish,
  pieceCid: text,
  offset: z.int().min(0),
  sizeBytes: z.int().min(0),
  dest: z.array(text).max(10),
})
export type Unseal = z.infer<typeof unseal>

export const sectorRecord = z.object({
  sector: allocatedSector,
  at,
  standing: z.enum(STANDINGS),
  /** A hash of the task that got it last. */
  task: z.string().nullable(),
  /** With filler; empty for a sector without deals. */
  deals: z.array(deal),
  ticket: ticket.nullable(),
  preCommit: commitments.extend({ ticket }).nullable(),
  seed: seed.nullable(),
  proof: storedProof.nullable(),
  reservation: z.object({ store: z.string(), sizeBytes: z.int() }).nullable(),
  persisted: persisted.nullable(),
  /** Under way. */
  upgrade: upgrade.nullable(),
  /** Done: what it was upgraded to. */
  upgraded: commitments.extend({ at, deals: z.array(deal), proofSha256: z.string() }).nullable(),
  rebuild: z.object(wish).nullable(),
  unseals: z.array(unseal).max(UNSEALS_MAX),
  reports: z.array(report).max(REPORTS_MAX),
  /** When somebody last said that it works on it, or was given it. */
  heardAt: at,
  /** An operator wants no more work on it; told to the worker at its next report. */
  stop: z.object({ at, by: text, reason: text }).nullable(),
  end: z.object({ at, reason: text }).nullable(),
})
export type SectorRecord = z.infer<typeof sectorRecord>

export const sectorInput = z.object({
  sector: allocatedSector,
  at,
  task: z.string().nullable(),
})
export type SectorInput = z.infer<typeof sectorInput>

export function newRecord({ sector, at: since, task }: SectorInput): SectorRecord {
  return {
    sector,
    at: since,
    standing: 'online',
    task,
    deals: [],
    ticket: null,
    preCommit: null,
    seed: null,
    proof: null,
    reservation: null,
    persisted: null,
    upgrade: null,
    upgraded: null,
    rebuild: null,
    unseals: [],
    reports: [],
    heardAt: since,
    stop: null,
    end: null,
  }
}

/** Without deals, neither its own nor of an upgrade: committed capacity. */
export function isEmptyOfDeals({ deals, upgraded }: SectorRecord): boolean {
  return deals.length === 0 && upgraded === null
}

export function isUpgradable(record: SectorRecord): boolean {
  const { standing, rebuild, unseals, persisted: stored, preCommit } = record
  const isIdle = standing === 'finalized' && rebuild === null && unseals.length === 0
  return isIdle && isEmptyOfDeals(record) && stored !== null && preCommit !== null
}

/**
 * A worker has it, to rebuild it or to unseal a piece. One at a time: when that worker gives up or has
 * done it, it names the sector only.
 */
export function isAtWork({ rebuild, unseals }: SectorRecord): boolean {
  return (rebuild !== null && rebuild.task !== null) || unseals.some(({ task }) => task !== null)
}
