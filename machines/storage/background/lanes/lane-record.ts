/**
 * What a lane knows, and what it can be told. Decides: the fields and their bounds. Leaves to others: what
 * its events change (`lane-rules.ts`), how the next is found (`lane-tasks.ts`).
 */
import { z } from 'zod'
import { formatAddress, TroupeError } from '../../../../src/index.ts'
import { type SwitchTold, switchTold } from '../../switches/index.ts'
import { windowSchema } from '../../windows/index.ts'
import { MOVE_TYPES, type MoveType } from '../moves/index.ts'

/**
 * The queue of an idc has a timer per task, of which an actor may have 1,000; the tasks of all four lanes may
 * meet there.
 */
export const WORK_QUEUE_MAX = 200
/** As the reference has it. */
export const WORK_QUEUE_SIZE = 20

const TASK_ID_CHARS_MAX = 128
export const taskId = z
  .string()
  .max(TASK_ID_CHARS_MAX)
  .refine((id) => typeIn(id) !== undefined, 'the id of a task begins with its type: balance-…')
const at = z.number().min(0)
const count = z.int().min(0)

export const moveType = z.enum(MOVE_TYPES)

/** @throws TroupeError `malformed` for what is no id of a task */
export function moveTypeOf(id: string): MoveType {
  const type = typeIn(id)
  if (type !== undefined) return type
  throw new TroupeError('malformed', `${id}: the id of a task begins with its type: balance-…`)
}

function typeIn(id: string): MoveType | undefined {
  return MOVE_TYPES.find((type) => id.startsWith(`${type}-`))
}

/** Numbers of the states of a task, as the reference has them; the last two are ends. */
const stateNumber = z.int().min(1).max(5)
export const FINISHED = 4
export const FINISHED_IN_ADVANCE = 5

export const OUTCOMES = [
  'finished',
  'finished_in_advance',
  'cancelled',
  'parked',
  'waiting',
] as const
export type PlaceOutcome = (typeof OUTCOMES)[number]

export const laneEvents = {
  /** A task waits for its turn; which one is next says the index, so nothing of it is kept. */
  ADDED: z.object({ taskId, priority: z.int().default(0), at: at.optional() }),
  /** Null: there is no such task, before it begins and when it was cancelled. */
  STATE: z.object({
    taskId,
    from: stateNumber.nullable(),
    to: stateNumber.nullable(),
    at: at.optional(),
  }),
  PLACE_BACK: z.object({ taskId, outcome: z.enum(OUTCOMES), at: at.optional() }),
  /** Said by the queues: what a worker has moved since its last report. */
  MOVED: z.object({ at, shards: count, bytes: count }),
  SWITCH: switchTold,
}

type Payload<TType extends keyof typeof laneEvents> = z.output<(typeof laneEvents)[TType]>

/** What the lane has found out by its tasks. */
export interface Picked {
  at: number
  workQueueSize: number
  /** In their order; none of them has a place. */
  picked: string[]
  /** No others wait for a turn. */
  isAll: boolean
}

export interface Checked {
  at: number
  workQueueSize: number
  /** There is no such actor, or it has ended. */
  gone: string[]
  /** They stand still, by the hand of an operator or because they failed, and need no place. */
  still: string[]
  isAnyWaiting: boolean
}

export type LaneEvent =
  | ({ type: 'ADDED' } & Payload<'ADDED'>)
  | ({ type: 'STATE' } & Payload<'STATE'>)
  | ({ type: 'PLACE_BACK' } & Payload<'PLACE_BACK'>)
  | ({ type: 'MOVED' } & Payload<'MOVED'>)
  | SwitchTold
  | { type: 'SUBSCRIBE_AGAIN' }
  | { type: 'troupe.deadLetter'; to: string; event: { type: string } }

export const laneInput = z.object({ type: moveType })

const place = z.object({
  /** The number of the state that its task was last heard to be in. */
  state: stateNumber,
  /** The last look found no such task: the next one takes its place away. */
  isMissed: z.boolean(),
})
export type Place = z.output<typeof place>

export const laneContext = z.object({
  type: moveType,
  workQueueSize: z.int().min(1).max(WORK_QUEUE_MAX),
  /** Null: nobody has said yet, which is off. */
  isOn: z.boolean().nullable(),
  /** By task: those that had their turn, and are not at their end. */
  inHand: z.record(z.string(), place),
  /** Tasks there are by the number of their state, ends left out. */
  counts: z.object({ preparing: count, workerDoing: count, finishing: count }),
  /** There may be tasks that wait for a turn. */
  isMore: z.boolean(),
  /** One was added since the look that is under way began: that one may have missed it. */
  isAddedMeanwhile: z.boolean(),
  windows: z.object({ finished: windowSchema, shards: windowSchema, bytes: windowSchema }),
  /** Since the lane began. */
  totals: z.object({ finished: count, finishedInAdvance: count, shards: count, bytes: count }),
  /** Unix ms: the latest that it was told. */
  now: at,
  /** Of looks that failed in a row. */
  tries: count,
  why: z.string().nullable(),
})
export type LaneRecord = z.output<typeof laneContext>

export function laneAddress(type: MoveType): string {
  return formatAddress('move-lane', type)
}
