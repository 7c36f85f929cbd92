/** The worker of a process against a server that is played: leases, ends, silence, a stop. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  type MoveTask,
  MoveWorker,
  type WorkerCalls,
} from '../../../../../machines/storage/background/worker/index.ts'
import type { MoveLimits } from '../../../../../machines/storage/background/worker/limits.ts'
import type { MoveStat } from '../../../../../machines/storage/background/worker/progress.ts'
import { refusal } from '../../../../../machines/storage/plane/codes/index.ts'
import { TroupeError } from '../../../../../src/index.ts'
import { holds, until } from '../../../../waiting.ts'
import { realClock, silentLog } from '../../../../worker/process/real-time.ts'
import { QUICK, TwinChunks } from './twin-chunks.ts'

const PATIENT = { timeoutMs: 20_000 }

/** A server as a worker sees it. */
class PlayedServer implements WorkerCalls {
  readonly tasks: MoveTask[] = []
  readonly ends: { kind: string; task: MoveTask; reason: string }[] = []
  readonly stats: MoveStat[] = []
  shards = 0
  bytes = 0
  asked = 0
  renewals: number[] = []
  /** What it says to a renewal; or how it fails. */
  onRenew: () => ReadonlyMap<string, string> = () => new Map()
  onReport: () => void = () => {}
  onEnd: () => void = () => {}
  onAcquire: () => void = () => {}

  async acquire(): Promise<MoveTask | undefined> {
    this.asked += 1
    this.onAcquire()
    return this.tasks.shift()
  }

  async renew(tasks: readonly MoveTask[]): Promise<ReadonlyMap<string, string>> {
    this.renewals.push(tasks.length)
    return this.onRenew()
  }

  async report(_: MoveTask, stat: MoveStat, increase: { bytes: number; shards: number }) {
    this.onReport()
    this.stats.push(stat)
    this.shards += increase.shards
    this.bytes += increase.bytes
  }

  complete = (task: MoveTask, reason: string) => this.#end('complete', task, reason)
  cancel = (task: MoveTask, reason: string) => this.#end('cancel', task, reason)
  reclaim = (task: MoveTask, reason: string) => this.#end('reclaim', task, reason)

  async #end(kind: string, task: MoveTask, reason: string): Promise<void> {
    this.onEnd()
    this.ends.push({ kind, task, reason })
  }
}

let twins: TwinChunks
let server: PlayedServer
const workers: MoveWorker[] = []

beforeEach(async () => {
  twins = new TwinChunks('EC6P3')
  await twins.fill(10)
  server = new PlayedServer()
})
afterEach(async () => {
  held.open()
  for (const worker of workers.splice(0)) await worker.stop()
  await twins.erasure.close()
})

function started(limits: Partial<MoveLimits> = {}, slots = 1): MoveWorker {
  const { erasure } = twins
  const worker = new MoveWorker({
    ...{ calls: server, chunks: twins, erasure, clock: realClock, log: silentLog, slots },
    limits: { ...QUICK, ...limits },
  })
  workers.push(worker)
  worker.start()
  return worker
}

/** Holds up the bytes. */
const held = {
  gate: Promise.resolve(),
  open: () => {},
  close(): void {
    this.gate = new Promise((resolve) => {
      this.open = resolve
    })
    twins.before = async ({ name }) => {
      if (name === 'copyShards') await this.gate
    }
  },
}

const ended = (count = 1) =>
  until(
    () => server.ends.length >= count,
    PATIENT,
    () => JSON.stringify(server.ends.map(({ kind, reason }) => [kind, reason])),
  )

it('does what it is given, and tells all of it once', async () => {
  server.tasks.push(twins.task(2, { token: 7 }))
  const worker = started()
  await ended()
  expect(server.ends).toMatchObject([{ kind: 'complete', task: { token: 7 }, reason: '' }])
  expect(twins.moved(2)).toHaveLength(10)
  const bytes = [...twins.fresh.values()].reduce((sum, kept) => sum + kept.bytes.length, 0)
  expect(server).toMatchObject({ shards: 10, bytes })
  const total = { totalCount: 10, totalSize: bytes }
  expect(server.stats.at(-1)).toEqual({ ...total, doneCount: 10, doneSize: bytes })
  await until(() => worker.report().completed === 1, PATIENT, 'it to be counted')
  expect(worker.report()).toEqual({ running: 0, completed: 1, cancelled: 0, reclaimed: 0, lost: 0 })
})

it('tells with the next report what one that did not arrive had to tell', async () => {
  let failures = 2
  server.onReport = () => {
    if (failures-- > 0) throw new TroupeError('unavailable', 'nobody answers')
  }
  server.tasks.push(twins.task(2))
  started()
  await ended()
  expect(server.shards).toBe(10)
})

it('gives back what cannot be filled, and puts off what cannot be read', async () => {
  twins.before = ({ name, isNew }) => {
    if (isNew && name === 'putShard') throw refusal(613, 'disk 10 is broken')
  }
  server.tasks.push(twins.task(2))
  const worker = started()
  await ended()
  twins.before = () => {}
  for (const index of [0, 1, 3, 4]) twins.away.add(index)
  server.tasks.push(twins.task(2))
  await ended(2)
  expect(server.ends).toMatchObject([
    { kind: 'reclaim', reason: expect.stringContaining('broken') },
    { kind: 'cancel', reason: expect.stringContaining('nobody answers') },
  ])
  await until(() => worker.report().cancelled === 1, PATIENT, 'it to be counted')
})

it('does several at a time, and no more than it has slots', async () => {
  held.close()
  for (const index of [1, 2, 3]) server.tasks.push(twins.task(index, { task_id: `t-${index}` }))
  const worker = started({}, 2)
  await until(() => worker.report().running === 2, PATIENT, 'two to run')
  await holds(() => worker.report().running <= 2, { forMs: 50 }, 'no third one')
  held.open()
  await ended(3)
})

describe('a lease', () => {
  it('is renewed twice in its time, as long as the task runs', async () => {
    held.close()
    server.tasks.push(twins.task(2, { lease_ms: 200 }))
    const worker = started()
    await until(() => server.renewals.length >= 4, PATIENT, 'renewals')
    expect(server.ends).toEqual([])
    held.open()
    await ended()
    await until(() => worker.report().running === 0, PATIENT, 'nothing to run')
    const { length } = server.renewals
    await holds(() => server.renewals.length === length, { forMs: 250 }, 'none after its end')
  })

  it('that is refused ends the task at once, and nothing is said of it', async () => {
    held.close()
    const task = twins.task(2, { lease_ms: 100 })
    server.onRenew = () => new Map([[task.task_id, 'it is leased to another']])
    server.tasks.push(task)
    const worker = started()
    await until(() => server.renewals.length > 0, PATIENT, 'a renewal')
    held.open()
    await until(() => worker.report().lost === 1, PATIENT, 'the task to be left')
    expect(server.ends).toEqual([])
  })

  it('ends with a report that is refused', async () => {
    server.onReport = () => {
      throw new TroupeError('conflict', 'it is leased to another')
    }
    server.tasks.push(twins.task(2))
    const worker = started()
    await until(() => worker.report().lost === 1, PATIENT, 'the task to be left')
    expect(server.ends).toEqual([])
  })

  it('outlives a server that is away for less than it lasts, and no longer', async () => {
    held.close()
    let isAway = true
    server.onRenew = () => {
      if (isAway) throw new TroupeError('unavailable', 'nobody answers')
      return new Map()
    }
    server.tasks.push(twins.task(2, { lease_ms: 2_000 }))
    const worker = started()
    await until(() => server.renewals.length >= 2, PATIENT, 'renewals that fail')
    isAway = false
    const { length } = server.renewals
    await until(() => server.renewals.length > length, PATIENT, 'one that does not')
    expect(worker.report()).toMatchObject({ running: 1, lost: 0 })
    isAway = true
    // Whoever copies hears of it at its next call.
    const goneAt = performance.now()
    const isOver = () => performance.now() - goneAt > 2_500
    await until(isOver, PATIENT, 'the lease to be over')
    held.open()
    await until(() => worker.report().lost === 1, PATIENT, 'the task to be left')
    expect(server.ends).toEqual([])
  })

  it('that comes back here begins anew, when what ran has ended', async () => {
    held.close()
    const task = twins.task(2, { token: 1 })
    server.tasks.push(task, { ...task, token: 2 })
    const worker = started({}, 2)
    await until(() => server.tasks.length === 0, PATIENT, 'both to be taken')
    held.open()
    await ended()
    await until(() => worker.report().lost === 1, PATIENT, 'the first to be left')
    expect(server.ends).toMatchObject([{ kind: 'complete', task: { token: 2 } }])
  })
})

describe('a server', () => {
  it('that is away when all is done is told later', async () => {
    let failures = 3
    server.onEnd = () => {
      if (failures-- > 0) throw new TroupeError('unavailable', 'nobody answers')
    }
    server.tasks.push(twins.task(2))
    started()
    await ended()
    expect(server.ends).toMatchObject([{ kind: 'complete' }])
  })

  it('that refuses the end is not asked again', async () => {
    let refused = 0
    server.onEnd = () => {
      refused += 1
      throw new TroupeError('conflict', 'it is leased to another')
    }
    server.tasks.push(twins.task(2))
    const worker = started()
    await until(() => worker.report().lost === 1, PATIENT, 'the task to be left')
    expect(refused).toBe(1)
  })

  it('that has nothing, or is away, is not asked without a pause', async () => {
    const worker = started({ acquirePauseMs: 40 })
    const startedAt = performance.now()
    await until(() => server.asked >= 4, PATIENT, 'some questions')
    expect(performance.now() - startedAt).toBeGreaterThan(100)
    server.onAcquire = () => {
      throw new TroupeError('unavailable', 'nobody answers')
    }
    const { asked } = server
    await until(() => server.asked >= asked + 2, PATIENT, 'more of them')
    server.onAcquire = () => {}
    server.tasks.push(twins.task(2))
    await ended()
    expect(worker.report()).toMatchObject({ completed: 1 })
  })
})

it('leaves what runs to others when it is stopped', async () => {
  held.close()
  server.tasks.push(twins.task(2))
  const worker = started()
  await until(() => worker.report().running === 1, PATIENT, 'a task to run')
  const stopped = worker.stop()
  held.open()
  await stopped
  expect(server.ends).toEqual([])
  expect(worker.report().running).toBe(0)
})
