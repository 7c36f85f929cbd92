/**
 * When a message that could not be done is tried again. Decides: that it is tried for ever, soon at first,
 * then as one that is punished, so that what fails for long costs little and keeps nobody waiting. The wait
 * is a timer of the actor, never a sleeping task. Leaves to others: what counts as done.
 */
import { z } from 'zod'

/** A blobnode that restarts is back by the second or third try. */
const SLOW_DOWN_MS = 3_000
/** From so many tries in a row on, a message is punished. */
const PUNISHED_FROM_TRIES = 3
const PUNISHED_FIRST_MS = 4 * 60_000
const PUNISHED_MAX_MS = 32 * 60_000
/** What is lost comes back only when somebody brings a disk back. */
const ORPHAN_FIRST_MS = 10 * 60_000
const ORPHAN_MAX_MS = 6 * 3_600_000
/** Until it is looked again whether a disk of the volume is still broken: it is repaired within hours. */
export const POSTPONED_MS = 10 * 60_000

/** What a message knows of its last try. */
export const triesFields = {
  /** In a row, since it last came forward. */
  tries: z.int().min(0),
  lastError: z.string().nullable(),
  waitMs: z.number().min(0),
  /** Unix ms: until when it waits; null when it does not, or nobody knows. */
  retryAt: z.number().nullable(),
  /** What for, where that is no error: null where `lastError` says it. */
  waitsFor: z.string().nullable(),
}

export interface Tries {
  tries: number
  lastError: string | null
  waitMs: number
  retryAt: number | null
  waitsFor: string | null
}

export const NOT_WAITING = { waitMs: 0, retryAt: null, waitsFor: null } as const
export const NOT_TRIED: Tries = { tries: 0, lastError: null, ...NOT_WAITING }

export interface FailedTry {
  why: string
  /** Unix ms; null where that was not told. */
  at: number | null
  isOrphan?: boolean
  /** However few its tries are. */
  isPunished?: boolean
}

export function failedOnceMore(
  { tries }: Pick<Tries, 'tries'>,
  { why, at, isOrphan = false, isPunished: isHard = false }: FailedTry,
): Tries {
  const count = isHard ? Math.max(tries + 1, PUNISHED_FROM_TRIES) : tries + 1
  const waitMs = isOrphan ? orphanMs(count) : retryMs(count)
  const retryAt = at === null ? null : at + waitMs
  return { tries: count, lastError: why, waitMs, retryAt, waitsFor: null }
}

/** Whether the next wait after so many tries is a punishment. */
export function isPunished(tries: number): boolean {
  return tries >= PUNISHED_FROM_TRIES
}

function retryMs(tries: number): number {
  if (!isPunished(tries)) return SLOW_DOWN_MS * 2 ** (tries - 1)
  return Math.min(PUNISHED_FIRST_MS * 2 ** (tries - PUNISHED_FROM_TRIES), PUNISHED_MAX_MS)
}

function orphanMs(tries: number): number {
  return Math.min(ORPHAN_FIRST_MS * 2 ** (tries - 1), ORPHAN_MAX_MS)
}
