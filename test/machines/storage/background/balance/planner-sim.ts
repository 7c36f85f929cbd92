/** The planner on a simulated node. */

import { chooseTask } from '../../../../../machines/storage/background/balance/choose-task.ts'
import {
  type BalanceConfig,
  balanceConfig,
  balanceMachines,
  openBalance,
  type PlannerRecord,
} from '../../../../../machines/storage/background/balance/index.ts'
import {
  placeTask,
  releaseTask,
  startTask,
} from '../../../../../machines/storage/background/balance/move-tasks.ts'
import { diskMachines } from '../../../../../machines/storage/plane/disks/index.ts'
import { switchMachines } from '../../../../../machines/storage/switches/index.ts'
import { SeededRandom } from '../../../../../src/adapters/memory/index.ts'
import { EngineSim } from '../../engine-sim.ts'
import { fakeMigrateTask } from '../fake-moves.ts'
import { StoreWorld } from '../store-world.ts'
import { fakeVolume } from './fake-volume.ts'

export const PLANNER = 'balance-planner/main'

export class PlannerSim extends EngineSim {
  readonly world: StoreWorld

  private constructor(world: StoreWorld, limits: BalanceConfig) {
    const random = new SeededRandom(7)
    super({
      machines: [
        ...[...diskMachines, ...balanceMachines, ...switchMachines],
        ...[fakeMigrateTask, fakeVolume(world)],
      ],
      tasks: [chooseTask, placeTask, startTask, releaseTask],
      opened: (process) => {
        world.enter(process)
        const ports = { ...world.ports(process), random: () => random.fraction(), limits }
        openBalance(process.config, ports as never)
      },
    })
    this.world = world
  }

  /** All volumes lie on the first half of the disks. */
  static async create(
    limits: Partial<BalanceConfig> = {},
    { disks = 6, volumes = 8, isOpen = true } = {},
  ): Promise<PlannerSim> {
    const sim = new PlannerSim(new StoreWorld(), balanceConfig.parse(limits))
    await sim.world.farm(disks, disks)
    for (let vid = 1; vid <= volumes; vid++) {
      await sim.world.volume(vid, [1, 2, 3])
      await sim.h.run(sim.h.client.start(`volume/${vid}`, { vid }))
    }
    await sim.h.run(sim.h.client.ensure('storage-switches/main'))
    await sim.toggle(isOpen)
    await sim.h.run(sim.h.client.ensure(PLANNER))
    return sim
  }

  async toggle(isOn: boolean): Promise<void> {
    await this.send('storage-switches/main', { type: 'SET', name: 'balance', isOn })
  }

  record(): Promise<PlannerRecord> {
    return this.context<PlannerRecord>(PLANNER)
  }

  async untilMoving(count: number, withinMs?: number): Promise<string[]> {
    const is = async () => (await this.world.live()).length >= count
    await this.until(`${count} moves`, is, withinMs)
    return this.world.live()
  }

  async untilWhy(text: string): Promise<void> {
    let why: string | undefined
    const is = async () => {
      why = (await this.record()).wait?.why
      return why?.includes(text) ?? false
    }
    await this.until(text, is, 60_000).catch(() => {
      throw new Error(`it does not say "${text}", but "${why}"`)
    })
  }

  /** Ends every move where its chunk was made, until nothing moves any more. */
  async drive(each: () => Promise<void> = async () => {}): Promise<void> {
    await this.until('nothing to be left to do', async () => {
      await each()
      for (const taskId of await this.world.live()) await this.world.finishAsPlaced(taskId)
      const { live, wait } = await this.record()
      return live.length === 0 && (wait?.why.includes('even enough') ?? false)
    })
  }
}
