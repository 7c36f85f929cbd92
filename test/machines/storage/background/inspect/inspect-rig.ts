/**
 * Inspections on a virtual clock: engines in memory, the real switches, volumes that are a list, and a worker for
 * the looks. `crash` is kill -9 of the node: what was not flushed is gone.
 */
import { setup } from 'xstate'
import { z } from 'zod'
import {
  INSPECT_ADDRESS,
  type InspectConfig,
  Inspections,
  type InspectRecord,
  type InspectReport,
  type InspectTask,
  inspectConfig,
  inspectMachines,
  inspectReport,
  openInspect,
  type ReportAnswer,
  type SentReport,
} from '../../../../../machines/storage/background/inspect/index.ts'
import { listTask } from '../../../../../machines/storage/background/inspect/inspect-list.ts'
import { tidyTask } from '../../../../../machines/storage/background/inspect/inspect-tidy.ts'
import type { MoveOrder } from '../../../../../machines/storage/background/moves/index.ts'
import {
  codeModeOf,
  refusal,
  vuidOf,
  vuidParts,
} from '../../../../../machines/storage/plane/codes/index.ts'
import type { VolumeView } from '../../../../../machines/storage/plane/volumes/index.ts'
import { SWITCHES_ADDRESS, switchMachines } from '../../../../../machines/storage/switches/index.ts'
import { SeededRandom } from '../../../../../src/adapters/memory/index.ts'
import { defineMachine } from '../../../../../src/machine/index.ts'
import { TroupeError } from '../../../../../src/protocol/index.ts'
import { EngineSim } from '../../engine-sim.ts'

interface FakeVolume {
  vid: number
  status: string
}

const volume = defineMachine({
  machine: setup({
    types: { context: {} as FakeVolume, input: {} as FakeVolume, events: {} as { type: 'END' } },
  }).createMachine({
    id: 'volume',
    context: ({ input }) => input,
    initial: 'on',
    states: { on: { on: { END: 'over' } }, over: { type: 'final' } },
  }),
  input: z.object({ vid: z.int(), status: z.string() }),
  events: { END: z.object({}) },
  index: ({ vid, status }) => ({ vid, status }),
  retention: { finishedMs: 0 },
})

const MACHINES = [...inspectMachines, ...switchMachines, volume]
const MODE = codeModeOf('Replica3')

export interface Asked {
  vid: number
  bid: bigint
  badIndexes: readonly number[]
  reason: string
}

export class InspectRig extends EngineSim {
  /** Repairs that were asked for, each once, whoever asks again. */
  readonly repairs = new Map<string, Asked>()
  /** Makes the next that ask for a repair fail. */
  failsRepairs = false
  /** What blobnodes say of the chunks of these units. */
  readonly chunks = new Map<number, number | 'unavailable'>()
  /** Units that have moved once. */
  readonly moved = new Set<number>()
  /** Moves that were asked for. */
  readonly moves: MoveOrder[] = []
  /** Somebody moves all units already. */
  isMoving = false
  /** Behind each move that is begun. */
  onMove: () => void = () => {}
  readonly brokenDisks = new Set<number>()
  /** Before a mapping is read. */
  onView: (vid: number) => void = () => {}
  readonly #settings: InspectConfig
  readonly #random = new SeededRandom(7)

  constructor(given: Partial<InspectConfig> = {}) {
    const settings = { ...inspectConfig.parse({}), ...given }
    super({
      machines: MACHINES,
      tasks: [listTask, tidyTask],
      opened: ({ config }) => openInspect(config, settings),
    })
    this.#settings = settings
  }

  async begin(vids: readonly number[], { isOn = true } = {}): Promise<void> {
    for (const vid of vids) await this.addVolume(vid)
    await this.h.run(this.h.client.ensure(SWITCHES_ADDRESS))
    await this.h.run(this.h.client.ensure(INSPECT_ADDRESS))
    if (isOn) await this.set(true)
  }

  async addVolume(vid: number, status = 'idle'): Promise<void> {
    await this.h.run(this.h.client.ensure(`volume/${vid}`, { vid, status }))
  }

  /** As an operator does. */
  async deleteVolume(vid: number): Promise<void> {
    await this.h.run(this.h.client.send(`volume/${vid}`, { type: 'END' }))
    await this.h.advance(50)
  }

  async set(isOn: boolean): Promise<void> {
    const event = { type: 'SET', name: 'volume_inspect', isOn }
    await this.h.run(this.h.client.ask(SWITCHES_ADDRESS, event))
    await this.h.advance(50)
  }

  get inspections(): Inspections {
    const { client, clock } = this.h
    return new Inspections({
      ...{ client, clock, random: this.#random, settings: this.#settings },
      views: { view: async (vid) => this.#view(vid) },
      upkeep: { repair: async (asked) => this.#repair(asked) },
      table: { all: async () => new Map([1, 2, 3].map((id) => [id, this.#disk(id) as never])) },
      chunks: { statChunk: async ({ vuid }) => this.#stat(vuidParts(vuid).index) },
      moves: { add: async (order) => this.#move(order) },
    })
  }

  async acquire(name = 'w1', waitMs = 0): Promise<InspectTask | undefined> {
    return this.h.run(this.inspections.acquire({ worker: name, waitMs }))
  }

  report(task: string, given: Partial<SentReport> = {}): Promise<ReportAnswer> {
    const report: InspectReport = inspectReport.parse({ task_id: task, ...given })
    return this.h.run(this.inspections.report(report))
  }

  async record(): Promise<InspectRecord> {
    return (await this.h.run(this.h.client.get(INSPECT_ADDRESS))).context as InspectRecord
  }

  async state(): Promise<unknown> {
    return (await this.h.run(this.h.client.get(INSPECT_ADDRESS))).value
  }

  /** Of a pass: takes one volume after the other, and says of each that it is whole. */
  async inspectAll(most = 1_000): Promise<number[]> {
    const vids: number[] = []
    while (vids.length < most) {
      const task = await this.acquire()
      if (task === undefined) return vids
      vids.push(vidOf(task))
      await this.report(task.task_id, { blob_cnt: 1 })
      await this.h.advance(50)
    }
    return vids
  }

  #disk(id: number) {
    return { idc: 'z', status: this.brokenDisks.has(id) ? 2 : 1 }
  }

  #view(vid: number): VolumeView {
    this.onView(vid)
    const units = [0, 1, 2].map((index) => {
      const vuid = vuidOf({ vid, index, epoch: this.moved.has(index) ? 2 : 1 })
      return { index, vuid, diskId: index + 1, address: `http://b${index}`, isUp: true }
    })
    if (vid >= 900) throw refusal(904, `there is no volume ${vid}`)
    return { vid, mode: MODE, status: 'idle', units, freeBytes: 0 }
  }

  #repair(asked: Asked): void {
    if (this.failsRepairs) throw new TroupeError('unavailable', 'as the test wants it')
    this.repairs.set(`${asked.vid}-${asked.bid}`, asked)
  }

  #stat(index: number): void {
    const said = this.chunks.get(index)
    if (said === 'unavailable') throw new TroupeError('unavailable', 'nobody is there')
    if (said !== undefined) throw refusal(said, 'as the test wants it')
  }

  #move(order: MoveOrder): { taskId: string } {
    if (this.isMoving) throw refusal(601, 'as the test wants it')
    this.moves.push(order)
    this.onMove()
    return { taskId: `disk_repair-${this.moves.length}` }
  }
}

export function vidOf(task: InspectTask): number {
  return Number(task.task_id.split('-')[1])
}
