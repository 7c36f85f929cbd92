/**
 * The registry over one bucket of JetStream's key-value store: an operator can look into it with any
 * tool for such buckets.
 *
 * Decides: a claim is a write of a key that has no message, and whoever loses reads through the stream's
 * leader who won. So a removed key has no message either, where such stores usually leave a mark: after a
 * mark only an update at its revision could win, which a replicated stream of an old server lets several
 * do. Hints are what the server says once it has stored a change (republish), on core NATS: there is no
 * consumer that could die with a server or be left behind by us. After a lost connection all keys are hinted.
 * Leaves to others: what the keys mean; what happens when the bucket is gone (open-stream.ts): whoever
 * claims remembers the highest epoch, so that it may begin anew, empty.
 */
import { DiscardPolicy, StorageType } from 'nats'
import type {
  ClaimOutcome,
  Clock,
  Log,
  Registry,
  RegistryListOutcome,
  RegistryReadOutcome,
} from '../../ports/index.ts'
import { messageOfThrown, TroupeError } from '../../protocol/index.ts'
import type { StoredMessage } from './api.ts'
import type { Connection } from './connection.ts'
import { type JetStreamNames, jetStreamNames } from './names.ts'
import { OpenStream } from './open-stream.ts'
import type { StreamShape } from './streams.ts'

export interface NatsRegistryDeps {
  /** One that reconnects. */
  connection: Connection
  cluster: string
  /** Of the bucket: 1, or 3 on a cluster of servers. */
  replicas: number
  clock: Clock
  log: Log
}

export interface NatsRegistryOptions extends NatsRegistryDeps {
  /** Ends the wait for a server that cannot create the bucket yet. */
  signal?: AbortSignal
}

const TIMEOUT_MS = 5_000
/** A key may be claimed and removed by others all the time. */
const CLAIM_TRIES_MAX = 3
const READS_AT_ONCE = 16
const OPEN_RETRY_MS = 1_000
const KEY = /^[-/_=A-Za-z0-9]+(\.[-/_=A-Za-z0-9]+)*$/

export class NatsRegistry implements Registry {
  readonly #deps: NatsRegistryDeps
  readonly #names: JetStreamNames['registry']
  readonly #stream: OpenStream
  readonly #watches = new Set<{ stop(): void }>()

  private constructor(deps: NatsRegistryDeps) {
    this.#deps = deps
    const { connection, cluster, replicas, log } = deps
    this.#names = jetStreamNames(cluster).registry
    const shape = shapeOf(this.#names, replicas)
    this.#stream = new OpenStream({ connection, shape, log, timeoutMs: TIMEOUT_MS })
  }

  /**
   * Creates the bucket, or finds it as it has to be. A server that cannot do it yet is waited for.
   * @throws TroupeError `invalid-config` when there is a bucket that differs
   */
  static async open({ signal, ...deps }: NatsRegistryOptions): Promise<NatsRegistry> {
    const registry = new NatsRegistry(deps)
    for (let isSaid = false; ; isSaid = true) {
      try {
        await registry.#stream.open()
        return registry
      } catch (thrown) {
        if (thrown instanceof TroupeError || signal?.aborted === true) throw thrown
        const why = messageOfThrown(thrown)
        if (!isSaid)
          deps.log.warn({ why }, 'NATS cannot hold the registry yet; this goes on trying')
      }
      await new Promise<void>((resolve) => deps.clock.after(OPEN_RETRY_MS, resolve))
    }
  }

  claim(key: string, value: Uint8Array, done: (outcome: ClaimOutcome) => void): void {
    const bytes = Buffer.from(value)
    this.#settle(this.#claim(this.#subjectOf(key), bytes), unknown, done)
  }

  put(key: string, value: Uint8Array, done: (outcome: 'put' | 'unknown') => void): void {
    const bytes = Buffer.from(value)
    this.#settle(this.#put(this.#subjectOf(key), bytes), () => 'unknown' as const, done)
  }

  get(key: string, done: (outcome: RegistryReadOutcome) => void): void {
    const reading = this.#read(this.#subjectOf(key)).then((found): RegistryReadOutcome => {
      return found ? { kind: 'found', value: found.bytes } : { kind: 'absent' }
    })
    this.#settle(reading, unknown, done)
  }

  list(prefix: string, done: (outcome: RegistryListOutcome) => void): void {
    this.#settle(this.#list(prefix), unknown, done)
  }

  remove(key: string, done: (outcome: 'removed' | 'unknown') => void): void {
    this.#settle(this.#remove(key, this.#subjectOf(key)), () => 'unknown' as const, done)
  }

  watch(prefix: string, changed: (key: string) => void): { stop(): void } {
    const { connection, clock } = this.#deps
    const { changes } = this.#names
    let isStopped = false
    const hint = (key: string) => {
      if (!key.startsWith(prefix)) return
      clock.defer(() => {
        if (!isStopped) changed(key)
      })
    }
    const back = () => {
      this.list(prefix, (outcome) => {
        if (outcome.kind === 'listed') for (const { key } of outcome.entries) hint(key)
      })
    }
    const subscription = connection.rights.hear(`${changes}.${patternOf(prefix)}`, {
      heard: ({ subject }) => hint(subject.slice(changes.length + 1)),
      again: back,
    })
    const listening = connection.listen({ back })
    const watch = {
      stop: () => {
        isStopped = true
        listening.stop()
        if (this.#watches.delete(watch)) subscription.unsubscribe()
      },
    }
    this.#watches.add(watch)
    return watch
  }

  /** Ends all watches. The connection is its owner's. */
  close(): void {
    for (const watch of this.#watches) watch.stop()
  }

  async #claim(subject: string, bytes: Uint8Array): Promise<ClaimOutcome> {
    for (let tries = 1; tries <= CLAIM_TRIES_MAX; tries++) {
      const outcome = await this.#stream.publish(subject, bytes, 0)
      if (outcome.kind === 'stored') return { kind: 'won' }
      if (outcome.kind === 'unknown') return outcome
      const found = await this.#stream.read(subject)
      if (found === undefined) continue
      if (!isMark(found)) return { kind: 'lost', value: found.bytes }
      // This message and no other: somebody may have won the key since it was read.
      await this.#stream.removeMessage(found.sequence)
    }
    return { kind: 'unknown', why: 'refused, while nobody has the key' }
  }

  async #put(subject: string, bytes: Uint8Array): Promise<'put' | 'unknown'> {
    const { kind } = await this.#stream.publish(subject, bytes)
    return kind === 'stored' ? 'put' : 'unknown'
  }

  async #list(prefix: string): Promise<RegistryListOutcome> {
    const { keys } = this.#names
    const subjects = await this.#stream.subjects(`${keys}.${patternOf(prefix)}`)
    const wanted = subjects.filter((subject) => subject.startsWith(`${keys}.${prefix}`)).sort()
    const entries: { key: string; value: Uint8Array }[] = []
    for (let at = 0; at < wanted.length; at += READS_AT_ONCE) {
      const some = wanted.slice(at, at + READS_AT_ONCE)
      const found = await Promise.all(some.map((subject) => this.#read(subject)))
      for (const [index, message] of found.entries()) {
        // It may have been removed meanwhile.
        if (message === undefined) continue
        entries.push({ key: some[index]!.slice(keys.length + 1), value: message.bytes })
      }
    }
    return { kind: 'listed', entries }
  }

  async #remove(key: string, subject: string): Promise<'removed'> {
    const found = await this.#stream.read(subject)
    if (found === undefined) return 'removed'
    await this.#stream.removeMessage(found.sequence)
    // The server tells of messages that come, not of those that go.
    const { connection } = this.#deps
    if (connection.isConnected) connection.nats.publish(`${this.#names.changes}.${key}`)
    return 'removed'
  }

  async #read(subject: string): Promise<StoredMessage | undefined> {
    const found = await this.#stream.read(subject)
    return found && !isMark(found) ? found : undefined
  }

  /** @throws RangeError */
  #subjectOf(key: string): string {
    if (!KEY.test(key)) throw new RangeError(`"${key}" is not a key of the registry`)
    return `${this.#names.keys}.${key}`
  }

  /** Outcomes come in a deferred call, so that what they throw is not lost in a promise. */
  #settle<T>(promise: Promise<T>, failed: (why: string) => T, done: (outcome: T) => void): void {
    const end = (outcome: T) => this.#deps.clock.defer(() => done(outcome))
    promise.then(end, (thrown: unknown) => end(failed(messageOfThrown(thrown))))
  }
}

function unknown(why: string): { kind: 'unknown'; why: string } {
  return { kind: 'unknown', why }
}

/** A bucket without history, of which messages can be deleted and changes are told. */
function shapeOf(names: JetStreamNames['registry'], replicas: number): StreamShape {
  const { stream, keys, changes } = names
  return {
    name: stream,
    subjects: [`${keys}.>`],
    storage: StorageType.File,
    max_msgs_per_subject: 1,
    discard: DiscardPolicy.New,
    num_replicas: replicas,
    allow_rollup_hdrs: true,
    deny_delete: false,
    republish: { src: `${keys}.>`, dest: `${changes}.>`, headers_only: true },
  }
}

/** Other tools remove a key by a message that says so. */
function isMark({ headers }: StoredMessage): boolean {
  return /\r\nKV-Operation: *(?:DEL|PURGE)\r\n/i.test(headers)
}

/** The subjects of all keys that may begin so: a prefix can end within a token. */
function patternOf(prefix: string): string {
  const whole = prefix.slice(0, prefix.lastIndexOf('.') + 1)
  return `${whole}>`
}
