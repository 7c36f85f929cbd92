/** Threads in an engine under a virtual clock; the test is the worker, and who has a pool beside them. */
import { pool } from '../../../../machines/platform/pool.ts'
import {
  type StepInput,
  sealingThread,
  type ThreadContext,
  type ThreadInput,
  type ThreadView,
  viewOf,
} from '../../../../machines/sealing/thread/index.ts'
import type { TaskView } from '../../../../src/protocol/index.ts'
import type { Harness } from '../../../shard/harness.ts'
import { get, open, restart, send, start, worker } from '../../../shard/support.ts'

export const MACHINES = [sealingThread, pool]
export const THREAD = 'sealing-thread/w1~a'
export const POOL = 'pool/w1~sealing'

export const SETTINGS: ThreadInput['settings'] = {
  allowedMiners: [],
  allowedSizes: [],
  enableDeals: false,
  disableCc: false,
  maxDeals: null,
  minDealSpace: null,
  maxRetries: 2,
  sealIntervalMs: 30_000,
  recoverIntervalMs: 60_000,
  rpcPollingIntervalMs: 180_000,
  requestTaskMaxRetries: 2,
  ignoreProofCheck: false,
  verifyAfterPc2: false,
}

export const SECTOR = { ID: { Miner: 10_000, Number: 2 }, ProofType: 5 }
const TICKET = { Ticket: 'AAAA', Epoch: 7 }
const OUT = { commR: 'aa', commD: 'bb' }

/** What the steps of all plans would have written. */
export const FULL = {
  sector: SECTOR,
  deals: [],
  finalized: {},
  pieces: [{ commitment: 'cc', size: 2048 }],
  ticket: TICKET,
  pc1out: { inline: 1 },
  pc2out: OUT,
  persistedIn: 'long',
  seed: { Seed: 'AAAA', Epoch: 9 },
  c1out: { inline: 2 },
  c2out: { inline: 3 },
  snapEncodeOut: OUT,
  snapProveOut: { inline: 4 },
  unsealIn: { pieceCid: 'x', commD: 'bb', offset: 0, size: 2048 },
}

export const inputOf = (given: Partial<ThreadInput> = {}): ThreadInput => ({
  worker: 'w1',
  thread: 'w1~a',
  location: '/store1',
  index: 0,
  plan: 'sealer',
  settings: SETTINGS,
  pool: null,
  gates: [],
  takesNew: true,
  ...given,
})

/** One thread and its worker. */
export class Scene {
  h: Harness
  readonly address: string
  #token = ''
  #taskId = ''

  constructor(h = open(MACHINES, { shardCount: 1 }), address = THREAD) {
    this.h = h
    this.address = address
  }

  static async of(given: Partial<ThreadInput> = {}): Promise<Scene> {
    const scene = new Scene()
    await start(scene.h, THREAD, inputOf(given))
    return scene
  }

  /** As after kill -9. */
  crash(): void {
    this.h = restart(this.h, MACHINES)
  }

  get token(): string {
    return this.#token
  }

  get now(): number {
    return this.h.clock.now()
  }

  async ask(type: string, fields: object = {}): Promise<Record<string, unknown>> {
    const who = type === 'PAUSE' || type === 'RESUME' ? { by: 'ann', at: this.now } : {}
    return (await send(this.h, this.address, type, { ...who, ...fields })).reply as never
  }

  async view(): Promise<ThreadView> {
    return viewOf(await get(this.h, this.address))
  }

  async context(): Promise<ThreadContext> {
    return (await get(this.h, this.address)).context as ThreadContext
  }

  async task(): Promise<TaskView | undefined> {
    return (await get(this.h, this.address)).tasks[0]
  }

  /** A worker takes the step. */
  async begin(): Promise<StepInput> {
    const { taskId } = (await this.task())!
    const begun = await this.h.run(worker(this.h).start(taskId))
    this.#taskId = taskId
    this.#token = begun.token
    return begun.input as StepInput
  }

  async beat(progress: unknown): Promise<void> {
    await this.h.run(worker(this.h).beat(this.#taskId, this.#token, progress))
  }

  /** The end of the step that was begun. */
  async end(outcome: object): Promise<void> {
    const at = this.now
    const times = { startedAt: at, at }
    const hand = worker(this.h)
    await this.h.run(hand.done(this.#taskId, this.#token, { ...times, ...outcome }))
  }

  async fail(level: string | null, message = 'it broke'): Promise<void> {
    const at = this.now
    const detail = level === null ? {} : { detail: { level, startedAt: at, at } }
    const failure = { class: 'temporary', code: `step-${level}`, message, ...detail }
    const failed = { op: 'task.failed', taskId: this.#taskId, token: this.#token, failure }
    await this.h.run(this.h.client.execute(this.address, failed as never))
  }

  /** All attempts to write the history have failed. */
  async failRecord(): Promise<void> {
    for (let n = 0; n < 100; n++) {
      const failure = { class: 'temporary', message: 'no room' }
      const failed = { op: 'task.failed', taskId: this.#taskId, token: this.#token, failure }
      await this.h.run(this.h.client.execute(this.address, failed as never))
      const task = await this.task()
      if (task === undefined) return
      await this.h.advance(61_000)
      await this.begin()
    }
  }

  async done(event: string, record: object = {}): Promise<void> {
    await this.end({ kind: 'done', event, record, workMs: 5 })
  }

  async step(event: string, record: object = {}): Promise<StepInput> {
    const input = await this.begin()
    await this.done(event, record)
    return input
  }

  /** The history of the sector has been written. */
  async record(): Promise<void> {
    await this.begin()
    await this.recorded()
  }

  async recorded(): Promise<void> {
    const hand = worker(this.h)
    await this.h.run(hand.done(this.#taskId, this.#token))
  }

  async rest(reason: string, afterMs = 10_000): Promise<void> {
    await this.end({ kind: 'rest', reason, afterMs, why: `it is ${reason}` })
  }

  /** Through these events, with a record that has everything. */
  async through(...events: string[]): Promise<void> {
    for (const [n, event] of events.entries()) await this.step(event, n === 0 ? FULL : {})
  }
}
