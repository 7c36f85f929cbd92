/**
 * Asking owners for the right to run: `task.start` for what a queue delivers, `task.attach` for what
 * an earlier process of this worker ran. Decides: that the same `task.start` is sent until it is
 * answered, after a crash as well, so that an attempt that was granted is never lost.
 */
import type { Client } from '../client/index.ts'
import type { Log, TaskDelivery } from '../ports/index.ts'
import { addressOfEffect, type TroupeError, toErrorRecord, unpack } from '../protocol/index.ts'
import type {
  AttemptFiles,
  AttemptRecord,
  GrantedAttempt,
  Intent,
  StartedAttempt,
} from './attempt-files.ts'
import { isRefused } from './beats.ts'
import type { WorkerLimits } from './limits.ts'
import { type Answered, askUntilAnswered, isLasting, type Patience } from './patience.ts'
import type { Reporter } from './reporter.ts'

/** Of the attempt, by whose name its files are found. */
export interface NextAttempt extends GrantedAttempt {
  name: string
}

/** `refused`: its owner has it back. `unclear`: the worker stops before that is known. */
type NotKept = 'refused' | 'unclear'

export interface StarterDeps {
  worker: string
  bootId: string
  client: Client
  files: AttemptFiles
  reporter: Reporter
  patience: Patience
  limits: WorkerLimits
  log: Log
}

export class Starter {
  readonly #deps: StarterDeps

  constructor(deps: StarterDeps) {
    this.#deps = deps
  }

  /** The attempt as its owner granted it, on disk; undefined when there is nothing to run. */
  async begin(name: string, delivery: TaskDelivery): Promise<GrantedAttempt | undefined> {
    const { files, reporter, log, limits } = this.#deps
    const { taskId, ticket } = delivery.message
    const intent: Intent = { taskId, ticket, commandId: reporter.newId() }
    try {
      files.writeIntent(name, intent)
    } catch (thrown) {
      // Somebody else may have room on its disk.
      log.error(
        { taskId: intent.taskId, error: toErrorRecord(thrown) },
        'a task could not be begun',
      )
      delivery.retry(limits.retryMaxMs)
      return undefined
    }
    return this.ask(name, intent, delivery)
  }

  /** Sends the `task.start` of an intent, for the first time or again. */
  async ask(
    name: string,
    intent: Intent,
    delivery?: TaskDelivery,
  ): Promise<GrantedAttempt | undefined> {
    const answer = await this.#askOwner(intent, delivery)
    switch (answer.kind) {
      case 'ok': {
        const granted = await this.#granted(name, answer.value)
        delivery?.ack()
        return typeof granted === 'object' ? granted : undefined
      }
      case 'refused':
        this.#deps.files.forget(name)
        this.#settleRefused(answer.error, intent, delivery)
        return undefined
      case 'stopped':
        // The intent stays: should the command have been applied, the next start finds it out.
        delivery?.retry(0)
        return undefined
    }
  }

  /** An attempt that began with the end of another, which that command told: on disk as any other. */
  async take(started: StartedAttempt, commandId: string): Promise<NextAttempt | NotKept> {
    const { patience, files, log } = this.#deps
    const name = patience.random.id()
    const { taskId } = started
    try {
      // The same command is answered by this attempt, should only this line be there.
      files.writeIntent(name, { taskId, ticket: '', commandId })
    } catch (thrown) {
      log.error({ taskId, error: toErrorRecord(thrown) }, 'an attempt could not be begun')
    }
    const granted = await this.#granted(name, started)
    return typeof granted === 'object' ? { name, ...granted } : granted
  }

  /** Whether an attempt of before the restart may go on. */
  async attach(record: AttemptRecord): Promise<GrantedAttempt | 'given-up' | 'unclear'> {
    const { client, worker, patience, limits, reporter, log } = this.#deps
    const { address, taskId, token } = record
    const options = { id: reporter.newId(), timeoutMs: limits.requestMs }
    const answer = await askUntilAnswered(
      patience,
      () => {
        const operation = { op: 'task.attach', taskId, token, worker } as const
        return client.execute(address, operation, options) as Promise<StartedAttempt>
      },
      isLasting,
    )
    if (answer.kind === 'ok') return { record, input: unpack(answer.value.input) }
    if (answer.kind === 'stopped') return 'unclear'
    log.info({ taskId, why: answer.error.message }, 'an attempt of before the restart is refused')
    return isRefused(answer.error) ? 'given-up' : 'unclear'
  }

  async #granted(name: string, answer: StartedAttempt): Promise<GrantedAttempt | NotKept> {
    const { input, ...started } = answer
    const { patience, bootId } = this.#deps
    const record = { ...started, startedAt: patience.clock.now(), bootId }
    const kept = await this.#keep(name, record)
    return kept === 'kept' ? { record, input: unpack(input) } : kept
  }

  #askOwner(intent: Intent, delivery?: TaskDelivery): Promise<Answered<StartedAttempt>> {
    const { client, worker, patience, limits } = this.#deps
    const { taskId, ticket, commandId } = intent
    const options = { id: commandId, timeoutMs: limits.requestMs }
    return askUntilAnswered(
      patience,
      () => {
        delivery?.working()
        const asked = client.execute(
          addressOfEffect(taskId),
          { op: 'task.start', taskId, worker, ticket },
          options,
        )
        return asked as Promise<StartedAttempt>
      },
      ({ retry }) => !retry,
    )
  }

  #settleRefused(error: TroupeError, { taskId }: Intent, delivery?: TaskDelivery): void {
    // Its owner publishes it again when it may be started.
    if (isRefused(error) || error.code === 'task-held') return delivery?.ack()
    this.#deps.log.warn({ taskId, error }, 'a task could not be started')
    delivery?.retry(this.#deps.limits.retryMaxMs)
  }

  /** What cannot be put on disk is not run: the owner is told, and decides about another attempt. */
  async #keep(name: string, record: AttemptRecord): Promise<'kept' | NotKept> {
    const { files, reporter, log } = this.#deps
    try {
      await files.writeAttempt(name, record)
      return 'kept'
    } catch (thrown) {
      const { message } = toErrorRecord(thrown)
      log.error({ taskId: record.taskId, error: message }, 'an attempt could not be kept')
      const failure = { class: 'temporary', code: 'store-failed', message } as const
      const stored = {
        commandId: reporter.newId(),
        result: { op: 'task.failed', failure } as const,
      }
      if (!(await reporter.report(record, stored, () => {}))) return 'unclear'
      files.retire(name)
      return 'refused'
    }
  }
}
