/**
 * One run of a verb: the node it talks to and the way it answers. Decides: what `--http`, `--json`
 * and `--timeout` mean on every verb, and how failures are told. Leaves to others: the way over NATS.
 */
import { notADuration, parseDurationMs } from '../gateway/light.ts'
import type { VerbRequest } from '../node/index.ts'
import { type ErrorCode, TroupeError, toErrorRecord, toJson } from '../protocol/light.ts'
import { signalExitCode, Unreachable, UsageError } from './exit-codes.ts'
import { authorityOf, tokenOf } from './identity.ts'
import { natsPlaceOf, type WayFlags } from './nats-place.ts'
import type { NodeCaller } from './node-answers.ts'
import { NodeApi, URL_DEFAULT } from './node-api.ts'
import type { Terminal } from './terminal.ts'
import { oneLine, type Paint, painter } from './text.ts'

export interface SessionOptions extends WayFlags {
  json?: boolean
  timeout?: string
}

export class Session {
  readonly terminal: Terminal
  readonly json: boolean
  readonly paint: Paint
  /** Where tables are cut: on a terminal only. */
  readonly columns: number | undefined
  readonly api: NodeCaller
  readonly signal: AbortSignal
  #interruptCode: number | undefined
  readonly #forget: () => void

  /** @throws UsageError */
  static async open(options: SessionOptions, terminal: Terminal): Promise<Session> {
    const stop = new AbortController()
    const api = await callerOf(options, terminal, stop.signal)
    return new Session(options.json === true, terminal, stop, api)
  }

  private constructor(json: boolean, terminal: Terminal, stop: AbortController, api: NodeCaller) {
    this.terminal = terminal
    this.json = json
    this.paint = painter(terminal)
    this.columns = terminal.isTty ? terminal.columns : undefined
    this.signal = stop.signal
    this.api = api
    this.#forget = terminal.onSignal((signal) => {
      const code = signalExitCode(signal)
      if (this.signal.aborted) terminal.exit(code)
      this.#interruptCode = code
      stop.abort()
    })
  }

  /** Present once a signal has asked the verb to stop. */
  get interruptCode(): number | undefined {
    return this.#interruptCode
  }

  /** An answer of the node's own API. @throws TroupeError as the node answered @throws Unreachable */
  async ask<T>(request: VerbRequest): Promise<T> {
    const { status, body } = await this.api.call(request)
    if (status < 400 && typeof body === 'object') return body as T
    throw new Unreachable(
      `what answers at ${this.api.url} is no Troupe node (HTTP ${status}); name the node with --http or TROUPE_HTTP, or the cluster with --nats`,
    )
  }

  async close(): Promise<void> {
    this.#forget()
    await this.api.close()
  }

  print(line: string): void {
    this.terminal.write(`${line}\n`)
  }

  /** Under `--json` the value, otherwise what `lines` makes of it. */
  answer<T>(value: T, lines: (value: T) => readonly string[]): void {
    if (this.json) this.print(toJson(value, this.terminal.isTty ? 2 : undefined))
    else for (const line of lines(value)) this.print(line)
  }
}

/** @throws UsageError */
async function callerOf(
  options: SessionOptions,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<NodeCaller> {
  const timeoutMs = timeoutOf(options.timeout)
  const author = authorOf(terminal.env['TROUPE_AUTHOR'])
  const place = natsPlaceOf(options, terminal)
  if (place) {
    const { NatsApi } = await import('./nats-api.ts')
    return new NatsApi({ ...place, timeoutMs, author: author ?? place.nats.user, signal })
  }
  return new NodeApi({
    url: options.http ?? (terminal.env['TROUPE_HTTP'] || URL_DEFAULT),
    ...{ timeoutMs, author, signal },
    token: tokenOf(options.token, terminal),
    ca: authorityOf(options.ca, terminal),
  })
}

/** @throws UsageError for what could not stand in a header */
function authorOf(name: string | undefined): string | undefined {
  if (name === undefined || !/\p{C}/u.test(name)) return name
  throw new UsageError('TROUPE_AUTHOR: it holds control characters; it is a name in one line')
}

function timeoutOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const timeoutMs = parseDurationMs(text)
  if (timeoutMs !== undefined && timeoutMs >= 1) return timeoutMs
  const why = timeoutMs === undefined ? notADuration(text) : 'must be longer than 0'
  throw new UsageError(`--timeout: ${why}`)
}

/** What to do next, where it can be said in general. */
const NEXT_STEPS: Partial<Record<ErrorCode, string>> = {
  'unknown-actor': 'see who lives here: troupe actors list',
  'unknown-machine': 'see what is registered: troupe machines list',
  unauthorized:
    'give your token: --token, TROUPE_TOKEN, or TROUPE_TOKEN_FILE (a file that holds it)',
  'already-exists': 'look at it: troupe actors get ADDRESS',
  'invalid-event': 'see what it takes now: troupe actors events ADDRESS',
  parked: 'see why: troupe actors get ADDRESS; then: troupe actors resume ADDRESS --retry',
  busy: 'try again in a moment',
  unavailable: 'try again in a moment',
  'no-answer': 'it may or may not have been done: look with troupe actors get ADDRESS',
}

export function describeFailure(thrown: unknown, json: boolean, paint: Paint): string {
  if (json) return `${toJson({ error: toErrorRecord(thrown, codeOf(thrown)) })}\n`
  const given = thrown instanceof Error ? thrown.message : String(thrown)
  // It may quote what somebody else wrote.
  const message = given.split('\n').map(oneLine).join('\n')
  const lines = [`${paint('red', 'error:')} ${message}`]
  if (thrown instanceof TroupeError) {
    const next = NEXT_STEPS[thrown.code]?.replaceAll('ADDRESS', thrown.address ?? 'ADDRESS')
    lines.push(paint('dim', `  (${thrown.code})${next === undefined ? '' : ` ${next}`}`))
  }
  return `${lines.join('\n')}\n`
}

/** What is no error of Troupe gets the code that comes nearest. */
function codeOf(thrown: unknown): ErrorCode {
  if (thrown instanceof Unreachable) return 'unavailable'
  return thrown instanceof UsageError ? 'malformed' : 'internal'
}
