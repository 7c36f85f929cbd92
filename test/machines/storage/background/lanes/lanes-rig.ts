/**
 * Lanes and queues on a virtual clock: engines in memory, the real switches, a worker for the lanes' looks, and
 * tasks that do what the test says. `crash` is kill -9: what was not flushed is gone.
 */
import { assign, setup } from 'xstate'
import { z } from 'zod'
import {
  type LaneRecord,
  type LanesConfig,
  laneMachines,
  laneSingletons,
  lanesConfig,
  laneTasks,
  openLanes,
  type QueueRecord,
  queueAddress,
  WorkerQueues,
} from '../../../../../machines/storage/background/lanes/index.ts'
import { openWorkerQueue } from '../../../../../machines/storage/background/lanes/queue-record.ts'
import {
  type MoveInput,
  type MoveRecord,
  type MoveType,
  turnField,
} from '../../../../../machines/storage/background/moves/index.ts'
import { newMove } from '../../../../../machines/storage/background/moves/move-record.ts'
import {
  SWITCHES_ADDRESS,
  type SwitchName,
  switchMachines,
} from '../../../../../machines/storage/switches/index.ts'
import { defineMachine, tell } from '../../../../../src/machine/index.ts'
import type { EventObject } from '../../../../../src/protocol/index.ts'
import { EngineSim } from '../../engine-sim.ts'

export const IDC = 'z1'
export const QUEUE = queueAddress(IDC)
/** A vuid of volume 7: unit 0, first epoch. */
const VUID = (7n << 32n) | 1n

interface Message {
  to: string
  event: EventObject
}

interface FakeMove extends MoveRecord {
  heard: EventObject[]
}

type FakeEvent =
  | { type: 'PREPARE' }
  | { type: 'SAY'; messages: Message[]; become?: object }
  | { type: 'END' }
  | ({ type: (typeof WORDS)[number] } & Record<string, unknown>)

const WORDS = ['LEASED', 'LEASE_LOST', 'REPORTED', 'COMPLETED', 'CANCELLED', 'RECLAIMED'] as const
const words = Object.fromEntries(WORDS.map((type) => [type, { actions: 'hear' as const }]))

const fakeChart = setup({
  types: {
    context: {} as FakeMove,
    events: {} as FakeEvent,
    input: {} as MoveInput,
  },
  actions: {
    announce: tell(({ context: { taskId, type, priority, ctime: at } }) => [
      { to: `move-lane/${type}`, event: { type: 'STATE', taskId, from: null, to: 1, at } },
      { to: `move-lane/${type}`, event: { type: 'ADDED', taskId, priority, at } },
    ]),
    hear: assign(({ context, event }) => ({ heard: [...context.heard, event] })),
    take: assign({ isWaiting: false }),
    become: assign(({ event }) => (event.type === 'SAY' ? (event.become ?? {}) : {})),
    say: tell(({ event }) => (event.type === 'SAY' ? event.messages : [])),
  },
})

const fakeMove = defineMachine({
  machine: fakeChart.createMachine({
    id: 'migrate-task',
    context: ({ input }) => ({ ...newMove(input), heard: [] }),
    entry: 'announce',
    initial: 'live',
    states: {
      live: {
        on: {
          ...words,
          PREPARE: { actions: ['take', 'hear'] },
          SAY: { actions: ['become', 'say'] },
          END: 'done',
        },
      },
      done: { type: 'final' },
    },
  }),
  events: {
    ...Object.fromEntries(WORDS.map((type) => [type, z.looseObject({})])),
    PREPARE: z.object({}),
    SAY: z.looseObject({}),
    END: z.object({}),
  } as never,
  index: ({ type, isWaiting, ctime, priority, sourceIdc: idc }) => ({
    idc,
    ...(isWaiting ? { [turnField(type)]: ctime - priority * 1e13 } : {}),
  }),
})

const MACHINES = [...laneMachines, ...switchMachines, fakeMove]

export class LanesRig extends EngineSim {
  readonly #settings: LanesConfig
  #count = 0

  constructor(given: Partial<LanesConfig> = {}) {
    const settings = { ...lanesConfig.parse({}), ...given }
    super({
      machines: MACHINES,
      tasks: laneTasks,
      opened: ({ config }) => openLanes(config, settings),
    })
    this.#settings = settings
  }

  async begin({ hasSwitches = true } = {}): Promise<void> {
    if (hasSwitches) await this.h.run(this.h.client.ensure(SWITCHES_ADDRESS))
    for (const { machine, id, input } of laneSingletons) {
      await this.h.run(this.h.client.ensure(`${machine}/${id}`, input))
    }
    await this.h.run(openWorkerQueue(this.h.client, IDC))
    await this.h.advance(50)
  }

  async set(name: SwitchName, isOn: boolean): Promise<void> {
    await this.h.run(this.h.client.ask(SWITCHES_ADDRESS, { type: 'SET', name, isOn }))
    await this.h.advance(50)
  }

  /** @returns its id */
  async add(type: MoveType, priority = 0): Promise<string> {
    this.#count += 1
    const taskId = `${type}-1-7-${String(this.#count).padStart(20, '0')}`
    const input: MoveInput = {
      ...{ taskId, type, priority, sourceIdc: IDC, sourceVuid: VUID, sourceDiskId: 1 },
      ...{ forbiddenDirectDownload: false, owner: null, reason: null, at: this.h.clock.now() },
    }
    await this.h.run(this.h.client.start(`migrate-task/${taskId}`, input))
    await this.h.advance(50)
    return taskId
  }

  resize(workQueueSize: number): void {
    this.#settings.workQueueSize = workQueueSize
  }

  /** Has the task tell the lane. */
  async say(taskId: string, event: EventObject, become: object = {}): Promise<void> {
    const lane = `move-lane/${taskId.slice(0, taskId.indexOf('-'))}`
    await this.tellFrom(taskId, [{ to: lane, event: { taskId, ...event } }], become)
  }

  async state(taskId: string, from: number | null, to: number | null): Promise<void> {
    const become = { isWaiting: false, ...(to === null ? {} : { state: to }) }
    await this.say(taskId, { type: 'STATE', from, to, at: this.h.clock.now() }, become)
  }

  async tellFrom(taskId: string, messages: Message[], become: object = {}): Promise<void> {
    const event = { type: 'SAY', messages, become }
    await this.h.run(this.h.client.send(`migrate-task/${taskId}`, event))
    await this.h.advance(50)
  }

  /** Offers a task that is prepared. */
  async offer(
    type: MoveType,
    fields: { priority?: number; delayMs?: number } = {},
  ): Promise<string> {
    const taskId = await this.add(type, fields.priority)
    await this.offerAgain(taskId, fields)
    return taskId
  }

  async offerAgain(
    taskId: string,
    { priority = 0, delayMs }: { priority?: number; delayMs?: number } = {},
  ): Promise<void> {
    const at = this.h.clock.now()
    const notBefore = delayMs === undefined ? null : at + delayMs
    const event = { type: 'OFFER', taskId, priority, notBefore, at, task: this.units(taskId) }
    await this.tellFrom(taskId, [{ to: QUEUE, event }], { isWaiting: false, state: 2 })
  }

  units(taskId: string) {
    const n = BigInt(taskId.slice(-3))
    return {
      sources: [
        { vuid: VUID, host: 'http://b1', disk_id: 1 },
        { vuid: VUID + (1n << 24n), host: 'http://b3', disk_id: 3 },
      ],
      destination: { vuid: VUID + n, host: 'http://b2', disk_id: 2 },
    }
  }

  async heard(taskId: string): Promise<EventObject[]> {
    await this.h.advance(50)
    const view = await this.h.run(this.h.client.get(`migrate-task/${taskId}`))
    return (view.context as FakeMove).heard
  }

  async lane(type: MoveType): Promise<LaneRecord> {
    const view = await this.h.run(this.h.client.get(`move-lane/${type}`))
    return view.context as LaneRecord
  }

  async queue(): Promise<QueueRecord> {
    return (await this.h.run(this.h.client.get(QUEUE))).context as QueueRecord
  }

  queues(): WorkerQueues {
    const { client, clock } = this.h
    return new WorkerQueues({ client, clock, settings: this.#settings })
  }
}
