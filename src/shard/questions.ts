/**
 * Lists and counts that wait for the next batch: they answer from what is applied then. Decides: how
 * many are answered together, since each may read thousands of rows, and when to say `busy`.
 */
import {
  type Durability,
  type ErrorRecord,
  errorRecord,
  type Outcome,
  type ShardQuery,
  type ShardStatus,
  toErrorRecord,
} from '../protocol/index.ts'
import type { ShardContext } from './context.ts'
import type { Counters } from './counters.ts'
import type { Reply } from './flight.ts'
import { answerQuery } from './queries.ts'

export interface QuestionsDeps {
  context: ShardContext
  counters: Counters
  durability: Durability
  status: () => ShardStatus
}

export class Questions {
  readonly #deps: QuestionsDeps
  #waiting: Reply[] = []

  constructor(deps: QuestionsDeps) {
    this.#deps = deps
  }

  get count(): number {
    return this.#waiting.length
  }

  push(query: ShardQuery, done: (answer: Outcome) => void): ErrorRecord | undefined {
    const { mailboxCountMax } = this.#deps.context.limits
    if (this.count >= mailboxCountMax) {
      const why = `${this.count} queries wait already (mailboxCountMax ${mailboxCountMax}); try again`
      return errorRecord('busy', why)
    }
    const send = (refused: unknown) => done((refused as Outcome | undefined) ?? this.#answer(query))
    this.#waiting.push({ value: undefined, send, ofRows: true })
    return undefined
  }

  /** For the batch that begins. */
  take(): Reply[] {
    return this.#waiting.splice(0, this.#deps.context.limits.queriesPerBatchMax)
  }

  refuse(error: ErrorRecord): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const { send } of waiting) send({ error })
  }

  /** A question that makes no sense is the asker's failure, not the engine's. */
  #answer(query: ShardQuery): Outcome {
    const { context, counters, durability, status } = this.#deps
    try {
      return answerQuery(context, counters, query, status, durability)
    } catch (thrown) {
      return { error: toErrorRecord(thrown, 'invalid-query') }
    }
  }
}
