/**
 * Runs the steps of all sealing threads of a worker. Decides: what holds for every step: that it runs alone
 * in its store, that an outcome that is dear is kept before anybody hears of it, who is told of it, and that
 * a manager that is away, or processors that are all down, cost no retry. Leaves to others: the work of each
 * state (`table.ts`).
 */
import { join } from 'node:path'
import type { LocalStore } from '../stores/index.ts'
import { type StepInput, type StepOutcome, stepError } from '../thread/index.ts'
import { faultOf } from './failures.ts'
import { Heartbeats } from './heartbeats.ts'
import { KeptResults } from './kept-results.ts'
import type { EndedStep, StepAttempt, StepDeps, StepResult } from './ports.ts'
import { Reports } from './reports.ts'
import { Scene } from './scene.ts'
import { STEP_WORK, type StepWork } from './table.ts'
import { Turns } from './turns.ts'
import { outageRest } from './waits.ts'

export class StepRunner {
  readonly #deps: StepDeps
  readonly #turns = new Turns()
  readonly #heartbeats: Heartbeats
  /** A store that was let go may have had another worker when it is opened anew. */
  readonly #kept = new WeakMap<LocalStore, KeptResults>()

  constructor(deps: StepDeps) {
    this.#deps = deps
    this.#heartbeats = new Heartbeats(deps)
  }

  /** @throws stepError */
  async run(input: StepInput, attempt: StepAttempt): Promise<StepOutcome> {
    const { clock, onEnded } = this.#deps
    const { worker, plan, state } = input
    const startedMs = clock.monotonic()
    let end: EndedStep['end'] = 'cancelled'
    try {
      const outcome = await this.#inTurn(input, attempt)
      end = outcome.kind === 'done' ? 'done' : outcome.reason
      return outcome
    } catch (thrown) {
      const fault = faultOf(thrown)
      if (!attempt.signal.aborted) end = fault.level
      throw fault.error
    } finally {
      onEnded?.({ worker, plan, state, end, workMs: clock.monotonic() - startedMs })
    }
  }

  /** No more heartbeats; steps under way are stopped by their own signals. */
  stop(): void {
    this.#heartbeats.stop()
  }

  async #inTurn(input: StepInput, attempt: StepAttempt): Promise<StepOutcome> {
    const { location } = input
    const store = location === null ? null : await this.#deps.openStore(location)
    const key = store?.location ?? `thread ${input.thread}`
    const turn = await this.#turns.take(key, attempt.signal)
    const { signal } = turn
    try {
      // A child that was given up may still write.
      await unlessAborted(this.#deps.processors.quiet(key), signal)
      return await this.#once(input, attempt, { store, key, signal })
    } finally {
      turn.end()
    }
  }

  /** What this task came to before a crash is what it comes to. */
  async #once(input: StepInput, attempt: StepAttempt, place: Place): Promise<StepOutcome> {
    const kept = this.#keptIn(place.store, attempt)
    const known = kept?.outcome(attempt.taskId)
    if (known) return known
    return await this.#perform(input, attempt, { ...place, kept })
  }

  #keptIn(store: LocalStore | null, attempt: StepAttempt): KeptResults | null {
    const { log } = this.#deps
    if (store === null) {
      // A plan without a store. Asking for the directory makes it.
      const { directory } = attempt
      return directory === undefined ? null : new KeptResults(join(directory, 'step'), log)
    }
    let kept = this.#kept.get(store)
    if (!kept) {
      kept = new KeptResults(store.stepsDirectory, log)
      this.#kept.set(store, kept)
    }
    return kept
  }

  async #perform(
    input: StepInput,
    attempt: StepAttempt,
    { store, key, signal, kept }: Place & { kept: KeptResults | null },
  ): Promise<StepOutcome> {
    const { clock, random } = this.#deps
    const startedMs = clock.monotonic()
    const reports = new Reports(this.#deps, input, signal)
    const scene = new Scene({ deps: this.#deps, input, attempt, signal, store, kept, reports, key })
    this.#beat(input, input.record.job?.id)
    try {
      await reports.entered()
      const result = await workOf(input)(scene)
      if ('event' in result) this.#beat(input, result.record.job?.id)
      const outcome = outcomeOf(result, clock.monotonic() - startedMs)
      if (outcome.kind === 'done' && scene.isDear) kept?.keep(attempt.taskId, outcome)
      return outcome
    } catch (thrown) {
      signal.throwIfAborted()
      const rest = outageRest(thrown, input, random)
      if (rest) return outcomeOf(rest, 0)
      const fault = faultOf(thrown)
      if (fault.level !== 'temporary') this.#heartbeats.end(input.thread)
      await reports.failed(fault)
      throw fault.error
    }
  }

  #beat({ plan, state, thread }: StepInput, jobId: string | undefined): void {
    if (plan !== 'wdpost') return
    if (state === 'Finished' || state === 'Aborted') this.#heartbeats.end(thread)
    else if (jobId !== undefined) this.#heartbeats.keep(thread, jobId)
  }
}

interface Place {
  store: LocalStore | null
  key: string
  /** Of the attempt, and of another step that wants the store. */
  signal: AbortSignal
}

function workOf({ plan, state, thread }: StepInput): StepWork {
  const work = STEP_WORK[plan][state]
  if (work) return work
  throw stepError(
    'permanent',
    `the plan ${plan} of ${thread} has no step in the state ${state}: resume it at another one`,
  )
}

function outcomeOf(result: StepResult, workMs: number): StepOutcome {
  if ('rest' in result) {
    const { rest: reason, afterMs, why } = result
    return { kind: 'rest', reason, afterMs, why }
  }
  return { kind: 'done', ...result, workMs }
}

async function unlessAborted(waiting: Promise<void>, signal: AbortSignal): Promise<void> {
  let stop = () => {}
  const aborted = new Promise<never>((_resolve, reject) => {
    stop = () => reject(signal.reason)
    signal.addEventListener('abort', stop, { once: true })
  })
  try {
    signal.throwIfAborted()
    await Promise.race([waiting, aborted])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}
