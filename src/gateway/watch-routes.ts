/**
 * `/troupe/v1/watch` and `…/actors/<machine>/<id>/watch`: changes as server-sent events. Decides: what
 * may be watched, how many at a time, and how a stream ends. What is sent: actor-watch.ts, list-watch.ts.
 */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { TroupeNode } from '../node/index.ts'
import type { Log } from '../ports/index.ts'
import { TroupeError } from '../protocol/index.ts'
import type { Admission } from './access.ts'
import { seenOf, watchActor } from './actor-watch.ts'
import { ChangeFeeds } from './change-feed.ts'
import { EventStream } from './event-stream.ts'
import type { Exchange } from './exchange.ts'
import { requireNoSecrets, requireState } from './filters.ts'
import type { GatewayLimits } from './limits.ts'
import { filterOf, machineOfFilter, splitWhere, WATCH_QUERY } from './list-routes.ts'
import { ListWatch } from './list-watch.ts'
import type { OpenRequests } from './open-requests.ts'
import { readQuery } from './parameters.ts'
import { secretsOf } from './secrets.ts'

export interface WatchDeps {
  node: TroupeNode
  log: Log
  limits: GatewayLimits
  open: OpenRequests
  admission: Admission
}

export class Watches {
  readonly #deps: WatchDeps
  readonly #feeds: ChangeFeeds
  #count = 0

  constructor(deps: WatchDeps) {
    this.#deps = deps
    this.#feeds = new ChangeFeeds(deps.node.client, deps.limits)
  }

  close(): void {
    this.#feeds.close()
  }

  /** @throws TroupeError before the stream begins: for a filter that cannot be watched */
  async list(request: FastifyRequest, reply: FastifyReply, exchange: Exchange): Promise<void> {
    const { node } = this.#deps
    const { plain, where } = splitWhere(exchange.search)
    const { rows = true, ...given } = readQuery(plain, WATCH_QUERY, 'invalid-query')
    const filter = filterOf(given, where)
    const machine = machineOfFilter(node, filter)
    if (machine) {
      requireNoSecrets(machine.definition, { filter })
      requireState(machine, filter)
    }
    // What else is wrong with a filter, the shards say.
    await node.client.list({ filter, limit: 1 }, exchange.options)
    const client = node.client.as(exchange.access.author)
    await this.#stream(request, reply, async (stream, signal) => {
      const feed = this.#feeds.join(filter.machine, signal)
      const secrets = (address: string) => secretsOf(node, address)
      const options = { client, feed, stream, filter, limits: node.limits, secretsOf: secrets }
      const watch = new ListWatch({ ...options, tellsRows: rows })
      await watch.run(lastEventIdOf(request), signal)
    })
  }

  /** @throws TroupeError before the stream begins: when there is no such actor */
  async actor(
    request: FastifyRequest,
    reply: FastifyReply,
    exchange: Exchange,
    address: string,
  ): Promise<void> {
    const { node } = this.#deps
    readQuery(exchange.search, {})
    const client = node.client.as(exchange.access.author)
    const secrets = secretsOf(node, address)
    const seen = seenOf(lastEventIdOf(request))
    await client.get(address, exchange.options)
    await this.#stream(request, reply, async (stream, signal) => {
      const events = watchActor(client, address, secrets, seen, signal)
      for await (const event of events) stream.send(event)
    })
  }

  /** From here on nothing can be refused any more: what fails ends the stream. */
  async #stream(
    request: FastifyRequest,
    reply: FastifyReply,
    run: (stream: EventStream, signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    const { limits, open, log, admission } = this.#deps
    if (this.#count >= limits.watchersMax) {
      const why = `${limits.watchersMax} watches are open already (watchersMax)`
      throw new TroupeError('limit-exceeded', why)
    }
    this.#count += 1
    const entry = open.begin(reply.raw)
    entry.isStreaming = true
    entry.isAllowed = () => admission.wouldAdmit(request, 'read')
    const left = new AbortController()
    const leave = () => left.abort()
    reply.raw.once('close', leave)
    entry.signal.addEventListener('abort', leave, { once: true })
    if (entry.signal.aborted) leave()
    reply.hijack()
    const stream = new EventStream(reply.raw, limits)
    try {
      await run(stream, left.signal)
    } catch (thrown) {
      // The client comes back; what is wrong with the node is told by the node itself.
      if (stream.isOpen) log.warn({ err: thrown, request: request.id }, 'a watch broke off')
    } finally {
      this.#count -= 1
      leave()
      stream.end()
    }
  }
}

function lastEventIdOf({ headers }: FastifyRequest): string | undefined {
  const given = headers['last-event-id']
  return given === undefined || given === '' ? undefined : String(given)
}
