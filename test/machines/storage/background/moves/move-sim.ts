/**
 * Moves on a virtual clock: volumes, disks, lanes and queues as they are, shards in a world of their own, and a
 * worker that copies in one go. `crash` is kill -9 of the node, as in `volume-sim.ts`.
 */
import {
  laneMachines,
  laneTasks,
  openLanes,
  openWorkerQueue,
} from '../../../../../machines/storage/background/lanes/index.ts'
import {
  MOVE_TYPES,
  type MoveOrder,
  type MoveRecord,
  Moves,
  moveAddress,
  moveMachines,
  openMoves,
  wireTask,
} from '../../../../../machines/storage/background/moves/index.ts'
import {
  allocTask,
  claimTask,
  lockTask,
  updateTask,
  withdrawTask,
} from '../../../../../machines/storage/background/moves/move-tasks.ts'
import {
  compareTask,
  settleTask,
} from '../../../../../machines/storage/background/moves/settle-task.ts'
import { vuidOf } from '../../../../../machines/storage/plane/codes/index.ts'
import { removalAddress } from '../../../../../machines/storage/plane/upkeep/index.ts'
import { VolumeCalls, VolumeViews } from '../../../../../machines/storage/plane/volumes/index.ts'
import { SeededRandom } from '../../../../../src/adapters/memory/index.ts'
import { type ActorView, TroupeError } from '../../../../../src/protocol/index.ts'
import { host, see } from '../../../../shard/support.ts'
import { type Opened, VID, VolumeSim } from '../../plane/volumes/volume-sim.ts'
import { FakeChunks, type Flag, type Shards } from './fake-chunks.ts'

export const DISKS = 8
const MODE = 'Replica3OneAZ'
const TASKS = [
  ...[claimTask, lockTask, allocTask, compareTask, updateTask, settleTask, withdrawTask],
  ...laneTasks,
]
const STEP_MS = 50
/** What takes longer waits for something. */
const BUSY_MS = 1_000
const WITHIN_MS = 900_000
const LANES = { workQueueSize: 20, leaseMs: 10_000, cancelPunishMs: 20_000 }

/** Who is told how moves end: it remembers. */
const owner = host('owner', {
  initial: 'on',
  states: { on: { on: { MOVE_ENDED: { actions: see(({ event }) => String(event['end'])) } } } },
})

/** Of a blob whose deletion is known. */
const removal = host('blob-delete', { initial: 'on', states: { on: {} } })

export class MoveSim {
  readonly volumes: VolumeSim
  readonly repairs: { bid: bigint; badIndexes: readonly number[] }[] = []
  readonly removals: bigint[] = []
  readonly #chunks = new FakeChunks()
  readonly #random = new SeededRandom(7)
  /** The new chunk of the move that a test is about. */
  swappedIn = 0n
  /** Whether a queue is there by the time that a task is offered. */
  opensQueues = true
  /** Before the worker says that it has copied all. */
  beforeComplete: (dest: Map<bigint, Flag>) => void = () => {}
  /** By each worker that came to its end, in their order. */
  readonly copied: bigint[][] = []

  constructor() {
    this.volumes = new VolumeSim({
      machines: [...moveMachines, ...laneMachines, owner, removal],
      tasks: TASKS,
      open: (opened) => this.#open(opened),
      chunks: this.#chunks.modes,
    })
  }

  /** By `<disk>/<vuid>`: what lies in chunks. */
  get shards(): Map<string, Shards> {
    return this.#chunks.shards
  }

  /** A volume of three copies with so many blobs, on a farm with room to move. */
  static async open(blobs = 5): Promise<MoveSim> {
    const sim = new MoveSim()
    await sim.volumes.farm(DISKS, DISKS)
    await sim.volumes.begin(MODE)
    const { units } = await sim.volumes.until(({ standing }) => standing === 'idle')
    for (const { index, epoch, diskId } of units) {
      const bids = Array.from({ length: blobs }, (_, at) => [BigInt(at + 1), 1] as const)
      sim.shards.set(`${diskId}/${vuidOf({ vid: VID, index, epoch })}`, new Map(bids))
    }
    await sim.run(openWorkerQueue(sim.client, 'z'))
    for (const name of MOVE_TYPES) {
      const lane = `move-lane/${name}`
      await sim.run(sim.client.ensure(lane, { type: name }))
      if (name === 'manual_migrate') continue
      const on = { type: 'SWITCH', name, isOn: true }
      for (const to of [lane, 'worker-queue/z']) await sim.run(sim.client.send(to, on))
    }
    await sim.run(sim.client.ensure('owner/o'))
    return sim
  }

  get client() {
    return this.volumes.h.client
  }

  run<T>(work: Promise<T>): Promise<T> {
    return this.volumes.h.run(work)
  }

  async unit(index: number): Promise<{ vuid: bigint; diskId: number }> {
    const { units } = await this.volumes.record()
    const { epoch = 0, diskId = 0 } = units[index] ?? {}
    return { vuid: vuidOf({ vid: VID, index, epoch }), diskId }
  }

  /** What lies in the chunk that the unit has now. */
  async shardsOf(index: number): Promise<Shards> {
    const { vuid, diskId } = await this.unit(index)
    const key = `${diskId}/${vuid}`
    const shards: Shards = this.shards.get(key) ?? new Map()
    this.shards.set(key, shards)
    return shards
  }

  async add(index: number, order: Partial<MoveOrder> = {}): Promise<string> {
    const { vuid: sourceVuid, diskId: sourceDiskId } = await this.unit(index)
    const { taskId } = await this.run(
      this.moves().add({
        ...{ type: 'manual_migrate', sourceVuid, sourceDiskId, sourceIdc: 'z', owner: 'owner/o' },
        ...order,
      }),
    )
    return taskId
  }

  moves(): Moves {
    const { client, clock } = this.volumes.h
    return new Moves(client, clock, this.#random)
  }

  view(taskId: string): Promise<ActorView> {
    return this.run(this.client.get(moveAddress(taskId)))
  }

  async record(taskId: string): Promise<MoveRecord> {
    return (await this.view(taskId)).context as MoveRecord
  }

  send(taskId: string, type: string, fields: object = {}) {
    return this.run(this.client.send(moveAddress(taskId), { type, ...fields }))
  }

  /** Workers work meanwhile, if they are wanted. */
  async until(
    taskId: string,
    is: (view: ActorView, record: MoveRecord) => boolean,
    { isWorking = true } = {},
  ): Promise<MoveRecord> {
    const { clock } = this.volumes.h
    const begunMs = clock.monotonic()
    for (;;) {
      const view = await this.view(taskId)
      const record = view.context as MoveRecord
      if (is(view, record)) return record
      const waitedMs = clock.monotonic() - begunMs
      if (waitedMs > WITHIN_MS) {
        const how = JSON.stringify(view.value) + JSON.stringify(record.wait)
        throw new Error(`${taskId} is ${how}`)
      }
      if (isWorking) await this.work()
      await this.volumes.h.advance(waitedMs < BUSY_MS ? STEP_MS : 20 * STEP_MS)
    }
  }

  ended(taskId: string): Promise<MoveRecord> {
    return this.until(taskId, ({ status }) => status === 'done')
  }

  at(taskId: string, state: string, options?: { isWorking: boolean }): Promise<MoveRecord> {
    const isThere = ({ value }: ActorView) => pathOf(value) === state
    return this.until(taskId, isThere, options)
  }

  /** What a worker does, if there is something: all of it, in no time. */
  async work(worker = 'w1'): Promise<string | undefined> {
    const held = await this.acquire(worker)
    if (held === undefined) return undefined
    try {
      await this.copy(held.taskId)
      await this.complete(worker, held)
    } catch (thrown) {
      // It was deleted by hand: its queue finds that out, too.
      if (!(thrown instanceof TroupeError) || thrown.code !== 'unknown-actor') throw thrown
    }
    return held.taskId
  }

  async acquire(worker: string): Promise<{ taskId: string; token: number } | undefined> {
    const answer = await this.ask({ type: 'ACQUIRE', worker, leaseMs: 10_000 })
    const { taskId, token } = (answer ?? {}) as { taskId?: string; token?: number }
    return taskId === undefined || token === undefined ? undefined : { taskId, token }
  }

  async copy(taskId: string): Promise<void> {
    const { sources, destination, sourceVuid } = await this.record(taskId)
    const source = sources?.find(({ vuid }) => vuid === sourceVuid)
    const from = this.shards.get(`${source?.diskId}/${sourceVuid}`) ?? new Map()
    const place = `${destination.diskId}/${destination.vuid}`
    const dest = this.shards.get(place) ?? new Map<bigint, Flag>()
    const lacking = [...from].filter(([bid, flag]) => flag === 1 && !dest.has(bid))
    for (const [bid, flag] of lacking) dest.set(bid, flag)
    this.copied.push(lacking.map(([bid]) => bid))
    this.beforeComplete(dest)
    this.shards.set(place, dest)
  }

  async complete(worker: string, held: { taskId: string; token: number }): Promise<unknown> {
    const { sources: src, destination: dest } = wireTask(await this.record(held.taskId))
    return this.ask({ type: 'COMPLETE', worker, ...held, src: src ?? [], dest })
  }

  /** Of the queue; undefined while it is not there. */
  async ask(event: { type: string; [field: string]: unknown }): Promise<unknown> {
    const at = this.volumes.h.clock.now()
    return this.run(this.client.ask('worker-queue/z', { ...event, at })).catch(() => undefined)
  }

  async context(address: string): Promise<Record<string, unknown>> {
    return (await this.run(this.client.get(address))).context as Record<string, unknown>
  }

  /** The blob is deleted from all units that the volume has now. */
  async deleteBlob(bid: bigint, isComplete = true): Promise<void> {
    const { units } = await this.volumes.record()
    await this.knowRemoval(bid)
    for (const { index, epoch, diskId } of units) {
      const chunk = this.shards.get(`${diskId}/${vuidOf({ vid: VID, index, epoch })}`)
      if (isComplete) chunk?.delete(bid)
      else if (chunk?.has(bid) === true) chunk.set(bid, 2)
    }
  }

  async knowRemoval(bid: bigint): Promise<void> {
    await this.run(this.client.ensure(removalAddress({ vid: VID, bid })))
  }

  #open({ config, client, clock, table, chunks, call }: Opened): void {
    const views = new VolumeViews({ client, clock, table, viewsMax: 10, viewMs: 60_000 })
    const calls = new VolumeCalls({ client, clock, views, table, chunks })
    openLanes(config, LANES)
    openMoves(config, {
      ...{ calls, views, table, shards: this.#chunks.shardCalls(call) },
      openQueue: async (by, idc) => {
        if (this.opensQueues) await openWorkerQueue(by, idc)
      },
      upkeep: {
        repair: async ({ bid, badIndexes }) => void this.repairs.push({ bid, badIndexes }),
        remove: async ({ bid }) => void this.removals.push(bid),
      },
    })
  }
}

/** `prepared.queued`, of a state and the one in it. */
export function pathOf(value: unknown): string {
  if (typeof value === 'string') return value
  const [[state, inner] = ['', '']] = Object.entries(value as Record<string, unknown>)
  return `${state}.${pathOf(inner)}`
}
