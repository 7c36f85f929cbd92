/**
 * Streams that are what was asked for.
 *
 * Decides: that every field asked for is compared with what the server says the stream has, as old
 * servers leave out what they do not know without a word; and how messages are removed, since a purge
 * with options loses whole replicas where a server has bug #4212. Leaves to others: when a stream may be
 * created (whoever knows what an empty one means), and what stands in it.
 */
import {
  DiscardPolicy,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
  type StreamInfo,
} from 'nats'
import { TroupeError } from '../../protocol/index.ts'
import { API_ERROR, askApi, isApiError, readInfo, readMessage } from './api.ts'
import type { Connection } from './connection.ts'

/** What is asked for; a server chooses the rest. */
export type StreamShape = Partial<StreamConfig> & { name: string; num_replicas: number }

/** The newest message of every subject, for ever. */
export function newestOfEach(name: string, subjects: string, replicas: number): StreamShape {
  return {
    name,
    subjects: [subjects],
    retention: RetentionPolicy.Limits,
    storage: StorageType.File,
    discard: DiscardPolicy.New,
    num_replicas: replicas,
    max_msgs_per_subject: 1,
    max_msgs: -1,
    max_bytes: -1,
    max_age: 0,
    max_msg_size: -1,
    deny_delete: false,
    deny_purge: false,
  }
}

/** Messages are removed one by one, or all at once. */
export type Removal = 'one by one' | 'purge'

/** The first version in which a replica that replays a purge with options does not purge everything. */
const PURGE_FIXED = [2, 9, 18]

/** R3 of a server with bug #4212 loses more than was asked for when a replica restarts after a purge. */
export function removalOf(version: string, replicas: number): Removal {
  if (replicas === 1) return 'purge'
  const parts = version.split('.').map((part) => Number.parseInt(part, 10))
  for (const [index, fixed] of PURGE_FIXED.entries()) {
    const part = parts[index] ?? Number.NaN
    if (!(part >= fixed)) return 'one by one'
    if (part > fixed) return 'purge'
  }
  return 'purge'
}

/**
 * Creates a stream, or finds it as it was asked for.
 * @throws TroupeError `invalid-config` when there is one that differs
 */
export async function createStream(
  connection: Connection,
  shape: StreamShape,
  timeoutMs: number,
): Promise<StreamInfo> {
  const { name } = shape
  try {
    const created = await askApi<StreamInfo>(connection, `STREAM.CREATE.${name}`, shape, timeoutMs)
    checkStream(shape, created)
    return created
  } catch (thrown) {
    if (!isApiError(thrown, API_ERROR.nameInUse)) throw thrown
    const info = await readInfo(connection, name, timeoutMs)
    if (info === undefined) throw thrown
    checkStream(shape, info)
    return info
  }
}

/** @throws TroupeError `invalid-config` that says what differs */
export function checkStream(shape: StreamShape, { config }: StreamInfo): void {
  const differences = differencesOf(shape, config)
  if (differences.length === 0) return
  throw new TroupeError(
    'invalid-config',
    `the stream ${shape.name} is not what Troupe needs: ${differences.join(', ')}`,
  )
}

/** More replicas than were asked for are no harm, and how an operator gets from one to three. */
function differencesOf(asked: StreamShape, got: StreamConfig): string[] {
  const fields = Object.keys(asked) as (keyof StreamShape)[]
  return fields.flatMap((field) => {
    const wanted = asked[field]
    // What is off is left out of answers.
    const found = got[field] ?? (typeof wanted === 'boolean' ? false : undefined)
    if (field === 'num_replicas' && Number(found) >= asked.num_replicas) return []
    const isSame = JSON.stringify(found) === JSON.stringify(wanted)
    return isSame
      ? []
      : [`${field} is ${JSON.stringify(found)} instead of ${JSON.stringify(wanted)}`]
  })
}

/** Servers elect another leader when they have not heard of theirs for 4 s at least; and we hear of it later. */
const LEASE_MS = 3_000
const NANOSECONDS_PER_MS = 1_000_000

/**
 * Whether another leader may have been elected that the one who answered has not heard of: a leader that
 * is cut off from the other replicas takes itself for one for 10 s and more, and answers what was true.
 */
export function mayBeSucceeded({ config, cluster }: StreamInfo): boolean {
  const { num_replicas } = config
  if (num_replicas === 1) return false
  const heard = cluster?.replicas?.filter(({ active }) => active <= LEASE_MS * NANOSECONDS_PER_MS)
  return 2 * (1 + (heard?.length ?? 0)) <= num_replicas
}

/** Removes messages up to and including `sequence`, the oldest first; resolves when none is left. */
export async function removeUpTo(
  connection: Connection,
  stream: string,
  { sequence, removal, timeoutMs }: { sequence: number; removal: Removal; timeoutMs: number },
): Promise<void> {
  if (removal === 'purge') {
    await askApi(connection, `STREAM.PURGE.${stream}`, { seq: sequence + 1 }, timeoutMs)
    return
  }
  const info = await readInfo(connection, stream, timeoutMs)
  if (info === undefined || info.state.messages === 0) return
  // One after the other: of several at once an older one might stay, and the row would have a gap.
  for (let seq = info.state.first_seq; seq <= sequence; seq++) {
    await removeMessage(connection, stream, seq, timeoutMs)
  }
}

/** One that is gone already is as good. */
export async function removeMessage(
  connection: Connection,
  stream: string,
  seq: number,
  timeoutMs: number,
): Promise<void> {
  const request = { seq, no_erase: true }
  try {
    await askApi(connection, `STREAM.MSG.DELETE.${stream}`, request, timeoutMs)
  } catch (thrown) {
    if (!isApiError(thrown, API_ERROR.deleteFailed)) throw thrown
    // The same code is told for one that is gone and for one that could not be removed.
    if (await readMessage(connection, stream, { seq }, timeoutMs)) throw thrown
  }
}
