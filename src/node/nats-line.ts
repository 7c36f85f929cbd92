/**
 * A line to the nodes of a cluster, for programs that are none: a transport over NATS and nothing else.
 * Decides: how long NATS is waited for, and that whoever may not say something is told at once.
 */
import { NatsConnector, type NatsOptions, NatsTransport } from '../adapters/nats/index.ts'
import { SystemClock, SystemRandom, silentLog } from '../adapters/system/index.ts'
import type { Clock, Log, Random, Transport } from '../ports/index.ts'
import {
  DEFAULT_CONFIG,
  isNodeName,
  type Subjects,
  subjectsOf,
  TroupeError,
} from '../protocol/index.ts'

export interface NatsLineOptions {
  nats: NatsOptions
  /** Default `troupe`. */
  cluster?: string
  /** What the server's list of connections calls it. */
  name: string
  /** How long a server that is not there yet is waited for. */
  timeoutMs: number
  signal?: AbortSignal
  log?: Log
}

export interface NatsLine {
  readonly cluster: string
  readonly transport: Transport
  readonly subjects: Subjects
  readonly clock: Clock
  readonly random: Random
  /** Once the server has refused what our user said there, or to let it hear answers. */
  refusalOf(subject: string): TroupeError | undefined
  close(): Promise<void>
}

/** Subjects that are remembered. */
const DENIED_MAX = 1_000
const INBOX_DEFAULT = '_INBOX'

/** @throws TroupeError `unavailable` when nobody is there in time, `invalid-config` */
export async function natsLine(options: NatsLineOptions): Promise<NatsLine> {
  const { nats, cluster = DEFAULT_CONFIG.cluster, name, timeoutMs, log = silentLog } = options
  if (!isNodeName(cluster)) {
    const why = `cluster: "${cluster}" is not a letter or digit and at most 63 letters, digits, "_" or "-"`
    throw new TroupeError('invalid-config', why)
  }
  const clock = new SystemClock()
  const random = new SystemRandom()
  const connector = new NatsConnector({ options: nats, name, clock, random, log })
  const late = AbortSignal.timeout(Math.ceil(timeoutMs))
  const signal = options.signal ? AbortSignal.any([late, options.signal]) : late
  const connection = await connector.open({ reconnect: true, signal })
  const denied = new Denied(nats.inboxPrefix)
  connection.listen(denied)
  const { inboxPrefix } = nats
  const inbox = inboxPrefix === undefined ? {} : { inboxPrefix }
  const transport = new NatsTransport({ connection, clock, log, ...inbox })
  return {
    ...{ cluster, transport, clock, random },
    subjects: subjectsOf(cluster),
    refusalOf: (subject) => denied.refusalOf(subject),
    close: async () => {
      transport.close()
      await connection.close()
    },
  }
}

/** What the server does not allow to our user. */
class Denied {
  readonly #inbox: string
  readonly #subjects = new Set<string>()
  #hearsNothing = false

  constructor(inboxPrefix = INBOX_DEFAULT) {
    this.#inbox = inboxPrefix
  }

  denied(operation: string, subject: string): void {
    if (operation === 'publish' && this.#subjects.size < DENIED_MAX) this.#subjects.add(subject)
    if (operation === 'subscription' && subject.startsWith(`${this.#inbox}.`)) {
      this.#hearsNothing = true
    }
  }

  /** Rights may be others by now. */
  back(): void {
    this.#subjects.clear()
    this.#hearsNothing = false
  }

  refusalOf(subject: string): TroupeError | undefined {
    if (this.#hearsNothing) {
      const why = `our user may not hear answers below ${this.#inbox}: name the prefix that it may (inboxPrefix, TROUPE_NATS_INBOX), such as _INBOX_reader`
      return new TroupeError('forbidden', `nats: ${why}`)
    }
    if (!this.#subjects.has(subject)) return undefined
    const why = `our user may not use the subject ${subject}; config/nats/users.conf shows who needs which`
    return new TroupeError('forbidden', `nats: ${why}`)
  }
}
