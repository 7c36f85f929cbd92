/** Deleting objects: when it is done, what is left to upkeep, and that a reader never sees half of it. */
import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { parseBlobId } from '../../../../../machines/storage/plane/access/blob-id.ts'
import { deleteObject } from '../../../../../machines/storage/plane/access/delete.ts'
import { openObject } from '../../../../../machines/storage/plane/access/get.ts'
import { Budget } from '../../../../../machines/storage/plane/access/lanes.ts'
import { BLOB_BYTES_MAX } from '../../../../../machines/storage/plane/access/limits.ts'
import { putObject } from '../../../../../machines/storage/plane/access/put.ts'
import { codeModeOf, unitCount } from '../../../../../machines/storage/plane/codes/index.ts'
import { Erasure } from '../../../../../machines/storage/plane/erasure/index.ts'
import { type Condition, firstBlob, Twins } from './twins.ts'

const VID = 7
const signal = new AbortController().signal
let erasure: Erasure
beforeAll(async () => {
  erasure = await Erasure.open({ threads: 1 })
})
afterAll(() => erasure.close())

async function stored(modeName: string, size: number) {
  const mode = codeModeOf(modeName)
  const twins = new Twins(erasure, mode, [VID])
  const deps = { ...twins.deps(), budget: new Budget(2 ** 30) }
  const options = { mode, announced: size, signal }
  const put = await putObject(deps, Readable.from([randomBytes(size)]), options)
  const id = parseBlobId(put.id)
  return {
    ...{ twins, id, bid: firstBlob(id).bid },
    remove: () => deleteObject(deps, id, signal),
    read: (range = { from: 0, to: size }) =>
      openObject(deps, id, range, signal)
        .then((stream) => buffer(stream))
        .then(
          () => 'bytes',
          ({ code }: { code: string }) => code,
        ),
  }
}

const ALL = [...Array(9).keys()]

it('marks all units at once, and leaves their bytes to upkeep', async () => {
  const { twins, bid, remove, read } = await stored('EC6P3', 30_000)
  expect(await remove()).toBe('deleted')
  const states = ALL.map((index) => twins.shard(VID, index, bid)!.state)
  expect(states).toEqual(Array(9).fill('marked'))
  const removal = { vid: VID, bid, unitsMarked: ALL, isMarked: true, isLeftover: false }
  expect(twins.removals).toEqual([removal])
  expect(await read()).toBe('not-found')
})

it('asked for again is the same', async () => {
  const { twins, remove } = await stored('EC6P3', 30_000)
  await remove()
  expect(await remove()).toBe('deleted')
  expect(twins.removals[1]).toEqual(twins.removals[0])
})

it('units that never had it get a mark, too: what is on its way there is refused', async () => {
  const { twins, bid, remove, read } = await stored('EC6P3', 30_000)
  twins.spoil('none', VID, bid, 2, 7)
  expect(await remove()).toBe('deleted')
  expect(twins.removals).toMatchObject([{ unitsMarked: ALL, isMarked: true }])
  const { shards, volumes } = twins.deps()
  const { units } = await volumes.view(VID)
  const late = shards.putShard(units[2]!, bid, Buffer.of(7), { crc: crc32(Buffer.of(7)) })
  await expect(late).rejects.toMatchObject({ status: 654 })
  expect(await read({ from: 0, to: 1 })).toBe('not-found')
})

it('a unit that had nothing, and takes no mark now, may have begun to take a put', async () => {
  const { twins, bid, remove } = await stored('Replica3', 30_000)
  twins.spoil('none', VID, bid, 2)
  twins.set('full', VID, 2)
  expect(await remove()).toBe('accepted')
  twins.conditions.clear()
  expect(await remove()).toBe('deleted')
})

it('a mark in a chunk that another follows, or has followed, may be read over there', async () => {
  const { twins, remove } = await stored('Replica3', 30_000)
  twins.unsettled.add(`${VID}/1`)
  expect(await remove()).toBe('accepted')
  expect(twins.removals).toMatchObject([{ unitsMarked: [0, 2], isMarked: false }])
  twins.unsettled.clear()
  // It has been swapped by then, and the old chunk is still there to be marked.
  twins.onMark = (index) => {
    if (index === 1) twins.move(VID, 1)
  }
  expect(await remove()).toBe('accepted')
  twins.onMark = () => {}
  expect(await remove()).toBe('deleted')
})

it('nor is it done where nobody can say whether its units are moved', async () => {
  const { twins, bid, remove } = await stored('Replica3', 30_000)
  twins.recordFails = true
  expect(await remove()).toBe('accepted')
  twins.recordFails = false
  expect(await remove()).toBe('deleted')
  // Of a blob that is gone everywhere a copy may be in the chunk that is filled.
  twins.spoil('none', VID, bid, 0, 1, 2)
  twins.unsettled.add(`${VID}/0`)
  expect(await remove()).toBe('accepted')
  twins.unsettled.clear()
  expect(await remove()).toBe('absent')
})

it('that marked the last shard is registered, also where its mark may be followed by a copy', async () => {
  const { twins, bid, remove } = await stored('EC6P3', 30_000)
  twins.spoil('none', VID, bid, 0, 1, 2, 3, 4, 5, 6, 7)
  twins.unsettled.add(`${VID}/8`)
  expect(await remove()).toBe('deleted')
  expect(twins.removals).toMatchObject([{ bid, unitsMarked: [], isMarked: false }])
})

it('throws what is no refusal: nothing follows from an error of its own', async () => {
  const { twins, id } = await stored('Replica3', 30_000)
  const deps = twins.deps()
  const settled = () => Promise.reject(new TypeError('a mistake'))
  const broken = { ...deps, volumes: { ...deps.volumes, settled } }
  await expect(deleteObject(broken, id, signal)).rejects.toThrow('a mistake')
})

it('finds nothing where nothing is known', async () => {
  const { twins, bid, remove, id } = await stored('EC6P3', 30_000)
  twins.spoil('none', VID, bid, ...Array(9).keys())
  expect(await remove()).toBe('absent')
  expect(twins.removals).toEqual([])
  twins.volumes.delete(VID)
  await expect(deleteObject(twins.deps(), id, signal)).rejects.toMatchObject({ status: 904 })
})

it.each([
  ['EC6P3', 'away', [8], 'deleted'],
  ['EC6P3', 'away', [6, 7, 8], 'deleted'],
  // Its bytes of data could be read by range.
  ['EC6P3', 'away', [0], 'accepted'],
  ['EC6P3', 'busy', [0], 'accepted'],
  // A disk that is broken may work again after a restart.
  ['EC6P3', 'broken', [0], 'accepted'],
  ['EC6P3', 'broken', [8], 'deleted'],
  ['EC6P3', 'broken', [0, 1, 2, 3, 4, 5, 6, 7, 8], 'accepted'],
  ['EC6P3', 'away', [0, 1, 2, 3, 4, 5, 6], 'accepted'],
  ['EC6P3L3', 'away', [6, 7, 8], 'deleted'],
  ['EC6P3L3', 'away', [6, 7, 8, 9, 10, 11], 'deleted'],
  ['Replica3', 'away', [1], 'accepted'],
  ['Replica3', 'broken', [1], 'accepted'],
] as const)('of %s with units %s: %j is %s', async (mode, condition, bad, outcome) => {
  const { twins, bid, remove } = await stored(mode, 60_000)
  twins.set(condition, VID, ...bad)
  expect(await remove()).toBe(outcome)
  const marked = [...Array(unitCount(codeModeOf(mode))).keys()].filter(
    (index) => twins.shard(VID, index, bid)!.state === 'marked',
  )
  expect(marked).toHaveLength(unitCount(codeModeOf(mode)) - bad.length)
  expect(twins.removals).toEqual([
    { vid: VID, bid, unitsMarked: marked, isMarked: false, isLeftover: false },
  ])
})

it('goes to the new place of a unit that has moved', async () => {
  const { twins, remove } = await stored('EC6P3', 30_000)
  twins.move(VID, 2)
  expect(await remove()).toBe('deleted')
  expect(twins.freshViews).toBe(1)
  expect(twins.removals).toMatchObject([{ isMarked: true }])
})

it('is not said to be under way when upkeep does not know of it', async () => {
  const { twins, remove } = await stored('EC6P3', 30_000)
  twins.set('away', VID, 0)
  twins.upkeepFails = true
  await expect(remove()).rejects.toMatchObject({ code: 'unavailable' })
})

it('that is done cannot be read, wherever units were and come back', async () => {
  const modes = ['EC6P3', 'EC6P3L3', 'EC4P4L2', 'Replica3', 'Replica4TwoAZ']
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...modes),
      fc.integer({ min: 1, max: 60_000 }),
      fc.array(fc.constantFrom<Condition>('up', 'up', 'up', 'away', 'busy', 'broken'), {
        ...{ minLength: 16, maxLength: 16 },
      }),
      fc.nat(),
      async (mode, size, conditions, at) => {
        const { twins, remove, read } = await stored(mode, size)
        for (const index of Array(unitCount(codeModeOf(mode))).keys())
          twins.set(conditions[index]!, VID, index)
        const outcome = await remove()
        twins.conditions.clear()
        if (outcome !== 'deleted') return
        const from = at % size
        expect(await read()).toBe('not-found')
        expect(await read({ from, to: from + 1 })).toBe('not-found')
      },
    ),
    { numRuns: 80 },
  )
})

it('deletes all blobs of an object, and says the least that is true of all', async () => {
  const { twins, remove } = await stored('Replica3', 2 * BLOB_BYTES_MAX + 1)
  expect(await remove()).toBe('deleted')
  expect(twins.removals).toHaveLength(3)
  const other = await stored('Replica3', 2 * BLOB_BYTES_MAX + 1)
  other.twins.spoil('none', VID, other.bid + 1n, 0, 1, 2)
  expect(await other.remove()).toBe('deleted')
  expect(other.twins.removals).toHaveLength(2)
})
