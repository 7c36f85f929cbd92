/**
 * What a worker says of itself, to whoever keeps the list of workers. Decides: how often (regularly, and
 * soon after a change), that it looks at its machine at the same times, that what it is told to do
 * is done, and that it takes nothing once it is not known there any more. Leaves to others: how a report
 * travels, how such a worker ends.
 */
import type { Clock, Log } from '../ports/index.ts'
import { TroupeError, toErrorRecord } from '../protocol/index.ts'
import { type AcceptanceLimits, type HostFigures, hostFigures, refusalOf } from './acceptance.ts'
import type { WorkerCondition, WorkerOrder } from './remote/index.ts'
import type { Worker } from './worker.ts'

export interface ReportsDeps {
  worker: Pick<Worker, 'status' | 'hold' | 'release'>
  address: string
  version: string
  acceptance?: AcceptanceLimits
  /** Default: those of this machine. */
  figures?: () => HostFigures
  send: (condition: WorkerCondition) => Promise<WorkerOrder>
  /**
   * It is refused for good: another process has its name now, which is told its cancels and what an operator
   * wants; or its nodes do not understand it. May be called more than once.
   */
  lost?: (why: TroupeError) => void
  clock: Clock
  log: Log
}

const EVERY_MS = 10_000
/** A change is told within this; it is also how often the machine is looked at. */
const LOOK_MS = 1_000

export class Reports {
  readonly #deps: ReportsDeps
  #cancel: () => void = () => {}
  #stopped = false
  #sentAtMs = Number.NEGATIVE_INFINITY
  #sentState = ''
  #everyMs = EVERY_MS
  #sending: Promise<void> | undefined
  #troubled = false

  constructor(deps: ReportsDeps) {
    this.#deps = deps
  }

  /** The first report is sent at once. */
  start(): void {
    this.#look()
  }

  stop(): void {
    this.#stopped = true
    this.#cancel()
  }

  /** Now, whatever was said before: the last word of a worker that goes. */
  async sendNow(): Promise<void> {
    await this.#sending
    await this.#send(this.#condition())
  }

  /** What whoever keeps the list wants of the worker from now on. */
  obey({ admitted, reason, reportMs = EVERY_MS }: WorkerOrder): void {
    const { worker } = this.#deps
    this.#everyMs = reportMs
    if (admitted) worker.release('operator')
    else worker.hold('operator', reason ?? 'it is taken offline')
  }

  #look(): void {
    if (this.#stopped) return
    const lookMs = Math.min(LOOK_MS, this.#everyMs)
    this.#cancel = this.#deps.clock.after(lookMs, () => this.#look())
    const condition = this.#condition()
    const now = this.#deps.clock.monotonic()
    const isDue = now - this.#sentAtMs >= this.#everyMs
    if (!isDue && stateOf(condition) === this.#sentState) return
    this.#sending ??= this.#send(condition).finally(() => {
      this.#sending = undefined
    })
  }

  #condition(): WorkerCondition {
    const { worker, acceptance = {}, figures = hostFigures, address, version } = this.#deps
    const { load, memoryFreeBytes } = figures()
    const refusal = refusalOf(acceptance, { load, memoryFreeBytes })
    if (refusal === undefined) worker.release('machine')
    else worker.hold('machine', refusal)
    const { state, slots, queues, running, reporting, refusals } = worker.status()
    return {
      address,
      version,
      slots,
      queues: [...queues],
      running: running.length + reporting,
      load,
      memoryFreeBytes,
      refusals,
      state,
    }
  }

  async #send(condition: WorkerCondition): Promise<void> {
    const { worker, send, clock } = this.#deps
    this.#sentAtMs = clock.monotonic()
    this.#sentState = stateOf(condition)
    try {
      this.obey(await send(condition))
      worker.release('name')
      this.#troubled = false
    } catch (thrown) {
      // It is due again at the next regular time.
      if (isFinal(thrown)) this.#lose(thrown)
      else this.#trouble(thrown, 'a report got no answer')
    }
  }

  #lose(why: TroupeError): void {
    const { worker, lost } = this.#deps
    worker.hold('name', why.message)
    this.#trouble(why, 'the worker is refused: it takes nothing new')
    lost?.(why)
  }

  /** Said once, until something goes well again. */
  #trouble(thrown: unknown, text: string): void {
    if (!this.#troubled) this.#deps.log.warn({ error: toErrorRecord(thrown) }, text)
    this.#troubled = true
  }
}

/** Asked again, its nodes would say the same. */
function isFinal(thrown: unknown): thrown is TroupeError {
  return thrown instanceof TroupeError && thrown.code === 'conflict'
}

/** What is told as soon as it changes. */
function stateOf({ state, slots, running, refusals }: WorkerCondition): string {
  const reasons = refusals.map((reason) => reason.split(':')[0])
  return JSON.stringify([state, slots, running, reasons])
}
