/**
 * The connections of the journal, each with a single life.
 *
 * Decides: a line is one connection to one life of one server: whoever holds the same line as before
 * knows that this server has not started anew since, and that nothing sent on an older line can be
 * taken for an answer on this one. Lines are opened when somebody asks for one, at most every so often,
 * to any server that was ever told of; one that is cut off from the others comes last.
 * Leaves to others: who needs which server, and what a new line means to them (journal.ts).
 */
import type { Clock, Log } from '../../ports/index.ts'
import { messageOfThrown } from '../../protocol/index.ts'
import type { Connection } from './connection.ts'

/** Opens a connection that does not reconnect, to one of these servers, or to any that is known. */
export type OpenLine = (servers?: readonly string[]) => Promise<Connection>

export interface Line {
  readonly connection: Connection
  /** The server's name: the same in all its lives. */
  readonly server: string
  /** Of this life of the server. */
  readonly serverId: string
  readonly version: string
}

export interface LinesDeps {
  open: OpenLine
  servers: readonly string[]
  clock: Clock
  log: Log
}

/** Rests between tries to open a line. */
const REST_FIRST_MS = 50
const REST_MAX_MS = 2_000
const DOUBLINGS_MAX = 6

/** Addresses of servers that are remembered: those of a cluster that is moved again and again. */
const TOLD_MAX = 64

/** Which server is meant where any will do. */
const ANY = ''

interface Attempts {
  isUnderWay: boolean
  failures: number
  restUntilMs: number
}

export class Lines {
  readonly #deps: LinesDeps
  /** By the name of the server. */
  readonly #lines = new Map<string, Line>()
  readonly #attempts = new Map<string, Attempts>()
  /** Where servers are, as they told while they saw each other: the newest last. */
  readonly #told = new Set<string>()
  /** The server whose line ended since it could not do what is needed. */
  #left: string | undefined
  #isClosed = false

  constructor(deps: LinesDeps) {
    this.#deps = deps
  }

  /** A line to any server; undefined while there is none: one is being opened then. */
  any(): Line | undefined {
    const [line] = this.#lines.values()
    if (!line) this.#open(ANY)
    return line
  }

  /** A line to the server of that name; undefined while there is none: one is being opened then. */
  to(server: string): Line | undefined {
    const line = this.#lines.get(server)
    if (!line) this.#open(server)
    return line
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.all([...this.#lines.values()].map(({ connection }) => connection.close()))
  }

  #open(server: string): void {
    const { clock, log } = this.#deps
    const attempts = this.#attemptsFor(server)
    if (this.#isClosed || attempts.isUnderWay || clock.monotonic() < attempts.restUntilMs) return
    attempts.isUnderWay = true
    const opening = server === ANY ? this.#findAny() : this.#find(server)
    opening.then(
      () => {
        attempts.isUnderWay = false
        attempts.failures = 0
      },
      (thrown: unknown) => {
        attempts.isUnderWay = false
        const restMs = REST_FIRST_MS * 2 ** Math.min(attempts.failures, DOUBLINGS_MAX)
        attempts.restUntilMs = clock.monotonic() + Math.min(restMs, REST_MAX_MS)
        // Said once per loss: it is tried until it works, and others say that shards wait.
        if (attempts.failures === 0 && !this.#isClosed) {
          const fields = { ...(server !== ANY && { server }), why: messageOfThrown(thrown) }
          log.warn(fields, 'the journal has no connection to NATS')
        }
        attempts.failures += 1
      },
    )
  }

  /** Not the one that was left, where another one can be reached. */
  async #findAny(): Promise<Line> {
    const left = this.#left
    this.#left = undefined
    if (left === undefined) return this.#connect(this.#told.size > 0 ? this.#addresses : undefined)
    return this.#search((server) => server !== left, left).catch(() =>
      this.#connect(this.#addresses),
    )
  }

  async #find(server: string): Promise<Line> {
    try {
      return await this.#search((name) => name === server)
    } catch (thrown) {
      throw new Error(`no server tells that it is ${server}: ${messageOfThrown(thrown)}`)
    }
  }

  /** Servers tell each other's addresses, but not whose they are. Lines to others that are met are kept. */
  async #search(isWanted: (server: string) => boolean, left?: string): Promise<Line> {
    const failures: string[] = []
    for (const url of this.#addresses) {
      try {
        const line = await this.#connect([url], left)
        if (isWanted(line.server)) return line
      } catch (thrown) {
        failures.push(messageOfThrown(thrown))
      }
    }
    throw new Error(failures.join('; '))
  }

  /** Those that were told last come first: behind older ones nobody may be, which takes its time to say. */
  get #addresses(): string[] {
    return [...new Set([...this.#deps.servers, ...[...this.#told].reverse()])]
  }

  /** @throws Error for the server that was left, too */
  async #connect(servers?: readonly string[], left?: string): Promise<Line> {
    const connection = await this.#deps.open(servers)
    const { info } = connection.nats
    const known = info && this.#lines.get(info.server_name)
    this.#remember(info?.connect_urls)
    if (!info || known || this.#isClosed || info.server_name === left) {
      await connection.close()
      if (known) return known
      throw new Error('the connection is not wanted any more')
    }
    const { server_name: server, server_id: serverId, version } = info
    const line = { connection, server, serverId, version }
    this.#lines.set(server, line)
    const lost = () => {
      if (this.#lines.get(server) !== line) return
      this.#lines.delete(server)
      if (connection.hasLeft) this.#left = server
    }
    connection.listen({ lost, closed: lost })
    if (connection.isConnected) return line
    lost()
    throw new Error('the connection was lost at once')
  }

  #remember(urls: readonly string[] = []): void {
    for (const url of urls) {
      this.#told.delete(url)
      this.#told.add(url)
    }
    for (const url of this.#told) {
      if (this.#told.size <= TOLD_MAX) break
      this.#told.delete(url)
    }
  }

  #attemptsFor(server: string): Attempts {
    let attempts = this.#attempts.get(server)
    if (!attempts) {
      attempts = { isUnderWay: false, failures: 0, restUntilMs: 0 }
      this.#attempts.set(server, attempts)
    }
    return attempts
  }
}
