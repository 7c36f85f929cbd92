/**
 * The machine `sealing-deals`: the deals of one miner that wait for a sector, or are in one that is not
 * finalized. Decides: which deals a sector gets, that it gets the same when it asks again, and that it is
 * told. Leaves to others: the bytes of the pieces (`pieces.ts`).
 */
import { setup } from 'xstate'
import { z } from 'zod'
import { defineMachine, formatAddress, reply, tell } from '../../../src/index.ts'
import type { Deal } from '../venus/index.ts'
import { withFiller } from './commitments.ts'

/** The record holds them all, and a sector takes some at a time. */
const DEALS_MAX = 1_000
const PIECE_BYTES_MIN = 128

const entry = z.object({
  id: z.int().min(1),
  /** Hex of the piece commitment. */
  commitment: z.string().regex(/^[0-9a-f]{64}$/),
  sizeBytes: z.int().min(PIECE_BYTES_MIN),
  payloadBytes: z.int().min(0),
  at: z.number(),
  /** Who has it. */
  sector: z.string().nullable(),
})
export type DealEntry = z.infer<typeof entry>

const dealsContext = z.object({ lastId: z.int().min(0), deals: z.array(entry).max(DEALS_MAX) })
type DealsContext = z.infer<typeof dealsContext>

const sectorOf = { sector: z.string() }
const events = {
  ADD: entry.omit({ id: true, sector: true }),
  ACQUIRE: z.object({
    ...sectorOf,
    sectorBytes: z.int().min(PIECE_BYTES_MIN),
    /** Null: as many as fit. */
    countMax: z.int().min(0).nullable(),
    /** Fewer bytes of deals are none. */
    bytesMin: z.int().min(0),
  }),
  RELEASE: z.object(sectorOf),
  SEALED: z.object(sectorOf),
}
type Payload<TType extends keyof typeof events> = z.infer<(typeof events)[TType]>
type DealsEvent = {
  [TType in keyof typeof events]: { type: TType } & Payload<TType>
}[keyof typeof events]

export type DealsAnswer =
  | { pieces: Deal[] }
  | { id: number }
  | { done: true }
  | { refused: 'limit-exceeded'; message: string }

interface Decision {
  next: DealsContext
  answer: DealsAnswer
  /** The sector that has to know of its pieces. */
  told?: { sector: string; pieces: Deal[] }
}

const chart = setup({
  types: { context: {} as DealsContext, events: {} as DealsEvent },
  actions: {
    answer: reply((_, { answer }: { answer: DealsAnswer }) => answer),
    tell: tell((_, { sector, pieces }: { sector: string; pieces: Deal[] }) => ({
      to: formatAddress('sealing-sector', sector),
      event: { type: 'DEALS', pieces },
    })),
  },
})

const act = chart.enqueueActions(({ context, event, enqueue }) => {
  const { next, answer, told } = decide(context, event)
  enqueue.assign(next)
  if (told) enqueue({ type: 'tell', params: told })
  enqueue({ type: 'answer', params: { answer } })
})

export const deals = defineMachine({
  machine: chart.createMachine({
    id: 'sealing-deals',
    context: { lastId: 0, deals: [] },
    initial: 'open',
    states: {
      open: {
        on: {
          ADD: { actions: act },
          ACQUIRE: { actions: act },
          RELEASE: { actions: act },
          SEALED: { actions: act },
        },
      },
    },
  }),
  context: dealsContext,
  events,
  index: ({ deals: all }) => ({
    waiting: all.filter(({ sector }) => sector === null).length,
    taken: all.filter(({ sector }) => sector !== null).length,
  }),
  retention: { historyCount: 20 },
})

function decide(now: DealsContext, event: DealsEvent): Decision {
  switch (event.type) {
    case 'ADD':
      return added(now, event)
    case 'ACQUIRE':
      return acquired(now, event)
    case 'RELEASE': {
      const free = (one: DealEntry) =>
        one.sector === event.sector ? { ...one, sector: null } : one
      return { next: { ...now, deals: now.deals.map(free) }, answer: { done: true } }
    }
    case 'SEALED': {
      const left = now.deals.filter(({ sector }) => sector !== event.sector)
      return { next: { ...now, deals: left }, answer: { done: true } }
    }
  }
}

function added(
  now: DealsContext,
  { type: _type, ...given }: Extract<DealsEvent, { type: 'ADD' }>,
): Decision {
  if (now.deals.length >= DEALS_MAX) {
    const message = `there are ${DEALS_MAX} deals of this miner already: wait until some are sealed`
    return { next: now, answer: { refused: 'limit-exceeded', message } }
  }
  const id = now.lastId + 1
  const next = { lastId: id, deals: [...now.deals, { ...given, id, sector: null }] }
  return { next, answer: { id } }
}

function acquired(now: DealsContext, event: Extract<DealsEvent, { type: 'ACQUIRE' }>): Decision {
  const { sector, sectorBytes, countMax, bytesMin } = event
  const own = now.deals.filter((one) => one.sector === sector)
  if (own.length > 0) return { next: now, answer: { pieces: piecesOf(own, sectorBytes) } }
  const chosen = choice(now.deals, sectorBytes, countMax ?? DEALS_MAX)
  const bytes = chosen.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  if (chosen.length === 0 || bytes < bytesMin) return { next: now, answer: { pieces: [] } }
  const pieces = piecesOf(chosen, sectorBytes)
  const take = (one: DealEntry) => (chosen.includes(one) ? { ...one, sector } : one)
  const next = { ...now, deals: now.deals.map(take) }
  return { next, answer: { pieces }, told: { sector, pieces } }
}

/** The oldest that fit. Sizes are powers of two: placed by size, any that fit by their sum fit aligned. */
function choice(all: readonly DealEntry[], sectorBytes: number, countMax: number): DealEntry[] {
  const chosen: DealEntry[] = []
  let left = sectorBytes
  for (const one of all) {
    if (one.sector !== null || one.sizeBytes > left || chosen.length >= countMax) continue
    chosen.push(one)
    left -= one.sizeBytes
  }
  return chosen
}

function piecesOf(entries: readonly DealEntry[], sectorBytes: number): Deal[] {
  const pieces = entries.map(
    ({ id, sizeBytes, payloadBytes, commitment }): Deal => ({
      ID: id,
      Piece: { Size: sizeBytes, PayloadSize: payloadBytes, Cid: commitment },
    }),
  )
  return withFiller(pieces, sectorBytes)
}
