/**
 * A worker of moves in a simulated world: it copies in small steps, and goes wrong in every way that a worker can.
 *
 * Decides: its habits, one per lease: it does its work, says all of it twice, comes late, dies in the middle, gives
 * up, asks for another disk, or takes a part of the blobs for all of them. What it says and is answered stands in
 * the list of events. Leaves to others: what a node makes of its calls (`WorkerQueues`, which is the product's).
 */
import type {
  Acquired,
  CallAnswer,
  WorkerCall,
  WorkerQueues,
} from '../../../machines/storage/background/lanes/index.ts'
import type { WireTask, WireUnit } from '../../../machines/storage/background/moves/index.ts'
import { TroupeError } from '../../../src/protocol/index.ts'
import { chunkKey } from '../../machines/storage/background/moves/fake-chunks.ts'
import type { ChunkCall } from '../../machines/storage/plane/volumes/volume-sim.ts'
import type { Recorder } from '../events.ts'
import type { ProcessClock } from '../process-clock.ts'
import type { SimRandom } from '../random.ts'
import type { ChunkFarm } from './chunk-farm.ts'

export const HABITS = ['works', 'repeats', 'late', 'dies', 'cancels', 'reclaims', 'skips'] as const
export type Habit = (typeof HABITS)[number]

export interface MoveWorkerOptions {
  name: string
  process: ProcessClock
  random: SimRandom
  recorder: Recorder
  queues: WorkerQueues
  farm: ChunkFarm
  idc: string
  leaseMs: number
  /** How it goes about the next lease. */
  habit: (taskId: string) => Habit
}

type Taken = Extract<Acquired, { task: unknown }>

const POLL_MS = 600
const SHARD_MS = 40
const AGAIN_MS = 300
const TRIES_MAX = 20

export class MoveWorker {
  readonly #options: MoveWorkerOptions
  readonly #call: ChunkCall
  #lives = 1

  constructor(options: MoveWorkerOptions) {
    this.#options = options
    this.#call = options.farm.callsOf(options.name, options.process)
  }

  async work(): Promise<void> {
    const { random, habit } = this.#options
    for (;;) {
      await this.#pause(random.exponential(POLL_MS))
      const taken = await this.#acquire()
      if (taken !== undefined) await this.#perform(taken, habit(taken.task.task_id))
    }
  }

  get #name(): string {
    return `${this.#options.name}.${this.#lives}`
  }

  async #acquire(): Promise<Taken | undefined> {
    const { queues, idc } = this.#options
    const { signal } = new AbortController()
    try {
      const acquired = await queues.acquire({ idc, worker: this.#name, signal })
      return 'task' in acquired ? acquired : undefined
    } catch (thrown) {
      if (thrown instanceof TroupeError) return undefined
      throw thrown
    }
  }

  async #perform(taken: Taken, habit: Habit): Promise<void> {
    const { leaseMs } = this.#options
    if (habit === 'dies') return this.#die(taken)
    if (habit === 'late') await this.#pause(2 * leaseMs)
    const copied = await this.#copy(taken, habit === 'skips')
    if (copied !== 'copied' || habit === 'cancels' || habit === 'reclaims') {
      const call = copied === 'bad destination' || habit === 'reclaims' ? 'RECLAIM' : 'CANCEL'
      return this.#say(taken, call, habit === 'repeats')
    }
    await this.#say(taken, 'REPORT', habit === 'repeats')
    await this.#say(taken, 'COMPLETE', habit === 'repeats')
  }

  /** With some of it copied; nobody is told, and it comes back under another name. */
  async #die(taken: Taken): Promise<void> {
    await this.#copy(taken, true)
    this.#lives += 1
  }

  /** What is there already is not copied again. @param isPartial the last blob is left out */
  async #copy(
    { task, token }: Taken,
    isPartial: boolean,
  ): Promise<'copied' | 'bad destination' | 'bad sources'> {
    const bids = await this.#bidsOf(task)
    if (bids === undefined) return 'bad sources'
    const { leaseMs } = this.#options
    let renewedMs = this.#options.process.monotonic()
    for (const bid of isPartial ? bids.slice(0, -1) : bids) {
      if (!(await this.#put(task.destination, bid))) return 'bad destination'
      await this.#pause(SHARD_MS)
      if (this.#options.process.monotonic() - renewedMs < leaseMs / 3) continue
      renewedMs = this.#options.process.monotonic()
      await this.#renew(task.task_id, token)
    }
    return 'copied'
  }

  async #bidsOf({ sources, source_vuid }: WireTask): Promise<bigint[] | undefined> {
    const { farm } = this.#options
    const own = (sources ?? []).filter(({ vuid }) => vuid === source_vuid)
    for (const unit of [...own, ...(sources ?? [])]) {
      const key = keyOf(unit)
      const bids = [...(farm.chunks.shards.get(key) ?? [])]
      const isThere = await this.#tried('read', unit, () =>
        farm.chunks.modes.has(key) ? undefined : 621,
      )
      if (isThere) return bids.filter(([, flag]) => flag === 1).map(([bid]) => bid)
    }
    return undefined
  }

  #put(unit: WireUnit, bid: bigint): Promise<boolean> {
    const { modes, shards } = this.#options.farm.chunks
    const key = keyOf(unit)
    return this.#tried('put', unit, () => {
      if (!modes.has(key)) return 621
      shards.set(key, (shards.get(key) ?? new Map()).set(bid, 1))
      return undefined
    })
  }

  /** Until it is heard. @returns whether it was done */
  async #tried(verb: string, unit: WireUnit, work: () => number | undefined): Promise<boolean> {
    const at = { diskId: unit.disk_id, vuid: unit.vuid, address: unit.host }
    for (;;) {
      try {
        await this.#call(verb, at, work)
        return true
      } catch (thrown) {
        if (!(thrown instanceof TroupeError)) throw thrown
        if (thrown.code !== 'unavailable') return false
      }
    }
  }

  async #renew(taskId: string, token: number): Promise<void> {
    const { queues, idc, recorder } = this.#options
    const worker = this.#name
    const since = recorder.events.length
    const tasks = [{ id: taskId, token }]
    try {
      const { errors } = await queues.renew({ idc, worker, tasks })
      const answer = errors[taskId] ?? 'ok'
      recorder.add({ kind: 'move-call', worker, call: 'RENEW', taskId, token, since, answer })
    } catch (thrown) {
      if (!(thrown instanceof TroupeError)) throw thrown
    }
  }

  async #say(
    taken: Taken,
    call: 'REPORT' | 'COMPLETE' | 'CANCEL' | 'RECLAIM',
    isRepeated: boolean,
  ): Promise<void> {
    await this.#sayOnce(taken, call)
    if (isRepeated) await this.#sayOnce(taken, call)
  }

  /** Again and again, until it is answered. */
  async #sayOnce(
    { task, token }: Taken,
    call: 'REPORT' | 'COMPLETE' | 'CANCEL' | 'RECLAIM',
  ): Promise<void> {
    const { recorder, queues, idc } = this.#options
    const { task_id: taskId } = task
    const worker = this.#name
    const said: WorkerCall = { idc, worker, taskId, token }
    const says = {
      REPORT: () => queues.report({ ...said, ...progressOf(task) }),
      COMPLETE: () => queues.complete({ ...said, src: task.sources ?? [], dest: task.destination }),
      CANCEL: () => queues.cancel({ ...said, reason: 'it has no mind to' }),
      RECLAIM: () => queues.reclaim({ ...said, reason: 'it does not like the disk' }),
    }
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const since = recorder.events.length
      try {
        const answer = answerOf(await says[call]())
        recorder.add({ kind: 'move-call', worker, call, taskId, token, since, answer })
        return
      } catch (thrown) {
        if (!(thrown instanceof TroupeError)) throw thrown
        await this.#pause(AGAIN_MS)
      }
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.#options.process.after(ms, resolve))
  }
}

function keyOf({ disk_id: diskId, vuid }: WireUnit): string {
  return chunkKey({ diskId, vuid })
}

function answerOf(answer: CallAnswer): string {
  return 'ok' in answer ? 'ok' : answer.refused
}

function progressOf({ sources }: WireTask) {
  const count = sources?.length ?? 0
  const stat = { doneSize: count, doneCount: count, totalSize: count, totalCount: count }
  return { stat: { ...stat, progress: 100 }, shards: count, bytes: count }
}
