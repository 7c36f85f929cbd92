/**
 * What the actor of inspections keeps, what it may be told and what it answers. Decides: the shapes. Leaves to
 * others: what its events change (`inspect-rules.ts`).
 */
import { z } from 'zod'
import { VID_MAX } from '../../plane/codes/index.ts'
import { type SwitchTold, switchTold } from '../../switches/index.ts'
import { windowSchema } from '../../windows/index.ts'

/** Of the name of a worker, wherever it comes from. */
export const WORKER_CHARS_MAX = 256
/** Longer than any id of ours. */
const TEXT_CHARS_MAX = 200
const WHY_CHARS_MAX = 500

const count = z.int().min(0)
const unixMs = z.number()
const vid = z.int().min(1).max(VID_MAX)
const name = z.string().min(1).max(TEXT_CHARS_MAX)
const worker = z.string().min(1).max(WORKER_CHARS_MAX)
const why = z.string().transform((text) => text.slice(0, WHY_CHARS_MAX))

/** A volume of this pass that is not inspected yet. */
const pending = z.object({
  /** Whose it is; null while it is nobody's. */
  lease: z.object({ taskId: z.string(), worker: z.string(), until: unixMs }).nullable(),
  /** That came to nothing. */
  tries: count,
  lastError: z.string().nullable(),
  /** Until when nobody gets it. */
  retryAt: unixMs.nullable(),
})
export type Pending = z.output<typeof pending>

/** What inspections found. */
const foundFields = { blobs: count, shards: count, bytes: count }
const badFields = { missed: count, corrupt: count, lost: count }
export const foundSchema = z.object({ ...foundFields, ...badFields })
export type Found = z.output<typeof foundSchema>

const passSchema = z.object({
  number: count,
  /** Null until its first volumes are known. */
  begunAt: unixMs.nullable(),
  endedAt: unixMs.nullable(),
  inspected: count,
  ...badFields,
  /** Given up until the next pass. */
  setAside: count,
})
export type Pass = z.output<typeof passSchema>

/** As the configuration of the node says that looked for volumes last. */
const settings = z.object({
  passEveryMs: z.number(),
  batchCount: count,
  triesMax: count,
  retryMs: z.number(),
})

export const inspectContext = z.object({
  isOn: z.boolean(),
  settings,
  pass: passSchema,
  passBefore: passSchema.nullable(),
  /** Where the list of volumes goes on; null at its begin. */
  cursor: z.string().nullable(),
  /** Behind the last volume that was listed. */
  nextVid: z.int().min(1),
  isListed: z.boolean(),
  /** By vid. */
  volumes: z.record(z.string(), pending),
  /** The last ones that were given up, of this pass and the one before. */
  setAside: z.array(z.object({ vid, at: unixMs, why: z.string() })),
  finished: windowSchema,
  timedOut: windowSchema,
  /** Since the store was made. */
  totals: z.object({ finished: count, timedOut: count }),
  /** What it waits for. */
  waits: z.object({ why: z.string(), until: unixMs.nullable() }).nullable(),
  /** The newest time that it was told. */
  at: unixMs,
})
export type InspectRecord = z.output<typeof inspectContext>

export const inspectEvents = {
  SWITCH: switchTold,
  /** `xid` makes the id of the task: that is known to nobody else. */
  ACQUIRE: z.object({ worker, at: unixMs, leaseMs: z.int().min(1), xid: name }),
  /** Its worker is at it, or has found something. */
  RENEW: z.object({ taskId: name, at: unixMs, leaseMs: z.int().min(1) }),
  COMPLETE: z.object({ taskId: name, at: unixMs, error: why.nullable(), found: foundSchema }),
  /** It was given for nothing: its worker has gone away, or (`why`) nobody could have it now. */
  GIVE_BACK: z.object({ taskId: name, at: unixMs, why: why.nullable() }),
  /** The volume is none, or none to inspect. */
  DISMISS: z.object({ taskId: name, at: unixMs }),
  /** One volume, whichever turn it has. */
  INSPECT: z.object({ vid, at: unixMs }),
  /** The next pass begins now, if none is under way. */
  BEGIN: z.object({ at: unixMs }),
}
type Told<TType extends keyof typeof inspectEvents> = { type: TType } & z.output<
  (typeof inspectEvents)[TType]
>

/** Raised by its timers. */
export const INTERNAL = ['LEASE_OVER', 'RETRY_DUE', 'SUBSCRIBE_AGAIN'] as const

export type InspectEvent =
  | SwitchTold
  | Told<'ACQUIRE'>
  | Told<'RENEW'>
  | Told<'COMPLETE'>
  | Told<'GIVE_BACK'>
  | Told<'DISMISS'>
  | Told<'INSPECT'>
  | Told<'BEGIN'>
  | { type: 'LEASE_OVER'; taskId: string }
  | { type: 'RETRY_DUE'; vid: string }
  | { type: 'SUBSCRIBE_AGAIN' }
  | { type: 'troupe.deadLetter'; event: { type: string } }

export type InspectAnswer =
  | { vid: number; taskId: string; leaseMs: number }
  | { none: string }
  | { ok: true }
  | { refused: 'switched_off' | 'unknown_task' | 'too_many' | 'under_way'; message: string }

/** A page of the list of volumes. */
export interface Listed {
  vids: number[]
  /** Null: there are no more. */
  cursor: string | null
  at: number
  settings: z.output<typeof settings>
}

export function inspectTaskId(vidOf: number, xid: string): string {
  return `inspect-${vidOf}-${xid}`
}

/** Undefined for what is no id of an inspection. */
export function vidOfTask(taskId: string): number | undefined {
  const [, digits] = /^inspect-(\d{1,10})-[^/]+$/.exec(taskId) ?? []
  return digits === undefined ? undefined : Number(digits)
}
