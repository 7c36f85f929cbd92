/**
 * The durable consumers of the stream of tasks.
 *
 * Decides: their configuration. Messages of a queue and priority belong to one consumer, since consumers
 * of a work queue must not share any. Deliveries are not counted, and as many may be out as there are:
 * those that wait for their time are out as well, so that an end to them would hold up all others.
 * A consumer with another configuration (of an older version, or of an operator) gets ours, with a
 * warning; older servers would change it without a word when it is created again.
 * Leaves to others: when one is needed (task-lane.ts).
 */
import type { ConsumerConfig, ConsumerInfo } from 'nats'
import type { Log } from '../../ports/index.ts'
import { TroupeError } from '../../protocol/index.ts'
import { API_ERROR, askApi, isApiError, readMessage } from './api.ts'
import type { Connection } from './connection.ts'

export interface ConsumerShape {
  stream: string
  name: string
  /** The subject of its messages. */
  subject: string
  ackWaitMs: number
}

/**
 * A consumer that nobody asked for so long is removed by the server: queues come and go with the machines
 * that serve them. Its messages stay; so it costs those that are out then a second delivery.
 */
const INACTIVE_MS = 3_600_000
const NANOS = 1_000_000
const TIMEOUT_MS = 5_000

/**
 * Finds or creates it.
 * @throws ApiError `streamNotFound`; TroupeError `invalid-config` when it cannot be made ours
 */
export async function openConsumer(
  connection: Connection,
  shape: ConsumerShape,
  log: Log,
): Promise<void> {
  const wanted = configOf(shape)
  const found = await readConsumer(connection, shape)
  const config = found?.config ?? (await writeConsumer(connection, shape, 'create'))
  const differences = differencesOf(wanted, config)
  if (differences.length === 0) return
  log.warn({ consumer: shape.name, differences }, 'a consumer of tasks is not as it was made')
  const left = differencesOf(wanted, await writeConsumer(connection, shape, 'update'))
  if (left.length === 0) return
  throw new TroupeError(
    'invalid-config',
    `the consumer ${shape.name} of ${shape.stream} is not what Troupe needs: ${left.join(', ')}`,
  )
}

/**
 * The sequence of a message that the consumer counts as acknowledged although the stream has it; undefined
 * when there is none. A server that was killed may remember acknowledgements and have forgotten that it
 * removed the messages: such stay for ever. One that lost the end of the stream, and gives sequences
 * again, takes new messages for old ones: such are never delivered.
 */
export async function messageBehind(
  connection: Connection,
  shape: ConsumerShape,
): Promise<number | undefined> {
  // In this order: what is acknowledged in between lies after the floor that was read.
  const info = await readConsumer(connection, shape)
  if (info === undefined) return undefined
  const query = { seq: 1, next_by_subj: shape.subject }
  const first = await readMessage(connection, shape.stream, query, TIMEOUT_MS)
  const isBehind = first !== undefined && first.sequence <= info.ack_floor.stream_seq
  return isBehind ? first.sequence : undefined
}

/** What the stream has for it is delivered by the next of that name, all of it. */
export async function removeConsumer(
  connection: Connection,
  { stream, name }: ConsumerShape,
): Promise<void> {
  await askApi(connection, `CONSUMER.DELETE.${stream}.${name}`, {}, TIMEOUT_MS)
}

function configOf({ name, subject, ackWaitMs }: ConsumerShape): Partial<ConsumerConfig> {
  return {
    durable_name: name,
    filter_subject: subject,
    ack_policy: 'explicit' as ConsumerConfig['ack_policy'],
    deliver_policy: 'all' as ConsumerConfig['deliver_policy'],
    replay_policy: 'instant' as ConsumerConfig['replay_policy'],
    ack_wait: ackWaitMs * NANOS,
    max_deliver: -1,
    max_ack_pending: -1,
    inactive_threshold: INACTIVE_MS * NANOS,
  }
}

async function readConsumer(
  connection: Connection,
  { stream, name }: ConsumerShape,
): Promise<ConsumerInfo | undefined> {
  try {
    return await askApi(connection, `CONSUMER.INFO.${stream}.${name}`, {}, TIMEOUT_MS)
  } catch (thrown) {
    if (isApiError(thrown, API_ERROR.consumerNotFound)) return undefined
    throw thrown
  }
}

/** The name and the filter are part of the request's subject, so that users can be restricted by them. */
async function writeConsumer(
  connection: Connection,
  shape: ConsumerShape,
  action: 'create' | 'update',
): Promise<ConsumerConfig> {
  const { stream, name, subject } = shape
  const request = { stream_name: stream, config: configOf(shape), action }
  const path = `CONSUMER.CREATE.${stream}.${name}.${subject}`
  const { config } = await askApi<ConsumerInfo>(connection, path, request, TIMEOUT_MS)
  return config
}

function differencesOf(wanted: Partial<ConsumerConfig>, got: ConsumerConfig): string[] {
  const fields = Object.keys(wanted) as (keyof ConsumerConfig)[]
  return fields
    .filter((field) => got[field] !== wanted[field])
    .map((field) => `${field} is ${String(got[field])} instead of ${String(wanted[field])}`)
}
