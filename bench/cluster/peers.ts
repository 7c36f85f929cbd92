/**
 * Processes that stay for as long as they are measured: nodes, responders. Decides: how the process that
 * drives them asks them, and that none outlives it. Leaves to others: what they do (members.ts, echo.ts).
 */
import { type ChildProcess, fork } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** What a process of a cluster can be asked, by name. */
export type Answers = Readonly<Record<string, (argument: unknown) => unknown>>

interface Ask {
  number: number
  what: string
  argument: unknown
}

interface Answer {
  number: number
  value?: unknown
  error?: string
}

const STOP = 'stop'
/** A node that hands over its shards takes its time. */
const STOP_MS = 30_000

export class Peer {
  readonly #child: ChildProcess
  readonly #open = new Map<
    number,
    { resolve: (value: never) => void; reject: (e: Error) => void }
  >()
  #count = 0

  /** Use `Peer.start`. */
  private constructor(child: ChildProcess) {
    this.#child = child
    child.on('message', (message) => {
      const { number, value, error } = message as Answer
      const asked = this.#open.get(number)
      this.#open.delete(number)
      if (error === undefined) asked?.resolve(value as never)
      else asked?.reject(new Error(error))
    })
    child.on('exit', (code, signal) => {
      const why = new Error(`a process has ended (${signal ?? `exit code ${code}`})`)
      for (const { reject } of this.#open.values()) reject(why)
      this.#open.clear()
    })
  }

  /** Runs a part of `child.ts` in a process of its own; resolves when that says that it serves. */
  static async start(part: string, parameters: object): Promise<Peer> {
    const [, entry] = process.argv
    if (entry === undefined) throw new Error('parts run in processes that were forked')
    const child = fork(entry, [part, JSON.stringify(parameters)], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      serialization: 'advanced',
    })
    const end = () => child.kill('SIGKILL')
    process.once('exit', end)
    child.once('exit', () => process.off('exit', end))
    const peer = new Peer(child)
    await new Promise<void>((resolve, reject) => {
      child.once('message', (message) => {
        const { error } = message as Answer
        if (error === undefined) resolve()
        else reject(new Error(`${part}: ${error}`))
      })
      child.once('exit', () => reject(new Error(`${part} ended as it started`)))
    })
    return peer
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  ask<T>(what: string, argument?: unknown): Promise<T> {
    const ask: Ask = { number: ++this.#count, what, argument }
    return new Promise((resolve, reject) => {
      this.#open.set(ask.number, { resolve, reject })
      this.#child.send(ask, (error) => {
        if (error) reject(error)
      })
    })
  }

  /** As an operator stops it. */
  async stop(): Promise<void> {
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_MS)
    await this.#ended(() => this.#child.send({ what: STOP }))
    clearTimeout(timer)
  }

  /** As `kill -9`. */
  kill(): Promise<void> {
    return this.#ended(() => this.#child.kill('SIGKILL'))
  }

  #ended(end: () => void): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return Promise.resolve()
    return new Promise((resolve) => {
      this.#child.once('exit', () => resolve())
      end()
    })
  }
}

/** In the process that is asked: it serves from now on; resolves when it is told to stop. */
export function answerAsks(answers: Answers): Promise<void> {
  return new Promise((resolve) => {
    process.on('message', (message) => {
      const { number, what, argument } = message as Ask
      if (what === STOP) return resolve()
      void Promise.resolve()
        .then(() => answers[what]!(argument))
        .then(
          (value) => process.send?.({ number, value }),
          (thrown: unknown) => process.send?.({ number, error: String(thrown) }),
        )
    })
    process.on('disconnect', () => process.exit(1))
    process.send?.({})
  })
}

/** CPU of a process so far, all threads, in steps of 10 ms; as the kernel counts it. */
export function cpuUsOf(pid: number): number {
  const line = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = line.slice(line.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 1e4
}
