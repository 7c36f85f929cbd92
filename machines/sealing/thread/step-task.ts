/**
 * The task `sealing-step`: the work of one state of one sector. Decides: which queue it waits in, that the
 * platform does not repeat it, and when it began and ended. Leaves to others: the work (`runners.ts`), what
 * follows from its end (`outcomes.ts`).
 */
import { type TaskAttempt, TaskError, task } from '../../../src/index.ts'
import { runnerOf } from './runners.ts'
import {
  queueOfWorker,
  STEP_TASK,
  type StepFailure,
  type StepInput,
  type StepOutcome,
  type TimedOutcome,
} from './step.ts'

/** A daemon is there within this, or is not there at all. */
const WORKER_DOWN_MS = 5_000

export const sealingStep = task<StepInput, TimedOutcome>({
  name: STEP_TASK,
  queue: ({ worker }) => queueOfWorker(worker),
  // Tries are counted by the thread, state by state.
  retry: { attemptsMax: 1 },
  onWorkerLost: 'rerun',
  // A worker that was restarted goes on with its steps, and none of them counts as failed.
  leaseMs: 'workerLostMs',
  reattach: true,
  run,
})

async function run(attempt: TaskAttempt<StepInput>): Promise<TimedOutcome> {
  const { input } = attempt
  const startedAt = Date.now()
  try {
    const work = runnerOf(input.worker)
    const begun = { ...input, waitedMs: Math.max(0, startedAt - (input.waitingSince ?? startedAt)) }
    const outcome = work === undefined ? notHere(input.worker) : await work(begun, attempt)
    return { startedAt, at: Date.now(), ...outcome }
  } catch (thrown) {
    // What is no longer wanted has no end that counts.
    if (attempt.signal.aborted) throw thrown
    throw failedStep(thrown, startedAt)
  }
}

/** As while it starts: nobody's fault, and no try is used up. */
function notHere(worker: string): StepOutcome {
  const why = `this process does not run the steps of the worker "${worker}": its daemon starts, has stopped, or has another name`
  return { kind: 'rest', reason: 'worker-down', afterMs: WORKER_DOWN_MS, why }
}

/** Of the platform's classes only `temporary` leaves it to the thread what to do. */
function failedStep(thrown: unknown, startedAt: number): TaskError {
  const times = { startedAt, at: Date.now() }
  if (!(thrown instanceof TaskError)) {
    const message = thrown instanceof Error ? thrown.message : String(thrown)
    const detail: StepFailure = { level: 'temporary', ...times }
    return new TaskError('temporary', message, { code: 'step-temporary', detail, cause: thrown })
  }
  const { class: kind, message, code, detail } = thrown.failure
  const known = typeof detail === 'object' && detail !== null ? detail : {}
  const level = kind === 'aborted' ? 'abort' : kind
  return new TaskError('temporary', message, {
    code: code ?? `step-${level}`,
    detail: { level, ...times, ...known },
    cause: thrown,
  })
}
