/**
 * Telling owners how attempts ended.
 *
 * Decides: that a result is sent until it is answered, under the command id that is on disk beside
 * it, so that however often it is sent it counts once. Leaves to others: writing it there first.
 */
import type { Client } from '../client/index.ts'
import type { Log } from '../ports/index.ts'
import { formatCommandId, type Operation, type TroupeError } from '../protocol/index.ts'
import type { AttemptRecord, AttemptResult, StoredResult } from './attempt-files.ts'
import { isRefused } from './beats.ts'
import { askUntilAnswered, isLasting, type Patience } from './patience.ts'

export interface ReporterDeps {
  client: Client
  log: Log
  patience: Patience
  requestMs: number
}

export class Reporter {
  readonly #deps: ReporterDeps

  constructor(deps: ReporterDeps) {
    this.#deps = deps
  }

  newId(): string {
    const { clock, random } = this.#deps.patience
    return formatCommandId(clock.now(), random.id())
  }

  /**
   * True once the owner has answered, whatever it said; false when the worker stops before.
   * @param save keeps a changed result on disk before it is sent
   */
  async report(
    record: AttemptRecord,
    stored: StoredResult,
    save: (changed: StoredResult) => void,
  ): Promise<boolean> {
    for (;;) {
      const answer = await this.#send(record, stored)
      if (answer.kind === 'stopped') return false
      if (answer.kind === 'ok') return true
      const next = this.#afterRefusal(record, stored, answer.error)
      if (next === undefined) return true
      stored = next
      save(stored)
    }
  }

  #send(record: AttemptRecord, { commandId, result }: StoredResult) {
    const { client, log, patience, requestMs } = this.#deps
    const { address, taskId, token } = record
    const operation: Operation = { ...result, taskId, token }
    return askUntilAnswered(
      patience,
      () => client.execute(address, operation, { id: commandId, timeoutMs: requestMs }),
      isLasting,
      (error, tries) =>
        log.warn({ taskId, tries, error }, 'a result is not taken yet; it is sent again'),
    )
  }

  /** What to send instead, or undefined when the matter is closed. */
  #afterRefusal(
    record: AttemptRecord,
    stored: StoredResult,
    error: TroupeError,
  ): StoredResult | undefined {
    const { taskId, name } = record
    const { log } = this.#deps
    if (isRefused(error)) {
      log.info({ taskId, task: name, why: error.message }, 'nobody waits for this result any more')
      return undefined
    }
    // The id is forgotten, the token is not: if the first send was applied, the task is gone.
    if (error.code === 'expired') return { ...stored, commandId: this.newId() }
    log.error({ taskId, task: name, error }, 'the result of a task is refused')
    if (stored.result.op === 'task.failed' || error.code === 'parked') return undefined
    const message = `the result of task ${name} is refused: ${error.message}`
    const result: AttemptResult = {
      op: 'task.failed',
      failure: { class: 'permanent', code: error.code, message },
    }
    return { commandId: this.newId(), result }
  }
}
