/**
 * A caller that asks shards for lists and counts, straight on the transport.
 *
 * Decides: which questions, page after page, and that one without an answer is asked again. What it was
 * told stands in the list of events as lines, so that a checker can hold it against the journal.
 */

import {
  type ActorRow,
  pack,
  type ShardCount,
  type ShardPage,
  type ShardQuery,
  unpack,
} from '../../src/protocol/index.ts'
import type { CallerOptions } from './client.ts'
import type { QuestionFact } from './events.ts'
import { MACHINE_NAMES } from './machines.ts'
import { ProcessClock } from './process-clock.ts'
import type { SimRandom } from './random.ts'
import { SimTransport } from './sim-transport.ts'

const TRIES_MAX = 5
const RETRY_MS = 100
const ALL = 1_000
const CONDITIONS = ['active', 'paused', 'parked', 'stopped'] as const

export class Asker {
  readonly name: string
  readonly process: ProcessClock
  readonly #options: CallerOptions
  readonly #random: SimRandom
  readonly #transport: SimTransport
  readonly #thinkMs: number
  #ids = 0
  #isOver = false

  constructor(name: string, options: CallerOptions, thinkMs: number) {
    this.name = name
    this.#options = options
    this.#random = options.random
    this.#thinkMs = thinkMs
    this.process = new ProcessClock(options.base, { skewMs: options.skewMs, rate: 1 })
    this.#transport = new SimTransport(options.network, name, this.process)
  }

  begin(): void {
    this.process.after(this.#random.exponential(this.#thinkMs), () => {
      if (this.#isOver) return
      this.#ask(this.#random.between(0, this.#options.shards - 1), this.#draw(), undefined, 0)
      this.begin()
    })
  }

  end(): void {
    this.#isOver = true
  }

  #draw(): QuestionFact {
    const random = this.#random
    const machine = random.chance(0.5) ? random.pick(MACHINE_NAMES) : null
    const condition = random.chance(0.4) ? random.pick(CONDITIONS) : null
    const filter = { machine, condition, children: random.chance(0.4) }
    const rest = { descending: random.chance(0.3), after: null }
    if (random.chance(0.4)) return { kind: 'count', ...filter, ...rest, limit: ALL, by: 'id' }
    if (random.chance(0.3)) return { kind: 'list', ...filter, ...rest, limit: ALL, by: 'since' }
    return { kind: 'list', ...filter, ...rest, limit: random.pick([2, ALL]), by: 'id' }
  }

  /** @param after where the last page ended */
  #ask(shard: number, question: QuestionFact, after: Uint8Array | undefined, tries: number): void {
    const { recorder, subjects, timeoutMs } = this.#options
    this.#ids += 1
    const id = `${this.name}.${this.#ids}`
    const party = this.name
    recorder.add({ kind: 'asked', party, id, shard, question })
    const payload = pack(queryOf(question, after))
    this.#transport.request({ subject: subjects.query(shard), payload, timeoutMs }, (outcome) => {
      const answer = outcome.kind === 'reply' ? unpack(outcome.payload) : undefined
      if (!isGood(answer)) {
        if (tries >= TRIES_MAX) return
        this.process.after(RETRY_MS, () => this.#ask(shard, question, after, tries + 1))
        return
      }
      recorder.add({ kind: 'told', party, id, shard, lines: linesOf(answer.ok) })
      if (!('next' in answer.ok)) return
      const text = Buffer.from(answer.ok.next as Uint8Array).toString('latin1')
      if (question.by === 'id') {
        this.#ask(shard, { ...question, after: text }, answer.ok.next as Uint8Array, 0)
      }
    })
  }
}

type Answer = ShardPage | ShardCount

function isGood(answer: unknown): answer is { ok: Answer } {
  return typeof answer === 'object' && answer !== null && 'ok' in answer
}

function queryOf(question: QuestionFact, after: Uint8Array | undefined): ShardQuery {
  const { kind, machine, condition, children, by, descending, limit } = question
  const filter = {
    ...(machine === null ? {} : { machine }),
    ...(condition === null ? {} : { condition }),
    ...(children ? { children } : {}),
  }
  if (kind === 'count') return { kind, filter }
  const page = { kind: 'actors' as const, filter, sort: { by, descending }, limit }
  return after === undefined ? page : { ...page, after }
}

function linesOf(answer: Answer): string[] {
  if ('rows' in answer) return answer.rows.map(({ row }) => lineOfRow(row))
  const counts = new Map<string, number>()
  for (const { machine, condition, count } of answer.counts) {
    const name = `${machine} ${condition}`
    counts.set(name, (counts.get(name) ?? 0) + count)
  }
  return [...counts].map(([name, count]) => `${name} ${count}`).sort()
}

type Shown = Pick<ActorRow, 'address' | 'turn' | 'status' | 'paused' | 'parked'>

/** What a row says of an actor, as far as the journal says it in the same words. */
export function lineOfRow({ address, turn, status, paused, parked }: Shown): string {
  return `${address} @${turn} ${status}${paused ? ' paused' : ''}${parked ? ' parked' : ''}`
}
