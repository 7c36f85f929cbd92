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
import type { ActorView } from '../../../../../src/protocol/index.ts'
import type { Harness } from '../../../../shard/harness.ts'
import { EngineSim } from '../../engine-sim.ts'
import { BID, VID } from './twins.ts'

const TASKS = [
  ...[shardRepairTask, shardRepairAgainTask, blobDeleteTask, blobDeleteAgainTask, wakeTask],
]
const MACHINES = [...upkeepMachines, ...switchMachines]
const STEP_MS = 100
const WITHIN_MS = 86_400_000 * 3

export const REPAIR = `shard-repair/${VID}-${BID}`
export const REMOVAL = `blob-delete/${VID}-${BID}`

export class UpkeepRig {
  readonly #sim: EngineSim
  readonly #safeDelayMs: number
  #ports: UpkeepPorts | undefined
  #config = {}

  constructor(ports: UpkeepPorts | undefined, safeDelayMs = 0) {
    this.#safeDelayMs = safeDelayMs
    this.#ports = ports
    this.#sim = new EngineSim({
      machines: MACHINES,
      tasks: TASKS,
      opened: ({ config }) => {
        this.#config = config
        if (this.#ports) openUpkeep(config, this.#ports)
      },
    })
  }

  get h(): Harness {
    return this.#sim.h
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
    this.#ports = ports
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
    return this.#sim.view(address)
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
    this.#sim.crash()
  }

  get upkeep(): Upkeep {
    const { client, clock } = this.h
    return new Upkeep({
      ...{ client: client.as('app storage'), clock, safeDelayMs: this.#safeDelayMs },
    })
  }
}
