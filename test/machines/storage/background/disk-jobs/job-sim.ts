/** Jobs that empty disks, on a simulated node, and a driver that ends the moves which they start. */
import {
  type DiskJobsConfig,
  diskJobMachines,
  diskJobsConfig,
  openDiskJobs,
} from '../../../../../machines/storage/background/disk-jobs/index.ts'
import type { JobRecord } from '../../../../../machines/storage/background/disk-jobs/job-record.ts'
import {
  finishTask,
  lookTask,
  takeTask,
} from '../../../../../machines/storage/background/disk-jobs/job-tasks.ts'
import { watchTask } from '../../../../../machines/storage/background/disk-jobs/watch-task.ts'
import { diskMachines } from '../../../../../machines/storage/plane/disks/index.ts'
import { switchMachines } from '../../../../../machines/storage/switches/index.ts'
import type { ActorView } from '../../../../../src/protocol/index.ts'
import { EngineSim } from '../../engine-sim.ts'
import { fakeMigrateTask } from '../fake-moves.ts'
import { StoreWorld } from '../store-world.ts'

export class JobSim extends EngineSim {
  readonly world: StoreWorld

  private constructor(world: StoreWorld, limits: DiskJobsConfig) {
    super({
      machines: [...diskMachines, ...diskJobMachines, ...switchMachines, fakeMigrateTask],
      tasks: [takeTask, lookTask, finishTask, watchTask],
      opened: (process) => {
        world.enter(process)
        openDiskJobs(process.config, { ...world.ports(process), limits } as never)
      },
    })
    this.world = world
  }

  /** @param isOpen whether both switches are open from the beginning */
  static async create(
    limits: Partial<DiskJobsConfig> = {},
    { isOpen = true, disks = 8 } = {},
  ): Promise<JobSim> {
    const sim = new JobSim(new StoreWorld(), diskJobsConfig.parse(limits))
    await sim.world.farm(disks, 4)
    await sim.h.run(sim.h.client.ensure('storage-switches/main'))
    if (isOpen) {
      await sim.toggle('disk_drop', true)
      await sim.toggle('disk_repair', true)
    }
    await sim.h.run(sim.h.client.ensure('disk-watch/main'))
    return sim
  }

  async toggle(name: 'disk_drop' | 'disk_repair', isOn: boolean): Promise<void> {
    await this.send('storage-switches/main', { type: 'SET', name, isOn })
  }

  async drop(diskId: number): Promise<void> {
    await this.h.run(this.world.disks.setReadonly(diskId, true))
    await this.h.run(this.world.disks.drop(diskId))
  }

  async breakDisk(diskId: number): Promise<void> {
    await this.h.run(this.world.disks.set(diskId, 2))
  }

  job(address: string): Promise<JobRecord> {
    return this.context<JobRecord>(address)
  }

  /** The job, where there is one. */
  async seek(address: string): Promise<ActorView | undefined> {
    return this.view(address).catch(() => undefined)
  }

  async untilState(address: string, state: string, withinMs?: number): Promise<JobRecord> {
    let view: ActorView | undefined
    const is = async () => {
      view = await this.seek(address)
      const value = view?.value
      return value === state || (typeof value === 'object' && Object.hasOwn(value, state))
    }
    await this.until(`${address} ${state}`, is, withinMs).catch((thrown: unknown) => {
      throw new Error(`${(thrown as Error).message}: ${JSON.stringify(view, big)}`)
    })
    return view?.context as JobRecord
  }

  /** Ends what is moving, one after the other, until the job is done. */
  async drive(
    address: string,
    { to = 8, each = async () => {} }: DriveOptions = {},
  ): Promise<void> {
    await this.until(`${address} to be done`, async () => {
      await each()
      for (const taskId of await this.world.live()) await this.world.finish(taskId, to)
      return (await this.seek(address))?.value === 'done'
    })
  }
}

interface DriveOptions {
  to?: number
  each?: () => Promise<void>
}

function big(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value
}
