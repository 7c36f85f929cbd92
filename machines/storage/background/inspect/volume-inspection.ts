/**
 * The machine `volume-inspection`: what the last inspection of a volume came to. There is one per volume, so
 * that blobs which may be lost are data that is listed, and not lines of a log. Decides: what is kept. Remakes of
 * units are counted one by one, whatever results say: they are begun before there is one. Leaves to others: finding
 * it (`inspect-run.ts`).
 */
import { assign, setup } from 'xstate'
import { z } from 'zod'
import { defineMachine, formatAddress, type MachineDefinition } from '../../../../src/index.ts'
import { bidSchema, VID_MAX } from '../../plane/codes/index.ts'
import { foundSchema } from './inspect-record.ts'

/** Of one volume: past it only their number is known. */
export const LOST_MAX = 100
export const TROUBLES_MAX = 40
/** Of one volume: enough to see that one of its units is made anew again and again. */
export const REMAKES_KEPT_MAX = 100
const TEXT_CHARS_MAX = 300
const HISTORY_COUNT = 10

const text = z.string().transform((given) => given.slice(0, TEXT_CHARS_MAX))

/** Too few whole shards of it were found: it is lost, or a put that nobody has an id of left it. */
export const lostBlob = z.object({
  bid: bidSchema,
  /** Indexes of units that have theirs whole. */
  whole: z.array(z.int()).max(64),
  /** That could not be asked. */
  away: z.array(z.int()).max(64),
})
export type LostBlob = z.output<typeof lostBlob>

export const inspectionResult = foundSchema.extend({
  /** Unix ms. */
  at: z.number(),
  worker: text,
  /** Why it is not complete; null when it is. */
  error: text.nullable(),
  lostBlobs: z.array(lostBlob).max(LOST_MAX),
  /** Of units that could not be looked at. */
  troubles: z.array(text).max(TROUBLES_MAX),
})
export type InspectionResult = z.output<typeof inspectionResult>

/** A unit that was given another chunk, since its own could not be used at all. */
export const remake = z.object({ index: z.int().min(0).max(255), at: z.number() })
export type Remake = z.output<typeof remake>

const inspectionInput = inspectionResult.extend({
  vid: z.int().min(1).max(VID_MAX),
  /** The last ones. */
  remakes: z.array(remake).max(REMAKES_KEPT_MAX),
})
export type InspectionRecord = z.output<typeof inspectionInput>

type InspectionEvent =
  | ({ type: 'RESULT' } & InspectionResult)
  | ({ type: 'REMADE' } & Remake)
  | ({ type: 'NOT_REMADE' } & Remake)
  | { type: 'GONE' }

const chart = setup({
  types: {
    context: {} as InspectionRecord,
    events: {} as InspectionEvent,
    input: {} as InspectionRecord,
  },
  actions: {
    keep: assign(({ context, event }) => {
      if (event.type !== 'RESULT') return {}
      const { type: _type, ...result } = event
      return { ...context, ...result }
    }),
    count: assign(({ context: { remakes }, event }) => {
      if (event.type !== 'REMADE') return {}
      const { index, at } = event
      return { remakes: [...remakes, { index, at }].slice(-REMAKES_KEPT_MAX) }
    }),
    takeBack: assign(({ context: { remakes }, event }) => {
      if (event.type !== 'NOT_REMADE') return {}
      return {
        remakes: remakes.filter(({ index, at }) => index !== event.index || at !== event.at),
      }
    }),
  },
})

export const volumeInspection: MachineDefinition = defineMachine({
  machine: chart.createMachine({
    id: 'volume-inspection',
    context: ({ input }) => input,
    initial: 'known',
    states: {
      known: {
        on: {
          RESULT: { actions: 'keep' },
          REMADE: { actions: 'count' },
          NOT_REMADE: { actions: 'takeBack' },
          GONE: 'gone',
        },
      },
      gone: { type: 'final' },
    },
  }),
  input: inspectionInput,
  context: inspectionInput,
  events: { RESULT: inspectionResult, REMADE: remake, NOT_REMADE: remake, GONE: z.object({}) },
  index: ({ vid, at, blobs, missed, corrupt, lost, error, troubles }) => ({
    ...{ vid, at, blobs, missed, corrupt, lost, error },
    hasLost: lost > 0,
    unitsAway: troubles.length,
  }),
  retention: { finishedMs: 0, historyCount: HISTORY_COUNT },
})

/** As long as there is no result. */
export function notInspected(vid: number, at: number): InspectionRecord {
  return {
    ...{ vid, at, worker: '', error: 'its first inspection is under way' },
    ...{ blobs: 0, shards: 0, bytes: 0, missed: 0, corrupt: 0, lost: 0 },
    ...{ lostBlobs: [], troubles: [], remakes: [] },
  }
}

export function inspectionAddress(vid: number): string {
  return formatAddress('volume-inspection', String(vid))
}
