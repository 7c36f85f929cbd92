/**
 * What a node of a simulated world runs for the store: the tasks of its volumes, lanes and moves, as they are.
 *
 * Decides: that what is given to a node comes with its process and goes with it; and that a seed decides where
 * the product leaves a choice to chance.
 */
import { laneTasks, openLanes } from '../../../machines/storage/background/lanes/index.ts'
import { openWorkerQueue } from '../../../machines/storage/background/lanes/queue-record.ts'
import { type MoveUpkeep, openMoves } from '../../../machines/storage/background/moves/index.ts'
import {
  allocTask,
  claimTask,
  lockTask as lockForMoveTask,
  updateTask,
  withdrawTask,
} from '../../../machines/storage/background/moves/move-tasks.ts'
import { compareTask, settleTask } from '../../../machines/storage/background/moves/settle-task.ts'
import { codeModeOf, vuidOf } from '../../../machines/storage/plane/codes/index.ts'
import { Disks, DiskTable, place } from '../../../machines/storage/plane/disks/index.ts'
import {
  openVolumes,
  VolumeCalls,
  VolumeViews,
} from '../../../machines/storage/plane/volumes/index.ts'
import { portsOf } from '../../../machines/storage/plane/volumes/ports.ts'
import {
  chooseTask,
  lockTask,
  makeTask,
  releaseTask,
  unlockTask,
} from '../../../machines/storage/plane/volumes/volume-tasks.ts'
import { Client } from '../../../src/client/index.ts'
import type { AnyTask, TaskAttempt } from '../../../src/machine/index.ts'
import { chunkKey } from '../../machines/storage/background/moves/fake-chunks.ts'
import type { Life, SimNode } from '../node.ts'
import { clientPorts, startNodeWorker } from '../node-worker.ts'
import type { SimRandom } from '../random.ts'
import type { ChunkFarm } from './chunk-farm.ts'

/** Shorter than a store has them: minutes are short here. */
export const LANES = { workQueueSize: 3, leaseMs: 3_000, cancelPunishMs: 2_000 }

const TASKS: readonly AnyTask[] = [
  ...[makeTask.troupeTask, releaseTask.troupeTask, lockTask.troupeTask, unlockTask.troupeTask],
  ...[claimTask.troupeTask, lockForMoveTask.troupeTask, allocTask.troupeTask],
  ...[compareTask.troupeTask, updateTask.troupeTask, settleTask.troupeTask],
  withdrawTask.troupeTask,
  ...laneTasks.map(({ troupeTask }) => troupeTask as AnyTask),
]

export interface StoreNodeOptions {
  farm: ChunkFarm
  random: SimRandom
  /** Of all workers of the world. */
  directory: string
  /** Other tasks than the product's, by name: would anybody notice? */
  instead: ReadonlyMap<string, AnyTask['run']>
  /** What a move finds lacking behind its swap is made up. */
  isRepaired: boolean
}

export function startStoreNode(
  node: SimNode,
  life: Life,
  { farm, random, directory, instead, isRepaired }: StoreNodeOptions,
): { crash(): void } {
  const ports = clientPorts(node.around, life, random)
  const { clock } = ports
  const client = new Client(ports, node.name)
  const config = {}
  const call = farm.callsOf(node.name, life.process)
  const chunks = farm.chunks.chunkCalls(call)
  const table = new DiskTable(client, clock, 0)
  const views = new VolumeViews({ client, clock, table, viewsMax: 10, viewMs: 60_000 })
  const calls = new VolumeCalls({ client, clock, views, table, chunks })
  /** In the product an actor sees to it that it is done: here it is, at once. */
  const repair: MoveUpkeep['repair'] = async ({ vid, bid, badIndexes }) => {
    if (!isRepaired) return
    const { units } = await views.record(vid, { fresh: true })
    const bad = units.filter(({ index }) => badIndexes.includes(index))
    for (const { index, epoch, diskId } of bad) {
      farm.chunks.shards.get(chunkKey({ diskId, vuid: vuidOf({ vid, index, epoch }) }))?.set(bid, 1)
    }
  }
  openVolumes(config, { disks: new Disks(client, clock), table, chunks })
  openLanes(config, LANES)
  openMoves(config, {
    ...{ calls, views, table, shards: farm.chunks.shardCalls(call), openQueue: openWorkerQueue },
    // No blob is deleted here.
    upkeep: { repair, remove: async () => {} },
  })
  const all = [chancelessChoice(random), ...TASKS]
  const tasks = all.map((task) => ({ ...task, run: instead.get(task.name) ?? task.run }))
  return startNodeWorker(node, life, { tasks, directory, ports, config })
}

/** As the product chooses a disk, but for its die. */
function chancelessChoice(random: SimRandom): AnyTask {
  const { troupeTask } = chooseTask
  const run: AnyTask['run'] = async (attempt: TaskAttempt<Choice>) => {
    const { mode, wanted, placed, replaced, excludes } = attempt.input
    const disks = await portsOf(attempt).table.all({ fresh: true })
    const placement = place({
      ...{ disks: disks.values(), mode: codeModeOf(mode), wanted, placed, replaced },
      ...{ excludes: new Set(excludes), random: () => random.fraction() },
    })
    if ('why' in placement) return { type: 'UNPLACEABLE', why: placement.why }
    return { type: 'CHOSEN', picks: placement.picks }
  }
  return { ...troupeTask, run }
}

type Choice = Parameters<(typeof chooseTask)['troupeTask']['run']>[0]['input']
