/**
 * One attempt of a task while it runs in this worker.
 *
 * Decides: how its code is called, how it is aborted, and what its end counts as. Leaves to others:
 * heartbeats (`beats.ts`), files (`attempt-files.ts`), telling the owner (`reporter.ts`).
 */
import { type AnyTask, type TaskAttempt, TaskError } from '../machine/index.ts'
import type { Clock, Log } from '../ports/index.ts'
import { type Limits, pack, type TaskFailure } from '../protocol/index.ts'
import type { AttemptRecord, AttemptResult, GrantedAttempt } from './attempt-files.ts'
import { RUNTIME, type RunRuntime } from './attempt-runtime.ts'
import type { RunningProcess } from './process/index.ts'

/**
 * Why an attempt is aborted. `unwanted`: the actor cancelled it. `stale`: its owner gave it up.
 * `lease-lost`: its owner could not be reached in time. `timed-out`, `stopping`: as they say.
 */
export type AbortKind = 'unwanted' | 'stale' | 'lease-lost' | 'timed-out' | 'stopping'

/** The reason of `TaskAttempt.signal`. */
export class AttemptAborted extends Error {
  override readonly name = 'AbortError'
  readonly kind: AbortKind

  constructor(kind: AbortKind, message: string) {
    super(message)
    this.kind = kind
  }
}

export type AttemptEnd =
  | { kind: 'result'; result: AttemptResult }
  /** Nobody waits for a result. */
  | { kind: 'dropped' }
  /** The worker stops; the attempt is found again by the next one. */
  | { kind: 'left' }

export interface AttemptDeps {
  clock: Clock
  log: Log
  limits: Limits
  abortWaitMs: number
  runtimeOf: (attempt: RunningAttempt) => RunRuntime
  makeDirectory: (attempt: RunningAttempt) => string
}

export class RunningAttempt {
  /** The name of its directory, should it have one. */
  readonly name: string
  readonly record: AttemptRecord
  readonly task: AnyTask
  readonly reattached: boolean
  /** When the last heartbeat that the owner accepted was sent, on the monotonic clock. */
  acceptedMs: number
  /** When the next heartbeat is due, on the monotonic clock. */
  beatDueMs: number
  progress: unknown
  /** True while the owner does not know the present progress. */
  progressed = false
  /** True when the watchdog of a command looks at the heartbeat file. */
  watched = false
  /** True from the moment on that its code asks for a command. */
  hasCommand = false
  readonly #deps: AttemptDeps
  readonly #input: unknown
  readonly #controller = new AbortController()
  readonly #runs = new Set<RunningProcess>()
  #aborted: AttemptAborted | undefined
  #directory: string | undefined
  #left = false
  #over = false
  #cancelWait: () => void = () => {}
  #giveUp: (end: 'overdue' | 'left') => void = () => {}

  constructor(
    deps: AttemptDeps,
    made: GrantedAttempt & {
      name: string
      task: AnyTask
      reattached: boolean
    },
  ) {
    this.#deps = deps
    this.name = made.name
    this.record = made.record
    this.#input = made.input
    this.task = made.task
    this.reattached = made.reattached
    this.acceptedMs = deps.clock.monotonic()
    this.beatDueMs = this.acceptedMs
  }

  get aborted(): AbortKind | undefined {
    return this.#aborted?.kind
  }

  /** False once it was aborted or left: what has not begun by then does not begin. */
  get mayBegin(): boolean {
    return !this.#left && this.#aborted === undefined
  }

  /** The first reason counts; false when this one comes too late. */
  abort(kind: AbortKind, message: string): boolean {
    if (this.#aborted || this.#left || this.#over) return false
    this.#aborted = new AttemptAborted(kind, message)
    this.#controller.abort(this.#aborted)
    // Code that does not listen to its signal must not keep a slot for ever.
    const { clock, abortWaitMs } = this.#deps
    this.#cancelWait = clock.after(abortWaitMs, () => this.#giveUp('overdue'))
    return true
  }

  /** Lets its commands go on by themselves; nothing is reported. */
  leave(): void {
    this.#left = true
    for (const run of this.#runs) run.detach()
    this.#giveUp('left')
  }

  /** A command of this attempt, from `runProcess`. */
  own(run: RunningProcess): void {
    if (this.#left) run.detach()
    else this.#runs.add(run)
  }

  /** Runs the code to its end, or to the point where nobody waits for it any more. */
  async execute(): Promise<AttemptEnd> {
    try {
      // It may have been aborted while it waited for its turn.
      if (!this.mayBegin) return this.#judge('unstarted')
      return await this.#execute()
    } finally {
      this.#over = true
      this.#cancelWait()
    }
  }

  async #execute(): Promise<AttemptEnd> {
    let cancelTimeout: () => void
    try {
      cancelTimeout = this.#limitTime()
    } catch (thrown) {
      return this.#judge(failure('permanent', 'invalid-input', textOf(thrown)))
    }
    try {
      const givenUp = new Promise<'overdue' | 'left'>((resolve) => {
        this.#giveUp = resolve
        if (this.#left) resolve('left')
      })
      const settled = await Promise.race([this.#call(), givenUp])
      return this.#judge(settled)
    } finally {
      cancelTimeout()
    }
  }

  /**
   * The time of a re-attached attempt counts from its first start.
   * @throws whatever the task's own `timeoutMs` does
   */
  #limitTime(): () => void {
    const { timeoutMs: given } = this.task
    const timeoutMs = typeof given === 'function' ? given(this.#input) : given
    if (timeoutMs === undefined) return () => {}
    if (!Number.isSafeInteger(timeoutMs) || timeoutMs < 1)
      throw new Error(
        `timeoutMs of task ${this.record.name} is ${timeoutMs}: no whole number from 1`,
      )
    const { clock } = this.#deps
    const usedMs = this.reattached ? Math.max(0, clock.now() - this.record.startedAt) : 0
    return clock.after(Math.max(0, timeoutMs - usedMs), () => {
      this.abort('timed-out', `task ${this.record.name} took longer than ${timeoutMs} ms`)
    })
  }

  #judge(settled: AttemptResult | 'unstarted' | 'overdue' | 'left'): AttemptEnd {
    if (this.#left || settled === 'left') return { kind: 'left' }
    const aborted = this.#aborted
    if (settled === 'overdue') {
      const { taskId, name: task } = this.record
      this.#deps.log.warn({ taskId, task }, 'an aborted task does not return; it is left to itself')
    }
    if (typeof settled === 'object') {
      // What came to its end before it noticed the abort: the token decides whether it counts.
      if (!aborted || settled.op === 'task.done') return { kind: 'result', result: settled }
    }
    switch (aborted?.kind) {
      case undefined:
      case 'unwanted':
      case 'stale':
        return { kind: 'dropped' }
      case 'lease-lost':
        // What still runs must not be followed by another attempt because of us.
        return settled === 'overdue' ? { kind: 'dropped' } : failedBy(aborted, 'lease-lost')
      case 'timed-out':
        return failedBy(aborted, 'timed-out')
      case 'stopping':
        return failedBy(aborted, 'worker-stopped')
    }
  }

  async #call(): Promise<AttemptResult> {
    const { task, record } = this
    const input = task.input?.safeParse(this.#input)
    if (input && !input.success) {
      return failure(
        'permanent',
        'invalid-input',
        `the input of task ${record.name}: ${input.error.message}`,
      )
    }
    try {
      const output: unknown = await task.run(this.#view(input ? input.data : this.#input))
      return this.#checkOutput(output)
    } catch (thrown) {
      return { op: 'task.failed', failure: failureOf(thrown) }
    }
  }

  #checkOutput(output: unknown): AttemptResult {
    const { task, record } = this
    const parsed = task.output?.safeParse(output)
    if (parsed && !parsed.success) {
      return failure(
        'permanent',
        'invalid-output',
        `the output of task ${record.name}: ${parsed.error.message}`,
      )
    }
    const value: unknown = parsed ? parsed.data : output
    const bytesMax = this.#deps.limits.payloadBytesMax
    let bytes: number
    try {
      bytes = pack(value).length
    } catch (thrown) {
      return failure(
        'permanent',
        'invalid-output',
        `the output of task ${record.name} cannot be stored: ${textOf(thrown)}`,
      )
    }
    if (bytes > bytesMax) {
      return failure(
        'permanent',
        'too-large',
        `the output of task ${record.name} has ${bytes} bytes; the limit is ${bytesMax} (payloadBytesMax)`,
      )
    }
    return { op: 'task.done', output: value }
  }

  #view(input: unknown): TaskAttempt<unknown> & { readonly [RUNTIME]: RunRuntime } {
    const { address, taskId, attempt, token, leaseMs, onWorkerLost, name } = this.record
    // Most attempts write no files: the directory is made when its path is asked for, also by a spread.
    const makeDirectory = () => {
      this.#directory ??= this.#deps.makeDirectory(this)
      return this.#directory
    }
    let log: Log | undefined
    return {
      [RUNTIME]: this.#deps.runtimeOf(this),
      input,
      address,
      taskId,
      attempt,
      token,
      leaseMs,
      onWorkerLost,
      get directory() {
        return makeDirectory()
      },
      reattached: this.reattached,
      signal: this.#controller.signal,
      progress: (value) => {
        this.progress = value
        this.progressed = true
      },
      log: (fields, message) => {
        log ??= this.#deps.log.child({ task: name, taskId, attempt })
        log.info(fields, message)
      },
    }
  }
}

function failedBy(aborted: AttemptAborted | undefined, code: string): AttemptEnd {
  const message = aborted?.message ?? code
  return { kind: 'result', result: failure('temporary', code, message) }
}

function failure(failureClass: TaskFailure['class'], code: string, message: string): AttemptResult {
  return { op: 'task.failed', failure: { class: failureClass, code, message } }
}

/** Only a `TaskError` says its class; whatever else goes wrong may go right the next time. */
function failureOf(thrown: unknown): TaskFailure {
  if (thrown instanceof TaskError) return thrown.failure
  return { class: 'temporary', message: textOf(thrown) }
}

function textOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}
