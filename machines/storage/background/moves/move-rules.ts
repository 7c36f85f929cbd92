/**
 * What a move is told, and what becomes of it. Decides: what it holds of its volume, its lane and its queue in
 * each state, and that it gives all of that back in the turn in which it leaves it; how often and how long it
 * waits. Leaves to others: its states (`migrate-task.ts`), the steps (`move-tasks.ts`). Pure.
 */
import { clippedWhy } from '../../plane/why.ts'
import type { MoveEvent, MoveRecord, MoveState } from './move-record.ts'
import {
  added,
  leaveVolume,
  type MoveEnd,
  movedWord,
  offer,
  placeBack,
  releaseSource,
  stateWord,
  type Word,
  withdraw,
  yieldVolume,
} from './move-words.ts'
import type { Prepared, StepOutput } from './step-output.ts'

export interface Change {
  next: MoveRecord
  words: readonly Word[]
  answer?: MoveAnswer
}

export type MoveAnswer = { ok: true } | { refused: string; message: string }

/** A copy that turned out to be no good is made again so often; then a person has to look. */
export const REDO_MAX = 5
const REDO_FIRST_MS = 10_000
/**
 * Workers that give up in a row, with nothing copied that was not there before: then it begins anew, since
 * blobnodes may be at other addresses by now; after so many rounds a person has to look.
 */
const GIVE_UPS_PER_ROUND = 5
const ROUNDS_MAX = 5
const ROUND_FIRST_MS = 60_000
/** Disks that were no good for it: most failed a long time ago. */
const EXCLUDES_MAX = 64

type Event<TType extends MoveEvent['type']> = Extract<MoveEvent, { type: TType }>

const silent = (next: MoveRecord): Change => ({ next, words: [] })

/** In the first turn of its life. */
export function begun(now: MoveRecord): Change {
  return { next: now, words: [stateWord(now, null, 1)] }
}

export function waits(now: MoveRecord): Change {
  const wait = { why: `it waits for a turn in the lane ${now.type}`, until: null }
  const next: MoveRecord = { ...now, isWaiting: true, wait, waitMs: 0 }
  return { next, words: [added(next)] }
}

/**
 * By its lane, or by an operator who has set it to where it prepares; to a step behind the claim, it is refused there,
 * and steps back.
 */
export function turned(now: MoveRecord): Change {
  return silent({ ...now, isWaiting: false, turns: now.turns + 1, wait: null })
}

/** Its turn came too early: others may have the place. */
export function tooEarly(now: MoveRecord): Change {
  return { next: now, words: [placeBack(now, 'waiting')] }
}

export function prepared(now: MoveRecord, output: Prepared): Change {
  const next: MoveRecord = {
    ...came(now, output.at),
    ...{ state: 2, sources: output.sources, destination: output.destination },
    ...{ codeMode: output.codeMode, wait: queued(now), waitMs: 0, lease: null, isUnheard: false },
  }
  const moved = now.state === 2 ? [] : [stateWord(next, now.state, 2)]
  return { next, words: [...moved, offer(next)] }
}

/** The queue may have lost it, or not be there yet; if it knows it, nothing changes. */
export function offeredAgain(now: MoveRecord): Change {
  const wait = now.lease === null ? queued(now) : now.wait
  const next = { ...now, wait, isUnheard: false }
  return { next, words: [offer(next)], answer: { ok: true } }
}

export function undelivered(now: MoveRecord, event: Event<'troupe.deadLetter'>): Change {
  if (event.event.type !== 'OFFER') return silent(now)
  const why = `there is no queue of workers of idc ${now.sourceIdc}: it is offered again`
  return silent({ ...now, wait: { why, until: null }, lastError: why, isUnheard: true })
}

export function leased(now: MoveRecord, { worker, token, until }: Event<'LEASED'>): Change {
  return silent({ ...now, lease: { worker, token, until }, wait: null })
}

export function leaseLost(now: MoveRecord, { why }: Event<'LEASE_LOST'>): Change {
  return silent({ ...now, lease: null, wait: queued(now), lastError: why })
}

export function reported(now: MoveRecord, { stat, at }: Event<'REPORTED'>): Change {
  const next = { ...now, stat, mtime: Math.max(now.mtime, at), tries: 0 }
  const isMore = stat.doneCount > now.doneMost
  return silent(isMore ? { ...next, giveUps: 0, doneMost: stat.doneCount } : next)
}

type GivenUp = Event<'CANCELLED'> | Event<'RECLAIMED'>

/** Its worker gave it up; its queue gives it to the next in a while. */
export function givenUp(now: MoveRecord, event: Event<'CANCELLED'>): Change {
  const wait = { why: whyGivenUp(now, event), until: event.until }
  return silent({ ...givenUpOnce(now, event), wait })
}

/** What its queue may have of it is of a disk that is no good. */
export function reclaimed(now: MoveRecord, event: Event<'RECLAIMED'>): Change {
  const next = { ...givenUpOnce(now, event), wait: null }
  return { next, words: [withdraw(next)] }
}

/** Of the one that comes now. */
export function isRoundOver({ giveUps }: MoveRecord): boolean {
  return (giveUps + 1) % GIVE_UPS_PER_ROUND === 0
}

export function isLastRoundOver({ giveUps }: MoveRecord): boolean {
  return giveUps + 1 >= GIVE_UPS_PER_ROUND * ROUNDS_MAX
}

/** By worker after worker: from the beginning, after longer and longer waits. */
export function givenUpAgain(now: MoveRecord, event: GivenUp): Change {
  const next = givenUpOnce(now, event)
  const waitMs = ROUND_FIRST_MS * 2 ** (next.giveUps / GIVE_UPS_PER_ROUND - 1)
  return steppedBack(next, { end: 'back', why: whyGivenUp(now, event), waitMs, at: event.at })
}

export function givenUpForGood(now: MoveRecord, event: GivenUp): Change {
  const next = givenUpOnce(now, event)
  const why = `${next.giveUps} workers in a row, the last: ${whyGivenUp(now, event)}`
  const { words, ...change } = parked(next, { end: 'stuck', why, at: event.at })
  return { ...change, words: [...withdrawn(now), ...words] }
}

function givenUpOnce(now: MoveRecord, event: GivenUp): MoveRecord {
  const { reason, at } = event
  return {
    ...{ ...(event.type === 'RECLAIMED' ? withoutDisk(now) : now), lease: null, lastError: reason },
    ...{ tries: now.tries + 1, giveUps: now.giveUps + 1, mtime: Math.max(now.mtime, at) },
  }
}

function whyGivenUp({ lease }: MoveRecord, { reason }: GivenUp): string {
  return clippedWhy(`${lease?.worker ?? 'a worker'} gave it up: ${reason}`)
}

export function completed(now: MoveRecord, { at }: Event<'COMPLETED'>): Change {
  const counts = { giveUps: 0, doneMost: 0 } as const
  const next: MoveRecord = { ...came(now, at), ...counts, state: 3, lease: null, wait: null }
  return { next, words: [withdraw(next), stateWord(next, 2, 3)] }
}

/** The copy has to be made anew, or completed. */
export function redone(now: MoveRecord, output: StepOutput): Change {
  const waitMs = REDO_FIRST_MS * 2 ** now.workerRedoCnt
  const failed = failedOnce(withoutBadDisk(now, output), { ...output, waitMs })
  const next: MoveRecord = { ...failed, state: 2, workerRedoCnt: now.workerRedoCnt + 1 }
  return { next, words: [stateWord(next, now.state, 2)] }
}

export function swapped(now: MoveRecord, { at }: StepOutput): Change {
  const next = { ...came(now, at), wait: null, isCancelled: false }
  return { next, words: [releaseSource(next)] }
}

/** The same step again, in a while. */
export function again(now: MoveRecord, output: StepOutput): Change {
  const isUnheard = output.end === 'again' && output.isUnheard === true
  return silent({
    ...failedOnce(now, output),
    unheardTries: now.unheardTries + (isUnheard ? 1 : 0),
  })
}

/** From the beginning, in a while: meanwhile others may have its volume, and its place in the lane. */
export function steppedBack(now: MoveRecord, output: StepOutput): Change {
  const failed = failedOnce(now, output)
  const next = withoutHold({
    ...{ ...failed, state: 1 as const },
    // Where there is no place besides, a disk that failed once may be well by now.
    excludes: output.end === 'back' && output.isNoPlace ? [] : now.excludes,
  })
  const moved = now.state === 1 ? [] : [stateWord(next, now.state, 1)]
  return {
    next,
    words: [...withdrawn(now), ...moved, yieldVolume(now), placeBack(next, 'waiting')],
  }
}

/** Until a person says that it goes on. It holds nothing of its volume but that nobody else moves the unit. */
export function parked(now: MoveRecord, output: StepOutput): Change {
  const failed = failedOnce(withoutBadDisk(now, output), { ...output, waitMs: 0 })
  const why = `${failed.lastError}: send RETRY when it can go on, or CANCEL`
  const next = withoutHold({ ...failed, state: 1, wait: { why, until: null } })
  return {
    next,
    words: [stateWord(next, now.state, null), yieldVolume(now), placeBack(next, 'parked')],
  }
}

/** All counts begin anew: a person has looked at it. Disks that were no good are still left out. */
export function retried(now: MoveRecord): Change {
  const next = { ...now, workerRedoCnt: 0, tries: 0, unheardTries: 0, giveUps: 0 }
  return { next, words: [stateWord(next, null, 1)], answer: { ok: true } }
}

export function finished(now: MoveRecord, { at }: StepOutput): Change {
  return ended(came(now, at), 'finished', '')
}

export function finishedInAdvance(now: MoveRecord, output: StepOutput): Change {
  const why = output.end === 'over' ? output.reason : ''
  return ended({ ...came(now, output.at), lastError: whyOf(output) }, 'finished_in_advance', why)
}

export function cancelled(now: MoveRecord): Change {
  const change = ended(now, 'cancelled', 'cancelled by an operator')
  return { ...change, answer: { ok: true } }
}

function ended(now: MoveRecord, end: MoveEnd, why: string): Change {
  const state: MoveState = end === 'finished' ? 4 : 5
  const next = withoutHold({ ...now, state, wait: null, finishAdvanceReason: why })
  // Who is cancelled while parked is known to no lane.
  const to = end === 'cancelled' ? null : state
  return {
    next,
    words: [
      ...withdrawn(now),
      stateWord(next, now.state, to),
      leaveVolume(now),
      placeBack(next, end),
      ...movedWord(next, end, why),
    ],
  }
}

/** A parked one is none of its lane's any more. */
export function cancelledWhileParked(now: MoveRecord): Change {
  const { words, ...change } = cancelled(now)
  return { ...change, words: words.filter(({ event }) => event.type !== 'STATE') }
}

/** It goes on until its step has ended: what that may still do is known then. */
export function cancelWished(now: MoveRecord): Change {
  return { ...silent({ ...now, isCancelled: true }), answer: { ok: true } }
}

export function cancelRefused(now: MoveRecord): Change {
  const message = `${now.taskId} has swapped its unit: it ends by itself`
  return { ...silent(now), answer: { refused: 'too-late', message } }
}

export function prioritized(now: MoveRecord, { priority }: Event<'PRIORITY'>): Change {
  const next = { ...now, priority }
  // Who waits for a worker, and not until a certain time: all that its queue is told anew.
  const isOffered = now.state === 2 && now.lease === null && now.wait?.until === null
  return { next, words: isOffered ? [offer(next)] : [], answer: { ok: true } }
}

/** What it waits for is tried now. */
export function hurried(now: MoveRecord): Change {
  return { ...silent(now), answer: { ok: true } }
}

export function canRedo({ workerRedoCnt }: MoveRecord): boolean {
  return workerRedoCnt < REDO_MAX
}

/** What the platform gave up says nothing of the move: the step is tried again. */
export function brokenStep(now: MoveRecord, error: unknown, waitMs: number): StepOutput {
  const { message } = error as { message?: unknown }
  const why = typeof message === 'string' ? message : 'a step was given up'
  return { end: 'again', why, waitMs, at: now.mtime }
}

function came(now: MoveRecord, at: number): MoveRecord {
  return { ...now, mtime: Math.max(now.mtime, at), tries: 0, unheardTries: 0 }
}

function failedOnce(now: MoveRecord, output: StepOutput & { waitMs?: number }): MoveRecord {
  const { at, waitMs = 0 } = output
  const why = whyOf(output) ?? 'it failed'
  const mtime = Math.max(now.mtime, at)
  const wait = { why, until: mtime + waitMs }
  return { ...now, mtime, wait, waitMs, lastError: why, tries: now.tries + 1 }
}

function whyOf(output: StepOutput): string | null {
  return 'why' in output ? clippedWhy(output.why) : null
}

function withoutBadDisk(now: MoveRecord, output: StepOutput): MoveRecord {
  return output.end === 'redo' && output.isPlaceBad === true ? withoutDisk(now) : now
}

function withoutDisk(now: MoveRecord): MoveRecord {
  const { diskId } = now.destination
  const excludes = [...now.excludes.filter((one) => one !== diskId), diskId].slice(-EXCLUDES_MAX)
  return { ...now, excludes }
}

function withoutHold(now: MoveRecord): MoveRecord {
  return { ...now, isWaiting: false, isCancelled: false, lease: null }
}

function withdrawn(now: MoveRecord): Word[] {
  return now.state === 2 ? [withdraw(now)] : []
}

function queued({ sourceIdc }: MoveRecord): MoveRecord['wait'] {
  return { why: `it waits for a worker of idc ${sourceIdc}`, until: null }
}

/** In the index: the earlier the lower; a point of priority is worth more than any age. */
const PRIORITY_MS = 10_000_000_000_000

export function rankOf({ ctime, priority }: Pick<MoveRecord, 'ctime' | 'priority'>): number {
  return ctime - priority * PRIORITY_MS
}
