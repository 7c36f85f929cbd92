/**
 * All processors of a daemon: its child processes, and the stages that run in its own process.
 *
 * Decides: where a request goes, and in which order the parts start and stop. A child that does not start
 * holds up nobody. Leaves to others: locks and limits over stages (the worker's pool; `gate-names.ts` says
 * what to ask it for), what the tasks mean (`steps/`).
 */
import { randomUUID } from 'node:crypto'
import { type Clock, type Log, systemClock } from '../../../src/index.ts'
import { BadReplies } from './bad-replies.ts'
import { Confinement } from './confinement.ts'
import { ProcessorError } from './errors.ts'
import { type InnerHandler, InnerStages } from './inner-stages.ts'
import { Job, type RunOptions } from './job.ts'
import { KeyedWork } from './keyed-work.ts'
import { Lane, type LaneDeps, type LaneReport, type Trouble } from './lane.ts'
import { Ledger } from './ledger.ts'
import { DEFAULT_PROCESSOR_LIMITS, type ProcessorLimits } from './limits.ts'
import type { ProcessorsConfig } from './settings.ts'
import { StageLine } from './stage-line.ts'

export interface ProcessorsDeps {
  log: Log
  /** Where the daemon notes which children live. Its own: two daemons never share it. */
  ledgerDirectory: string
  clock?: Clock
  /** A child is down, or sent what cannot be read. */
  onTrouble?: (trouble: Trouble) => void
  limits?: Partial<ProcessorLimits>
  /** What children inherit, read at each start. Default: that of this process. */
  env?: NodeJS.ProcessEnv
  /** In [0, 1). */
  random?: () => number
  /** Where /sys is. */
  sysRoot?: string
}

export class Processors {
  readonly #lines = new Map<string, StageLine>()
  readonly #work = new KeyedWork()
  readonly #inner: InnerStages
  readonly #ledger: Ledger
  #onUnwell: (lanes: readonly string[]) => void = () => undefined
  #unwell: readonly string[] = []
  readonly #patience: { clock: Clock; leftoversMs: number }
  #isStopped = false
  /** While something of an earlier life may still run. */
  #starting: Promise<void> | undefined

  constructor(config: ProcessorsConfig, deps: ProcessorsDeps) {
    const { log, ledgerDirectory, clock = systemClock(), env = process.env, sysRoot } = deps
    const limits = { ...DEFAULT_PROCESSOR_LIMITS, ...deps.limits }
    const confinement = new Confinement({
      ...{ log, env },
      ...(sysRoot === undefined ? {} : { sysRoot }),
    })
    this.#patience = { clock, leftoversMs: limits.leftoversMs }
    this.#inner = new InnerStages(clock, this.#work)
    this.#ledger = new Ledger({
      ...{ directory: ledgerDirectory, clock, log },
      onGroupFree: (group) => confinement.free(group),
    })
    const shared = {
      ...{ clock, log, limits, env, confinement, ledger: this.#ledger, work: this.#work },
      badReplies: new BadReplies({ log, env, dumpsMax: limits.dumpsMax }),
      proof: randomUUID(),
      random: deps.random ?? Math.random,
      onTrouble: deps.onTrouble ?? (() => undefined),
    }
    for (const [stage, children] of Object.entries(config)) {
      if (children.length === 0) continue
      const laneDeps: LaneDeps = { ...shared, onChange: () => this.#changed(stage) }
      const lanes = children.map((child, index) => new Lane(stage, index, child, laneDeps))
      const { unhealthyWaitMs } = limits
      this.#lines.set(stage, new StageLine(stage, lanes, { clock, unhealthyWaitMs }))
    }
  }

  /**
   * Ends what an earlier life left, then starts all children. Does not wait until they are ready, nor
   * fails when they are not: requests wait for them.
   * @throws TroupeError `conflict` when another daemon uses the same directory
   */
  async start(): Promise<void> {
    const { clock, leftoversMs } = this.#patience
    this.#starting = this.#ledger.endLeftovers(() => this.#isStopped).then(() => this.#open())
    await new Promise<void>((resolve, reject) => {
      const cancel = clock.after(leftoversMs, resolve)
      this.#starting?.then(resolve, reject).finally(cancel)
    })
  }

  /** Ends all children; resolves when none is left. What they worked on fails as `exited`. */
  async stop(): Promise<void> {
    this.#isStopped = true
    const lines = [...this.#lines.values()]
    for (const line of lines) line.stop()
    this.#inner.stop()
    await Promise.all(lines.flatMap(({ lanes }) => lanes.map((lane) => lane.stop())))
  }

  /**
   * Told whenever it changes which lanes cannot be counted on: their child is down or has yet to come up
   * again, or takes nothing new.
   */
  watch(onUnwell: (lanes: readonly string[]) => void): void {
    this.#onUnwell = onUnwell
  }

  /** For a stage without children; where there are some, they do the work. */
  registerInner(stage: string, handler: InnerHandler): void {
    this.#inner.register(stage, handler)
  }

  /**
   * Does one task. Waits for a place as long as it takes, since the pool keeps the order of threads; for a
   * child that is down, `unhealthyWaitMs`.
   * @throws ProcessorError
   */
  run(stage: string, task: unknown, options: RunOptions): Promise<unknown> {
    const job = new Job(stage, task, options)
    if (!job.isSettled) this.#dispatch(job)
    return job.result
  }

  /**
   * Resolves when nobody works on the files of that key any more, not even a child whose caller has given
   * up: only then may they be moved.
   */
  async quiet(key: string): Promise<void> {
    // What an earlier life left may work on any key.
    await this.#starting
    await this.#work.quiet(key)
  }

  /** Per lane, in the order of the configuration; stages of this process last. */
  report(): LaneReport[] {
    const lines = [...this.#lines.values()]
    const children = lines.flatMap(({ lanes, waiting }) =>
      lanes.map((lane) => lane.report(waiting)),
    )
    const inner = this.#inner.reports().filter(({ stage }) => !this.#lines.has(stage))
    return [...children, ...inner]
  }

  #changed(stage: string): void {
    const line = this.#lines.get(stage)
    if (line === undefined) return
    line.serve()
    // At the start and end of each request nothing of this changes: only the stage itself is looked at.
    if (line.lanes.every(({ isWell, name }) => isWell !== this.#unwell.includes(name))) return
    const lanes = [...this.#lines.values()].flatMap((one) => one.lanes)
    const unwell = lanes.filter(({ isWell }) => !isWell).map(({ name }) => name)
    this.#unwell = unwell
    if (!this.#isStopped) this.#onUnwell(unwell)
  }

  #open(): void {
    this.#starting = undefined
    if (this.#isStopped) return
    for (const { lanes } of this.#lines.values()) {
      for (const lane of lanes) lane.start()
    }
  }

  #dispatch(job: Job): void {
    const { stage } = job
    const line = this.#lines.get(stage)
    if (this.#isStopped) {
      job.reject(new ProcessorError('unhealthy', 'the daemon stops', { stage }))
    } else if (line !== undefined) {
      line.submit(job)
    } else if (this.#starting !== undefined) {
      // Something of an earlier life may still write: lanes wait for its end, and so does this.
      this.#starting.then(
        () => (job.isSettled ? undefined : this.#dispatch(job)),
        (cause: unknown) => {
          const options = { stage, cause }
          job.reject(new ProcessorError('unhealthy', 'the processors did not start', options))
        },
      )
    } else if (this.#inner.has(stage)) {
      this.#inner.run(job)
    } else {
      const why = `nothing does the stage ${stage}: configure [[processors.${stage}]]`
      job.reject(new ProcessorError('refused', why, { stage }))
    }
  }
}
