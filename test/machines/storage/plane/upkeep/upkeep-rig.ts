/**
 * Upkeep on a virtual clock: engines in memory, and a worker that runs the code of its tasks against twins of
 * the units. `crash` is kill -9: what was not flushed is gone, and what the code of a task had begun is left
 * where it was.
 */

import {
  blobDeleteAgainTask,
  blobDeleteTask,
} from '../../../../../machines/storage/plane/upkeep/delete-task.ts'
import {
  countersAddress,
  openUpkeep,
  UPKEEP_KINDS,
  Upkeep,
  type UpkeepCounters,
  type UpkeepKind,
  type UpkeepPorts,
  upkeepMachines,
} from '../../../../../machines/storage/plane/upkeep/index.ts'
import {
  shardRepairAgainTask,
  shardRepairTask,
} from '../../../../../machines/storage/plane/upkeep/repair-task.ts'
import { wakeTask } from '../../../../../machines/storage/plane/upkeep/wake-task.ts'
import { SWITCHES_ADDRESS, switchMachines } from '../../../../../machines/storage/switches/index.ts'
import { TaskError } from '../../../../../src/machine/index.ts'
import type { TaskDelivery } from '../../../../../src/ports/index.ts'
import type { ActorView } from '../../../../../src/protocol/index.ts'
import { RUNTIME } from '../../../../../src/worker/attempt-runtime.ts'
import type { Harness } from '../../../../shard/harness.ts'
import { open, restart, worker } from '../../../../shard/support.ts'
import { BID, VID } from './twins.ts'

const TASKS = [
  ...[shardRepairTask, shardRepairAgainTask, blobDeleteTask, blobDeleteAgainTask, wakeTask],
].map(({ troupeTask }) => troupeTask)
const MACHINES = [...upkeepMachines, ...switchMachines]
const STEP_MS = 100
const WITHIN_MS = 86_400_000 * 3

export const REPAIR = `shard-repair/${VID}-${BID}`
export const REMOVAL = `blob-delete/${VID}-${BID}`

export class UpkeepRig {
  h: Harness
  readonly #config = {}
  readonly #safeDelayMs: number
  #stop = new AbortController()

  constructor(ports: UpkeepPorts | undefined, safeDelayMs = 0) {
    this.h = open(MACHINES, { shardCount: 4, flushDelayMs: 2 })
    this.#safeDelayMs = safeDelayMs
    if (ports) this.openStore(ports)
    this.#serve()
  }

  /** As a node starts them; until then messages have nobody who counts them. */
  async openCounters(open: readonly UpkeepKind[] = UPKEEP_KINDS): Promise<void> {
    const { client } = this.h
    for (const kind of UPKEEP_KINDS)
      await this.h.run(client.ensure(countersAddress(kind), { kind }))
    await this.h.run(client.ensure(SWITCHES_ADDRESS))
    await this.h.run(client.send(SWITCHES_ADDRESS, { type: 'INSTALL', open: [...open] }))
  }

  async switch(name: UpkeepKind, isOn: boolean): Promise<void> {
    await this.h.run(this.h.client.send(SWITCHES_ADDRESS, { type: 'SET', name, isOn }))
  }

  async counters(kind: UpkeepKind): Promise<UpkeepCounters> {
    return (await this.view(countersAddress(kind))).context as UpkeepCounters
  }

  openStore(ports: UpkeepPorts): void {
    openUpkeep(this.#config, ports)
  }

  repair(badIndexes: number[], reason = 'a test', bid = BID): Promise<void> {
    return this.h.run(this.upkeep.repair({ vid: VID, bid, badIndexes, reason }))
  }

  remove(unitsMarked: number[] = [], { isMarked = false, isLeftover = false, bid = BID } = {}) {
    const message = { vid: VID, bid, unitsMarked, isMarked, isLeftover }
    return this.h.run(this.upkeep.remove(message))
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
    this.h = restart(this.h, MACHINES)
    this.#serve()
  }

  get upkeep(): Upkeep {
    const { client, clock } = this.h
    return new Upkeep({
      ...{ client: client.as('app storage'), clock, safeDelayMs: this.#safeDelayMs },
    })
  }

  #serve(): void {
    const { signal } = this.#stop
    for (const { queue, concurrency = 1 } of TASKS)
      for (let place = 0; place < concurrency; place += 1)
        this.#offer(queue as string, this.h, signal)
  }

  /** A place for one attempt at a time: as a worker does, it asks for the next when that has ended. */
  #offer(queue: string, h: Harness, signal: AbortSignal): void {
    if (signal.aborted) return
    const consumer = h.taskQueue.consume({ queue, slots: 1 }, (delivery) => {
      consumer.stop()
      void this.#perform(delivery, h, signal)
        .catch(() => {})
        .finally(() => this.#offer(queue, h, signal))
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
