/**
 * A simulated caller: commands straight on the transport, the same bytes again until it is told.
 *
 * Decides: when to try again (no answer, or a failure that says so) and when to give up. Leaves to
 * others: which commands (workload.ts).
 */
import type { VirtualClock } from '../../src/adapters/memory/index.ts'
import {
  type Command,
  formatCommandId,
  type Outcome,
  pack,
  type Subjects,
  shardOf,
  unpack,
} from '../../src/protocol/index.ts'
import type { Happening, Recorder } from './events.ts'
import { ProcessClock } from './process-clock.ts'
import type { SimRandom } from './random.ts'
import { type SimNetwork, SimTransport } from './sim-transport.ts'

const RETRY_MS = 60
const RETRY_MAX_MS = 800

export interface CallerOptions {
  base: VirtualClock
  network: SimNetwork
  recorder: Recorder
  subjects: Subjects
  random: SimRandom
  shards: number
  skewMs: number
  timeoutMs: number
}

export type Told = (outcome: Outcome | undefined) => void

/** Whoever works on actors: simulated here, or a program beside real processes. */
export type WorkCaller = Pick<Caller, 'name' | 'newId' | 'call'> & {
  readonly process: Pick<Caller['process'], 'after'>
}

export class Caller {
  readonly name: string
  readonly process: ProcessClock
  readonly transport: SimTransport
  readonly #options: CallerOptions
  #ids = 0
  /** Commands without their answer. */
  readonly open = new Set<string>()

  constructor(name: string, options: CallerOptions) {
    this.name = name
    this.#options = options
    this.process = new ProcessClock(options.base, { skewMs: options.skewMs, rate: 1 })
    this.transport = new SimTransport(options.network, name, this.process)
  }

  newId(): string {
    this.#ids += 1
    return formatCommandId(this.process.now(), `${this.name}.${this.#ids}`)
  }

  /** @param patienceMs how long it tries; what is left then stays unknown */
  call(command: Command, patienceMs: number, told: Told = () => {}, isBad = false): void {
    const { id = this.newId(), address, op } = command
    const party = this.name
    if (isBad) this.#record({ kind: 'sent', party, id, address, op, bad: true })
    else this.#record({ kind: 'sent', party, id, address, op })
    this.open.add(id)
    const until = this.process.monotonic() + patienceMs
    this.#try({ ...command, id } as Command & { id: string }, until, 0, told)
  }

  /** Everything in one request, and whatever comes back for each. */
  callAll(commands: readonly (Command & { id: string })[], patienceMs: number): void {
    for (const command of commands) this.call(command, patienceMs)
  }

  /** Beats come too often to be told of one by one. */
  #record(happening: Happening & { op: string }): void {
    if (happening.op !== 'task.beat') this.#options.recorder.add(happening)
  }

  #try(command: Command & { id: string }, until: number, tries: number, told: Told): void {
    const { subjects, shards, timeoutMs } = this.#options
    const subject = subjects.shard(shardOf(command.address, shards))
    const payload = pack([{ ...command, timeoutMs }])
    this.transport.request({ subject, payload, timeoutMs }, (outcome) => {
      const answer = outcome.kind === 'reply' ? outcomesOf(outcome.payload)[0] : undefined
      const error = answer && 'error' in answer ? answer.error : undefined
      // What was too late for this try has its time again with the next one.
      const isFinal = error === undefined || !(error.retry || error.code === 'deadline')
      if (answer && isFinal) return this.#answered(command, answer, told)
      if (this.process.monotonic() > until) {
        this.open.delete(command.id)
        const { id, address } = command
        const gaveUp = { kind: 'gave-up' as const, party: this.name, id, address, tries: tries + 1 }
        this.#options.recorder.add(gaveUp)
        return told(undefined)
      }
      const waitMs = Math.min(RETRY_MAX_MS, RETRY_MS * 2 ** Math.min(tries, 6))
      const wait = waitMs * (0.5 + this.#options.random.fraction())
      this.process.after(wait, () => this.#try(command, until, tries + 1, told))
    })
  }

  #answered(command: Command & { id: string }, answer: Outcome, told: Told): void {
    this.open.delete(command.id)
    const { id, address, op } = command
    const code = 'ok' in answer ? 'ok' : answer.error.code
    const text = JSON.stringify('ok' in answer ? answer.ok : answer.error)
    const turn = 'ok' in answer ? (answer.ok as { turn?: number } | null)?.turn : undefined
    const event = { kind: 'answered' as const, party: this.name, id, address, op, code, text }
    this.#record(turn === undefined ? event : { ...event, turn })
    told(answer)
  }
}

/** Replies that were unpacked: who watches the network and who asked look at the same bytes. */
const UNPACKED = new WeakMap<Uint8Array, readonly Outcome[]>()

export function outcomesOf(payload: Uint8Array): readonly Outcome[] {
  const known = UNPACKED.get(payload)
  if (known) return known
  const outcomes = unpack(payload) as Outcome[]
  UNPACKED.set(payload, outcomes)
  return outcomes
}
