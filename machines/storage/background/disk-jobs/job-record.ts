/**
 * What is known of a disk that is emptied, and what its job is told. Decides: the fields and their bounds, and what
 * lists and people see. Leaves to others: what becomes of it (`job-rules.ts`), what is done for it (`job-tasks.ts`).
 */
import { z } from 'zod'
import { vuidSchema } from '../../plane/codes/index.ts'
import { DISK_ID_MAX } from '../../plane/disks/index.ts'
import { JOB_KINDS } from './job-kinds.ts'
import { LINE_FATES, NO_NOTES } from './ledger-lines.ts'

const count = z.int().min(0)
const at = z.number().min(0)
const taskId = z.string().min(1).max(256)

export const jobKind = z.enum(JOB_KINDS)

/** A move that was started, and has not been heard to end. */
export const liveMove = z.object({
  taskId,
  vuid: vuidSchema,
  /** It stands still, by its own word or an operator's: it takes nobody's place. */
  isStill: z.boolean(),
})
export type LiveMove = z.output<typeof liveMove>

/** Moves that stand still are kept in the record, up to here; then no further ones are started. */
export const STILL_MAX = 64

const fates = Object.fromEntries(
  LINE_FATES.filter((fate) => fate !== 'unit').map((fate) => [fate, count]),
) as Record<'arriving' | 'leaving' | 'stray' | 'orphan', typeof count>

export const notes = z.object({ ...fates, refused: count, first: z.string().nullable() })

/**
 * Where a round over the ledger stands. A disk that is repaired goes through it twice: volumes that have lost
 * more than this unit come first.
 */
export const round = z.object({
  pass: z.enum(['urgent', 'all']),
  /** The digits of the last line that was looked at; null: none yet. */
  cursor: z.string().nullable(),
  isThrough: z.boolean(),
  /** Something came of it. */
  isFruitful: z.boolean(),
  notes,
})
export type Round = z.output<typeof round>

export const jobInput = z.object({ diskId: z.int().min(1).max(DISK_ID_MAX) })
export type JobInput = z.output<typeof jobInput>

export const jobEnds = ['emptied', 'handed_over', 'refused'] as const

export const jobContext = z.object({
  diskId: jobInput.shape.diskId,
  /** Whether its switch is open; where it is closed no move is started. */
  isOn: z.boolean(),
  live: z.array(liveMove),
  /** Ended, and what they moved is not counted yet. */
  ended: z.array(taskId),
  /** Ended before it was written down that they began. */
  early: z.array(taskId),
  round,
  /** Rounds in a row of which nothing came. */
  fruitless: count,
  /** Units on the disk when it was taken in hand, and now; null until then. */
  total: count.nullable(),
  left: count.nullable(),
  /** Of moves that have ended. */
  bytes: count,
  /** Why nothing goes on right now, and until when: null where that is not known. */
  wait: z.object({ why: z.string(), until: at.nullable() }).nullable(),
  pauseMs: count,
  keptMs: count,
  startedAt: at.nullable(),
  endedAt: at.nullable(),
  end: z.enum(jobEnds).nullable(),
})
export type JobRecord = z.output<typeof jobContext>

export const jobEvents = {
  /** Its disk may be emptied now. */
  PLACE: z.object({ isOn: z.boolean() }),
  /** It may not yet. */
  QUEUED: z.object({ why: z.string() }),
  SWITCH: z.object({ isOn: z.boolean() }),
  MOVE_ENDED: z.object({
    taskId,
    sourceVuid: vuidSchema,
    end: z.string(),
    why: z.string().nullable(),
  }),
  /** Now, whatever it waits for. */
  LOOK: z.object({}),
}
type Payload<TType extends keyof typeof jobEvents> = z.output<(typeof jobEvents)[TType]>
export type JobEvent =
  | ({ type: 'PLACE' } & Payload<'PLACE'>)
  | ({ type: 'QUEUED' } & Payload<'QUEUED'>)
  | ({ type: 'SWITCH' } & Payload<'SWITCH'>)
  | ({ type: 'MOVE_ENDED' } & Payload<'MOVE_ENDED'>)
  | { type: 'LOOK' }
  | { type: 'troupe.deadLetter'; to: string; event: { type: string } }

export const FIRST_ROUND: Round = {
  ...{ pass: 'urgent', cursor: null, isThrough: false, isFruitful: false, notes: NO_NOTES },
}

export function newJob({ diskId }: JobInput): JobRecord {
  return {
    ...{ diskId, isOn: false, live: [], ended: [], early: [], round: FIRST_ROUND, fruitless: 0 },
    ...{ total: null, left: null, bytes: 0, wait: null, pauseMs: 0, keptMs: 0 },
    ...{ startedAt: null, endedAt: null, end: null },
  }
}

/** How far it is: units that have left the disk, of those that were on it. */
export interface JobProgress {
  diskId: number
  total: number
  done: number
  /** That were moved or made anew. */
  bytes: number
  /** Moves under way, those that stand still among them. */
  moving: number
  still: number
  why: string | null
  /** Unix ms. */
  until: number | null
}

export function progressOf(job: JobRecord): JobProgress {
  const { diskId, bytes, live, wait } = job
  const total = Math.max(job.total ?? 0, job.left ?? 0)
  return {
    ...{ diskId, total, done: total - (job.left ?? total), bytes, moving: live.length },
    still: live.filter(({ isStill }) => isStill).length,
    ...{ why: wait?.why ?? null, until: wait?.until ?? null },
  }
}
