/**
 * Upkeep on a virtual clock: engines in memory, and a worker that runs the code of its tasks against twins of
 * the units. `crash` is kill -9: what was not flushed is gone, and what the code of a task had begun is left
 * where it was.
 */

import { blobDeleteTask } from '../../../../../machines/storage/plane/upkeep/delete-task.ts'
import {
  openUpkeep,
  Upkeep,
  type UpkeepPorts,
  upkeepMachines,
} from '../../../../../machines/storage/plane/upkeep/index.ts'
import { shardRepairTask } from '../../../../../machines/storage/plane/upkeep/repair-task.ts'
import { TaskError } from '../../../../../src/machine/index.ts'
import type { TaskDelivery } from '../../../../../src/ports/index.ts'
import type { ActorView } from '../../../../../src/protocol/index.ts'
import { RUNTIME } from '../../../../../src/worker/attempt-runtime.ts'
import type { Harness } from '../../../../shard/harness.ts'
import { open, restart, worker } from '../../../../shard/support.ts'
import { BID, VID } from './twins.ts'

const TASKS = [shardRepairTask, blobDeleteTask].map(({ troupeTask }) => troupeTask)
const STEP_MS = 100
const WITHIN_MS = 86_400_000 * 3

export const REPAIR = `shard-repair/${VID}-${BID}`
export const REMOVAL = `blob-delete/${VID}-${BID}`

export class UpkeepRig {
  h: Harness
  readonly #config = {}
  #stop = new AbortController()

  constructor(ports: UpkeepPorts | undefined) {
    this.h = open(upkeepMachines, { shardCount: 4, flushDelayMs: 2 })
    if (ports) this.openStore(ports)
    this.#serve()
  }

  openStore(ports: UpkeepPorts): void {
    openUpkeep(this.#config, ports)
  }

  repair(badIndexes: number[], reason = 'a test'): Promise<void> {
    return this.h.run(this.#upkeep().repair({ vid: VID, bid: BID, badIndexes, reason }))
  }

  remove(unitsDone: number[] = []): Promise<void> {
    return this.h.run(this.#upkeep().remove({ vid: VID, bid: BID, unitsDone }))
  }

  view(address: string): Promise<ActorView> {
    return this.h.run(this.h.client.get(address))
  }

  /** @returns how it stands then, and how long that took */
  async until(address: string, state: string): Promise<{ view: ActorView; tookMs: number }> {
    const from = this.h.clock.monotonic()
    for (;;) {
      const view = await this.view(address)
      const tookMs = this.h.clock.monotonic() - from
      if (view.value === state) return { view, tookMs }
      if (tookMs > WITHIN_MS) throw new Error(`${address} is ${view.value}, not ${state}`)
      await this.h.advance(tookMs < 60_000 ? STEP_MS : 10_000)
    }
  }

  crash(): void {
    this.#stop.abort()
    this.#stop = new AbortController()
    this.h = restart(this.h, upkeepMachines)
    this.#serve()
  }

  #upkeep(): Upkeep {
    return new Upkeep({ client: this.h.client.as('app storage') })
  }

  #serve(): void {
    const { signal } = this.#stop
    for (const { queue } of TASKS)
      this.h.taskQueue.consume({ queue: queue as string, slots: 4 }, (delivery) => {
        void this.#perform(delivery, this.h, signal).catch(() => {})
      })
  }

  async #perform(delivery: TaskDelivery, h: Harness, signal: AbortSignal): Promise<void> {
    const { taskId, name } = delivery.message
    const task = TASKS.find((one) => one.name === name)
    if (!task) throw new Error(`there is no task ${name}`)
    const { start, done, fail } = worker(h)
    const { token, attempt, input } = await start(taskId)
    delivery.ack()
    const address = taskId.slice(0, taskId.indexOf('#'))
    const { client, clock, limits } = h
    try {
      const output = await task.run({
        ...{
          input,
          address,
          taskId,
          attempt,
          token,
          signal,
          directory: '',
          reattached: false,
        },
        ...{ leaseMs: limits.leaseMs, onWorkerLost: 'rerun', progress: () => {}, log: () => {} },
        [RUNTIME]: { config: this.#config, node: { client, clock, limits, machines: new Map() } },
      } as never)
      if (!signal.aborted) await done(taskId, token, output)
    } catch (thrown) {
      if (signal.aborted) return
      const kind = thrown instanceof TaskError ? thrown.failure.class : 'temporary'
      await fail(taskId, token, kind, (thrown as Error).message)
    }
  }
}
