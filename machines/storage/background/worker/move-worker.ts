/**
 * The worker of one process: takes tasks, does them, says how they ended. Decides: how many at a time, that a
 * task is kept by renewing its lease and left when the lease is gone, and that a stop leaves what runs to
 * whoever has it next: nothing that is copied is lost. Leaves to others: the work (`move-run.ts`, `inspect`),
 * the words of its server (`worker-calls.ts`).
 */
import { setMaxListeners } from 'node:events'
import { type Clock, type Log, TroupeError, wait } from '../../../../src/index.ts'
import { messageOf } from '../../plane/why.ts'
import { MOVE_LIMITS, type MoveLimits } from './limits.ts'
import { type MoveEnd, MoveRun } from './move-run.ts'
import type { MoveTask } from './move-task.ts'
import type { ChunkCalls, RecoveryCode } from './ports.ts'
import { Progress } from './progress.ts'
import type { WorkerCalls } from './worker-calls.ts'

export interface MoveWorkerDeps {
  calls: WorkerCalls
  chunks: ChunkCalls
  erasure: RecoveryCode
  clock: Clock
  log: Log
  limits?: Partial<MoveLimits>
  /** Tasks at a time. */
  slots: number
}

/** A task in hand. */
interface Held {
  task: MoveTask
  stop: AbortController
  /** By the clock that never jumps. */
  leaseUntil: number
  leaseMs: number
  ended: Promise<void>
}

/** It is somebody else's. */
class LeaseLost extends Error {}
class WorkerStops extends Error {}

export interface WorkerFigures {
  running: number
  completed: number
  cancelled: number
  reclaimed: number
  /** Leases that went to others. */
  lost: number
}

/** A server that fails is asked again at ever longer intervals. */
const AWAY_MS_MAX = 5_000

export class MoveWorker {
  readonly #deps: MoveWorkerDeps
  readonly #limits: MoveLimits
  readonly #stop = new AbortController()
  readonly #held = new Map<string, Held>()
  readonly #figures = { completed: 0, cancelled: 0, reclaimed: 0, lost: 0 }
  readonly #loops: Promise<void>[] = []
  #problem: string | undefined
  #cancelRenewal = () => {}
  #renewing: Promise<void> | undefined

  constructor(deps: MoveWorkerDeps) {
    this.#deps = deps
    this.#limits = { ...MOVE_LIMITS, ...deps.limits }
    setMaxListeners(0, this.#stop.signal)
  }

  /** Begins to take tasks. */
  start(): void {
    for (let slot = 0; slot < this.#deps.slots; slot += 1) this.#loops.push(this.#loop())
  }

  /** Resolves when nothing of it runs any more; leases lapse by themselves. */
  async stop(): Promise<void> {
    this.#stop.abort(new WorkerStops('the worker stops'))
    this.#cancelRenewal()
    await Promise.all(this.#loops)
    await this.#renewing
  }

  report(): WorkerFigures {
    return { running: this.#held.size, ...this.#figures }
  }

  async #loop(): Promise<void> {
    const { clock } = this.#deps
    const { signal } = this.#stop
    let failures = 0
    while (!signal.aborted) {
      const askedAt = clock.monotonic()
      try {
        const wasThere = await this.#move()
        this.#heard()
        failures = 0
        // A server that does not wait with its answer is not asked without a pause.
        const restMs = this.#limits.acquirePauseMs - (clock.monotonic() - askedAt)
        if (!wasThere && restMs > 0) await wait({ clock, signal }, restMs)
      } catch (thrown) {
        if (signal.aborted) return
        this.#unheard(thrown)
        const waitMs = Math.min(AWAY_MS_MAX, this.#limits.acquirePauseMs * 2 ** failures)
        failures = Math.min(failures + 1, 10)
        await wait({ clock, signal }, waitMs)
      }
    }
  }

  #heard(): void {
    if (this.#problem !== undefined) this.#deps.log.info({}, 'the worker has a server again')
    this.#problem = undefined
  }

  /** For the same reason as before it is told once. */
  #unheard(thrown: unknown): void {
    const problem = messageOf(thrown)
    if (problem !== this.#problem) this.#deps.log.warn({ problem }, 'the worker gets no tasks')
    this.#problem = problem
  }

  /** @returns false: there was no task */
  async #move(): Promise<boolean> {
    const { calls, log } = this.#deps
    const task = await calls.acquire(this.#limits.acquireWaitMs, this.#stop.signal)
    if (task === undefined) return false
    const before = this.#held.get(task.task_id)
    if (before !== undefined) {
      // Its lease had lapsed, and it came back here.
      before.stop.abort(new LeaseLost('it was leased anew'))
      await before.ended.catch(() => undefined)
    }
    const held = this.#hold(task)
    held.ended = this.#run(held).finally(() => {
      if (this.#held.get(task.task_id) === held) this.#held.delete(task.task_id)
      this.#renewLater()
    })
    this.#renewLater()
    await held.ended.catch((thrown: unknown) => {
      if (this.#stop.signal.aborted) return
      this.#figures.lost += 1
      log.warn({ task: task.task_id, why: messageOf(thrown) }, 'a task is left to others')
    })
    return true
  }

  #hold(task: MoveTask): Held {
    const leaseMs = Math.min(task.lease_ms ?? this.#limits.leaseMs, this.#limits.leaseMs)
    const leaseUntil = this.#deps.clock.monotonic() + leaseMs
    const held = {
      task,
      stop: new AbortController(),
      leaseUntil,
      leaseMs,
      ended: Promise.resolve(),
    }
    this.#held.set(task.task_id, held)
    return held
  }

  /** @throws LeaseLost, WorkerStops */
  async #run({ task, stop }: Held): Promise<void> {
    const { calls, chunks, erasure, clock, log } = this.#deps
    const signal = AbortSignal.any([stop.signal, this.#stop.signal])
    const limits = this.#limits
    const progress = new Progress({
      ...{ clock, reportMs: limits.reportMs, retryMs: limits.retryMs },
      report: (stat, increase) => calls.report(task, stat, increase),
      onLost: (why) => stop.abort(new LeaseLost(why)),
    })
    const about = log.child({ task: task.task_id })
    try {
      const run = new MoveRun(
        task,
        { chunks, erasure, clock, log: about, limits, progress },
        signal,
      )
      const end = await run.run()
      await progress.end(signal)
      signal.throwIfAborted()
      await this.#end(task, end, signal)
    } finally {
      await progress.stop()
    }
  }

  async #end(task: MoveTask, end: MoveEnd, signal: AbortSignal): Promise<void> {
    const { calls, log } = this.#deps
    const about = { task: task.task_id }
    if (end.kind === 'completed') {
      const reason = end.lost === 0 ? '' : `${end.lost} shards could not be made up`
      await this.#told(() => calls.complete(task, reason), signal)
      this.#figures.completed += 1
      log.info({ ...about, lost: end.lost }, 'a chunk is copied')
      return
    }
    const { kind, reason } = end
    await this.#told(() => calls[kind](task, reason), signal)
    this.#figures[kind === 'cancel' ? 'cancelled' : 'reclaimed'] += 1
    log.warn(
      { ...about, reason },
      kind === 'cancel' ? 'a task is put off' : 'a chunk is given back',
    )
  }

  /** As long as the lease is held; whoever has the task next finds all of it done. */
  async #told(call: () => Promise<void>, signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps
    for (;;) {
      signal.throwIfAborted()
      try {
        return await call()
      } catch (thrown) {
        if (!(thrown instanceof TroupeError) || !thrown.retry) throw thrown
      }
      await wait({ clock, signal }, this.#limits.retryMs)
    }
  }

  /** Twice within a lease. */
  #renewLater(): void {
    this.#cancelRenewal()
    const leases = this.#leases()
    if (leases.length === 0 || this.#stop.signal.aborted || this.#renewing !== undefined) return
    const { clock } = this.#deps
    const now = clock.monotonic()
    const due = leases.map(({ leaseUntil, leaseMs }) => leaseUntil - leaseMs / 2 - now)
    this.#cancelRenewal = clock.after(Math.max(0, Math.min(...due)), () => {
      this.#renewing = this.#renew().finally(() => {
        this.#renewing = undefined
        this.#renewLater()
      })
    })
  }

  /** Those that are not given up yet. */
  #leases(): Held[] {
    return [...this.#held.values()].filter(({ stop }) => !stop.signal.aborted)
  }

  async #renew(): Promise<void> {
    const { calls, clock, log } = this.#deps
    const leases = this.#leases()
    const askedAt = clock.monotonic()
    try {
      const lost = await calls.renew(leases.map(({ task }) => task))
      for (const held of leases) {
        const why = lost.get(held.task.task_id)
        if (why === undefined) held.leaseUntil = askedAt + held.leaseMs
        else held.stop.abort(new LeaseLost(why))
      }
    } catch (thrown) {
      log.warn({ problem: messageOf(thrown) }, 'leases could not be renewed; it is tried again')
      this.#lapse(messageOf(thrown))
      const againMs = Math.min(this.#limits.retryMs, this.#limits.leaseMs / 10)
      await wait({ clock, signal: this.#stop.signal }, againMs)
    }
  }

  /** A lease that is over is given up here as well: somebody else may have the task. */
  #lapse(why: string): void {
    const now = this.#deps.clock.monotonic()
    for (const { leaseUntil, stop } of this.#leases()) {
      if (now >= leaseUntil) stop.abort(new LeaseLost(`its lease could not be renewed: ${why}`))
    }
  }
}
