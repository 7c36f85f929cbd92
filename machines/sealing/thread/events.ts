/**
 * The events of a sealing thread. Decides: what callers and pools may send it. Leaves to others: what they
 * lead to.
 */
import { z } from 'zod'
import type { TaskFailure, TaskStartedEvent } from '../../../src/index.ts'
import { PLAN_EVENTS, SECTOR_STATES } from '../plans/index.ts'
import type { InternalType } from './changes.ts'
import { threadSettings } from './settings.ts'
import type { TimedOutcome } from './step.ts'

const BY_CHARS_MAX = 256
const REASON_CHARS_MAX = 1_000

const by = z.string().min(1).max(BY_CHARS_MAX)
const reason = z.string().max(REASON_CHARS_MAX)
/** Unix ms, of a time that a calendar has. */
const at = z.int().min(0).max(8_640_000_000_000_000).optional()
const names = z.array(z.string())

export const threadEvents = {
  CONFIGURE: threadSettings.partial().extend({
    /** The settings count for the present sector as well; the plan never does. */
    settingsNow: z.boolean().optional(),
  }),
  PAUSE: z.object({ by, reason: reason.optional(), at }),
  RESUME: z.object({
    by,
    /** Left out: where it stands. */
    state: z.string().max(100).optional(),
    /** Tries the step anew, also where it runs. */
    retry: z.boolean().optional(),
    /** For what throws a live sector away. */
    force: z.boolean().optional(),
    dryRun: z.boolean().optional(),
    reason: reason.optional(),
    at,
  }),
  DRAIN: z.object({ by: by.optional(), at }),
  UNDRAIN: z.object({ by: by.optional(), at }),
  WAKE: z.object({ why: reason.optional() }),
  ABORT: z.object({ by, reason, at }),
  // A pool of another version may say more.
  GRANTED: z.looseObject({ pool: z.string(), token: z.int(), names, ref: z.string().nullish() }),
  EXPIRED: z.looseObject({ pool: z.string(), reason: z.string(), ref: z.string().nullish() }),
  REFUSED: z.looseObject({
    ...{ pool: z.string(), code: z.string(), message: z.string() },
    ref: z.string().nullish(),
  }),
}

type Payload<TType extends keyof typeof threadEvents> = z.infer<(typeof threadEvents)[TType]>

export type ConfigureEvent = Payload<'CONFIGURE'>
export type PauseEvent = Payload<'PAUSE'>
export type ResumeEvent = Payload<'RESUME'>
export type AbortEvent = Payload<'ABORT'>

export type ThreadEvent =
  | {
      [TType in keyof typeof threadEvents]: { type: TType } & Payload<TType>
    }[keyof typeof threadEvents]
  | { type: InternalType }
  | TaskStartedEvent<'step'>
  | { type: 'xstate.done.actor.step'; output: TimedOutcome; actorId: string }
  | { type: 'xstate.error.actor.step'; error: TaskFailure; actorId: string }
  | { type: 'xstate.error.actor.record'; error: TaskFailure; actorId: string }
  | { type: 'troupe.deadLetter'; to: string; event: { type: string; ref?: unknown } }

/** Only the machine itself raises these. */
export const INTERNAL: readonly InternalType[] = [
  ...PLAN_EVENTS,
  'Abort',
  ...SECTOR_STATES.map((state) => `SetState.${state}` as const),
  'NextSector',
  'SETTLE',
  'ASK_AGAIN',
]
