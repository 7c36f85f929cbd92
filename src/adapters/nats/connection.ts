/**
 * Connections to NATS.
 *
 * Decides: two kinds. One that *reconnects* for ever, with back-off, for all that may be said again; and
 * one with a single life, for writes whose outcome must be known: once it is lost it stays closed, and its
 * user opens another and looks before it writes. Also: what is worth waiting for at the first connect (a
 * server that is not there yet) and what is not (one that refuses us), what is said in the log, that
 * what was promised is sent before a connection is closed, and how a server is left for another one.
 * Leaves to others: subjects, what is asked.
 */
import {
  connect,
  createInbox,
  DebugEvents,
  ErrorCode,
  Events,
  type Msg,
  type NatsConnection,
  type Payload,
  type RequestOptions,
  type Status,
} from 'nats'
import type { Clock, Log, Random } from '../../ports/index.ts'
import { messageOfThrown, TroupeError } from '../../protocol/index.ts'
import { BackOff } from './back-off.ts'
import { accessOf, type NatsOptions } from './options.ts'
import { Requests } from './requests.ts'
import { Rights } from './rights.ts'
import { Silence } from './silence.ts'

export interface ConnectorDeps {
  options: NatsOptions
  /** Shown in the server's list of connections. */
  name: string
  clock: Clock
  random: Random
  log: Log
  /** For how long JetStream may be silent on a connection before another server is tried. */
  silenceMs?: number
  /** How often it is tried again to hear what the server has refused. */
  refusedRetryMs?: number
}

export interface OpenRequest {
  /** False for a connection with a single life. */
  reconnect: boolean
  /** Instead of all servers of the options. */
  servers?: readonly string[]
  /** Ends the wait for a server that is not there yet. */
  signal?: AbortSignal
}

/** What becomes of a connection; each is called after it became so. */
export interface ConnectionListener {
  /** What was under way has no answer; what is published now goes nowhere. */
  lost?(): void
  /** Connected again, maybe to another server. Subscriptions are in place. */
  back?(): void
  /** The server does not allow our user to say, or to hear, something: `publish` or `subscription`. */
  denied?(operation: string, subject: string): void
  /** For good: by `close`, or because a single life has ended. */
  closed?(): void
}

const DIAL_MS = 5_000
const PING_MS = 2_000
const PINGS_OUT_MAX = 2
/** While nobody is there it is said again so often. */
const WAIT_LOG_MS = 30_000
/** A server may stand in the library's list under several addresses. */
const RETURNS_MAX = 4
/** What was published before `close` has so long to leave. */
const DRAIN_MS = 3_000

export class NatsConnector {
  readonly #deps: ConnectorDeps

  constructor(deps: ConnectorDeps) {
    this.#deps = deps
  }

  /**
   * @throws TroupeError `invalid-config` for options that make no sense, and when a server refuses us;
   * `unavailable` when nobody is there: a connection that reconnects waits for that, up to its signal
   */
  async open(request: OpenRequest): Promise<Connection> {
    const { options, clock, log } = this.#deps
    const access = accessOf(options, request.servers)
    const backOff = new BackOff(this.#deps.random)
    const startedAtMs = clock.monotonic()
    let saidAtMs = Number.NEGATIVE_INFINITY
    let failure: unknown = 'it was given up'
    for (;;) {
      try {
        const nats = await this.#dial(request, access, backOff)
        if (request.signal?.aborted === true) await nats.close()
        else return this.#opened(nats, backOff, access.servers, request.reconnect)
      } catch (thrown) {
        const refused = refusalOf(thrown, access.servers)
        if (refused !== undefined) throw refused
        failure = thrown
        if (!request.reconnect) throw unreachable(access.servers, thrown)
        if (clock.monotonic() - saidAtMs >= WAIT_LOG_MS) {
          const waitedMs = Math.round(clock.monotonic() - startedAtMs)
          const fields = { servers: access.servers, waitedMs, why: messageOfThrown(thrown) }
          log.warn(fields, 'NATS cannot be reached; this is tried until it can')
          saidAtMs = clock.monotonic()
        }
        backOff.failed()
        await this.#pause(backOff.waitMs, request.signal)
      }
      if (request.signal?.aborted === true) throw unreachable(access.servers, failure)
    }
  }

  #dial(
    { reconnect }: OpenRequest,
    access: ReturnType<typeof accessOf>,
    backOff: BackOff,
  ): Promise<NatsConnection> {
    const { options, name } = this.#deps
    return connect({
      ...access,
      name,
      reconnect,
      maxReconnectAttempts: -1,
      // A server that refuses us after we were in may be one whose users are being set up.
      ignoreAuthErrorAbort: true,
      reconnectDelayHandler: () => backOff.waitMs,
      timeout: DIAL_MS,
      pingInterval: options.pingMs ?? PING_MS,
      maxPingOut: PINGS_OUT_MAX,
      // Else every request takes a stack trace along.
      noAsyncTraces: true,
      ...(options.inboxPrefix === undefined ? {} : { inboxPrefix: options.inboxPrefix }),
    })
  }

  #opened(
    nats: NatsConnection,
    backOff: BackOff,
    servers: string[],
    reconnects: boolean,
  ): Connection {
    const { clock, log, options, silenceMs, refusedRetryMs } = this.#deps
    backOff.succeeded()
    const { inboxPrefix } = options
    const silence = new Silence(clock, silenceMs)
    const rights = new Rights({ nats, clock, log, retryMs: refusedRetryMs })
    const deps = { clock, log, backOff, servers, reconnects, inboxPrefix, silence, rights }
    const connection = new Connection(nats, deps)
    log.info(connection.where(), 'connected to NATS')
    return connection
  }

  #pause(delayMs: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        cancel()
        signal?.removeEventListener('abort', end)
        resolve()
      }
      const cancel = this.#deps.clock.after(delayMs, end)
      if (signal?.aborted === true) end()
      else signal?.addEventListener('abort', end)
    })
  }
}

interface ConnectionDeps {
  clock: Clock
  log: Log
  backOff: BackOff
  servers: string[]
  reconnects: boolean
  silence: Silence
  rights: Rights
  inboxPrefix: string | undefined
}

export class Connection {
  /** The library's own object. Publish only while `isConnected`: the library may drop what it holds. */
  readonly nats: NatsConnection
  readonly silence: Silence
  readonly rights: Rights
  readonly #deps: ConnectionDeps
  readonly #requests: Requests
  readonly #listeners = new Set<ConnectionListener>()
  /** Codes of errors that the server told on this connection, so that each is said once. */
  readonly #complaints = new Set<string>()
  #isConnected = true
  #isClosing = false
  #lostAtMs = 0
  /** The server that was left, and how often the library may still lead back to it. */
  #left: { serverId: string | undefined; returnsMax: number } | undefined
  #number = 1

  constructor(nats: NatsConnection, deps: ConnectionDeps) {
    this.nats = nats
    this.silence = deps.silence
    this.rights = deps.rights
    this.#deps = deps
    this.#requests = new Requests(nats, deps.clock, deps.inboxPrefix)
    void this.#followStatus()
    void nats.closed().then((error) => this.#ended(error instanceof Error ? error : undefined))
  }

  /** False from the moment on at which the loss was noticed. */
  get isConnected(): boolean {
    return this.#isConnected && !this.nats.isClosed()
  }

  /** Another one after each loss. */
  get number(): number {
    return this.#number
  }

  get isClosed(): boolean {
    return this.nats.isClosed()
  }

  /** Whether it has ended because its server was left. */
  get hasLeft(): boolean {
    return this.#left !== undefined
  }

  /** Bytes of a message and its headers that the server takes. */
  get payloadBytesMax(): number {
    return this.nats.info?.max_payload ?? 1024 * 1024
  }

  listen(listener: ConnectionListener): { stop(): void } {
    this.#listeners.add(listener)
    return { stop: () => void this.#listeners.delete(listener) }
  }

  /**
   * Asks, and takes the first reply. What it throws leaves open whether anybody acted; a lost connection
   * is told at once.
   */
  request(subject: string, payload: Payload, options: RequestOptions): Promise<Msg> {
    if (!this.isConnected) return Promise.reject(new Error('not connected to NATS'))
    return this.#requests.ask(subject, payload, options)
  }

  /** A new subject on which answers may come to us. */
  inbox(): string {
    return createInbox(this.#deps.inboxPrefix)
  }

  /** For another one, where there is one: it takes us, and cannot do what is needed. */
  leaveServer(): void {
    if (!this.isConnected || this.#isClosing) return
    const { log, reconnects } = this.#deps
    log.warn(
      this.where(),
      'JetStream does not answer through this NATS server: another one is tried',
    )
    this.#left = { serverId: this.nats.info?.server_id, returnsMax: RETURNS_MAX }
    this.#lost()
    void (reconnects ? this.nats.reconnect() : this.nats.close())
  }

  /** Sends what was published, and closes. */
  async close(): Promise<void> {
    this.#isClosing = true
    if (this.#isConnected && !this.nats.isClosed()) await this.#drained()
    await this.nats.close()
  }

  /** For lines of the log. */
  where(): object {
    const { info } = this.nats
    return { server: this.nats.getServer(), serverName: info?.server_name, version: info?.version }
  }

  /** A server that no longer answers must not keep us. */
  #drained(): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#deps.clock.after(DRAIN_MS, resolve)
      const end = () => {
        cancel()
        resolve()
      }
      this.nats.drain().then(end, end)
    })
  }

  async #followStatus(): Promise<void> {
    for await (const status of this.nats.status()) this.#statusChanged(status)
  }

  #statusChanged({ type, data, permissionContext }: Status): void {
    const { log, backOff } = this.#deps
    switch (type) {
      case Events.Disconnect:
        return this.#lost()
      case Events.Reconnect:
        return this.#back()
      case DebugEvents.Reconnecting:
        return backOff.failed()
      case DebugEvents.StaleConnection:
        return log.warn(this.where(), 'the NATS server does not answer')
      case Events.LDM:
        return log.warn(this.where(), 'the NATS server is about to stop')
      case Events.Update:
        return log.debug({ servers: data }, 'the servers of the NATS cluster have changed')
      case Events.Error:
        return this.#complained(String(data), permissionContext)
    }
  }

  #lost(): void {
    if (!this.#isConnected) return
    this.#isConnected = false
    this.#lostAtMs = this.#deps.clock.monotonic()
    if (!this.#isClosing) {
      this.#deps.log.warn({ servers: this.#deps.servers }, 'the connection to NATS is lost')
    }
    this.#requests.end('the connection to NATS was lost')
    this.#tell((listener) => listener.lost?.())
  }

  #back(): void {
    const { clock, log, backOff } = this.#deps
    backOff.succeeded()
    if (this.#isConnected || this.#hasReturned()) return
    this.#isConnected = true
    this.#left = undefined
    this.silence.restart()
    this.#number += 1
    this.#complaints.clear()
    this.rights.reconnected()
    const afterMs = Math.round(clock.monotonic() - this.#lostAtMs)
    log.info({ ...this.where(), afterMs }, 'connected to NATS again')
    this.#tell((listener) => listener.back?.())
  }

  /** The library tries the servers in turn, and begins with the one that it had. */
  #hasReturned(): boolean {
    const left = this.#left
    const hasReturned = left !== undefined && left.serverId === this.nats.info?.server_id
    if (!hasReturned || left.returnsMax === 0) return false
    left.returnsMax -= 1
    void this.nats.reconnect()
    return true
  }

  #complained(error: string, denied: Status['permissionContext']): void {
    if (denied === undefined) {
      if (!this.#complaints.has(error)) this.#deps.log.warn({ error }, 'NATS reports an error')
      this.#complaints.add(error)
      return
    }
    const { operation, subject } = denied
    if (operation === 'publish') this.#requests.denied(subject, error)
    this.rights.refuse({ operation, subject })
    this.#tell((listener) => listener.denied?.(operation, subject))
  }

  #ended(error: Error | undefined): void {
    if (!this.#isClosing && error !== undefined) {
      this.#deps.log.warn({ why: error.message }, 'the connection to NATS has ended')
    }
    this.#lost()
    this.rights.close()
    this.#tell((listener) => listener.closed?.())
    this.#listeners.clear()
  }

  #tell(call: (listener: ConnectionListener) => void): void {
    for (const listener of [...this.#listeners]) call(listener)
  }
}

const REFUSALS: Readonly<Record<string, string>> = {
  [ErrorCode.AuthorizationViolation]: 'it does not know our user, or not with this secret',
  [ErrorCode.BadAuthentication]: 'it does not know our user, or not with this secret',
  [ErrorCode.AuthenticationExpired]: 'our credentials have expired',
  [ErrorCode.AccountExpired]: 'our account has expired',
  [ErrorCode.ServerOptionNotAvailable]:
    'one of us wants TLS and the other has none: use tls:// with a caFile, or nats:// without',
}

/** A server that answered, and with which no later try would be different. */
function refusalOf(thrown: unknown, servers: readonly string[]): TroupeError | undefined {
  type Coded = { code?: unknown; chainedError?: { code?: unknown } } | undefined
  const { code, chainedError } = (thrown as Coded) ?? {}
  const name = String(chainedError?.code ?? code ?? '')
  const isCertificate = /CERT|TLS|SSL|SELF_SIGNED|ISSUER|LEAF/.test(name)
  const why = REFUSALS[name] ?? (isCertificate ? messageOfThrown(thrown) : undefined)
  if (why === undefined) return undefined
  return new TroupeError('invalid-config', `nats: ${servers.join(', ')}: ${why}`)
}

function unreachable(servers: readonly string[], thrown: unknown): TroupeError {
  const why = messageOfThrown(thrown)
  return new TroupeError('unavailable', `nats: ${servers.join(', ')} cannot be reached: ${why}`)
}
