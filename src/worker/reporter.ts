/**
 * Telling owners how attempts ended.
 *
 * Decides: that a result is sent until it is answered, under the command id that is on disk beside
 * it, so that however often it is sent it counts once. Leaves to others: writing it there first.
 */
import type { Client } from '../client/index.ts'
import type { Log } from '../ports/index.ts'
import { formatCommandId, type Operation, type TroupeError } from '../protocol/index.ts'
import type { AttemptRecord, AttemptResult, StartedAttempt, StoredResult } from './attempt-files.ts'
import { isRefused } from './beats.ts'
import type { OfferedSlot } from './offered-slot.ts'
import { askUntilAnswered, isLasting, type Patience } from './patience.ts'

/** The owner has answered, whatever it said. */
export interface Told {
  /** Of the command that was answered. */
  commandId: string
  /** What begins here with this end. */
  started: StartedAttempt | undefined
}

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
   * Undefined when the worker stops before the owner has answered.
   * @param save keeps a changed result on disk before it is sent
   * @param slot for what the actor wants next; given back when the owner does not answer at once
   */
  async report(
    record: AttemptRecord,
    stored: StoredResult,
    save: (changed: StoredResult) => void,
    slot?: OfferedSlot,
  ): Promise<Told | undefined> {
    for (;;) {
      const { commandId } = stored
      const answer = await this.#send(record, stored, slot)
      if (answer.kind === 'stopped') return undefined
      if (answer.kind === 'ok') return { commandId, started: answer.value ?? undefined }
      const changed = this.#afterRefusal(record, stored, answer.error)
      if (changed === undefined) return { commandId, started: undefined }
      stored = changed
      save(stored)
    }
  }

  #send(record: AttemptRecord, { commandId, result }: StoredResult, slot?: OfferedSlot) {
    const { client, log, patience, requestMs } = this.#deps
    const { address, taskId, token } = record
    const options = { id: commandId, timeoutMs: requestMs }
    return askUntilAnswered(
      patience,
      () => {
        const operation: Operation = { ...result, taskId, token }
        const next = slot?.worker
        if (operation.op === 'task.done' && next !== undefined) operation.next = next
        return client.execute(address, operation, options) as Promise<StartedAttempt | null>
      },
      isLasting,
      (error, tries) => {
        slot?.giveBack()
        log.warn({ taskId, tries, error }, 'a result is not taken yet; it is sent again')
      },
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
