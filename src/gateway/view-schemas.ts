/**
 * The answers of the API as schemas, for `openapi.json`. Decides: nothing; the compiler holds that they
 * are the views of the protocol.
 */
import { z } from 'zod'
import {
  type ActorRow,
  type ActorView,
  type AuditView,
  type CountRow,
  type DeadLetterView,
  type DryRunView,
  ERROR_CODES,
  type ErrorCode,
  type ErrorRecord,
  type HistoryView,
  type IndexValue,
  type LegalEventView,
  type OperatorReceipt,
  type ShardStatus,
  type StateValue,
  type TurnView,
} from '../protocol/index.ts'

type Of<T> = z.ZodType<T>

const time = z.number().describe('unix ms')
const status = z.enum(['active', 'done', 'stopped'])
const condition = z.enum(['active', 'paused', 'parked', 'done', 'stopped'])
const durability = z.enum(['flushed', 'journaled', 'flushed+journaled'])
const timers = z.enum(['run', 'freeze'])
const indexValue: Of<IndexValue> = z.union([z.string(), z.number(), z.boolean(), z.null()])
const index = z.record(z.string(), indexValue)
const stateValue: Of<StateValue> = z.union([
  z.string(),
  z.record(
    z.string(),
    z.lazy(() => stateValue),
  ),
])
const position = z.string().nullable()

export const errorView = z.object({
  code: z.enum(Object.keys(ERROR_CODES) as [ErrorCode, ...ErrorCode[]]),
  message: z.string(),
  retry: z.boolean().describe('the same request may succeed later'),
  address: z.string().exactOptional(),
  detail: z.unknown().exactOptional(),
}) satisfies Of<ErrorRecord>

export const turnView = z.object({
  address: z.string(),
  turn: z.number(),
  status,
  value: stateValue,
  handled: z.boolean().describe('false when the state has no transition for the event'),
  kept: z.number().exactOptional(),
  reply: z.unknown().exactOptional(),
  output: z.unknown().exactOptional(),
  durability: durability.exactOptional(),
}) satisfies Of<TurnView>

const taskView = z.object({
  taskId: z.string(),
  name: z.string(),
  queue: z.string(),
  state: z.enum(['queued', 'running', 'waiting', 'result-kept']),
  attempt: z.number(),
  worker: z.string().exactOptional(),
  since: time,
  lastFailure: z.string().exactOptional(),
  notBefore: time.exactOptional(),
  progress: z.unknown().exactOptional(),
})

const timerView = z.object({
  id: z.string(),
  event: z.string(),
  dueAt: time,
  frozenMs: z.number().exactOptional(),
})

const pauseView = z.object({
  since: time,
  by: z.string(),
  reason: z.string().exactOptional(),
  timers,
  pausing: z.boolean(),
})

export const actorView = z.object({
  address: z.string(),
  machine: z.string(),
  version: z.number(),
  status,
  value: stateValue,
  tags: z.array(z.string()),
  context: z.unknown(),
  output: z.unknown().exactOptional(),
  turn: z.number(),
  createdAt: time,
  updatedAt: time,
  since: time,
  paused: pauseView.exactOptional(),
  parked: z.object({ since: time, error: errorView, cause: z.string() }).exactOptional(),
  kept: z.number(),
  tasks: z.array(taskView),
  timers: z.array(timerView),
  children: z.array(z.string()),
  index,
  durability: durability.exactOptional(),
}) satisfies Of<ActorView>

export const actorRow = z.object({
  address: z.string(),
  machine: z.string(),
  version: z.number(),
  status,
  value: stateValue,
  tags: z.array(z.string()),
  turn: z.number(),
  createdAt: time,
  updatedAt: time,
  since: time,
  paused: z.boolean(),
  parked: z.boolean(),
  reason: z.string().exactOptional(),
  index,
}) satisfies Of<ActorRow>

export const historyView = z.object({
  turn: z.number(),
  at: time,
  cause: z.string(),
  by: z.string(),
  commandId: z.string().exactOptional(),
  from: position,
  to: z.string(),
  note: z.string().exactOptional(),
}) satisfies Of<HistoryView>

export const legalEventView = z.object({
  type: z.string(),
  targets: z.array(z.string()),
  guarded: z.boolean(),
  sendable: z.boolean(),
}) satisfies Of<LegalEventView>

export const receiptView = z.object({
  address: z.string(),
  turn: z.number(),
  status,
  value: stateValue,
  kept: z.number(),
  tasksRunning: z.number(),
  paused: z.boolean(),
  parked: z.boolean(),
  durability: durability.exactOptional(),
}) satisfies Of<OperatorReceipt>

export const dryRunView = z.object({
  dryRun: z.literal(true),
  value: stateValue,
  status,
  handled: z.boolean(),
  contextDiff: z.array(z.object({ path: z.string(), before: z.unknown(), after: z.unknown() })),
  effects: z.array(z.string()),
}) satisfies Of<DryRunView>

export const countRow = z.object({
  machine: z.string(),
  state: z.string(),
  condition,
  count: z.number(),
}) satisfies Of<CountRow>

export const auditView = z.object({
  at: time,
  address: z.string(),
  author: z.string(),
  operation: z.string(),
  commandId: z.string(),
  detail: z.unknown(),
  before: position,
  after: position,
}) satisfies Of<AuditView>

export const deadLetterView = z.object({
  at: time,
  from: z.string(),
  to: z.string(),
  event: z.unknown(),
  error: errorView,
}) satisfies Of<DeadLetterView>

export const shardStatus = z.object({
  shard: z.number(),
  state: z.enum(['recovering', 'serving', 'leaving', 'stopped']),
  slot: z.number(),
  epoch: z.number().nullable().describe('the slot of the claim by which it is owned'),
  mailboxCount: z.number(),
  residentCount: z.number(),
  residentBytes: z.number(),
  timersPending: z.number(),
  commitAgeMs: z.number(),
  commits: z.object({ count: z.number(), commands: z.number(), ms: z.number() }),
}) satisfies Of<ShardStatus>

export const machineRow = z.object({
  name: z.string(),
  version: z.number(),
  states: z.number(),
  events: z.array(z.string()),
  app: z.string().nullable(),
})

export const machineView = z.object({
  name: z.string(),
  version: z.number(),
  chartHash: z.string(),
  states: z.array(z.string()),
  events: z.array(z.object({ type: z.string(), schema: z.unknown() })),
  internalEvents: z.array(z.string()),
  input: z.unknown(),
  context: z.unknown(),
  secrets: z.array(z.string()),
  tasks: z.array(z.string()),
  retry: z.unknown(),
  retention: z.unknown(),
  mermaid: z.string(),
  actor: z.string().exactOptional(),
  current: z.array(z.string()).exactOptional(),
})

export const rowsOf = <T extends z.ZodType>(row: T) => z.object({ rows: z.array(row) })

export const actorPage = rowsOf(actorRow).extend({ cursor: z.string().exactOptional() })
export const countView = rowsOf(countRow).extend({ total: z.number() })
