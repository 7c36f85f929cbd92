/**
 * Checkpoints in one stream of JetStream.
 *
 * Decides: a chunk is one message or several, each with a byte before it that says whether another
 * follows; a record is a message that is created once. All is read through the leader of the stream.
 * Leaves to others: the stream (open-stream.ts), what stands in chunks and records.
 */
import type {
  AttemptName,
  CheckpointListOutcome,
  CheckpointRecord,
  Checkpoints,
  ChunkName,
  ChunkReadOutcome,
  ClaimOutcome,
  Log,
} from '../../ports/index.ts'
import { messageOfThrown, toSubjectToken } from '../../protocol/index.ts'
import type { Connection } from './connection.ts'
import { jetStreamNames } from './names.ts'
import { OpenStream } from './open-stream.ts'
import { newestOfEach } from './streams.ts'

export interface NatsCheckpointsOptions {
  cluster: string
  /** Of the stream: 1, or 3 in a NATS cluster. */
  replicas: number
  connection: Connection
  log: Log
  /** After this long without an answer an outcome is unknown. */
  timeoutMs?: number
}

const TIMEOUT_MS = 5_000

const LAST_PART = Buffer.of(0)
const MORE_FOLLOW = Buffer.of(1)

export class NatsCheckpoints implements Checkpoints {
  readonly #stream: OpenStream
  readonly #log: Log
  /** Before the shard, in all subjects. */
  readonly #root: string

  constructor({ cluster, replicas, connection, log, timeoutMs }: NatsCheckpointsOptions) {
    const { stream, subjects } = jetStreamNames(cluster).checkpoints
    // A chunk that is written again takes the place of the same one.
    const shape = newestOfEach(stream, `${subjects}.>`, replicas)
    this.#stream = new OpenStream({ connection, shape, log, timeoutMs: timeoutMs ?? TIMEOUT_MS })
    this.#log = log
    this.#root = subjects
  }

  write(chunk: ChunkName, bytes: Uint8Array, done: (outcome: 'written' | 'unknown') => void): void {
    this.#settle(this.#write(chunk, bytes), done)
  }

  read(chunk: ChunkName, done: (outcome: ChunkReadOutcome) => void): void {
    this.#read(chunk).then(
      (bytes) => done(bytes ? { kind: 'found', bytes } : { kind: 'absent' }),
      (thrown: unknown) => done({ kind: 'unknown', why: messageOfThrown(thrown) }),
    )
  }

  record(
    shard: number,
    slot: number,
    value: Uint8Array,
    done: (outcome: ClaimOutcome) => void,
  ): void {
    this.#record(this.#recordAt(shard, slot), Buffer.from(value)).then(done, (thrown: unknown) =>
      done({ kind: 'unknown', why: messageOfThrown(thrown) }),
    )
  }

  list(shard: number, done: (outcome: CheckpointListOutcome) => void): void {
    this.#list(shard).then(
      (records) => done({ kind: 'listed', records }),
      (thrown: unknown) => done({ kind: 'unknown', why: messageOfThrown(thrown) }),
    )
  }

  discard(attempt: AttemptName, done: (outcome: 'removed' | 'unknown') => void): void {
    const removed = this.#stream.remove(`${this.#attemptAt(attempt)}.>`)
    this.#settle(
      removed.then(() => 'removed' as const),
      done,
    )
  }

  removeBelow(shard: number, slot: number, done: (outcome: 'removed' | 'unknown') => void): void {
    this.#settle(this.#removeBelow(shard, slot), done)
  }

  async #write(chunk: ChunkName, bytes: Uint8Array): Promise<'written' | 'unknown'> {
    const size = this.#stream.bytesMax - 1
    const count = Math.max(1, Math.ceil(bytes.length / size))
    const parts = Array.from({ length: count }, (_, part) => {
      const mark = part === count - 1 ? LAST_PART : MORE_FOLLOW
      // Copied before the call returns: it is sent later, when the caller's bytes may be others.
      const message = Buffer.concat([mark, bytes.subarray(part * size, (part + 1) * size)])
      return this.#stream.publish(this.#partAt(chunk, part), message)
    })
    const outcomes = await Promise.all(parts)
    return outcomes.every(({ kind }) => kind === 'stored') ? 'written' : 'unknown'
  }

  /** Undefined when a part of it is not there. */
  async #read(chunk: ChunkName): Promise<Uint8Array | undefined> {
    const parts: Uint8Array[] = []
    for (let part = 0; ; part++) {
      const found = await this.#stream.read(this.#partAt(chunk, part))
      if (!found) return undefined
      parts.push(found.bytes.subarray(1))
      if (found.bytes[0] === LAST_PART[0])
        return parts.length === 1 ? parts[0] : Buffer.concat(parts)
    }
  }

  async #record(subject: string, value: Uint8Array): Promise<ClaimOutcome> {
    const outcome = await this.#stream.publish(subject, value, 0)
    if (outcome.kind === 'stored') return { kind: 'won' }
    if (outcome.kind === 'unknown') return outcome
    const winner = await this.#stream.read(subject)
    if (winner) return { kind: 'lost', value: winner.bytes }
    return { kind: 'unknown', why: 'it was there, and is removed' }
  }

  async #list(shard: number): Promise<CheckpointRecord[]> {
    const slots = await this.#recordedSlots(shard)
    const found = await Promise.all(
      slots.map(async (slot) => {
        const record = await this.#stream.read(this.#recordAt(shard, slot))
        // One that was removed meanwhile is no record any more.
        return record ? [{ slot, value: record.bytes }] : []
      }),
    )
    return found.flat()
  }

  /** A record whose chunks are gone would be taken for a checkpoint: it goes first. */
  async #removeBelow(shard: number, slot: number): Promise<'removed'> {
    for (const recorded of await this.#recordedSlots(shard)) {
      if (recorded < slot) await this.#stream.remove(this.#recordAt(shard, recorded))
    }
    const chunks = `${this.#root}.${shard}.chunk`
    const subjects = await this.#stream.subjects(`${chunks}.>`)
    const slots = new Set(subjects.map((subject) => numberAfter(chunks, subject)))
    for (const old of slots) if (old < slot) await this.#stream.remove(`${chunks}.${old}.>`)
    return 'removed'
  }

  async #recordedSlots(shard: number): Promise<number[]> {
    const records = `${this.#root}.${shard}.record`
    const subjects = await this.#stream.subjects(`${records}.*`)
    return subjects
      .map((subject) => numberAfter(records, subject))
      .filter((slot) => Number.isSafeInteger(slot))
      .sort((a, b) => a - b)
  }

  #recordAt(shard: number, slot: number): string {
    return `${this.#root}.${shard}.record.${slot}`
  }

  #attemptAt({ shard, slot, attempt }: AttemptName): string {
    return `${this.#root}.${shard}.chunk.${slot}.${toSubjectToken(attempt)}`
  }

  #partAt(chunk: ChunkName, part: number): string {
    return `${this.#attemptAt(chunk)}.${chunk.index}.${part}`
  }

  #settle<T>(outcome: Promise<T>, done: (outcome: NoInfer<T> | 'unknown') => void): void {
    outcome.then(done, (thrown: unknown) => {
      this.#log.debug({ why: messageOfThrown(thrown) }, 'a question about checkpoints is open')
      done('unknown')
    })
  }
}

/** The token behind a prefix; NaN when it is no number. */
function numberAfter(prefix: string, subject: string): number {
  return Number(subject.slice(prefix.length + 1).split('.', 1)[0])
}
