/**
 * What threads may be granted while some children are out of order. Decides: that a child which cannot be
 * counted on is taken out of the choices of the worker's pool, and put back when it can; that the pool is told
 * one thing at a time, the last of it for certain. Leaves to others: how children are (`processors`), whom the
 * change concerns (the pool).
 */
import type { Client, Clock, Log } from '../../../src/index.ts'
import type { GateNames } from '../processors/index.ts'
import { poolOf } from './worker-pool.ts'

type Choices = GateNames['choices']

/** For a pool that cannot be told now. */
const RETRY_MS = 2_000

export interface LaneChoicesDeps {
  worker: string
  /** With all children. */
  choices: Choices
  clock: Clock
  log: Log
}

export class LaneChoices {
  readonly #deps: LaneChoicesDeps
  #wanted: Choices
  /** What the pool was told last; nothing of it is known while there is no way to it. */
  #told: Choices | undefined
  #client: Client | undefined
  #isTelling = false
  #cancelRetry = () => {}

  constructor(deps: LaneChoicesDeps) {
    this.#deps = deps
    this.#wanted = deps.choices
  }

  /** What the pool has to be brought to. */
  get now(): Choices {
    return this.#wanted
  }

  /** The pool has these; from now on it is told what changes. */
  begin(client: Client, told: Choices): void {
    this.#client = client
    this.#told = told
    this.#tell()
  }

  /** The way to the pool is closed. */
  end(): void {
    this.#client = undefined
    this.#cancelRetry()
  }

  /** Children that cannot be counted on now. */
  without(lanes: readonly string[]): void {
    this.#wanted = choicesWithout(this.#deps.choices, new Set(lanes))
    this.#tell()
  }

  #tell(): void {
    if (this.#isTelling) return
    this.#isTelling = true
    void this.#tellAll()
  }

  /** Until the pool has what is wanted by then. */
  async #tellAll(): Promise<void> {
    const { worker, log } = this.#deps
    while (this.#client !== undefined && !isSame(this.#wanted, this.#told)) {
      const choices = this.#wanted
      try {
        await this.#client.send(poolOf(worker), { type: 'RESIZE', choices })
        this.#told = choices
      } catch (error) {
        // It may have come there or not.
        this.#told = undefined
        if (this.#client === undefined) break
        log.warn({ error }, 'the pool was not told yet which children are in order')
        await this.#retryTime()
      }
    }
    this.#isTelling = false
  }

  #retryTime(): Promise<void> {
    const { clock } = this.#deps
    return new Promise((resolve) => {
      const cancel = clock.after(RETRY_MS, resolve)
      this.#cancelRetry = () => {
        cancel()
        resolve()
      }
    })
  }
}

/** Of a stage that has none in order, all: its steps themselves wait for one, and say so. */
export function choicesWithout(choices: Choices, lanes: ReadonlySet<string>): Choices {
  const entries = Object.entries(choices).map(([stage, options]): [string, string[][]] => {
    const left = options.filter((names) => !names.some((name) => lanes.has(name)))
    return [stage, left.length === 0 ? options : left]
  })
  return Object.fromEntries(entries)
}

/** Both are made from the same, in its order. */
function isSame(one: Choices, other: Choices | undefined): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}
