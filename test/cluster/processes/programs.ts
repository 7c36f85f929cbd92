/**
 * Programs that use a cluster from outside: one by the client library, one by the package `nats` alone.
 *
 * Decides: how each asks, and when it asks again: with the same command id, as long as the answer says that
 * it may, or there is none. Leaves to others: what is asked.
 */
import { connect, type NatsConnection } from 'nats'
import { NatsConnector, NatsTransport } from '../../../src/adapters/nats/index.ts'
import { SystemClock, SystemRandom, silentLog } from '../../../src/adapters/system/index.ts'
import { Client } from '../../../src/client/index.ts'
import {
  type ErrorRecord,
  formatCommandId,
  type Operation,
  resolveLimits,
  subjectsOf,
  TroupeError,
} from '../../../src/protocol/index.ts'
import { until } from '../../waiting.ts'

/** One who asks; what it throws is a `TroupeError`, `no-answer` when it gave up. */
export interface Program {
  readonly name: string
  newId(): string
  ask(request: ProgramRequest): Promise<unknown>
}

export interface ProgramRequest {
  address: string
  operation: Operation
  id: string
  /** How long it tries. */
  patienceMs: number
}

export interface ProgramConnectionOptions {
  name: string
  servers: readonly string[]
  cluster: string
  shards: number
}

const ANSWER_MS = 1_000
/** A request may have gone to a node that is frozen: then it is sent again, and another takes it. */
const JSON_ANSWER_MS = 800

export class ProgramConnection {
  readonly #options: ProgramConnectionOptions
  readonly #clock = new SystemClock()
  readonly #random = new SystemRandom()
  readonly #close: () => Promise<void>
  readonly client: Client
  readonly nats: NatsConnection

  private constructor(
    options: ProgramConnectionOptions,
    transport: NatsTransport,
    nats: NatsConnection,
    close: () => Promise<void>,
  ) {
    this.#options = options
    this.nats = nats
    this.#close = close
    const { cluster, shards: shardCount } = options
    const [clock, random] = [this.#clock, this.#random]
    this.client = new Client({
      ...{ transport, clock, random, shardCount },
      subjects: subjectsOf(cluster),
      limits: resolveLimits({}),
      answerMs: ANSWER_MS,
    })
  }

  static async open(options: ProgramConnectionOptions): Promise<ProgramConnection> {
    const { name, servers } = options
    const [clock, random, log] = [new SystemClock(), new SystemRandom(), silentLog]
    const connector = new NatsConnector({
      ...{ name, clock, random, log },
      options: { servers, pingMs: 500 },
    })
    const connection = await connector.open({ reconnect: true })
    const nats = await connect({
      servers: [...servers],
      name,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 100,
      pingInterval: 500,
    })
    const transport = new NatsTransport({ connection, clock, log })
    const close = async () => {
      transport.close()
      await Promise.all([connection.close(), nats.close()])
    }
    return new ProgramConnection(options, transport, nats, close)
  }

  library(name: string): Program {
    const client = this.client.as(name)
    return {
      name,
      newId: this.#ids(name),
      ask: ({ address, operation, id, patienceMs }) =>
        client.execute(address, operation, { id, timeoutMs: patienceMs }),
    }
  }

  /** Imports nothing of Troupe: JSON in, JSON out, by verbs. */
  json(name: string): Program {
    return {
      name,
      newId: this.#ids(name),
      ask: ({ address, operation, id, patienceMs }) => {
        const { op, ...fields } = operation
        const body = JSON.stringify({ ...fields, address, id, author: name })
        return this.#askJson(op, body, patienceMs)
      },
    }
  }

  async close(): Promise<void> {
    this.client.close()
    await this.#close()
  }

  #ids(name: string): () => string {
    const unique = this.#random.id()
    let count = 0
    return () => formatCommandId(this.#clock.now(), `${name}.${unique}.${++count}`)
  }

  async #askJson(verb: string, body: string, patienceMs: number): Promise<unknown> {
    const subject = `troupe.${this.#options.cluster}.admin.${verb}`
    let last = 'nobody answered'
    const final = await until(
      async () => {
        const answer = await this.#tryJson(subject, body)
        if (answer === undefined || answer.error?.retry === true) {
          last = answer?.error?.message ?? last
          return undefined
        }
        return answer
      },
      { timeoutMs: patienceMs, every: 50 },
      () => last,
    ).catch((thrown: unknown) => {
      throw new TroupeError('no-answer', String(thrown))
    })
    if (final.error) throw TroupeError.from(final.error)
    return final.ok
  }

  /** Undefined when it may or may not have been heard. */
  async #tryJson(subject: string, body: string): Promise<JsonAnswer | undefined> {
    try {
      const reply = await this.nats.request(subject, body, { timeout: JSON_ANSWER_MS })
      return JSON.parse(reply.string()) as JsonAnswer
    } catch {
      return undefined
    }
  }
}

interface JsonAnswer {
  ok?: unknown
  error?: ErrorRecord
}
