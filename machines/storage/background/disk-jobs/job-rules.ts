/**
 * What a job does next, by what it was told and what a look found. Decides: when a disk is empty, when what is left
 * is looked at again, and what people are told meanwhile. Pure.
 */
import { clippedWhy } from '../../plane/why.ts'
import { FIRST_ROUND, type JobRecord, type LiveMove, type Round, STILL_MAX } from './job-record.ts'
import { leftText, type Notes, noted } from './ledger-lines.ts'

/** Where nothing comes of it, a disk is looked at again after ever longer, up to here. */
const PAUSE_MAX_MS = 60_000
const DOUBLINGS_MAX = 5

export interface Looked {
  /** Unix ms. */
  at: number
  checkMs: number
  limit: number
  /** Why this is no disk of this job any more. */
  over: { end: 'emptied' | 'handed_over' | 'refused'; why: string } | null
  /** What failed, if something did; what was done before it counts. */
  trouble: string | null
  added: LiveMove[]
  /** Ended, or gone; nobody has said so. */
  gone: string[]
  still: string[]
  bytes: number
  /** Whose bytes are counted in that. */
  counted: string[]
  left: number
  round: Round
}

export type Next = 'done' | 'finishing' | 'generating' | 'migrating' | 'verifying'

/** @param job as it stands when the look is over: it may have been told of ends meanwhile */
export function afterLook(job: JobRecord, looked: Looked): { next: Next; job: JobRecord } {
  const { at, left, round, over } = looked
  const merged: JobRecord = {
    ...job,
    ...{ live: liveAfter(job, looked), ended: endedAfter(job, looked), early: [], round, left },
    ...{ total: Math.max(job.total ?? 0, left), bytes: job.bytes + looked.bytes, wait: null },
  }
  if (over !== null) return { next: 'done', job: ended(merged, over, at) }
  if (looked.trouble !== null) return paused(merged, looked, looked.trouble)
  if (left === 0 && merged.live.length === 0) return { next: 'finishing', job: merged }
  if (mayGoOn(merged, looked.limit)) return { next: 'generating', job: merged }
  if (merged.live.length > 0) return { next: 'migrating', job: migrating(merged, looked) }
  if (!round.isThrough) {
    return { next: 'verifying', job: { ...merged, pauseMs: PAUSE_MAX_MS, wait: closed() } }
  }
  return paused(merged, looked, leftText(left, round.notes))
}

function closedText(): string {
  return 'its switch is closed: open it, and it goes on'
}

export function ended(
  job: JobRecord,
  { end, why }: NonNullable<Looked['over']>,
  endedAt: number,
): JobRecord {
  const wait = end === 'emptied' ? null : { why: clippedWhy(why), until: null }
  return { ...job, end, endedAt, wait }
}

/** The next round over the ledger, from its beginning. */
export function renewed(job: JobRecord): JobRecord {
  return job.round.isThrough ? { ...job, round: FIRST_ROUND } : job
}

/** A move came to its end, whichever. */
export function moveEnded(job: JobRecord, taskId: string): JobRecord {
  const isKnown = job.live.some((one) => one.taskId === taskId)
  if (!isKnown) return { ...job, early: [...job.early, taskId].slice(-STILL_MAX) }
  return {
    ...{ ...job, live: job.live.filter((one) => one.taskId !== taskId) },
    ended: [...job.ended, taskId].slice(-STILL_MAX),
  }
}

function closed(): NonNullable<JobRecord['wait']> {
  return { why: closedText(), until: null }
}

function liveAfter(job: JobRecord, { added, gone, still }: Looked): LiveMove[] {
  const isOver = new Set([...gone, ...job.early])
  const isStill = new Set(still)
  const known = job.live
    .filter(({ taskId }) => !isOver.has(taskId))
    .map((one) => ({ ...one, isStill: isStill.has(one.taskId) }))
  const fresh = added.filter(
    ({ taskId }) => !isOver.has(taskId) && !known.some((one) => one.taskId === taskId),
  )
  return [...known, ...fresh]
}

function endedAfter(job: JobRecord, { counted, gone, added }: Looked): string[] {
  const early = job.early.filter((taskId) => added.some((one) => one.taskId === taskId))
  const all = new Set([...job.ended, ...gone, ...early])
  return [...all].filter((taskId) => !counted.includes(taskId)).slice(-STILL_MAX)
}

/** There is more of the ledger to look at, and a place for what may be found. */
function mayGoOn({ isOn, live, round }: JobRecord, limit: number): boolean {
  const isStill = live.filter((one) => one.isStill).length
  const isFree = live.length - isStill < limit && isStill < STILL_MAX
  return isOn && isFree && !round.isThrough
}

function migrating(job: JobRecord, { at, checkMs }: Looked): JobRecord {
  const still = job.live.filter(({ isStill }) => isStill)
  const [first] = still
  const wait = !job.isOn
    ? closed()
    : first === undefined
      ? null
      : { why: stillText(still.length, first.taskId), until: null }
  const until = wait === null ? null : at + checkMs
  return { ...job, pauseMs: checkMs, wait: wait && { ...wait, until: job.isOn ? until : null } }
}

function stillText(count: number, taskId: string): string {
  const what = count === 1 ? 'a move stands' : `${count} moves stand`
  return `${what} still: see migrate-task/${taskId}`
}

/** Nothing is under way: what is left is looked at again. */
function paused(
  job: JobRecord,
  { at, checkMs, round }: Looked,
  why: string,
): { next: Next; job: JobRecord } {
  const fruitless = round.isFruitful ? 0 : job.fruitless + 1
  const doublings = Math.min(Math.max(0, fruitless - 1), DOUBLINGS_MAX)
  const pauseMs = Math.max(checkMs, Math.min(PAUSE_MAX_MS, checkMs * 2 ** doublings))
  const wait = { why: clippedWhy(why), until: at + pauseMs }
  return { next: 'verifying', job: { ...job, fruitless, pauseMs, wait } }
}

export function withNotes(round: Round, notes: Notes): Round {
  return { ...round, notes: noted(round.notes, notes) }
}
