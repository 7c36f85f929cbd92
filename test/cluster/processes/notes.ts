/**
 * Clients that write notes all the time, each to an actor of its own, and what must be true of them: every
 * note that was acknowledged is there, in the order in which its client was told so, and none is there twice.
 *
 * Decides: that a client goes on with the next note when it has given one up: then that one may be there or
 * not.
 */
import { acknowledgedIsThere, nothingTwice } from '../../crash/checkers/acknowledged-is-there.ts'
import { until } from '../../waiting.ts'
import type { Program, ProgramConnection } from './programs.ts'

export interface NotesOptions {
  /** Clients of each kind: by the client library, and by JSON over bare NATS. */
  library?: number
  json?: number
  /** Addresses begin with it: two loads never share one. Default `note`. */
  prefix?: string
  /** How long a client tries with one note. Default 20 s. */
  patienceMs?: number
}

const PATIENCE_MS = 20_000
const MORE_MS = 40_000

interface Writer {
  program: Program
  address: string
  acknowledged: string[]
  /** The longest time between two notes that were acknowledged. */
  pauseMs: number
}

export class Notes {
  /** What clients were told but success, and when they gave up. */
  readonly failures: string[] = []
  /** The longest time that a client has waited for an answer. */
  slowestMs = 0
  readonly #connection: ProgramConnection
  readonly #writers: Writer[]
  readonly #patienceMs: number
  #running: Promise<unknown> = Promise.resolve()
  #isOver = false

  private constructor(connection: ProgramConnection, writers: Writer[], patienceMs: number) {
    this.#connection = connection
    this.#writers = writers
    this.#patienceMs = patienceMs
  }

  static async begin(connection: ProgramConnection, options: NotesOptions): Promise<Notes> {
    const { library = 0, json = 0, prefix = 'note', patienceMs = PATIENCE_MS } = options
    const programs = [
      ...Array.from({ length: library }, (_, at) => connection.library(`l${at}`)),
      ...Array.from({ length: json }, (_, at) => connection.json(`j${at}`)),
    ]
    const writers = programs.map((program) => ({
      program,
      address: `note/${prefix}-${program.name}`,
      acknowledged: [],
      pauseMs: 0,
    }))
    const notes = new Notes(connection, writers, patienceMs)
    await Promise.all(writers.map(({ program, address }) => startActor(program, address)))
    notes.#running = Promise.all(writers.map((writer) => notes.#write(writer)))
    return notes
  }

  get addresses(): string[] {
    return this.#writers.map(({ address }) => address)
  }

  /** Of all clients. */
  get acknowledged(): number {
    return this.#writers.reduce((sum, { acknowledged }) => sum + acknowledged.length, 0)
  }

  /** The longest time between two notes that were acknowledged, for each actor. */
  get pauses(): { address: string; pauseMs: number }[] {
    return this.#writers.map(({ address, pauseMs }) => ({ address, pauseMs }))
  }

  /** So many more were acknowledged. */
  async more(count: number, timeoutMs = MORE_MS): Promise<void> {
    const least = this.acknowledged + count
    await until(
      () => this.acknowledged >= least,
      { timeoutMs },
      () => `${this.acknowledged} of ${least} notes; ${this.failures.slice(-3).join('; ')}`,
    )
  }

  /** Every client has so many more. */
  async everybody(count: number, timeoutMs = MORE_MS): Promise<void> {
    const least = this.#writers.map(({ acknowledged }) => acknowledged.length + count)
    await until(
      () => this.#writers.every(({ acknowledged }, at) => acknowledged.length >= least[at]!),
      { timeoutMs },
      () => this.#writers.map((one) => `${one.address} ${one.acknowledged.length}`).join(', '),
    )
  }

  async end(): Promise<void> {
    this.#isOver = true
    await this.#running
  }

  /** Ends the clients, and reads back what is there. Empty when all is as it has to be. */
  async findings(): Promise<string[]> {
    await this.end()
    const found = await Promise.all(
      this.#writers.map(async ({ address, acknowledged }) => {
        const view = await this.#connection.client.get(address, { timeoutMs: this.#patienceMs })
        const { seen } = view.context as { seen: string[] }
        return judged(acknowledged, seen).map((what) => `${address}: ${what}`)
      }),
    )
    return found.flat()
  }

  async #write(writer: Writer): Promise<void> {
    const { program, address, acknowledged } = writer
    let lastAt = performance.now()
    for (let n = 0; !this.#isOver; n++) {
      const text = String(n)
      const event = { type: 'NOTE', text }
      const beganAt = performance.now()
      try {
        const patienceMs = this.#patienceMs
        const request = { address, id: program.newId(), patienceMs }
        await program.ask({ ...request, operation: { op: 'send', event } })
        acknowledged.push(text)
        writer.pauseMs = Math.max(writer.pauseMs, performance.now() - lastAt)
        lastAt = performance.now()
      } catch (thrown) {
        this.failures.push(`${program.name} ${text}: ${String(thrown)}`)
      }
      this.slowestMs = Math.max(this.slowestMs, performance.now() - beganAt)
    }
  }
}

async function startActor(program: Program, address: string): Promise<void> {
  const request = { address, id: program.newId(), patienceMs: PATIENCE_MS }
  await program.ask({ ...request, operation: { op: 'start' } })
}

/** @param seen what the actor keeps, in its order */
export function judged(acknowledged: readonly string[], seen: readonly string[]): string[] {
  const told = new Set(acknowledged)
  const inOrder = seen.filter((text) => told.has(text))
  const found = [...acknowledgedIsThere(acknowledged, seen), ...nothingTwice(seen)]
  const isMoved = found.length === 0 && inOrder.join() !== acknowledged.join()
  return isMoved ? [...found, 'what was acknowledged is there in another order'] : found
}
