/**
 * The shapes that a worker sends, as they are checked. Decides: what is refused before anybody looks at
 * it: a key proves whose worker it is, not that its program is in order. A worker may be newer than its
 * node: what it says beyond this is left out.
 */
import { z } from 'zod'
import type { LinkPoll, LinkTell, RunUpload } from '../../ports/index.ts'
import { TroupeError } from '../../protocol/index.ts'

const COUNT = z.int().min(0)
const CONSUMERS_MAX = 1_000
/** A queue, with what an app has put below it. */
const QUEUE = z.string().min(1).max(1_024)
const SETTLED_MAX = 10_000

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

/** @throws TroupeError `malformed` */
export function readPoll(value: unknown): LinkPoll {
  return read(poll, value)
}

/** @throws TroupeError `malformed` */
export function readTell(value: unknown): LinkTell {
  return read(tell, value) as LinkTell
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

/** A worker's condition, and its data directory. @throws TroupeError `malformed` */
export function readReport(value: unknown): { instance: string; condition: WorkerCondition } {
  const { instance, ...rest } = read(report, value)
  return { instance, condition: rest }
}

const directReport = z.object({
  ...condition,
  session: z.string().min(1).max(64),
  group: z.string().max(64),
})

/** Of a worker that says itself of which group it is. @throws TroupeError `malformed` */
export function readDirectReport(value: unknown): {
  session: string
  group: string
  condition: WorkerCondition
} {
  const { session, group, ...rest } = read(directReport, value)
  return { session, group, condition: rest }
}

const NAME = z.string().min(1).max(64)
const overheard = z.object({ ...condition, name: NAME, group: z.string().max(64), node: NAME })

/** A worker's condition, and who it is: what another node has heard. @throws TroupeError `malformed` */
export function readOverheard(
  value: unknown,
): WorkerCondition & { name: string; group: string; node: string } {
  return read(overheard, value)
}

const sizes = z.object({ stdout: COUNT, stderr: COUNT })

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
        stream: z.enum(['stdout', 'stderr']),
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

function read<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new TroupeError(
    'malformed',
    `${issue?.path.map(String).join('.') || 'the body'}: ${issue?.message ?? 'invalid'}`,
  )
}
