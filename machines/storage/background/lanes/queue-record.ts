/**
 * What the queue of an idc knows, and what it can be told. Decides: the fields and their bounds, and what is
 * kept of the units of a task: a digest, by which what a worker says it copied is held against what it was
 * given. Leaves to others: what its events change (`queue-rules.ts`).
 */
import { createHash } from 'node:crypto'
import { z } from 'zod'
import { type Client, formatAddress } from '../../../../src/index.ts'
import { vuidSchema } from '../../plane/codes/index.ts'
import { type SwitchTold, switchTold } from '../../switches/index.ts'
import { moveType, taskId } from './lane-record.ts'

const WORKER_CHARS_MAX = 256
const REASON_CHARS_MAX = 500
const IDC_CHARS_MAX = 200
/** A volume has at most 36 units. */
const SOURCES_MAX = 64
const TASKS_PER_RENEWAL_MAX = 1_000
const LEASE_MS_MAX = 600_000
const MS_MAX = 86_400_000

const at = z.number().min(0)
const count = z.int().min(0)
/** Whoever has one name counts as one worker. */
const worker = z.string().min(1).max(WORKER_CHARS_MAX)
/** Null: of a worker of the reference, which knows none. */
const token = z.int().min(1).nullable()
const reason = z.string().transform((text) => text.slice(0, REASON_CHARS_MAX))
const leaseMs = z.int().min(1).max(LEASE_MS_MAX)

/** As it travels: with the keys of the reference. */
const location = z.object({ vuid: vuidSchema, host: z.string(), disk_id: z.int().min(0) })
const units = { sources: z.array(location).max(SOURCES_MAX), destination: location }
export type Location = z.input<typeof location>

const call = { worker, taskId, token, at }
const copied = { src: z.array(location).max(SOURCES_MAX), dest: location }

/** Of shards, as the reference counts them. */
const progress = z.object({
  doneSize: count,
  doneCount: count,
  totalSize: count,
  totalCount: count,
  progress: count,
})
export type MoveProgress = z.output<typeof progress>

export const queueEvents = {
  /** The same task again is the task as it stands now; a lease on it stays. */
  OFFER: z.object({
    taskId,
    priority: z.int().default(0),
    /** Unix ms: nobody gets it before; `at` says when that was said. */
    notBefore: at.nullable().default(null),
    at,
    task: z.object(units),
  }),
  WITHDRAW: z.object({ taskId }),
  ACQUIRE: z.object({ worker, leaseMs, at }),
  /** It was given for nothing: to a worker that has gone away, or a task that stands still. */
  GIVE_BACK: z.object({ ...call, reason, delayMs: z.int().min(0).max(MS_MAX).default(0) }),
  RENEW: z.object({
    worker,
    tasks: z.array(z.object({ id: taskId, token })).max(TASKS_PER_RENEWAL_MAX),
    leaseMs,
    at,
  }),
  REPORT: z.object({ ...call, stat: progress, shards: count, bytes: count }),
  COMPLETE: z.object({ ...call, ...copied }),
  CANCEL: z.object({ ...call, reason, punishMs: z.int().min(0).max(MS_MAX) }),
  RECLAIM: z.object({ ...call, reason }),
  SWITCH: switchTold,
}
type Payload<TType extends keyof typeof queueEvents> = z.output<(typeof queueEvents)[TType]>

export type QueueCall = {
  [TType in Exclude<keyof typeof queueEvents, 'SWITCH'>]: { type: TType } & Payload<TType>
}[Exclude<keyof typeof queueEvents, 'SWITCH'>]

export type QueueEvent =
  | QueueCall
  | SwitchTold
  | { type: 'LEASE_OVER'; taskId: string; token: number }
  | { type: 'DELAY_OVER'; taskId: string; order: number }
  | { type: 'SUBSCRIBE_AGAIN' }
  | { type: 'troupe.deadLetter'; to: string; event: { type: string } }

export type QueueCallOf<TType extends QueueCall['type']> = Extract<QueueCall, { type: TType }>

export const queueInput = z.object({ idc: z.string().min(1).max(IDC_CHARS_MAX) })

const lease = z.object({
  worker: z.string(),
  token: z.int(),
  /** Unix ms, by the clock of the node that asked last. */
  until: at,
  /** How far its worker has said to be, in all; null: it has said nothing yet. */
  told: z.object({ shards: count, bytes: count }).nullable(),
})

const offer = z.object({
  type: moveType,
  priority: z.int(),
  /** The order in which they came. */
  order: z.int(),
  digest: z.string(),
  /** Unix ms: nobody gets it before; null: it is to be had, or is had. */
  delayedUntil: at.nullable(),
  lease: lease.nullable(),
})
export type Offer = z.output<typeof offer>

/** How a task left the queue, for who says the same again because it heard no answer. */
const ENDED_BY = ['COMPLETE', 'CANCEL', 'RECLAIM'] as const
const ended = z.object({ taskId, token: z.int(), worker: z.string(), by: z.enum(ENDED_BY) })
export type EndedLease = z.output<typeof ended>

export const queueContext = z.object({
  idc: z.string(),
  /** By task. */
  offers: z.record(z.string(), offer),
  lastOrder: z.int(),
  /** Above it every further one is, also of a queue that was deleted by hand and began anew. */
  lastToken: z.int(),
  /** By type; one that nobody has told of is off. */
  isOn: z.record(z.string(), z.boolean()),
  /** The latest last. */
  ended: z.array(ended),
})
export type QueueRecord = z.output<typeof queueContext>

export function queueAddress(idc: string): string {
  return formatAddress('worker-queue', idc)
}

/** For whoever offers a task there: it lives when this resolves. */
export async function openWorkerQueue(client: Client, idc: string): Promise<void> {
  await client.ensure(queueAddress(idc), { idc })
}

interface Units {
  sources: readonly z.output<typeof location>[]
  destination: z.output<typeof location>
}

export function digestOf({ sources, destination }: Units): string {
  const text = [destination, ...sources].map(
    ({ vuid, host, disk_id }) => `${vuid} ${disk_id} ${host}`,
  )
  return createHash('sha256').update(text.join('\n')).digest('base64url').slice(0, 22)
}
