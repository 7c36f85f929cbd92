/**
 * What a bulk asks of each actor, and of which. Decides: what is refused before anything is touched, which
 * actors an operation can mean, and how what became of one counts. Leaves to others: who asks them, when and
 * how often (`bulk-tasks.ts`).
 */
import { z } from 'zod'
import {
  type ActorRow,
  type ActorScan,
  type AppContext,
  type CallOptions,
  type Client,
  type ErrorCode,
  type OperatorReceipt,
  TroupeError,
  type TurnView,
  toJson,
} from '../../src/index.ts'

const TEXT_CHARS_MAX = 500
const reason = z.string().max(TEXT_CHARS_MAX).optional()
const CONDITIONS = ['active', 'paused', 'parked', 'done', 'stopped'] as const
/** It stands in the record of the bulk, beside a page of addresses. */
const EVENT_BYTES_MAX = 64 * 1024
const indexValue = z.union([z.string(), z.number(), z.boolean(), z.null()])

const bulkEvent = z
  .looseObject({ type: z.string().min(1) })
  .refine(
    (event) => Buffer.byteLength(toJson(event)) <= EVENT_BYTES_MAX,
    `an event for many has at most ${EVENT_BYTES_MAX} bytes`,
  )

export const bulkOperation = z.discriminatedUnion('op', [
  z.strictObject({
    op: z.literal('pause'),
    reason,
    interrupt: z.boolean().optional(),
    timers: z.enum(['run', 'freeze']).optional(),
  }),
  z.strictObject({ op: z.literal('resume'), state: z.string().optional() }),
  z.strictObject({ op: z.literal('retry') }),
  z.strictObject({ op: z.literal('cancel'), reason }),
  z.strictObject({ op: z.literal('send'), event: bulkEvent }),
])
export type BulkOperation = z.infer<typeof bulkOperation>

/** What an event carries may be secret: it is kept beside what everybody may see. */
export type Payload = Record<string, unknown>

export function withoutPayload(operation: BulkOperation): BulkOperation {
  return operation.op === 'send' ? { op: 'send', event: { type: operation.event.type } } : operation
}

export function payloadOf(operation: BulkOperation): Payload | null {
  if (operation.op !== 'send') return null
  const { type: _type, ...payload } = operation.event
  return payload
}

export function withPayload(operation: BulkOperation, payload: Payload | null): BulkOperation {
  if (operation.op !== 'send') return operation
  return { op: 'send', event: { ...payload, type: operation.event.type } }
}

export type BulkFilter = ActorScan['filter'] & { machine: string }

const filterShape = z.strictObject({
  /** One: who may change an actor depends on it, and so do the states. */
  machine: z.string(),
  state: z.string().optional(),
  tag: z.string().optional(),
  condition: z.enum(CONDITIONS).optional(),
  olderThanMs: z.int().min(0).optional(),
  idPrefix: z.string().optional(),
  where: z.record(z.string(), indexValue).optional(),
  children: z.boolean().optional(),
})
/** What is not given is absent. */
export const bulkFilter = filterShape as unknown as z.ZodType<BulkFilter>

type Condition = (typeof CONDITIONS)[number]
type Machines = AppContext['machines']

/**
 * Mistakes that every actor would answer with.
 * @throws TroupeError `unknown-machine`, `unknown-state`, `invalid-event`, `invalid-query`, `forbidden`
 */
export function requirePossible(
  machines: Machines,
  operation: BulkOperation,
  { machine, where = {} }: BulkFilter,
): void {
  const hosted = machines.get(machine)
  if (!hosted) {
    const known = [...machines.keys()].sort().join(', ')
    const why = `no machine is named "${clip(machine)}"; registered are: ${known}`
    throw new TroupeError('unknown-machine', why)
  }
  const { definition, chart } = hosted
  if (definition.role === 'admin') {
    const why = `actors of ${machine} let others in: an admin changes them one by one`
    throw new TroupeError('forbidden', why)
  }
  // Whoever may ask for equality can find out the value.
  const secret = Object.keys(where).find((field) => definition.secrets.includes(field))
  if (secret !== undefined) {
    throw new TroupeError('invalid-query', `"${secret}" is a secret of ${machine}`)
  }
  if (operation.op === 'resume' && operation.state !== undefined) {
    requireState(machine, chart.states, operation.state)
  }
  if (operation.op === 'send') requireEvent(definition, operation.event)
}

/** @throws TroupeError `unknown-state` */
export function requireState(machine: string, states: readonly string[], state: string): void {
  if (states.includes(state)) return
  const why = `${machine} has no state "${clip(state)}" (it has: ${states.join(', ')})`
  throw new TroupeError('unknown-state', why)
}

function requireEvent(
  { name, events }: { name: string; events: Readonly<Record<string, z.ZodType>> },
  { type, ...payload }: { type: string; [field: string]: unknown },
): void {
  const schema = Object.hasOwn(events, type) ? events[type] : undefined
  if (!schema) {
    const known = Object.keys(events).sort().join(', ') || 'none'
    const why = `${name} takes no event "${clip(type)}" (it takes: ${known})`
    throw new TroupeError('invalid-event', why)
  }
  const parsed = schema.safeParse(payload)
  if (!parsed.success) {
    throw new TroupeError('invalid-event', `${type}: ${z.prettifyError(parsed.error)}`)
  }
}

/** Whether an actor is one that the operation can mean: who is paused need not be paused. */
export function isMeant(operation: BulkOperation, condition: Condition): boolean {
  const isLive = condition !== 'done' && condition !== 'stopped'
  switch (operation.op) {
    case 'pause':
      return isLive && condition !== 'paused'
    case 'resume':
      return operation.state !== undefined || condition === 'paused' || condition === 'parked'
    default:
      return isLive
  }
}

export function conditionOf({ status, parked, paused }: ActorRow): Condition {
  if (status !== 'active') return status
  if (parked) return 'parked'
  return paused ? 'paused' : 'active'
}

/** Parked and paused already: `conditionOf` does not tell. */
export function isMeantRow(operation: BulkOperation, row: ActorRow): boolean {
  if (operation.op === 'pause' && row.paused) return false
  return isMeant(operation, conditionOf(row))
}

export interface Effect {
  /** Events that wait for the actor. */
  kept: number
  tasksRunning: number
}

/** What became of one actor. */
export type Outcome =
  | ({ kind: 'done' } & Effect)
  /** It has not changed, since it is no longer as the operation wants it. */
  | { kind: 'skipped'; code: string; message: string }
  | { kind: 'failed'; code: string; message: string }
  /** Nothing was applied that is not known; to be asked again under the same id. */
  | { kind: 'unanswered'; message: string }
  /** The id is forgotten: it may or may not have been applied. */
  | { kind: 'expired' }

/** Whoever is no longer as the filter found it is left alone; nobody is asked twice under one id. */
export type AskOptions = Required<Pick<CallOptions, 'id' | 'when'>>

/** What of a filter can change after it has found an actor. */
export function expectationOf(filter: BulkFilter): AskOptions['when'] {
  const { state, tag, condition, olderThanMs, where } = filter
  return {
    ...(state === undefined ? {} : { state }),
    ...(tag === undefined ? {} : { tag }),
    ...(condition === undefined ? {} : { condition }),
    ...(olderThanMs === undefined ? {} : { olderThanMs }),
    ...(where === undefined ? {} : { where }),
  }
}

/** Asks one actor, once. @throws what is no answer of an actor */
export async function applyTo(
  client: Client,
  address: string,
  operation: BulkOperation,
  options: AskOptions,
): Promise<Outcome> {
  try {
    return await ask(client, address, operation, options)
  } catch (thrown) {
    if (!(thrown instanceof TroupeError)) throw thrown
    return outcomeOf(thrown)
  }
}

async function ask(
  client: Client,
  address: string,
  operation: BulkOperation,
  options: AskOptions,
): Promise<Outcome> {
  switch (operation.op) {
    case 'pause': {
      const { reason: why, interrupt, timers } = operation
      return doneBy(
        await client.pause(address, {
          ...options,
          ...(why === undefined ? {} : { reason: why }),
          ...(interrupt === undefined ? {} : { interrupt }),
          ...(timers === undefined ? {} : { timers }),
        }),
      )
    }
    case 'resume': {
      const { state } = operation
      return doneBy(
        await client.resume(address, { ...options, ...(state === undefined ? {} : { state }) }),
      )
    }
    case 'retry':
      return doneBy(await client.resume(address, { ...options, retry: true }))
    case 'cancel': {
      const { reason: why } = operation
      return doneBy(
        await client.cancel(address, { ...options, ...(why === undefined ? {} : { reason: why }) }),
      )
    }
    case 'send':
      return sent(await client.send(address, operation.event, options), operation.event.type)
  }
}

function doneBy({ kept, tasksRunning }: OperatorReceipt): Outcome {
  return { kind: 'done', kept, tasksRunning }
}

function sent({ handled, kept, value }: TurnView, type: string): Outcome {
  if (kept !== undefined) return { kind: 'done', kept: 1, tasksRunning: 0 }
  if (handled) return { kind: 'done', kept: 0, tasksRunning: 0 }
  const message = `its state ${JSON.stringify(value)} has no transition for ${clip(type)}`
  return { kind: 'skipped', code: 'unhandled', message }
}

/** The actor is not, or no longer, in a condition for it. */
const SKIPPED: ReadonlySet<ErrorCode> = new Set(['conflict', 'finished', 'unknown-actor'])
/** Not applied, or not known to be: the same id may be sent again. */
const UNANSWERED: ReadonlySet<ErrorCode> = new Set(['deadline', 'clock-skew', 'store-failed'])

function outcomeOf({ code, message, retry }: TroupeError): Outcome {
  if (code === 'expired') return { kind: 'expired' }
  if (retry || UNANSWERED.has(code)) return { kind: 'unanswered', message }
  return { kind: SKIPPED.has(code) ? 'skipped' : 'failed', code, message: clip(message, 300) }
}

function clip(text: string, charsMax = 80): string {
  return text.length <= charsMax ? text : `${text.slice(0, charsMax - 1)}…`
}
