/**
 * Who does the steps of a worker in this process. Decides: that there is one per worker. Leaves to others:
 * the work itself (`steps/`), and whose threads there are.
 */
import { TroupeError } from '../../../src/index.ts'
import type { StepInput, StepOutcome } from './step.ts'

/** What the code of a step is given beside its input. */
export interface StepContext {
  /** The same for every attempt of this step; a good idempotency key. */
  readonly taskId: string
  /** A directory of this attempt's own. */
  readonly directory: string
  /** Aborted when the step is no longer wanted: the thread was aborted, or its step is tried anew. */
  readonly signal: AbortSignal
  /** Shown to operators; the last value counts. `{ process }` names what does the work. */
  progress(value: unknown): void
  log(fields: object, message: string): void
}

/** @throws the error of `stepError()`; whatever else it throws is temporary */
export type StepRun = (input: StepInput, context: StepContext) => Promise<StepOutcome>

const runners = new Map<string, StepRun>()

/**
 * @returns what takes it away again
 * @throws TroupeError `conflict` when this process has one for the worker already
 */
export function registerRunner(worker: string, run: StepRun): () => void {
  if (runners.has(worker)) {
    const message = `this process runs the steps of the worker "${worker}" already: give each daemon a name of its own`
    throw new TroupeError('conflict', message)
  }
  runners.set(worker, run)
  return () => {
    if (runners.get(worker) === run) runners.delete(worker)
  }
}

export function runnerOf(worker: string): StepRun | undefined {
  return runners.get(worker)
}
