/**
 * What NATS calls a service, so that `nats micro ls|info|stats` shows the nodes. Decides: the answers to
 * `$SRV.PING`, `INFO` and `STATS` as the services API of NATS has them (its ADR-32), and what is counted.
 * Leaves to others: answering the requests themselves (subject-requests.ts).
 */
import type { Clock, Subscription, Transport } from '../ports/index.ts'
import { type ErrorRecord, toSubjectToken } from '../protocol/index.ts'

/** One kind of request. */
export class ServiceEndpoint {
  readonly name: string
  readonly subject: string
  readonly queue: string
  #requests = 0
  #errors = 0
  #lastError = ''
  #tookMs = 0

  constructor(name: string, subject: string, queue: string) {
    this.name = name
    this.subject = subject
    this.queue = queue
  }

  count(tookMs: number, error: ErrorRecord | undefined): void {
    this.#requests += 1
    this.#tookMs += tookMs
    if (!error) return
    this.#errors += 1
    this.#lastError = `${error.code}: ${error.message}`
  }

  get info(): object {
    return { name: this.name, subject: this.subject, queue_group: this.queue }
  }

  /** Times in nanoseconds. */
  get stats(): object {
    const time = Math.round(this.#tookMs * 1e6)
    return {
      ...this.info,
      num_requests: this.#requests,
      num_errors: this.#errors,
      last_error: this.#lastError,
      processing_time: time,
      average_processing_time: this.#requests === 0 ? 0 : Math.round(time / this.#requests),
    }
  }
}

export interface ServiceInfoOptions {
  transport: Transport
  clock: Clock
  /** Letters, digits, `-` and `_`. */
  name: string
  /** Of this instance: unique among those of the name. */
  id: string
  /** As semver has it. */
  version: string
  description: string
  metadata: Readonly<Record<string, string>>
  endpoints: readonly ServiceEndpoint[]
}

const TYPE = 'io.nats.micro.v1'

/** Every instance answers, so these have no queue. */
export function serveServiceInfo(options: ServiceInfoOptions): Subscription {
  const { transport, clock, name, id, version, description, metadata, endpoints } = options
  const started = new Date(clock.now()).toISOString()
  const who = { name, id, version, metadata }
  const answers: Readonly<Record<string, () => object>> = {
    PING: () => ({ ...who, type: `${TYPE}.ping_response` }),
    INFO: () => ({
      ...{ ...who, type: `${TYPE}.info_response`, description },
      endpoints: endpoints.map(({ info }) => info),
    }),
    STATS: () => ({
      ...{ ...who, type: `${TYPE}.stats_response`, started },
      endpoints: endpoints.map(({ stats }) => stats),
    }),
  }
  const subscriptions = Object.entries(answers).flatMap(([verb, answer]) => {
    const all = `$SRV.${verb}`
    const subjects = [all, `${all}.${name}`, `${all}.${name}.${toSubjectToken(id)}`]
    return subjects.map((subject) =>
      transport.subscribe(subject, {}, ({ reply }) =>
        reply?.(Buffer.from(JSON.stringify(answer()))),
      ),
    )
  })
  return {
    unsubscribe: () => {
      for (const subscription of subscriptions) subscription.unsubscribe()
    },
  }
}
