/** The worker that inspects: slots, leases that are kept and lost, nodes that do not answer. */
import { afterEach, beforeEach, expect, it } from 'vitest'
import {
  type InspectCalls,
  Inspector,
  type InspectorOptions,
  type InspectTask,
  type SentReport,
} from '../../../../../machines/storage/background/inspect/index.ts'
import { silentLog } from '../../../../../src/adapters/system/index.ts'
import { TroupeError } from '../../../../../src/protocol/index.ts'
import { FakeUnits, SETTLE_MS, taskOf, UNITS } from './fake-units.ts'

/** A node that has some volumes to inspect. */
class FakeNode implements InspectCalls {
  readonly waiting: InspectTask[] = []
  readonly reports: SentReport[] = []
  asked = 0
  /** What the next calls throw. */
  failures = 0
  refused: string | undefined

  async inspectAcquire(): Promise<InspectTask | undefined> {
    this.asked += 1
    this.#fail()
    return this.waiting.shift()
  }

  async inspectComplete(report: SentReport): Promise<{ refused?: string | undefined }> {
    this.#fail()
    this.reports.push(report)
    return { refused: this.refused }
  }

  get ended(): SentReport[] {
    return this.reports.filter(({ more }) => !more)
  }

  #fail(): void {
    if (this.failures === 0) return
    this.failures -= 1
    throw new TroupeError('unavailable', 'nobody is there')
  }
}

let fake: FakeUnits
let node: FakeNode
let stop: AbortController
let running: Promise<void>

beforeEach(() => {
  fake = new FakeUnits()
  node = new FakeNode()
  stop = new AbortController()
  running = Promise.resolve()
})

afterEach(async () => {
  stop.abort()
  await fake.run(running)
})

function begin(options: Partial<InspectorOptions> = {}): void {
  const { clock } = fake
  const common = { worker: 'b1', calls: node, shards: fake, clock, log: silentLog, slots: 1 }
  running = new Inspector({ ...common, settleMs: SETTLE_MS, ...options }).run(stop.signal)
}

async function until(is: () => boolean): Promise<void> {
  for (let ms = 0; ms < 120_000 && !is(); ms += 10) await fake.clock.settle(10)
  expect(is()).toBe(true)
}

it('inspects one volume after the other, and says by its name what it found', async () => {
  fake.fill(50)
  fake.units[3]?.delete(9n)
  fake.corrupt(4, 8n)
  node.waiting.push(taskOf(7), taskOf(8))
  begin()
  await until(() => node.ended.length === 2)
  const found = node.reports.find(({ more }) => more)
  expect(found).toMatchObject({
    ...{ task_id: 'inspect-7-x', worker: 'b1' },
    missed_shards: [{ vuid: taskOf().replicas[3]?.vuid, bid: 9n }],
    corrupt_shards: [{ vuid: taskOf().replicas[4]?.vuid, bid: 8n }],
  })
  expect(node.ended[0]).toMatchObject({
    ...{ task_id: 'inspect-7-x', inspect_err_str: '', worker: 'b1', missed_shards: [] },
    ...{ blob_cnt: 50, shard_cnt: 50 * UNITS - 1, missed_cnt: 1, corrupt_cnt: 1, lost_cnt: 0 },
  })
})

it('takes as many at a time as it has slots, and asks none of them too often', async () => {
  fake.fill(500)
  node.waiting.push(taskOf(1), taskOf(2), taskOf(3))
  begin({ slots: 2, bytesPerSecond: 5_000 })
  await fake.clock.settle(100)
  expect(node.waiting).toHaveLength(1)
  await until(() => node.ended.length === 3)
  const { asked } = node
  await fake.clock.settle(10_000)
  expect(node.asked - asked).toBeLessThanOrEqual(2 * 21)
})

it('says that it is at it while it is', async () => {
  fake.fill(500)
  node.waiting.push(taskOf())
  begin({ bytesPerSecond: 1_000 })
  await until(() => node.ended.length === 1)
  // 45 s of work, and a lease of 9 s.
  const renewals = node.reports.filter(({ more, missed_shards }) => more && !missed_shards?.length)
  expect(renewals.length).toBeGreaterThanOrEqual(12)
})

it('gives up what is another’s by now, and takes the next', async () => {
  fake.fill(500)
  node.waiting.push(taskOf(1), taskOf(2))
  begin({ bytesPerSecond: 1_000 })
  await fake.clock.settle(4_000)
  node.refused = 'unknown_task'
  await until(() => node.waiting.length === 0)
  node.refused = undefined
  await until(() => node.ended.length === 1)
  expect(node.ended[0]?.task_id).toBe('inspect-2-x')
})

it('goes on when a node does not answer for a while', async () => {
  fake.fill(5)
  node.waiting.push(taskOf())
  node.failures = 2
  begin({ bytesPerSecond: 1_000 })
  await until(() => node.ended.length === 1)
  node.waiting.push(taskOf(8), taskOf(9))
  await until(() => node.waiting.length === 1)
  // The end of one is not heard at first.
  node.failures = 2
  await until(() => node.ended.length === 3)
})

it('an inspection that cannot be done is told with its reason', async () => {
  node.waiting.push({ ...taskOf(), mode: 250 })
  begin()
  await until(() => node.ended.length === 1)
  expect(node.ended[0]?.inspect_err_str).toContain('250')
})

it('ends when it is told to, in the middle of a volume', async () => {
  fake.fill(500)
  node.waiting.push(taskOf())
  begin({ bytesPerSecond: 1_000 })
  await fake.clock.settle(2_000)
  stop.abort()
  await fake.run(running)
  expect(node.ended).toEqual([])
})
