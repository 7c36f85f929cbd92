/**
 * One node of a cluster as a process, with a link of its own to each nats-server.
 *
 * Decides: how it is started, ended, frozen and cut off, and what it says of itself. Its directory, log and
 * events outlive its processes. Leaves to others: when (harness.ts), what it hosts (machines.ts).
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ClusterReport } from '../../../src/node/index.ts'
import { TIED } from '../../nats-server.ts'
import { scriptArguments } from '../../script.ts'
import type { Happening } from '../../simulation/events.ts'
import { until } from '../../waiting.ts'
import type { Direction, Link } from './link.ts'
import type { ClusterSettings, NodeSettings } from './node-settings.ts'
import { EventFile, type Recorded, readEvents } from './recorded.ts'

const START_MS = 60_000
const END_MS = 60_000
const ANSWER_MS = 5_000
const SCRIPT = join(import.meta.dirname, 'node-process.ts')
/** What is not told in a diagnosis. */
const LOG_LINES_SHOWN = 6

export type NodeState = 'down' | 'up' | 'frozen'

export interface NodeOptions {
  name: string
  /** Everything of this node lies in it. */
  directory: string
  links: readonly Link[]
  settings: ClusterSettings
}

export class ClusterNodeProcess {
  readonly name: string
  readonly links: readonly Link[]
  readonly #settings: NodeSettings
  #child: ChildProcess | undefined
  #exited: Promise<number | null> = Promise.resolve(null)
  #isFrozen = false
  #errors = ''
  /** Of its gateway. */
  url = ''

  constructor({ name, directory, links, settings }: NodeOptions) {
    this.name = name
    this.links = links
    mkdirSync(directory, { recursive: true })
    this.#settings = {
      ...settings,
      name,
      dataDirectory: join(directory, 'data'),
      servers: links.map(({ url }) => url),
      logFile: join(directory, 'log'),
      eventFile: join(directory, 'events'),
    }
  }

  get state(): NodeState {
    if (this.#child === undefined) return 'down'
    return this.#isFrozen ? 'frozen' : 'up'
  }

  get dataDirectory(): string {
    return this.#settings.dataDirectory
  }

  /** What has happened in it, of all its lives. */
  get events(): Recorded[] {
    return readEvents(this.#settings.eventFile)
  }

  /** What it has logged, of all its lives. */
  get log(): string {
    const { logFile } = this.#settings
    return existsSync(logFile) ? readFileSync(logFile, 'utf8') : ''
  }

  /** Resolves when it takes part, or goes on without its shards after a minute. */
  async start(): Promise<void> {
    if (this.#child) throw new Error(`${this.name} runs`)
    const [command, ...args] = [
      ...[...TIED, process.execPath],
      ...[...scriptArguments(SCRIPT), JSON.stringify(this.#settings)],
    ]
    const child = spawn(command!, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#errors = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#errors += text
    })
    this.#child = child
    ALL.add(child)
    this.#exited = new Promise((resolve) => {
      child.once('exit', (code) => {
        ALL.delete(child)
        if (this.#child === child) this.#child = undefined
        resolve(code)
      })
    })
    let printed = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      printed += text
    })
    await until(
      () => printed.endsWith('\n') || this.#child !== child,
      { timeoutMs: START_MS, every: 20 },
      () => `the start of ${this.name}:\n${this.account()}`,
    )
    if (this.#child !== child) throw new Error(`${this.name} ended:\n${this.account()}`)
    this.url = printed.trim()
  }

  /** As an administrator stops it: it hands over first. Resolves with its exit code. */
  stop(): Promise<number | null> {
    return this.end('SIGTERM')
  }

  /** As `kill -9`. */
  kill(): Promise<number | null> {
    return this.end('SIGKILL')
  }

  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null> {
    const child = this.#child
    if (!child) return null
    if (signal === 'SIGTERM') this.thaw()
    child.kill(signal)
    await this.ended()
    this.#happened({ kind: 'node-down', node: this.name, why: signal })
    return this.#exited
  }

  /** Until it is gone, for whatever reason. */
  async ended(): Promise<void> {
    const child = this.#child
    await until(
      () => child === undefined || this.#child !== child,
      { timeoutMs: END_MS },
      () => `the end of ${this.name}:\n${this.account()}`,
    )
    this.#isFrozen = false
  }

  /** It stands still; its sockets stay open, and what is sent to it waits there. */
  async freeze(): Promise<void> {
    const child = this.#child
    if (!child) throw new Error(`${this.name} does not run`)
    child.kill('SIGSTOP')
    this.#isFrozen = true
    await until(() => isStopped(child.pid!), { timeoutMs: ANSWER_MS, every: 2 }, 'a frozen process')
    this.#happened({ kind: 'frozen', node: this.name })
  }

  thaw(): void {
    if (!this.#isFrozen) return
    this.#isFrozen = false
    this.#happened({ kind: 'thawed', node: this.name })
    this.#child?.kill('SIGCONT')
  }

  /** From all servers; each direction by itself: see `Link`. */
  cut(direction: Direction | 'both', how: 'hold' | 'swallow' = 'hold'): void {
    for (const link of this.links) link.cut(direction, how)
  }

  heal(): void {
    for (const link of this.links) link.heal()
  }

  /** What it says of the cluster. */
  report(): Promise<ClusterReport> {
    return this.call('GET', '/cluster')
  }

  /** @throws Error for any status but success */
  async call<T>(method: 'GET' | 'POST' | 'DELETE', path: string, body?: unknown): Promise<T> {
    const response = await fetch(`${this.url}/troupe/v1${path}`, {
      method,
      headers: { 'content-type': 'application/json' },
      signal: AbortSignal.timeout(ANSWER_MS),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const answer = (await response.json()) as T
    if (!response.ok) throw new Error(`${response.status}: ${JSON.stringify(answer)}`)
    return answer
  }

  /** What befell it stands among what it has written down itself. */
  #happened(event: Happening): void {
    const file = new EventFile(this.#settings.eventFile)
    file.add(event)
    file.close()
  }

  /** Its last words, for people. */
  account(): string {
    const lines = this.log.trimEnd().split('\n').slice(-LOG_LINES_SHOWN)
    const errors = this.#errors === '' ? [] : [this.#errors.trimEnd()]
    return [`${this.name} is ${this.state}`, ...lines, ...errors].join('\n    ')
  }
}

/** A signal takes effect a moment after it was sent. */
function isStopped(pid: number): boolean {
  const { stdout } = spawnSync('ps', ['-o', 'state=', '-p', String(pid)], { encoding: 'utf8' })
  return stdout.startsWith('T')
}

/** Nothing outlives its test, however that ended. */
const ALL = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of ALL) child.kill('SIGKILL')
})
