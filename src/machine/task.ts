/**
 * Tasks: the side effects of a machine, run by workers. Decides: how a task is declared and what its
 * code is given. Leaves to others: when it runs (shard) and how (worker).
 */
import { fromPromise, type PromiseActorLogic } from 'xstate'
import type { ZodType } from 'zod'
import { isMachineName, type TaskFailure, TroupeError } from '../protocol/index.ts'
import type { RetryPolicy } from './retry.ts'

/** What happens to a running attempt whose worker fell silent for longer than its lease. */
export type WorkerLostPolicy = 'wait' | 'rerun' | 'park'

export interface TaskOptions<TInput, TOutput> {
  /** Unique among the apps of a node; letters, digits, `_`, `-`. Part of the format: do not rename. */
  name: string
  /** The queue its attempts wait in. Default `default`. */
  queue?: string | ((input: TInput) => string)
  /** Queues that an embedded node's own worker serves for it; default: `queue` if it is a text. */
  queues?: readonly string[]
  /**
   * `node`: every node runs it itself, beside the slots of its worker, also where it has none or an
   * operator has taken that offline; its code may speak to actors (`nodeOf`). It has its queues to itself.
   */
  runsOn?: 'node'
  /** Larger first within a queue. Default 0. */
  priority?: number | ((input: TInput) => number)
  /** Checked before the attempt runs; an input that does not match fails as permanent. */
  input?: ZodType<TInput>
  /** Checked before the result is reported. */
  output?: ZodType<TOutput>
  /** Laid over the machine's policy. */
  retry?: Partial<RetryPolicy>
  /**
   * Silence of its worker after which an attempt is given up. Default: the limit `leaseMs`. For what
   * outlives its worker (`reattach`) the limit `workerLostMs`, by its name, gives a worker that was
   * restarted or cut off the time to come back.
   */
  leaseMs?: number | 'workerLostMs'
  /**
   * An attempt that runs longer is aborted and counts as a temporary failure with the code
   * `timed-out`, once its code has ended. Default: none.
   */
  timeoutMs?: number | ((input: TInput) => number | undefined)
  /** Default `rerun` for code (it is at-least-once); commands that must not run twice say `park`. */
  onWorkerLost?: WorkerLostPolicy | ((input: TInput) => WorkerLostPolicy)
  /**
   * True when an attempt can go on after its worker was restarted: `run` is called again with
   * `reattached: true`, under the same token.
   */
  reattach?: boolean
  /** Attempts of this task that one worker runs at a time. Default: the worker's slots. */
  concurrency?: number
  run: (attempt: TaskAttempt<TInput>) => Promise<TOutput>
}

/** What the code of a task is given. */
export interface TaskAttempt<TInput> {
  readonly input: TInput
  /** The address of the actor that asked. */
  readonly address: string
  /** The effect id: the same for every attempt; a good idempotency key. */
  readonly taskId: string
  /** 1 for the first. */
  readonly attempt: number
  /** The fencing token of this attempt. */
  readonly token: string
  /** A directory of this attempt's own, kept across restarts of the worker. */
  readonly directory: string
  /** True when an earlier call of this same attempt was cut off by a crash of the worker. */
  readonly reattached: boolean
  /** Aborted when the task is no longer wanted, timed out, or the worker lost its lease. */
  readonly signal: AbortSignal
  /** How an attempt is going on when the worker is silent for long; in ms, see `orphanMs`. */
  readonly leaseMs: number
  readonly onWorkerLost: WorkerLostPolicy
  /** Shown to operators; the last value counts. */
  progress(value: unknown): void
  /** Reports a line to the log of the worker. */
  log(fields: object, message: string): void
}

export type TaskLogic<TInput, TOutput> = PromiseActorLogic<TOutput, TInput> & {
  readonly troupeTask: TaskOptions<TInput, TOutput>
}

/**
 * What a machine is told when an attempt of the task that it invoked as `TId` begins: in the commit
 * that lets it begin, before its code runs, and again for every further attempt. Only a state that has
 * a transition for this very type is told; callers cannot send it.
 */
export interface TaskStartedEvent<TId extends string = string> {
  type: `troupe.started.actor.${TId}`
  actorId: TId
  /** 1 for the first attempt of this task. */
  attempt: number
  worker: string
  /** Unix ms. */
  at: number
}

export function startedType(childId: string): string {
  return `${STARTED_PREFIX}${childId}`
}

export const STARTED_PREFIX = 'troupe.started.actor.'

// biome-ignore lint/suspicious/noExplicitAny: a registry holds tasks of any input and output
export type AnyTask = TaskOptions<any, any>

/**
 * Declares a task; the result is registered in `setup({ actors })` and invoked by that name.
 * @throws TroupeError `not-hosted`
 */
export function task<TInput, TOutput>(
  options: TaskOptions<TInput, TOutput>,
): TaskLogic<TInput, TOutput> {
  if (!isMachineName(options.name)) {
    throw new TroupeError(
      'not-hosted',
      `"${options.name}" cannot name a task: a letter, then letters, digits, "_" or "-", at most 64`,
    )
  }
  const logic = fromPromise<TOutput, TInput>(() =>
    Promise.reject(new Error(`task ${options.name} runs on a worker, not inside the machine`)),
  )
  return Object.assign(logic, { troupeTask: options })
}

/** Thrown by the code of a task to say how it failed. Anything else that is thrown is `temporary`. */
export class TaskError extends Error {
  override readonly name = 'TaskError'
  readonly failure: TaskFailure

  constructor(
    failureClass: TaskFailure['class'],
    message: string,
    options: { code?: string; detail?: unknown; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.failure = { class: failureClass, message }
    if (options.code !== undefined) this.failure.code = options.code
    if (options.detail !== undefined) this.failure.detail = options.detail
  }
}
