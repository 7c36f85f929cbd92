/** What the manager's routes for operators take and answer, for `openapi.json`. */
import { z } from 'zod'
import type { DealEntry } from './deals.ts'
import type { SectorSummary } from './operators.ts'
import { STANDINGS, TEXT_CHARS_MAX } from './sector-record.ts'
import type { StoreSummary } from './storage.ts'
import type { PingSummary } from './worker-list.ts'

/** A file that a person adds as a deal; larger ones come into the piece store by themselves. */
export const PIECE_BYTES_MAX = 16 * 1024 * 1024
const COUNT_MAX = 1_000
const DESTINATIONS_MAX = 10

const reason = z.string().min(1).max(TEXT_CHARS_MAX)
const wholeText = z.string().regex(/^\d{1,15}$/)

export const sectorQuery = z.object({
  standing: z.enum(STANDINGS).optional(),
  miner: wholeText.transform(Number).optional(),
  worker: z.string().optional(),
  silentMs: wholeText
    .transform(Number)
    .optional()
    .describe('online, and nobody reported it for so long; the longest first'),
  limit: wholeText.transform(Number).pipe(z.int().min(1).max(COUNT_MAX)).optional(),
  cursor: z.string().optional(),
})

export const abortion = z.object({
  reason,
  now: z.boolean().default(false).describe('its worker is gone: do not wait for it'),
})
export const reasoned = z.object({ reason })
export const nothing = z.object({})
export const unsealing = z.object({
  piece: z.string().optional().describe('its commitment; without it all of the sector'),
  dest: z.array(z.string()).min(1).max(DESTINATIONS_MAX),
})
export const dealAddition = z
  .object({
    base64: z
      .base64()
      .max(Math.ceil(PIECE_BYTES_MAX / 3) * 4)
      .optional()
      .describe('the payload'),
    sizeBytes: z
      .int()
      .min(1)
      .max(PIECE_BYTES_MAX)
      .optional()
      .describe('instead: so many random bytes'),
  })
  .refine(
    ({ base64, sizeBytes }) => (base64 === undefined) !== (sizeBytes === undefined),
    'give either base64 or sizeBytes',
  )

const sectorSummary = z.object({
  sector: z.string(),
  standing: z.enum(STANDINGS),
  state: z.string().nullable(),
  worker: z.string().nullable(),
  store: z.string().nullable(),
  reason: z.string(),
  since: z.number().describe('unix ms'),
  heardAt: z.number().describe('unix ms: its worker reported it last, or was given it'),
}) satisfies z.ZodType<SectorSummary>

export const sectorList = z.object({
  sectors: z.array(sectorSummary),
  cursor: z.string().exactOptional(),
})
export const sectorView = z.looseObject({ standing: z.enum(STANDINGS) })
export const proofView = z.object({ sha256: z.string(), proof: z.string().describe('base64') })

const rpcAnswer = z.object({
  jsonrpc: z.literal('2.0'),
  id: z.union([z.string(), z.number(), z.null()]),
  result: z.unknown().optional().describe('as the call answers'),
  error: z
    .object({
      code: z.number().describe('11001: no such sector; 1: any other failure; or of JSON-RPC'),
      message: z.string(),
      data: z.unknown().optional().describe('{code, retry} of a failure of Troupe'),
    })
    .optional(),
})
/** Notifications alone have an empty answer, with status 204. */
export const rpcAnswers = z.union([rpcAnswer, z.array(rpcAnswer)])
export const pieceStored = z.object({ bytes: z.number() })

const dealView = z.object({
  id: z.number(),
  commitment: z.string(),
  sizeBytes: z.number(),
  payloadBytes: z.number(),
  at: z.number(),
  sector: z.string().nullable().describe('who has it; null: it waits'),
}) satisfies z.ZodType<DealEntry>
export const dealList = z.object({ deals: z.array(dealView) })
export const dealAdded = z.object({ id: z.number(), piece: z.string(), sizeBytes: z.number() })

const storeSummary = z.object({
  name: z.string(),
  path: z.string(),
  capacityBytes: z.number().nullable(),
  reservedBytes: z.number(),
  storedBytes: z.number(),
  reachable: z.boolean(),
}) satisfies z.ZodType<StoreSummary>
export const storeList = z.object({ stores: z.array(storeSummary) })

export const pingSummary = z.object({
  name: z.string(),
  dest: z.string(),
  version: z.string(),
  lastPing: z.number().describe('unix ms'),
  threads: z.number(),
  empty: z.number(),
  paused: z.number(),
  running: z.number().nullable(),
  waiting: z.number().nullable(),
  errors: z.number(),
}) satisfies z.ZodType<PingSummary>
export const pingList = z.object({ workers: z.array(pingSummary) })
