/**
 * A caller of the simulator's workload that is a real program. Decides: what is written down of what it
 * asks and is told, in the words of the simulator.
 */

import { SystemClock } from '../../../src/adapters/system/index.ts'
import { type Command, type Operation, toErrorRecord } from '../../../src/protocol/index.ts'
import type { Told, WorkCaller } from '../../simulation/client.ts'
import type { Happening } from '../../simulation/events.ts'
import type { Program } from './programs.ts'

/** Of those who ask once and believe what they are told. */
const PATIENCE_MIN_MS = 1_500
/** More than the simulator gives: real failovers take longer than simulated ones. */
const PATIENCE_FACTOR = 3

export class RecordedCaller implements WorkCaller {
  readonly process = new SystemClock()
  /** Commands without their answer. */
  readonly open = new Set<string>()
  readonly #program: Program
  readonly #record: (happening: Happening) => void

  constructor(program: Program, record: (happening: Happening) => void) {
    this.#program = program
    this.#record = record
  }

  get name(): string {
    return this.#program.name
  }

  newId(): string {
    return this.#program.newId()
  }

  call(command: Command, patienceMs: number, told: Told = () => {}, isBad = false): void {
    const { id = this.newId(), address, author: _, ...operation } = command
    const { op } = command
    const sent = { kind: 'sent' as const, party: this.name, id, address, op }
    this.#record(isBad ? { ...sent, bad: true } : sent)
    this.open.add(id)
    const request = { address, id, operation: operation as Operation }
    const patience = Math.max(PATIENCE_MIN_MS, patienceMs * PATIENCE_FACTOR)
    this.#program.ask({ ...request, patienceMs: patience }).then(
      (ok) => {
        this.open.delete(id)
        const { turn } = (ok ?? {}) as { turn?: number }
        const answer = { kind: 'answered' as const, party: this.name, id, address, op }
        const event = { ...answer, code: 'ok', text: textOf(ok) }
        this.#record(turn === undefined ? event : { ...event, turn })
        told({ ok, durability: 'flushed+journaled' })
      },
      (thrown: unknown) => {
        this.open.delete(id)
        const error = toErrorRecord(thrown)
        const who = { party: this.name, id, address }
        // How often it was sent, the client library alone knows.
        if (error.retry || UNKNOWN.has(error.code))
          this.#record({ kind: 'gave-up', ...who, tries: 2 })
        else this.#record({ kind: 'answered', ...who, op, code: error.code, text: textOf(error) })
        told(error.retry ? undefined : { error })
      },
    )
  }
}

const UNKNOWN: ReadonlySet<string> = new Set(['no-answer', 'deadline'])

/** Of JSON and of msgpack alike. */
function textOf(answer: unknown): string {
  return (
    JSON.stringify(answer, (_, value: unknown) =>
      typeof value === 'object' && value !== null && !Array.isArray(value)
        ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
        : value,
    ) ?? 'null'
  )
}
