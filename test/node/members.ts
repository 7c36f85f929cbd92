/** Nodes of a cluster in processes of their own, spoken to over HTTP. */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { until } from '../waiting.ts'

export interface MemberOptions {
  name: string
  dataDirectory: string
  servers: readonly string[]
  /** What it logs is added there. */
  logFile: string
}

export interface ClusterShown {
  leader: { name: string } | null
  nodes: { name: string }[]
  shards: { owner: string | null; servedBy: string[]; standbyLag: number | null; slot: number }[]
}

export class MemberProcess {
  readonly name: string
  readonly #options: MemberOptions
  #child: ChildProcess | undefined
  #exited: Promise<number | null> = Promise.resolve(null)
  url = ''

  constructor(name: string, directory: string, servers: readonly string[]) {
    this.name = name
    const logFile = join(directory, `${name}.log`)
    this.#options = { name, dataDirectory: join(directory, name), servers, logFile }
  }

  get isUp(): boolean {
    return this.#child !== undefined
  }

  /** What it has logged, of all its lives. */
  get log(): string {
    const { logFile } = this.#options
    return existsSync(logFile) ? readFileSync(logFile, 'utf8') : ''
  }

  async start(): Promise<void> {
    const script = join(import.meta.dirname, 'member-process.ts')
    const argv = ['--import', 'tsx', script, JSON.stringify(this.#options)]
    const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] })
    this.#exited = new Promise((resolve) => child.once('exit', resolve))
    this.url = await new Promise<string>((resolve, reject) => {
      child.stdout.once('data', (chunk: Buffer) => resolve(chunk.toString().trim()))
      child.once('exit', (code) => reject(new Error(`${this.name} ended: ${code}\n${this.log}`)))
    })
    this.#child = child
  }

  /** Resolves with its exit code. */
  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null> {
    const child = this.#child
    this.#child = undefined
    child?.kill(signal)
    return this.#exited
  }

  async call<T>(method: 'GET' | 'POST', path: string, body?: unknown): Promise<T> {
    const response = await fetch(`${this.url}/troupe/v1${path}`, {
      method,
      headers: { 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const answer = (await response.json()) as T
    if (!response.ok) throw new Error(`${response.status}: ${JSON.stringify(answer)}`)
    return answer
  }
}

/** All these know each other, and everything is served by who is named for it. */
export async function settled(members: readonly MemberProcess[]): Promise<ClusterShown> {
  const names = members.map(({ name }) => name).sort()
  let last: ClusterShown | undefined
  await until(
    async () => {
      const all = await Promise.all(members.map((one) => one.call<ClusterShown>('GET', '/cluster')))
      last = all[0]
      return all.every(
        ({ nodes, shards }) =>
          nodes.map(({ name }) => name).join() === names.join() &&
          shards.every(({ owner, servedBy }) => servedBy.join() === owner),
      )
    },
    { timeoutMs: 25_000, every: 100 },
    () => `${names.join()} settle: ${JSON.stringify(last)}`,
  )
  return last!
}
