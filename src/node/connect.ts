/**
 * A client for programs: of a node in the same process, or over NATS of a cluster that the program is no
 * node of. Decides: what it connects to, how long a cluster is waited for that is not there yet, and that
 * closing such a client closes its connection.
 */
import type { NatsOptions } from '../adapters/nats/index.ts'
import {
  Client,
  type ClientDeps,
  type FollowedEvent,
  type FollowOptions,
  type WatchedEvent,
  type WatchTarget,
} from '../client/index.ts'
import type { Log } from '../ports/index.ts'
import { DEFAULT_LIMITS, TroupeError } from '../protocol/index.ts'
import { askFacts } from './facts.ts'
import type { NatsLine, NatsLineOptions } from './nats-line.ts'
import type { TroupeNode } from './node.ts'

export interface ClientOptions {
  node: TroupeNode
  /** Stands in histories and audit trails. Default `client`. */
  author?: string
}

export interface RemoteClientOptions {
  /** Where NATS is, and who we are there; as for a node. */
  nats: NatsOptions
  /** Default `troupe`. */
  cluster?: string
  /** Stands in histories and audit trails. Default `client`. */
  author?: string
  /** How long NATS, and a first node, are waited for. Default 30 s. */
  timeoutMs?: number
  /** Ends that wait. */
  signal?: AbortSignal
  /** Of the connection. Default: nothing is logged. */
  log?: Log
}

/** A node may die with the answer: then it is asked for again. */
const ANSWER_MS = 5_000

/** A client that has a connection of its own. */
export class RemoteClient extends Client {
  readonly #line: NatsLine
  readonly #closing = new AbortController()

  constructor(deps: ClientDeps, author: string, line: NatsLine) {
    super(deps, author)
    this.#line = line
  }

  override watch(target: WatchTarget, signal: AbortSignal): AsyncIterable<WatchedEvent> {
    return super.watch(target, AbortSignal.any([signal, this.#closing.signal]))
  }

  override follow(
    address: string,
    signal: AbortSignal,
    options?: FollowOptions,
  ): AsyncIterable<FollowedEvent> {
    return super.follow(address, AbortSignal.any([signal, this.#closing.signal]), options)
  }

  /** Ends watches, tells calls under way how they stand, and closes the connection. */
  override async close(): Promise<void> {
    super.close()
    this.#closing.abort()
    await this.#line.close()
  }
}

/** A client of a node in this process. */
export function createClient(options: ClientOptions): Client
/**
 * A client of a cluster. Resolves once a node has answered.
 * @throws TroupeError `unavailable` when none does in time, `forbidden` when our user may not ask,
 * `invalid-config`
 */
export function createClient(options: RemoteClientOptions): Promise<RemoteClient>
export function createClient(
  options: ClientOptions | RemoteClientOptions,
): Client | Promise<RemoteClient> {
  const { author = 'client' } = options
  return 'node' in options ? options.node.client.as(author) : connectClient(options, author)
}

/** For what speaks to nodes rather than to actors, as the command does. @throws TroupeError */
export async function openNatsLine(options: NatsLineOptions): Promise<NatsLine> {
  // A node that is alone does not load what only a cluster needs.
  const { natsLine } = await import('./nats-line.ts')
  return natsLine(options)
}

async function connectClient(options: RemoteClientOptions, author: string): Promise<RemoteClient> {
  const { nats, cluster, signal, log, timeoutMs = DEFAULT_LIMITS.requestTimeoutMs } = options
  const endMs = performance.now() + timeoutMs
  const line = await openNatsLine({
    ...{ nats, timeoutMs, name: `troupe ${author}` },
    ...(cluster !== undefined && { cluster }),
    ...(signal && { signal }),
    ...(log && { log }),
  })
  try {
    const facts = await askFacts(line, endMs, signal ?? new AbortController().signal)
    if (!facts) {
      const why = `no node of the cluster "${line.cluster}" answers at ${nats.servers.join(', ')}`
      throw new TroupeError('unavailable', why)
    }
    const { transport, subjects, clock, random } = line
    const { shardCount, limits } = facts
    const deps = { transport, subjects, clock, random, limits, shardCount, answerMs: ANSWER_MS }
    return new RemoteClient(deps, author, line)
  } catch (thrown) {
    await line.close()
    throw thrown
  }
}
