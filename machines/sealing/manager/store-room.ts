/**
 * The machine `sealing-stores`: room in the long-term stores, for all sectors. Decides: which store a
 * sector gets, that it gets the same when it asks again, and that it is told. Leaves to others: what the
 * disks say is free, and the files.
 */
import { setup } from 'xstate'
import { z } from 'zod'
import { defineMachine, formatAddress, reply, tell } from '../../../src/index.ts'

/** Sectors between their sealing and their end: more than any fleet of workers has at a time. */
const RESERVATIONS_MAX = 5_000
const CANDIDATES_MAX = 1_000

const reservation = z.object({ store: z.string(), sizeBytes: z.int().min(0) })
type Reservation = z.infer<typeof reservation>

const roomContext = z.object({
  /** By the names of sectors. */
  reservations: z.record(z.string(), reservation),
  /** Bytes that lie in stores, by their names. */
  stored: z.record(z.string(), z.number()),
})
export type StoreRoom = z.infer<typeof roomContext>

const events = {
  RESERVE: z.object({
    sector: z.string(),
    sizeBytes: z.int().min(0),
    candidates: z
      .array(
        z.object({
          store: z.string(),
          /** Its size, or what its disk has free; null: nobody knows, so it is taken. */
          capacityBytes: z.number().nullable(),
          /** Whether what is stored there counts against it: the free space of a disk has it off already. */
          countsStored: z.boolean(),
        }),
      )
      .max(CANDIDATES_MAX),
  }),
  RELEASE: z.object({
    sector: z.string(),
    /** What lies there for good. */
    stored: z.object({ store: z.string(), sizeBytes: z.number().min(0) }).nullable(),
  }),
}
type Reserve = { type: 'RESERVE' } & z.infer<typeof events.RESERVE>
type RoomEvent = Reserve | ({ type: 'RELEASE' } & z.infer<typeof events.RELEASE>)

/** `store` is null where there is no room. */
export interface RoomAnswer {
  store: string | null
}

interface Decision {
  next: StoreRoom
  store: string | null
  told?: { sector: string; store: string; sizeBytes: number }
}

const chart = setup({
  types: { context: {} as StoreRoom, events: {} as RoomEvent },
  actions: {
    answer: reply((_, { store }: { store: string | null }): RoomAnswer => ({ store })),
    tell: tell((_, { sector, ...room }: { sector: string } & Reservation) => ({
      to: formatAddress('sealing-sector', sector),
      event: { type: 'RESERVED', ...room },
    })),
  },
})

const act = chart.enqueueActions(({ context, event, enqueue }) => {
  const { next, store, told } = decide(context, event)
  enqueue.assign(next)
  if (told) enqueue({ type: 'tell', params: told })
  enqueue({ type: 'answer', params: { store } })
})

export const storeRoom = defineMachine({
  machine: chart.createMachine({
    id: 'sealing-stores',
    context: { reservations: {}, stored: {} },
    initial: 'open',
    states: { open: { on: { RESERVE: { actions: act }, RELEASE: { actions: act } } } },
  }),
  context: roomContext,
  events,
  retention: { historyCount: 20 },
})

export function reservedIn({ reservations }: StoreRoom, store: string): number {
  return Object.values(reservations).reduce(
    (sum, one) => sum + (one.store === store ? one.sizeBytes : 0),
    0,
  )
}

function decide(now: StoreRoom, event: RoomEvent): Decision {
  if (event.type === 'RESERVE') return reserve(now, event)
  const { [event.sector]: _released, ...reservations } = now.reservations
  const { stored } = event
  if (!stored) return { next: { ...now, reservations }, store: null }
  const bytes = (now.stored[stored.store] ?? 0) + stored.sizeBytes
  const next = { reservations, stored: { ...now.stored, [stored.store]: bytes } }
  return { next, store: stored.store }
}

function reserve(now: StoreRoom, { sector, sizeBytes, candidates }: Reserve): Decision {
  const known = now.reservations[sector]
  // A worker that has lost its store asks with others: it gets one of those.
  if (known && candidates.some(({ store }) => store === known.store)) {
    return { next: now, store: known.store }
  }
  const { [sector]: _old, ...others } = now.reservations
  if (Object.keys(others).length >= RESERVATIONS_MAX) return { next: now, store: null }
  const room = { ...now, reservations: others }
  const [best] = candidates
    .map(({ store, capacityBytes, countsStored }) => {
      const stored = countsStored ? (now.stored[store] ?? 0) : 0
      const left = (capacityBytes ?? Infinity) - stored - reservedIn(room, store)
      return { store, left }
    })
    .filter(({ left }) => left >= sizeBytes)
    .sort((a, b) => b.left - a.left)
  if (!best) return { next: now, store: null }
  const { store } = best
  const next = { ...now, reservations: { ...others, [sector]: { store, sizeBytes } } }
  return { next, store, told: { sector, store, sizeBytes } }
}
