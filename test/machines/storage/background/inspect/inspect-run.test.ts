/** The inspection of one volume, over units in memory: what is found, what is not said, and how fast it goes. */
import { beforeEach, expect, it } from 'vitest'
import {
  InspectRun,
  type InspectRunOptions,
} from '../../../../../machines/storage/background/inspect/inspect-run.ts'
import type { FoundShard } from '../../../../../machines/storage/background/inspect/wire.ts'
import { vuidOf, vuidParts } from '../../../../../machines/storage/plane/codes/index.ts'
import { FakeUnits, MODE, SETTLE_MS, taskOf, UNITS } from './fake-units.ts'

let fake: FakeUnits
let found: { missed: FoundShard[]; corrupt: FoundShard[] }

beforeEach(() => {
  fake = new FakeUnits()
  found = { missed: [], corrupt: [] }
})

function inspect(options: Partial<InspectRunOptions> = {}) {
  const run = new InspectRun({
    ...{ task: taskOf(), shards: fake, clock: fake.clock, signal: new AbortController().signal },
    settleMs: SETTLE_MS,
    found: async ({ missed, corrupt }) => {
      found.missed.push(...missed)
      found.corrupt.push(...corrupt)
    },
    ...options,
  })
  return fake.run(run.run())
}

const named = (shards: readonly FoundShard[]) =>
  shards.map(({ vuid, bid }) => `${vuidParts(vuid).index}/${bid}`).sort()

it('all that is whole is counted, and nothing is said of it', async () => {
  fake.fill(1_234)
  const outcome = await inspect()
  expect(outcome).toEqual({
    ...{ error: null, blobs: 1_234, shards: 1_234 * UNITS, bytes: 12_340 * UNITS, troubles: [] },
    ...{ missed: 0, corrupt: 0, lost: 0, lostBlobs: [], unusable: [] },
  })
  expect(found).toEqual({ missed: [], corrupt: [] })
})

it('finds what is missing and what is corrupt, at the ends of pages and lists, too', async () => {
  fake.fill(1_200)
  for (const [unit, bid] of [
    [0, 1n],
    [8, 1n],
    [3, 500n],
    [4, 501n],
    [1, 1_200n],
  ] as const) {
    fake.units[unit]?.delete(bid)
  }
  for (const bid of [1n, 2n, 1_200n]) fake.corrupt(5, bid)
  const outcome = await inspect()
  expect(named(found.missed)).toEqual(['0/1', '1/1200', '3/500', '4/501', '8/1'])
  expect(named(found.corrupt)).toEqual(['5/1', '5/1200', '5/2'])
  expect(outcome).toMatchObject({ error: null, blobs: 1_200, missed: 5, corrupt: 3, lost: 0 })
})

it('a put and a delete that were under way look bad for a moment only', async () => {
  fake.fill(10)
  for (const unit of [0, 1, 2]) fake.units[unit]?.delete(10n)
  for (const unit of [4, 5]) fake.units[unit]?.delete(3n)
  fake.corrupt(7, 5n)
  fake.clock.after(SETTLE_MS / 2, () => {
    for (const unit of [0, 1, 2]) fake.put(unit, 10n)
    // The others are marked, and will be deleted.
    for (const unit of [0, 1]) fake.mark(unit, 3n)
    // Somebody has repaired it meanwhile.
    fake.put(7, 5n)
  })
  expect(await inspect()).toMatchObject({ error: null, missed: 0, corrupt: 0, lost: 0 })
  expect(found).toEqual({ missed: [], corrupt: [] })
})

it('what is marked anywhere is not made whole', async () => {
  fake.fill(3)
  fake.mark(8, 2n)
  for (const unit of [0, 1]) fake.units[unit]?.delete(2n)
  expect(await inspect()).toMatchObject({ blobs: 3, missed: 0 })
})

it('of what is beyond repair it tells by which units, and asks for nothing', async () => {
  fake.fill(150)
  for (const unit of [0, 1, 2, 3]) {
    for (let bid = 1n; bid <= 120n; bid++) fake.units[unit]?.delete(bid)
  }
  fake.corrupt(4, 1n)
  const outcome = await inspect()
  expect(outcome).toMatchObject({ missed: 0, corrupt: 0, lost: 120 })
  expect(outcome.lostBlobs).toHaveLength(100)
  expect(outcome.lostBlobs[0]).toEqual({ bid: 1n, whole: [5, 6, 7, 8], away: [] })
})

it('units that are away keep nobody from judging the others', async () => {
  fake.fill(20)
  fake.refuse(2, 'unavailable')
  fake.units[6]?.delete(7n)
  const outcome = await inspect()
  expect(outcome).toMatchObject({ error: null, missed: 1, lost: 0 })
  expect(outcome.troubles).toEqual([expect.stringContaining('unit 2 on disk 3')])
  expect(named(found.missed)).toEqual(['6/7'])
})

it.each([621, 623, 624, 658])(
  'a chunk that cannot be used at all (%i) is told of, and no repair of a shard is asked for there',
  async (status) => {
    fake.fill(20)
    fake.refuse(2, status)
    fake.units[6]?.delete(7n)
    const unusable = [vuidOf({ vid: 7, index: 2, epoch: 1 })]
    expect(await inspect()).toMatchObject({ error: null, missed: 1, corrupt: 0, unusable })
    expect(named(found.missed)).toEqual(['6/7'])
  },
)

it('what could be made with those that are away is neither lost nor asked for', async () => {
  fake.fill(20)
  fake.refuse(2, 'unavailable')
  for (const unit of [5, 6, 7]) fake.units[unit]?.delete(7n)
  expect(await inspect()).toMatchObject({ error: null, missed: 0, corrupt: 0, lost: 0 })
})

it('a unit that answers the second time is not away', async () => {
  fake.fill(20)
  fake.refuse(2, 'unavailable', 2)
  expect(await inspect()).toMatchObject({ error: null, troubles: [], shards: 20 * UNITS })
})

it('a unit that has moved is an error: it is inspected again by another mapping, and nothing is lost', async () => {
  fake.fill(20)
  for (const unit of [0, 1, 2]) fake.units[unit]?.delete(7n)
  fake.refuse(4, 611)
  const outcome = await inspect()
  expect(outcome.error).toContain('unit 4 on disk 5')
  expect(outcome).toMatchObject({ lost: 0, lostBlobs: [], unusable: [] })
})

it('a broken disk is no move: what is lost beside it is told', async () => {
  fake.fill(20)
  for (const unit of [0, 1, 2, 3]) fake.units[unit]?.delete(7n)
  fake.refuse(4, 613)
  const outcome = await inspect()
  expect(outcome).toMatchObject({ error: null, missed: 0, lost: 1 })
  expect(outcome.lostBlobs).toEqual([{ bid: 7n, whole: [5, 6, 7, 8], away: [4] }])
  expect(outcome.troubles).toEqual([expect.stringContaining('unit 4 on disk 5')])
})

it('a disk that breaks meanwhile is away, and nothing is lost that it may have had', async () => {
  fake.fill(20)
  for (const unit of [0, 1, 2]) fake.units[unit]?.delete(7n)
  fake.clock.after(SETTLE_MS / 2, () => fake.refuse(4, 613))
  expect(await inspect()).toMatchObject({ error: null, missed: 0, lost: 0 })
})

it('where too few units answer nothing can be said', async () => {
  fake.fill(20)
  for (const unit of [0, 1, 2, 3]) fake.refuse(unit, 'unavailable')
  expect((await inspect()).error).toContain(`only ${UNITS - 4} of ${UNITS} units`)
  const { replicas, ...task } = taskOf()
  const few = { ...task, replicas: replicas.slice(0, 5) }
  fake = new FakeUnits()
  expect((await inspect({ task: few })).error).toContain('on disks that nobody knows')
})

it('refuses a code mode that it does not know', () => {
  expect(() => inspect({ task: { ...taskOf(), mode: 250 } })).toThrow('250')
})

it('tells what it found before it has looked at all', async () => {
  fake.fill(1_300)
  for (let bid = 1n; bid <= 1_300n; bid++) fake.units[0]?.delete(bid)
  const sizes: number[] = []
  const outcome = await inspect({ found: async ({ missed }) => void sizes.push(missed.length) })
  expect(outcome.missed).toBe(1_300)
  expect(sizes.length).toBeGreaterThan(1)
  expect(Math.max(...sizes)).toBeLessThanOrEqual(1_000)
  expect(sizes.reduce((sum, one) => sum + one)).toBe(1_300)
})

it('reads no faster than it may', async () => {
  fake.fill(1_000)
  const begunAt = fake.clock.monotonic()
  const { bytes } = await inspect({ bytesPerSecond: 10_000 })
  expect(bytes).toBe(90_000)
  const seconds = (fake.clock.monotonic() - begunAt) / 1_000
  expect(seconds).toBeGreaterThanOrEqual(9)
  expect(seconds).toBeLessThan(12)
})

it('ends at once when it is given up', async () => {
  fake.fill(1_000)
  const stop = new AbortController()
  const running = inspect({ bytesPerSecond: 1_000, signal: stop.signal })
  const ended = expect(running).rejects.toThrow('not wanted')
  stop.abort(new Error('not wanted'))
  await ended
})

it('the mode of these tests has the units that they speak of', () => {
  expect(MODE.data + MODE.parity).toBe(UNITS)
  expect(vuidOf({ vid: 7, index: 8, epoch: 1 })).toBe(taskOf().replicas[8]?.vuid)
})
