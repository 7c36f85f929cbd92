/**
 * The moves of the store in a simulated world: the machines of disks, volumes, lanes, queues and moves as they are,
 * with chunks on disks that outlive all processes, operators, and workers with habits.
 *
 * Decides: how the store is founded, what is asked of it, and when it is at rest. Leaves to others: what befalls
 * nodes and the journal (faults.ts), what has to be true in the end (checkers/moves.ts).
 */
import {
  laneAddress,
  laneMachines,
  openWorkerQueue,
  WorkerQueues,
} from '../../../machines/storage/background/lanes/index.ts'
import {
  MOVE_TYPES,
  Moves,
  type MoveType,
  moveAddress,
  moveMachines,
} from '../../../machines/storage/background/moves/index.ts'
import { codeModeOf, vuidOf } from '../../../machines/storage/plane/codes/index.ts'
import { Disks, DiskTable, diskMachines } from '../../../machines/storage/plane/disks/index.ts'
import {
  StrayChunks,
  type VolumeRecord,
  VolumeViews,
  volumeAddress,
} from '../../../machines/storage/plane/volumes/index.ts'
import { volume } from '../../../machines/storage/plane/volumes/volume.ts'
import { SWITCHES_ADDRESS, switchMachines } from '../../../machines/storage/switches/index.ts'
import { Client } from '../../../src/client/index.ts'
import type { MachineDefinition } from '../../../src/machine/index.ts'
import { type EventObject, TroupeError } from '../../../src/protocol/index.ts'
import { chunkKey } from '../../machines/storage/background/moves/fake-chunks.ts'
import { host, see } from '../../shard/support.ts'
import { unsettled } from '../checkers/moves.ts'
import type { Guest, GuestStage } from '../guest.ts'
import type { Life, SimNode } from '../node.ts'
import { clientPorts } from '../node-worker.ts'
import { ProcessClock } from '../process-clock.ts'
import { SILENT } from '../production-worker.ts'
import type { SimRandom } from '../random.ts'
import { SimTransport } from '../sim-transport.ts'
import { type CallRates, ChunkFarm } from './chunk-farm.ts'
import { type Habit, MoveWorker } from './move-worker.ts'
import { LANES, type StoreNodeOptions, startStoreNode } from './store-node.ts'

/** Who is told how moves end: it remembers. */
const owner = host('owner', {
  initial: 'on',
  states: {
    on: {
      on: { MOVE_ENDED: { actions: see(({ event }) => `${event['taskId']} ${event['end']}`) } },
    },
  },
})
const OWNER = 'owner/o'

const MACHINES: readonly MachineDefinition[] = [
  ...[...diskMachines, volume, ...laneMachines, ...moveMachines, ...switchMachines],
  owner,
]
const MODE = 'Replica3OneAZ'
const IDC = 'z'
const CHUNK_BYTES = 2 ** 30
/** Its disks are heard by nobody: they are believed for ever. */
const VIA = 'farm'
const QUIET_MS = 10 ** 10
const AGAIN_MS = 200
const SWEEP_MS = 5_000

export interface MovePlan {
  disks: number
  volumes: number
  /** Of each volume. */
  blobs: number
  /** Asked for one after the other, each after a while. */
  moves: number
  everyMs: number
  /** What operators say to a move that there is. */
  words: readonly EventObject[]
  wordChance: number
  workers: number
  habits: readonly Habit[]
  calls: CallRates
  /** Until all is at rest, once nothing goes wrong any more. */
  drainMaxMs: number
  /** Whether chunks that are nobody's are looked for: calls of nodes that stood still leave some. */
  isSwept: boolean
  /** Whether what a new chunk lacks behind its swap is made up: else it has to be found before. */
  isRepaired: boolean
}

interface Party {
  client: Client
  process: ProcessClock
}

export class MoveGuest implements Guest {
  readonly machines = MACHINES
  readonly drainMaxMs: number
  readonly #stage: GuestStage
  readonly #plan: MovePlan
  readonly #farm: ChunkFarm
  readonly #node: Pick<StoreNodeOptions, 'directory' | 'instead'>
  readonly #founder: Party
  readonly #ids: SimRandom
  readonly #skipped = new Set<string>()
  readonly #asked: string[] = []
  #lives = 0
  #isCalm = false
  #isOver = false

  constructor(
    stage: GuestStage,
    plan: MovePlan,
    node: Pick<StoreNodeOptions, 'directory' | 'instead'>,
  ) {
    const { base, random, recorder } = stage
    this.#stage = stage
    this.#plan = plan
    this.drainMaxMs = plan.drainMaxMs
    this.#node = node
    this.#farm = new ChunkFarm(base, random.fork('chunks'), recorder, { ...plan.calls })
    this.#founder = this.#party('founder')
    this.#ids = random.fork('ids')
  }

  live(node: SimNode, life: Life): { crash(): void } {
    this.#lives += 1
    const random = this.#stage.random.fork(`${node.name} ${this.#lives}`)
    const { isRepaired } = this.#plan
    return startStoreNode(node, life, { farm: this.#farm, random, isRepaired, ...this.#node })
  }

  begin(): void {
    this.#go(this.#run())
  }

  /** By an operator, the newest of the moves. */
  cancel(): void {
    this.#go(this.#speak({ type: 'CANCEL' }))
  }

  end(): void {
    this.#isCalm = true
    Object.assign(this.#farm.rates, { lostChance: 0, unheardChance: 0 })
    if (this.#plan.isSwept) this.#go(this.#sweep())
  }

  restlessness(): string | undefined {
    if (!this.#isOver) return 'not all moves have been asked for'
    const [why] = unsettled(this.#stage.mirror, this.#farm.left(), this.#plan.blobs)
    return why
  }

  tellEnd(): void {
    const { blobs } = this.#plan
    this.#stage.recorder.add({ kind: 'chunks-left', chunks: this.#farm.left(), blobs })
  }

  /** What throws here is a fault of the rig, or of the product. */
  #go(work: Promise<void>): void {
    work.catch((thrown: unknown) => {
      const why = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)
      this.#stage.recorder.add({ kind: 'broke', node: 'guest', why })
    })
  }

  async #run(): Promise<void> {
    await this.#found()
    for (let number = 1; number <= this.#plan.workers; number++) this.#hire(`v${number}`)
    const { random, recorder } = this.#stage
    const { moves, everyMs, volumes } = this.#plan
    const dice = random.fork('operator')
    for (let count = 0; count < moves; count++) {
      const vid = dice.between(1, volumes)
      const index = dice.between(0, 2)
      const type = dice.pick(MOVE_TYPES.filter((name) => name !== 'disk_repair'))
      await this.#ask({ vid, index, type }).catch((thrown: unknown) => {
        // It has a mover, or it is not known whether it was asked for.
        if (!(thrown instanceof TroupeError)) throw thrown
      })
      await this.#speak(
        dice.chance(this.#plan.wordChance) ? dice.pick(this.#plan.words) : undefined,
      )
      await this.#pause(dice.exponential(everyMs))
    }
    this.#isOver = true
    recorder.add({ kind: 'worker', worker: 'operator', how: 'has asked for all moves' })
  }

  async #ask({ vid, index, type }: { vid: number; index: number; type: MoveType }): Promise<void> {
    const { client, process } = this.#founder
    const moves = new Moves(client, process, this.#ids)
    const { units } = await this.#volume(vid)
    const { epoch = 0, diskId = 0 } = units[index] ?? {}
    const sourceVuid = vuidOf({ vid, index, epoch })
    const order = { type, sourceVuid, sourceDiskId: diskId, sourceIdc: IDC, owner: OWNER }
    const { taskId } = await moves.add(order)
    this.#asked.push(taskId)
  }

  /** To the newest. */
  async #speak(word: EventObject | undefined): Promise<void> {
    const taskId = this.#asked.at(-1)
    if (word === undefined || taskId === undefined) return
    try {
      await this.#founder.client.send(moveAddress(taskId), word)
    } catch (thrown) {
      if (!(thrown instanceof TroupeError)) throw thrown
    }
  }

  async #found(): Promise<void> {
    const { client, process } = this.#founder
    const disks = new Disks(client, process)
    const { disks: diskCount, volumes, blobs } = this.#plan
    const open = MOVE_TYPES.filter((name) => name !== 'manual_migrate')
    await this.#surely(() => client.ensure(SWITCHES_ADDRESS))
    await this.#surely(() => client.send(SWITCHES_ADDRESS, { type: 'INSTALL', open }))
    await this.#surely(() => client.ensure(OWNER))
    await this.#surely(() => openWorkerQueue(client, IDC))
    for (const type of MOVE_TYPES)
      await this.#surely(() => client.ensure(laneAddress(type), { type }))
    const ids = Array.from({ length: diskCount }, (_, at) => at + 1)
    await Promise.all(ids.map((id) => this.#surely(() => disks.register(diskOf(id, diskCount)))))
    const vids = Array.from({ length: volumes }, (_, at) => at + 1)
    await Promise.all(
      vids.map((vid) => this.#surely(() => client.ensure(volumeAddress(vid), this.#inputOf(vid)))),
    )
    for (const vid of vids) await this.#fill(vid, blobs)
  }

  #inputOf(vid: number) {
    const kept = { retiredKeptMs: 60_000, readyKeptMs: 900_000 }
    const mode = codeModeOf(MODE).id
    return { vid, mode, chunkBytesMax: CHUNK_BYTES, ...kept, at: this.#founder.process.now() }
  }

  async #fill(vid: number, blobs: number): Promise<void> {
    let record = await this.#volume(vid)
    while (record.standing !== 'idle') {
      await this.#pause(AGAIN_MS)
      record = await this.#volume(vid)
    }
    for (const { index, epoch, diskId } of record.units) {
      const bids = Array.from({ length: blobs }, (_, at) => [BigInt(at + 1), 1] as const)
      const key = chunkKey({ diskId, vuid: vuidOf({ vid, index, epoch }) })
      this.#farm.chunks.shards.set(key, new Map(bids))
    }
  }

  async #volume(vid: number): Promise<VolumeRecord> {
    const { client } = this.#founder
    const view = await this.#surely(() => client.get(volumeAddress(vid)))
    return view.context as VolumeRecord
  }

  #hire(name: string): void {
    const { client, process } = this.#party(name)
    const { random, recorder } = this.#stage
    const habits = random.fork(`habits of ${name}`)
    const queues = new WorkerQueues({ client, clock: process, settings: LANES })
    const worker = new MoveWorker({
      ...{ name, process, recorder, queues, farm: this.#farm, idc: IDC, leaseMs: LANES.leaseMs },
      random: random.fork(name),
      habit: (taskId) => this.#habit(habits.pick(this.#plan.habits), taskId),
    })
    this.#go(worker.work())
  }

  /** What is not whole twice takes its place, and repair is asked for. */
  #habit(drawn: Habit, taskId: string): Habit {
    if (this.#isCalm) return 'works'
    if (drawn !== 'skips' || this.#plan.isRepaired) return drawn
    const isSecond = this.#skipped.has(taskId)
    this.#skipped.add(taskId)
    return isSecond ? 'works' : drawn
  }

  /** As nodes do it, more often: a call that a frozen node made late leaves a chunk that is nobody's. */
  async #sweep(): Promise<void> {
    const { client, process } = this.#founder
    const calls = this.#farm.callsOf('sweeper', process)
    const table = new DiskTable(client, process, 0)
    const strays = new StrayChunks({
      ...{ table, clock: process, log: SILENT, node: VIA, strayLookMs: SWEEP_MS, strayKeptMs: 0 },
      disks: new Disks(client, process),
      views: new VolumeViews({ client, clock: process, table, viewsMax: 10, viewMs: 0 }),
      chunks: {
        ...this.#farm.chunks.chunkCalls(calls),
        listChunks: async (_address, diskId) =>
          this.#farm.vuidsOn(diskId).map((vuid) => ({ vuid })),
      },
    })
    for (;;) {
      await this.#pause(SWEEP_MS)
      await this.#surely(() => strays.look())
    }
  }

  #party(name: string): Party {
    const { base, network, random, parameters } = this.#stage
    const skewMs = Math.floor(
      (random.fork(`skew of ${name}`).fraction() * 2 - 1) * parameters.skewMs,
    )
    const process = new ProcessClock(base, { skewMs, rate: 1 })
    const transport = new SimTransport(network, name, process)
    const around = this.#stage
    const ports = clientPorts(around, { transport, process }, random.fork(`client of ${name}`))
    return { client: new Client(ports, name), process }
  }

  async #surely<T>(work: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await work()
      } catch (thrown) {
        if (!(thrown instanceof TroupeError)) throw thrown
        await this.#pause(AGAIN_MS)
      }
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.#founder.process.after(ms, resolve))
  }
}

function diskOf(diskId: number, hosts: number) {
  const usage = { sizeBytes: 2 ** 40, freeBytes: 2 ** 40, usedBytes: 0, chunks: 0, chunksMax: 50 }
  const uuid = `00000000-0000-4000-8000-${String(diskId).padStart(12, '0')}`
  const host = `h${diskId % hosts}`
  const place = { uuid, address: 'http://b', host, rack: 'r', idc: IDC, path: `/d${diskId}` }
  return { diskId, ...place, ...usage, via: VIA, quietMs: QUIET_MS, unitsMax: 50 }
}
