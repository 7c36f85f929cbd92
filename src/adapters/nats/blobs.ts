/**
 * Blobs in one stream of JetStream. Not its object store: that purges where it deletes and replaces,
 * and a purge is not safe on every server (streams.ts).
 *
 * Decides: a value is a row of parts and a head that names them, written last: a name holds a whole
 * value or nothing. Parts of one put have a version of their own, so a value that is being replaced can
 * be read until its head is another; then its parts go. A put that was cut short leaves parts without
 * a head: whoever puts sweeps them, now and then. It survives what JetStream survives.
 * Leaves to others: the stream (open-stream.ts), what names mean.
 */
import type { Blobs, Clock, Log, Random } from '../../ports/index.ts'
import { messageOfThrown, pack, TroupeError, unpack } from '../../protocol/index.ts'
import type { PublicationOutcome, StoredMessage } from './api.ts'
import type { Connection } from './connection.ts'
import { jetStreamNames } from './names.ts'
import { OpenStream } from './open-stream.ts'
import { newestOfEach } from './streams.ts'

export interface NatsBlobsOptions {
  cluster: string
  /** Of the stream: 1, or 3 in a NATS cluster. */
  replicas: number
  connection: Connection
  clock: Clock
  random: Random
  log: Log
  /** How long one message may take, before it is tried again. */
  timeoutMs?: number
  /** How long NATS may be away before that is an error. */
  patienceMs?: number
}

const TIMEOUT_MS = 5_000
/** Large enough that a message costs little beside it, small enough for every server. */
const PART_BYTES_MAX = 256 * 1024
/** Parts on their way at once. */
const WINDOW = 8
/** Longer than three replicas take to elect a leader. */
const PATIENCE_MS = 15_000
/** Rests between tries of what has no certain outcome. */
const REST_FIRST_MS = 25
const REST_MAX_MS = 1_000
/** A value that is replaced again and again while it is read. */
const READS_MAX = 20
/** As a file name: what one kind of blobs takes, all take. */
const NAME_BYTES_MAX = 255
/** Nobody writes one value for longer. */
const ABANDONED_MS = 3_600_000

/** What a head says. */
interface Head {
  version: string
  size: number
  partBytes: number
  sequence: number
}

interface Range {
  offset: number
  length: number
}

export class NatsBlobs implements Blobs {
  readonly #stream: OpenStream
  readonly #options: NatsBlobsOptions
  readonly #heads: string
  readonly #parts: string
  /** The first put looks what was left by those before it. */
  #sweptAtMs = Number.NEGATIVE_INFINITY

  constructor(options: NatsBlobsOptions) {
    const { cluster, replicas, connection, log, timeoutMs = TIMEOUT_MS } = options
    const { stream, subjects } = jetStreamNames(cluster).blobs
    // A head takes the place of the one before it.
    const shape = newestOfEach(stream, `${subjects}.>`, replicas)
    this.#stream = new OpenStream({ connection, shape, log, timeoutMs })
    this.#options = options
    this.#heads = `${subjects}.head`
    this.#parts = `${subjects}.part`
  }

  async put(name: string, value: Uint8Array): Promise<void> {
    const token = tokenOf(name)
    // Sent later, when the caller's bytes may be others.
    const bytes = Buffer.from(value)
    const version = this.#options.random.id()
    const partBytes = Math.min(PART_BYTES_MAX, this.#stream.bytesMax)
    const parts = partsBetween(0, bytes.length, partBytes)
    await inWindow(parts, async (index) => {
      const part = bytes.subarray(index * partBytes, (index + 1) * partBytes)
      await this.#publish(this.#partAt(token, version, index), part)
    })
    const former = await this.#head(token)
    await this.#publish(`${this.#heads}.${token}`, pack([version, bytes.length, partBytes]))
    if (former) await this.#drop(token, former.version)
    await this.#sweepNowAndThen()
  }

  async get(name: string, range?: Range): Promise<Uint8Array | undefined> {
    const token = tokenOf(name)
    let head = await this.#head(token)
    for (let reads = 1; head; reads++) {
      const bytes = await this.#read(token, head, range)
      if (bytes) return bytes
      const next = await this.#head(token)
      if (next?.version === head.version || reads === READS_MAX) {
        throw new TroupeError('internal', `blob "${name}": a part of it is gone`)
      }
      head = next
    }
    return undefined
  }

  async size(name: string): Promise<number | undefined> {
    return (await this.#head(tokenOf(name)))?.size
  }

  async list(prefix: string): Promise<string[]> {
    const subjects = await this.#ask(() => this.#stream.subjects(`${this.#heads}.*`))
    return subjects
      .map((subject) => decodeURIComponent(subject.slice(this.#heads.length + 1)))
      .filter((name) => name.startsWith(prefix))
      .sort()
  }

  async delete(name: string): Promise<void> {
    const token = tokenOf(name)
    const head = await this.#head(token)
    if (!head) return
    // This head and no newer one, that somebody may have put meanwhile.
    await this.#ask(() => this.#stream.removeMessage(head.sequence))
    await this.#drop(token, head.version)
  }

  /** Removes what puts that were cut short have left; returns how many there were. */
  async sweep(): Promise<number> {
    const parts = await this.#ask(() => this.#stream.subjects(`${this.#parts}.>`))
    const versions = new Set(parts.map((part) => part.slice(0, part.lastIndexOf('.'))))
    let swept = 0
    for (const version of versions) {
      const [token, id] = version.slice(this.#parts.length + 1).split('.') as [string, string]
      if (!(await this.#isAbandoned(parts, version)) || (await this.#head(token))?.version === id) {
        continue
      }
      await this.#drop(token, id)
      swept += 1
    }
    return swept
  }

  /** As often as something can have been abandoned. The value that was put is whole whatever comes of it. */
  async #sweepNowAndThen(): Promise<void> {
    const { clock, log } = this.#options
    if (clock.monotonic() - this.#sweptAtMs < ABANDONED_MS) return
    this.#sweptAtMs = clock.monotonic()
    try {
      const swept = await this.sweep()
      if (swept > 0) log.info({ swept }, 'parts of blobs whose put was cut short are removed')
    } catch (thrown) {
      log.warn(
        { why: messageOfThrown(thrown) },
        'blobs could not be swept; this is done again later',
      )
    }
  }

  /** By its newest part: a large value may take its time. */
  async #isAbandoned(parts: readonly string[], version: string): Promise<boolean> {
    const own = parts.filter((part) => part.startsWith(`${version}.`))
    const indexes = own.map((part) => Number(part.slice(version.length + 1)))
    const newest = await this.#message(`${version}.${Math.max(...indexes)}`)
    return (
      newest !== undefined && this.#options.clock.now() - Date.parse(newest.time) > ABANDONED_MS
    )
  }

  /** Undefined when one of its parts is not there. */
  async #read(token: string, head: Head, range?: Range): Promise<Uint8Array | undefined> {
    const { version, size, partBytes } = head
    const from = Math.min(size, range?.offset ?? 0)
    const to = Math.min(size, from + Math.max(0, range?.length ?? size))
    const indexes = partsBetween(from, to, partBytes)
    const found = await inWindow(indexes, (index) =>
      this.#message(this.#partAt(token, version, index)),
    )
    const parts = found.flatMap((message) => (message ? [message.bytes] : []))
    if (parts.length < indexes.length) return undefined
    const start = from - (indexes[0] ?? 0) * partBytes
    return Buffer.concat(parts).subarray(start, start + to - from)
  }

  async #head(token: string): Promise<Head | undefined> {
    const message = await this.#message(`${this.#heads}.${token}`)
    if (!message) return undefined
    const [version, size, partBytes] = unpack(message.bytes) as [string, number, number]
    return { version, size, partBytes, sequence: message.sequence }
  }

  /** What stays is swept one day. */
  async #drop(token: string, version: string): Promise<void> {
    try {
      await this.#stream.remove(`${this.#parts}.${token}.${version}.>`)
    } catch (thrown) {
      const why = messageOfThrown(thrown)
      this.#options.log.warn({ version, why }, 'parts of a blob that is gone could not be removed')
    }
  }

  async #publish(subject: string, bytes: Uint8Array): Promise<void> {
    await this.#ask(async () => {
      const outcome: PublicationOutcome = await this.#stream.publish(subject, bytes)
      if (outcome.kind !== 'stored') throw new Error(outcome.kind === 'unknown' ? outcome.why : '')
    })
  }

  #message(subject: string): Promise<StoredMessage | undefined> {
    return this.#ask(() => this.#stream.read(subject))
  }

  /** All that is asked may be asked again. */
  async #ask<T>(question: () => Promise<T>): Promise<T> {
    const { clock, patienceMs = PATIENCE_MS } = this.#options
    const endsAtMs = clock.monotonic() + patienceMs
    for (let restMs = REST_FIRST_MS; ; restMs = Math.min(REST_MAX_MS, restMs * 2)) {
      try {
        return await question()
      } catch (thrown) {
        if (thrown instanceof TroupeError) throw thrown
        if (clock.monotonic() + restMs > endsAtMs) {
          const why = messageOfThrown(thrown)
          throw new TroupeError('unavailable', `blobs in NATS: ${why}`, { cause: thrown })
        }
        await new Promise<void>((resolve) => clock.after(restMs, resolve))
      }
    }
  }

  #partAt(token: string, version: string, index: number): string {
    return `${this.#parts}.${token}.${version}.${index}`
  }
}

/** Indexes of the parts that hold these bytes. */
function partsBetween(from: number, to: number, partBytes: number): number[] {
  if (from >= to) return []
  const first = Math.floor(from / partBytes)
  return Array.from({ length: Math.ceil(to / partBytes) - first }, (_, at) => first + at)
}

/** Some at a time, in order. */
async function inWindow<T>(
  indexes: readonly number[],
  work: (index: number) => Promise<T>,
): Promise<T[]> {
  const results = new Array<T>(indexes.length)
  let next = 0
  const workOn = async () => {
    while (next < indexes.length) {
      const at = next++
      results[at] = await work(indexes[at]!)
    }
  }
  await Promise.all(Array.from({ length: Math.min(WINDOW, indexes.length) }, workOn))
  return results
}

/** One token of a subject, whatever the name. */
function tokenOf(name: string): string {
  const token = encodeURIComponent(name.toWellFormed()).replace(
    /[.*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
  if (name.length > 0 && token.length <= NAME_BYTES_MAX) return token
  throw new TroupeError(
    'too-large',
    `"${name.slice(0, 80)}" cannot name a blob: 1 to ${NAME_BYTES_MAX} bytes once encoded`,
  )
}
