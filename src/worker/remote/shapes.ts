/**
 * The shapes that a worker sends, and what it is told, as they are checked. Decides: what is refused before
 * anybody looks at it: a key proves whose worker it is, not that its program is in order, and NATS lets
 * whoever may speak on a subject say anything; and that a worker of another form (`WORKER_FORM`) is told so,
 * whatever else it says. What is said beyond this is left out.
 */
import { z } from 'zod'
import {
  type LinkPoll,
  type LinkTell,
  type RunKept,
  type RunUpload,
  WORKER_FORM,
} from '../../ports/index.ts'
import { type ErrorRecord, TroupeError } from '../../protocol/index.ts'

const COUNT = z.int().min(0)
const CONSUMERS_MAX = 1_000
/** A queue, with what an app has put below it. */
const QUEUE = z.string().min(1).max(1_024)
const SETTLED_MAX = 10_000

/** What a worker is to do. */
export interface WorkerOrder {
  /** False: it is given no new tasks. */
  admitted: boolean
  /** Why not, in words. */
  reason?: string
  /** How often it reports at least. Default 10 s. */
  reportMs?: number
}

/** What a worker in a process of its own is told when it reports. */
export interface WorkerAnswer extends WorkerOrder {
  cluster: string
  /** Those of its group. */
  queues: readonly string[]
}

/** The same for a worker that speaks to owners itself. */
export interface DirectAnswer extends WorkerAnswer {
  shardCount: number
}

const state = {
  session: z.string().min(1).max(64),
  instance: z.string().min(1).max(64),
  version: COUNT,
  consumers: z.array(z.object({ id: COUNT, queue: QUEUE, slots: COUNT })).max(CONSUMERS_MAX),
}

const poll = z.object({ ...state, after: COUNT })

const tell = z.object({
  ...state,
  settled: z
    .array(
      z.object({
        delivery: z.string().max(64),
        how: z.enum(['ack', 'retry', 'working']),
        delayMs: z.number().min(0).optional(),
      }),
    )
    .max(SETTLED_MAX),
})

/** @throws TroupeError `malformed`; `conflict` for another form */
export function readPoll(value: unknown): LinkPoll {
  return readOf(poll, value)
}

/** @throws TroupeError `malformed`; `conflict` for another form */
export function readTell(value: unknown): LinkTell {
  return readOf(tell, value) as LinkTell
}

/** What a worker says of itself; who it is, its node knows. */
const condition = {
  address: z.string().max(128),
  version: z.string().max(64),
  slots: COUNT,
  /** What it takes tasks from. */
  queues: z.array(QUEUE).max(CONSUMERS_MAX).default([]),
  running: COUNT,
  load: z.number().min(0),
  memoryFreeBytes: COUNT,
  refusals: z.array(z.string().max(256)).max(16),
  state: z.enum(['new', 'serving', 'draining', 'stopped']),
}

export type WorkerCondition = z.infer<z.ZodObject<typeof condition>>

const report = z.object({ ...condition, instance: z.string().min(1).max(64) })

/** A worker's condition, and its data directory. @throws TroupeError `malformed`; `conflict` for another form */
export function readReport(value: unknown): { instance: string; condition: WorkerCondition } {
  const { instance, ...rest } = readOf(report, value)
  return { instance, condition: rest }
}

const directReport = z.object({
  ...condition,
  // With the name of its directory.
  session: z.string().min(1).max(128),
  group: z.string().max(64),
})

/** Of a worker that says itself of which group it is. @throws TroupeError `malformed`; `conflict` for another form */
export function readDirectReport(value: unknown): {
  session: string
  group: string
  condition: WorkerCondition
} {
  const { session, group, ...rest } = readOf(directReport, value)
  return { session, group, condition: rest }
}

const order = {
  admitted: z.boolean(),
  reason: z.string().max(1_024).optional(),
  reportMs: z.number().min(1).optional(),
}
const answer = {
  ...order,
  cluster: z.string().min(1).max(64),
  queues: z.array(QUEUE).max(CONSUMERS_MAX),
}
const orderShape = z.object(order)
const answerShape = z.object(answer)
const directAnswerShape = z.object({ ...answer, shardCount: z.int().min(1) })

/** What an operator wants of a worker. @throws TroupeError `malformed` */
export function readOrder(value: unknown): WorkerOrder {
  return read(orderShape, value) as WorkerOrder
}

/** The same, as the answer to a report. @throws TroupeError `malformed` */
export function readAnswer(value: unknown): WorkerAnswer {
  return read(answerShape, value) as WorkerAnswer
}

/** @throws TroupeError `malformed` */
export function readDirectAnswer(value: unknown): DirectAnswer {
  return read(directAnswerShape, value) as DirectAnswer
}

const NAME = z.string().min(1).max(64)

/** What a node answers, and which. */
export type NodeAnswer = { node: string } & ({ ok: unknown } | { error: ErrorRecord })
const nodeAnswer = z.object({
  node: NAME,
  ok: z.unknown().optional(),
  error: z.looseObject({ code: z.string(), message: z.string() }).optional(),
})

/** @throws TroupeError `malformed` */
export function readNodeAnswer(value: unknown): NodeAnswer {
  const { node, ok, error } = read(nodeAnswer, value)
  return error === undefined ? { node, ok } : { node, error: error as unknown as ErrorRecord }
}

const overheard = z.object({ ...condition, name: NAME, group: z.string().max(64), node: NAME })

/** A worker's condition, and who it is: what another node has heard. @throws TroupeError `malformed` */
export function readOverheard(
  value: unknown,
): WorkerCondition & { name: string; group: string; node: string } {
  return read(overheard, value)
}

const stream = z.enum(['stdout', 'stderr'])
const sizes = z.object({ stdout: COUNT, stderr: COUNT })
const kept = z.object({ ...sizes.shape, full: z.array(stream).max(2).optional() })

/** How much of a run a node has. @throws TroupeError `malformed` */
export function readKept(value: unknown): RunKept {
  return read(kept, value) as RunKept
}

const upload = z.object({
  // It becomes the name of a directory.
  run: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/),
  number: COUNT.default(1),
  address: z.string().min(1).max(2_048),
  taskId: z.string().min(1).max(4_096),
  token: z.string().max(64),
  startedAt: COUNT,
  parts: z
    .array(
      z.object({
        stream,
        offset: COUNT,
        bytes: z.instanceof(Uint8Array),
      }),
    )
    .max(16),
  end: z
    .strictObject({
      record: z.string().regex(/^[\w -]{1,200}\n?$/),
      endedAt: COUNT,
      sizes,
    })
    .optional(),
})

/** @throws TroupeError `malformed` */
export function readUpload(value: unknown): RunUpload {
  return read(upload, value) as RunUpload
}

const formed = z.object({ form: COUNT.default(1) })

/** The form first: in another one the rest may look different. */
function readOf<T>(schema: z.ZodType<T>, value: unknown): T {
  const { form } = read(formed, value)
  if (form === WORKER_FORM) return read(schema, value)
  const older = form < WORKER_FORM ? 'worker' : 'node'
  const why = `this node speaks form ${WORKER_FORM} with workers, and this worker form ${form}: update the ${older}`
  throw new TroupeError('conflict', why)
}

function read<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new TroupeError(
    'malformed',
    `${issue?.path.map(String).join('.') || 'the body'}: ${issue?.message ?? 'invalid'}`,
  )
}
