/**
 * Bulks on a virtual clock: engines in memory, and a worker that runs the code of their tasks. `crash` is
 * kill -9: what was not flushed is gone, and what the code of a task had begun is left where it was.
 */
import { bulk } from '../../../machines/platform/bulk.ts'
import { bulkList, bulkRun } from '../../../machines/platform/bulk-tasks.ts'
import { Bulks } from '../../../machines/platform/bulks.ts'
import { hostMachine, type MachineDefinition, TaskError } from '../../../src/machine/index.ts'
import type { TaskDelivery } from '../../../src/ports/index.ts'
import type { Limits } from '../../../src/protocol/index.ts'
import { RUNTIME } from '../../../src/worker/attempt-runtime.ts'
import type { Harness } from '../../shard/harness.ts'
import { open, restart, worker } from '../../shard/support.ts'
import { order, vault } from './bulk-machines.ts'

const MACHINES: readonly MachineDefinition[] = [bulk, order, vault]
const STEP_MS = 50
const WITHIN_MS = 3_600_000
const TASKS = new Map(
  [bulkList, bulkRun].map(({ troupeTask }) => [troupeTask.name, troupeTask] as const),
)

export class BulkRig {
  h: Harness
  /** What the code of tasks said. */
  readonly lines: { fields: object; message: string }[] = []
  #stop = new AbortController()

  constructor(limits: Partial<Limits> = {}) {
    this.h = open(MACHINES, { shardCount: 4, flushDelayMs: 2, limits })
    this.serve()
  }

  get bulks(): Bulks {
    const { client, limits, clock } = this.h
    return new Bulks({
      client: client.as('app platform'),
      limits,
      clock,
      machines: this.#machines(),
    })
  }

  serve(): void {
    const { signal } = this.#stop
    this.h.taskQueue.consume({ queue: 'bulk', slots: 4 }, (delivery) => {
      void this.#perform(delivery, this.h, signal).catch(() => {})
    })
  }

  /** @param isServed whether somebody runs tasks at once */
  crash(isServed = true): void {
    this.#stop.abort()
    this.#stop = new AbortController()
    this.h = restart(this.h, MACHINES)
    if (isServed) this.serve()
  }

  async begin(input: object, id = 'b'): Promise<void> {
    await this.h.run(this.h.client.as('ann').start(`bulk/${id}`, input))
  }

  async advanceUntil(isSo: () => Promise<boolean>, stepMs = STEP_MS): Promise<void> {
    const endMs = this.h.clock.monotonic() + WITHIN_MS
    while (!(await isSo())) {
      if (this.h.clock.monotonic() > endMs) throw new Error(`not within ${WITHIN_MS} ms`)
      await this.h.advance(stepMs)
    }
  }

  /** Until it has ended, or has to wait for somebody. */
  async settled(id = 'b', stepMs = STEP_MS) {
    const view = () => this.h.run(this.bulks.view(id))
    const isSettled = async () => !['listing', 'running'].includes((await view()).status)
    await this.advanceUntil(isSettled, stepMs)
    return view()
  }

  #machines() {
    return new Map(MACHINES.map((one) => [one.name, hostMachine(one, this.h.limits)]))
  }

  async #perform(delivery: TaskDelivery, h: Harness, signal: AbortSignal): Promise<void> {
    const { taskId, name } = delivery.message
    const task = TASKS.get(name)
    if (!task) throw new Error(`there is no task ${name}`)
    const { start, done, fail } = worker(h)
    const { token, attempt, input } = await start(taskId)
    delivery.ack()
    const address = taskId.slice(0, taskId.indexOf('#'))
    const { client, clock, limits } = h
    const beat = () => {
      if (signal.aborted) return
      worker(h)
        .beat(taskId, token)
        .catch(() => {})
      clock.after(10_000, beat)
    }
    beat()
    try {
      const output = await task.run({
        ...{ input, address, taskId, attempt, token, signal, directory: '', reattached: false },
        ...{ leaseMs: limits.leaseMs, onWorkerLost: 'rerun', progress: () => {} },
        log: (fields: object, message: string) => void this.lines.push({ fields, message }),
        [RUNTIME]: { node: { client, clock, limits, machines: this.#machines() } },
      } as never)
      if (!signal.aborted) await done(taskId, token, output)
    } catch (thrown) {
      if (signal.aborted) return
      const kind = thrown instanceof TaskError ? thrown.failure.class : 'temporary'
      await fail(taskId, token, kind, (thrown as Error).message)
    }
  }
}
