/**
 * What the manager is told of a sector under way, and the abort that it may answer with. Decides: when it is
 * told, and that a report which does not arrive harms nothing. Leaves to others: the work.
 */
import { type StepInput, stepError } from '../thread/index.ts'
import type { ParamsOf } from '../venus/index.ts'
import { causeChain, type StepFault } from './failures.ts'
import type { StepDeps } from './ports.ts'

/** How often the manager is asked while a processor works: an abort is learnt this much later. */
const ASK_EVERY_MS = 60_000
const LEVEL_NAMES = {
  temporary: 'Temporary',
  permanent: 'Permanent',
  critical: 'Critical',
  abort: 'Abort',
} as const
/** A manager need not keep pages of output of a child. */
const DESC_CHARS_MAX = 4_096

type StateReport = ParamsOf<'ReportState'>[1]

export class Reports {
  readonly #deps: StepDeps
  readonly #input: StepInput
  readonly #signal: AbortSignal

  constructor(deps: StepDeps, input: StepInput, signal: AbortSignal) {
    this.#deps = deps
    this.#input = input
    this.#signal = signal
  }

  /** The transition that led here. @throws stepError `abort` when the manager ended the sector */
  async entered(): Promise<void> {
    const { reported } = this.#input
    if (reported === null) return
    const { prev, next, event } = reported
    await this.#tell({ Prev: prev, Next: next, Event: event })
  }

  /** @throws stepError `abort` when the manager ended the sector */
  async failed({ level, message }: StepFault): Promise<void> {
    const failure = { Level: LEVEL_NAMES[level], Desc: message.slice(0, DESC_CHARS_MAX) }
    await this.#tell(this.#staying('Failed'), failure)
  }

  /** Asks again and again until it is stopped; `onAbort` is called once. */
  watch(onAbort: (reason: unknown) => void): () => void {
    const { clock } = this.#deps
    let cancel = () => {}
    let isStopped = false
    const later = () => {
      if (isStopped) return
      cancel = clock.after(ASK_EVERY_MS, () => {
        this.#tell(this.#staying('Running')).then(later, onAbort)
      })
    }
    later()
    return () => {
      isStopped = true
      cancel()
    }
  }

  #staying(event: string): StateReport['StateChange'] {
    const { state } = this.#input
    return { Prev: state, Next: state, Event: event }
  }

  async #tell(
    StateChange: StateReport['StateChange'],
    failure?: StateReport['Failure'],
  ): Promise<void> {
    const { record, location, state } = this.#input
    if (record.sector === undefined) return
    const { manager, workerName, log } = this.#deps
    const Worker = { Instance: workerName, Location: location ?? '-' }
    const report = { Worker, StateChange, Failure: failure ?? null }
    const signal = this.#signal
    const answer = await manager
      .call('ReportState', [record.sector.ID, report], { signal })
      .catch((thrown: unknown) => {
        log.debug({ error: causeChain(thrown) }, 'the manager could not be told of a state')
      })
    // These are on their way out already.
    const isEnding = state === 'Finished' || state === 'Aborted'
    if (answer?.Finalized !== true || isEnding) return
    throw stepError('abort', answer.AbortReason || 'the manager ended the sector')
  }
}
