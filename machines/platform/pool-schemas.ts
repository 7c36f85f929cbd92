/**
 * What a pool takes and what it keeps. Decides: the shapes of its input, its events and its context, and how
 * much of everything there may be. Leaves to others: what they lead to.
 */
import { z } from 'zod'
import { parseAddress, TroupeError } from '../../src/index.ts'
import { WAITERS_MAX } from './semaphore.ts'

const SLOTS_MAX = 1_000_000
const HOLDER_BYTES_MAX = 256
/** Room for every child of every stage of a worker, and its locks. */
const LIMITS_MAX = 256
/** Each may have a timer of the actor. */
const GAPS_MAX = 100
const OPTIONS_MAX = 16
const NAMES_MAX = 8
/** One for each stage of a worker, and more. */
const CHOICES_MAX = 64
/** As JSON: with those who wait for them and all else they fit in an actor's record. */
const CHOICES_BYTES_MAX = 32 * 1024
const REF_CHARACTERS_MAX = 128
const MS_MAX = 30 * 86_400_000

const holderName = z
  .string()
  .min(1)
  .refine(isHolder, `an address or a name without "/", at most ${HOLDER_BYTES_MAX} bytes`)
const name = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/)
const slots = z.int().min(1).max(SLOTS_MAX)
const limits = z
  .record(name, slots)
  .refine((all) => Object.keys(all).length <= LIMITS_MAX, `at most ${LIMITS_MAX} names`)
const gaps = z
  .record(name, z.int().min(1).max(MS_MAX))
  .refine((all) => Object.keys(all).length <= GAPS_MAX, `at most ${GAPS_MAX} names`)
const names = z
  .array(name)
  .min(1)
  .max(NAMES_MAX)
  .refine((all) => new Set(all).size === all.length, 'a name stands there twice')
const options = z.array(names).min(1).max(OPTIONS_MAX)
const choices = z
  .record(name, options)
  .refine((all) => Object.keys(all).length <= CHOICES_MAX, `at most ${CHOICES_MAX} choices`)
  .refine(
    (all) => Buffer.byteLength(JSON.stringify(all)) <= CHOICES_BYTES_MAX,
    `at most ${CHOICES_BYTES_MAX} bytes of choices`,
  )
const token = z.int().min(1).optional()

export const poolInput = z.object({
  slots,
  limits: limits.optional(),
  gaps: gaps.optional(),
  choices: choices.optional(),
  waitersMax: z.int().min(0).max(WAITERS_MAX).optional(),
})

const waiter = z.object({
  holder: z.string(),
  units: slots,
  demand: z.int().min(1),
  priority: z.int(),
  leaseMs: z.int().min(0),
  waitMs: z.int().min(0).nullable(),
  ticket: z.int().min(1),
  ref: z.string().nullable(),
})

export const poolContext = z.object({
  slots,
  limits,
  gaps,
  choices,
  gapped: z.array(name),
  waitersMax: z.int().min(0).max(WAITERS_MAX),
  lastTicket: z.int().min(0),
  lastToken: z.int().min(0),
  demands: z.array(
    z.object({
      id: z.int().min(1),
      choice: name.nullable(),
      options: z.array(z.array(name)),
    }),
  ),
  holders: z.array(waiter.extend({ token: z.int().min(1), option: z.int().min(0) })),
  waiters: z.array(waiter),
})

export const poolEvents = {
  ACQUIRE: z
    .object({
      holder: holderName,
      units: slots.optional(),
      anyOf: options.optional(),
      /** Short for `anyOf: [[stage]]`. */
      stage: name.optional(),
      /** The options that the pool has by this name, also when they change while it waits. */
      choice: name.optional(),
      priority: z.int().min(-1_000).max(1_000).optional(),
      leaseMs: z.int().min(0).max(MS_MAX).optional(),
      waitMs: z.int().min(0).max(MS_MAX).optional(),
      ref: z.string().max(REF_CHARACTERS_MAX).optional(),
      /** The token of what it holds: given back before the request is judged. */
      instead: token,
    })
    .refine(
      ({ anyOf, stage, choice }) => [anyOf, stage, choice].filter(Boolean).length <= 1,
      'only one of anyOf, stage and choice',
    ),
  RELEASE: z.object({ holder: holderName, token }),
  RENEW: z.object({ holder: holderName, token, leaseMs: z.int().min(0).max(MS_MAX).optional() }),
  CANCEL: z.object({ holder: holderName }),
  EVICT: z.object({ holder: holderName }),
  RESIZE: z.object({
    slots: slots.optional(),
    limits: limits.optional(),
    gaps: gaps.optional(),
    choices: choices.optional(),
  }),
}

export type Payload<TType extends keyof typeof poolEvents> = z.infer<(typeof poolEvents)[TType]>

export type PoolEvent =
  | ({ type: 'ACQUIRE' } & Payload<'ACQUIRE'>)
  | ({ type: 'RELEASE' } & Payload<'RELEASE'>)
  | ({ type: 'RENEW' } & Payload<'RENEW'>)
  | ({ type: 'CANCEL' } & Payload<'CANCEL'>)
  | ({ type: 'EVICT' } & Payload<'EVICT'>)
  | ({ type: 'RESIZE' } & Payload<'RESIZE'>)
  | { type: 'LEASE_OVER'; token: number }
  | { type: 'WAIT_OVER'; ticket: number }
  | { type: 'GAP_OVER'; name: string }
  | { type: 'SERVE_MORE' }
  | { type: 'troupe.deadLetter'; to: string; event: { type: string; token?: unknown } }

/** Of an actor, who is told what becomes of its request. */
export function isActor(holder: string): boolean {
  return holder.includes('/')
}

function isHolder(holder: string): boolean {
  if (Buffer.byteLength(holder) > HOLDER_BYTES_MAX || /\p{Cc}/u.test(holder)) return false
  if (!isActor(holder)) return true
  try {
    parseAddress(holder)
    return true
  } catch (thrown) {
    if (thrown instanceof TroupeError) return false
    throw thrown
  }
}
