/**
 * What an operator's patch may leave behind. Decides: the shape of a thread's context, and that its state
 * is one of its plan. Leaves to others: what the record's fields hold, which the steps check that use them.
 */
import { z } from 'zod'
import { historyEntry } from '../history/index.ts'
import { hasStep, PLANS, RECORD_KEYS, SECTOR_STATES } from '../plans/index.ts'
import { PHASES, type ThreadContext } from './context.ts'
import { placing, sealingSettings } from './settings.ts'
import { FAILURE_LEVELS, REST_REASONS, type SectorRecord } from './step.ts'

const plan = z.enum(PLANS)
const state = z.enum(SECTOR_STATES)
const count = z.int().min(0)
const time = z.number().min(0)
const waitReason = z.enum([...REST_REASONS, 'pool', 'interval', 'error'])
const asked = z.object({ by: z.string(), at: time, reason: z.string().nullable() })

export const threadContext = z
  .object({
    worker: z.string(),
    thread: z.string(),
    location: z.string().nullable(),
    index: count,
    ...placing.shape,
    configured: z.object({ plan, settings: sealingSettings }).nullable(),
    takesNew: z.boolean(),
    ...{ plan, settings: sealingSettings },
    ...{ state, prev: state.nullable(), furthest: state },
    record: z.custom<SectorRecord>(isRecord, 'a record with fields that no step knows'),
    reported: z.object({ prev: state, next: state, event: z.string() }).nullable(),
    abortReason: z.string().nullable(),
    startedAt: time.nullable(),
    history: z.array(historyEntry.omit({ worker: true, thread: true })),
    ...{ dropped: count, spanAt: time, ranUntil: time },
    end: z
      .object({ end: z.enum(['Finished', 'Aborted']), reason: z.string().nullable(), at: time })
      .nullable(),
    phase: z.enum(PHASES),
    ...{ retries: count, rests: count, restedFor: waitReason.nullable() },
    wait: z
      .object({
        kind: z.enum(['rest', 'retry']),
        reason: waitReason,
        why: z.string(),
        ...{ since: time, until: time, waitMs: count },
        isRenewal: z.boolean(),
      })
      .nullable(),
    ...{ parked: z.boolean(), paused: asked.nullable(), pausing: asked.nullable() },
    lastError: z
      .object({ level: z.enum(FAILURE_LEVELS), message: z.string(), at: time, state })
      .nullable(),
    place: z.object({ pool: z.string(), token: count, names: z.array(z.string()) }).nullable(),
    ...{ asked: count, askedOf: z.string().nullable(), runner: z.string().nullable() },
    totals: z.object({ finished: count, aborted: count }),
    ...{ cycle: count, at: time },
  })
  .refine((given) => hasStep(given.plan, given.state), {
    path: ['state'],
    error: ({ input }) => whyNoState(input as ThreadContext),
  }) satisfies z.ZodType<ThreadContext>

function whyNoState({ plan: name, state: given }: ThreadContext): string {
  return `the plan ${name} has no state ${given}; to go on elsewhere use RESUME with a state`
}

function isRecord(given: unknown): boolean {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return false
  return Object.keys(given).every((key) => (RECORD_KEYS as readonly string[]).includes(key))
}
