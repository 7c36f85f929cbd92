/** Writing objects: quorum, what is left to repair or remove, other volumes, and bodies that break off. */
import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseBlobId } from '../../../../../machines/storage/plane/access/blob-id.ts'
import { openObject } from '../../../../../machines/storage/plane/access/get.ts'
import { Budget } from '../../../../../machines/storage/plane/access/lanes.ts'
import {
  type AccessLimits,
  BLOB_BYTES_MAX,
} from '../../../../../machines/storage/plane/access/limits.ts'
import { putObject, slicesOf } from '../../../../../machines/storage/plane/access/put.ts'
import { codeModeOf, vuidParts } from '../../../../../machines/storage/plane/codes/index.ts'
import { Erasure } from '../../../../../machines/storage/plane/erasure/index.ts'
import { until } from '../../../../waiting.ts'
import { firstBlob, Twins } from './twins.ts'

const signal = new AbortController().signal
let erasure: Erasure
beforeAll(async () => {
  erasure = await Erasure.open({ threads: 1 })
})
afterAll(() => erasure.close())

interface PutInit {
  announced?: number
  limits?: Partial<AccessLimits>
  signal?: AbortSignal
  mode?: string
}

function rig(mode: string, vids: readonly number[] = [7]) {
  const twins = new Twins(erasure, codeModeOf(mode), vids)
  const budget = new Budget(2 ** 30)
  return {
    twins,
    budget,
    put: (chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>, init: PutInit = {}) =>
      putObject({ ...twins.deps(init.limits), budget }, Readable.from(chunks), {
        mode: codeModeOf(init.mode ?? mode),
        signal: init.signal ?? signal,
        ...(init.announced === undefined ? {} : { announced: init.announced }),
      }),
    get: async (text: string) => {
      const id = parseBlobId(text)
      const range = { from: 0, to: id.size }
      return buffer(await openObject({ ...twins.deps(), budget }, id, range, signal))
    },
  }
}

function clean({ twins, budget }: ReturnType<typeof rig>): void {
  expect([twins.stripesOut, budget.bytes, twins.runningPuts]).toEqual([0, 0, 0])
}

it('is read back, in whatever pieces it came, and whether its length was known or not', async () => {
  const store = rig('EC6P3')
  const sizes = fc.oneof(
    fc.constantFrom(0, 1, BLOB_BYTES_MAX - 1, BLOB_BYTES_MAX, BLOB_BYTES_MAX + 1),
    fc.nat(20_000),
  )
  await fc.assert(
    fc.asyncProperty(sizes, fc.boolean(), fc.integer({ min: 1, max: 100 }), async (...of) => {
      const [size, isKnown, pieceCount] = of
      const pieceBytes = Math.max(1, Math.floor(size / pieceCount))
      const bytes = randomBytes(size)
      const pieces = Array.from({ length: Math.ceil(size / pieceBytes) }, (_, at) =>
        bytes.subarray(at * pieceBytes, (at + 1) * pieceBytes),
      )
      const put = await store.put(pieces, isKnown ? { announced: size } : {})
      expect(put.size).toBe(size)
      expect((await store.get(put.id)).equals(bytes)).toBe(true)
    }),
    { numRuns: 25 },
  )
  clean(store)
})

/** What is left of a blob that nobody was told of. */
const LEFTOVER = {
  ...{ vid: 7, bid: 1_000n, unitsMarked: [], isMarked: false, isLeftover: true },
}

describe('the quorum', () => {
  const bytes = randomBytes(30_000)

  it.each([
    ['EC6P3', 'away', [8]],
    ['EC6P3', 'broken', [0]],
    ['EC12P4', 'full', [3]],
    ['EC6P3L3', 'away', [9, 10, 11]],
    ['Replica4TwoAZ', 'away', [1]],
  ] as const)(
    'of %s is enough, with units %s: %j; they are repaired',
    async (mode, condition, bad) => {
      const store = rig(mode)
      store.twins.set(condition, 7, ...bad)
      const { id } = await store.put([bytes])
      const { bid } = firstBlob(parseBlobId(id))
      expect(store.twins.repairs).toEqual([
        { vid: 7, bid, badIndexes: bad, reason: expect.stringContaining(`unit ${bad[0]}`) },
      ])
      expect(store.twins.failed.sort()).toEqual(bad.map((index) => `7/${index}`).sort())
      expect((await store.get(id)).equals(bytes)).toBe(true)
      clean(store)
    },
  )

  it('is not acknowledged before upkeep knows what is missing', async () => {
    const store = rig('EC6P3')
    store.twins.set('away', 7, 0)
    store.twins.upkeepFails = true
    await expect(store.put([bytes])).rejects.toMatchObject({ code: 'unavailable' })
    clean(store)
  })

  it('without a repair that was asked for is none: what was written goes', async () => {
    const store = rig('EC6P3')
    store.twins.set('away', 7, 0)
    store.twins.repairsFail = true
    await expect(store.put([bytes])).rejects.toMatchObject({ code: 'unavailable' })
    expect(store.twins.removals).toEqual([LEFTOVER])
    clean(store)
  })

  it('is missed: another volume is taken, and what is left is removed', async () => {
    const store = rig('EC6P3', [7, 8])
    store.twins.set('away', 7, 0, 1)
    const { id } = await store.put([bytes])
    const [slice] = parseBlobId(id).slices
    expect(slice!.vid).toBe(8)
    expect(store.twins.removals).toEqual([LEFTOVER])
    expect(slice!.firstBid).toBeGreaterThan(1_000n)
    expect((await store.get(id)).equals(bytes)).toBe(true)
    clean(store)
  })

  it('is missed everywhere: nothing is acknowledged, and nothing kept', async () => {
    const store = rig('EC6P3', [7, 8, 9, 10])
    for (const vid of [7, 8, 9, 10]) store.twins.set('away', vid, 0, 1)
    await expect(store.put([bytes], { limits: { volumesPerBlobMax: 3 } })).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('unit 0'),
    })
    expect(store.twins.removals.map(({ vid }) => vid)).toEqual([7, 8, 9])
    expect(store.twins.wroteBytes).toBe(0)
    clean(store)
  })

  it.each([
    [1, { vid: 7, removals: [], repaired: [0] }],
    [2, { vid: 8, removals: [7], repaired: undefined }],
  ])(
    'does not count %i units to which other bytes came than were sent',
    async (bad, { vid, removals, repaired }) => {
      const store = rig('EC6P3', [7, 8])
      const deps = store.twins.deps()
      const shards = {
        ...deps.shards,
        putShard: async (...asked: Parameters<typeof deps.shards.putShard>) => {
          const [at, bid, bytes, options] = asked
          const isBad = vuidParts(at.vuid).vid === 7 && at.diskId <= bad
          const sent = isBad ? Buffer.from(bytes).fill(bytes[0]! ^ 1, 0, 1) : bytes
          await deps.shards.putShard(at, bid, sent, options)
        },
      }
      const put = putObject({ ...deps, shards, budget: store.budget }, Readable.from([bytes]), {
        mode: codeModeOf('EC6P3'),
        signal,
      })
      expect(parseBlobId((await put).id).slices).toMatchObject([{ vid }])
      expect(store.twins.removals.map((one) => one.vid)).toEqual(removals)
      expect(store.twins.repairs.map((one) => one.badIndexes)).toEqual(repaired ? [repaired] : [])
      clean(store)
    },
  )

  it('does not wait long for those beyond it', async () => {
    const store = rig('EC6P3')
    store.twins.set('silent', 7, 4)
    const { id } = await store.put([bytes], { limits: { stragglerMs: 5 } })
    expect(store.twins.repairs).toMatchObject([{ badIndexes: [4] }])
    expect((await store.get(id)).equals(bytes)).toBe(true)
    clean(store)
  })

  it('that does not come in time is missed', async () => {
    const store = rig('EC6P3', [7, 8])
    store.twins.set('silent', 7, 4, 5)
    const { id } = await store.put([bytes], { limits: { writeMs: 20 } })
    expect(parseBlobId(id).slices[0]!.vid).toBe(8)
    clean(store)
  })

  it('is not waited for at units that are known to be down', async () => {
    const store = rig('EC6P3')
    store.twins.shownDown.add('7/1')
    store.twins.set('silent', 7, 1)
    await store.put([bytes], { limits: { stragglerMs: 600_000 } })
    expect(store.twins.repairs).toMatchObject([{ badIndexes: [1] }])
  })

  it('is had at the new place of a unit that has moved', async () => {
    const store = rig('EC6P3')
    await store.put([bytes])
    store.twins.move(7, 0)
    store.twins.move(7, 5)
    const { id } = await store.put([bytes])
    expect(store.twins.repairs).toEqual([])
    expect(store.twins.freshViews).toBe(1)
    expect((await store.get(id)).equals(bytes)).toBe(true)
  })
})

describe('an object of several blobs', () => {
  const size = 5 * BLOB_BYTES_MAX + 100
  const bytes = randomBytes(size)

  it('lies in one slice where nothing goes wrong', async () => {
    const store = rig('Replica3')
    const { id } = await store.put([bytes], { announced: size })
    expect(parseBlobId(id).slices).toEqual([{ vid: 7, firstBid: 1_000n, count: 6 }])
    expect(store.twins.wroteBytes).toBe(size)
    expect((await store.get(id)).equals(bytes)).toBe(true)
    clean(store)
  })

  it('reads the next blob while the last one is written, and no more than it may', async () => {
    const store = rig('Replica3')
    const bids = new Set<bigint>()
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    store.twins.onPut = (_place, bid) => {
      bids.add(bid)
      return held
    }
    const put = store.put([bytes], { announced: size, limits: { blobsPerPutMax: 2 } })
    await until(() => bids.size === 2, { timeoutMs: 10_000 }, 'two blobs under way')
    expect(store.twins.stripesOut).toBe(2)
    release()
    expect((await store.get((await put).id)).equals(bytes)).toBe(true)
    clean(store)
  })

  it('is written to a unit again once that is up', async () => {
    const store = rig('EC6P3')
    store.twins.shownDown.add('7/1')
    store.twins.onPut = () => void store.twins.shownDown.clear()
    await store.put([bytes], { announced: size, limits: { blobsPerPutMax: 1 } })
    expect(store.twins.repairs).toMatchObject([{ bid: 1_000n, badIndexes: [1] }])
    clean(store)
  })

  it('goes on elsewhere when its volume fails on the way', async () => {
    const store = rig('Replica3', [7, 8])
    store.twins.onPut = (_place, bid) => {
      if (bid === 1_002n) store.twins.set('away', 7, 0)
    }
    const { id } = await store.put([bytes], { announced: size })
    const { slices } = parseBlobId(id)
    expect(slices.at(-1)!.vid).toBe(8)
    store.twins.conditions.clear()
    expect((await store.get(id)).equals(bytes)).toBe(true)
    expect(store.twins.removals.length).toBeGreaterThan(0)
    clean(store)
  })

  it('is removed when it fails on the way', async () => {
    const store = rig('Replica3')
    store.twins.onPut = (_place, bid) => {
      if (bid === 1_003n) store.twins.set('away', 7, 0)
    }
    await expect(store.put([bytes], { announced: size })).rejects.toMatchObject({
      code: 'unavailable',
    })
    const removed = store.twins.removals.map(({ bid }) => bid)
    expect(removed).toEqual(expect.arrayContaining([1_000n, 1_003n]))
    clean(store)
  })

  it('is refused as busy where no memory is free, and goes on with little', async () => {
    const store = rig('Replica3')
    const deps = store.twins.deps()
    const mode = codeModeOf('Replica3')
    const put = (budget: Budget) =>
      putObject({ ...deps, budget }, Readable.from([bytes]), { mode, announced: size, signal })
    await expect(async () => put(new Budget(1_000))).rejects.toMatchObject({ code: 'busy' })
    const { id } = await put(new Budget(3 * BLOB_BYTES_MAX))
    expect((await store.get(id)).equals(bytes)).toBe(true)
  })
})

describe('a body', () => {
  const piece = randomBytes(1_000_000)

  it('that breaks off leaves nothing behind', async () => {
    const store = rig('Replica3')
    async function* body() {
      for (let at = 0; at < 9; at++) yield piece
      await until(() => store.twins.wroteBytes > 0, { timeoutMs: 10_000 }, 'a blob on disk')
      throw new Error('the client went away')
    }
    await expect(store.put(body())).rejects.toThrow('the client went away')
    expect(store.twins.removals.length).toBeGreaterThanOrEqual(1)
    clean(store)
  })

  it.each([999_999, 1_000_001, 5_000_000])(
    'of another length than %i is refused',
    async (announced) => {
      const store = rig('Replica3')
      await expect(store.put([piece], { announced })).rejects.toMatchObject({ code: 'malformed' })
      clean(store)
    },
  )

  it('is not waited for when a blob of it has failed', async () => {
    const store = rig('Replica3')
    store.twins.set('away', 7, 0)
    let isDropped = false
    async function* body() {
      for (let at = 0; at < 5; at++) yield piece
      await until(() => store.twins.removals.length > 0, { timeoutMs: 10_000 }, 'the failure')
      // Asked for again, though nobody needs it: so that who sends it hears the refusal.
      yield piece
      isDropped = true
    }
    await expect(store.put(body())).rejects.toMatchObject({ code: 'unavailable' })
    await until(() => isDropped, { timeoutMs: 5_000 }, 'the rest to be read')
    clean(store)
  })

  it('whose client gives up is written no further, and removed', async () => {
    const store = rig('EC6P3')
    const controller = new AbortController()
    store.twins.onPut = () => {
      controller.abort()
      return new Promise<void>(() => {})
    }
    await expect(store.put([piece], { signal: controller.signal })).rejects.toMatchObject({
      code: 'no-answer',
    })
    expect(store.twins.removals).toHaveLength(1)
    expect(store.twins.failed).toEqual([])
    clean(store)
  })
})

it('joins blobs that follow one another', () => {
  const blob = (vid: number, bid: bigint) => ({ vid, bid })
  expect(slicesOf([blob(1, 1n), blob(1, 2n), blob(2, 3n), blob(2, 5n), blob(1, 6n)])).toEqual([
    { vid: 1, firstBid: 1n, count: 2 },
    { vid: 2, firstBid: 3n, count: 1 },
    { vid: 2, firstBid: 5n, count: 1 },
    { vid: 1, firstBid: 6n, count: 1 },
  ])
  const scattered = Array.from({ length: 513 }, (_, at) => blob(1, BigInt(2 * at + 1)))
  expect(() => slicesOf(scattered)).toThrow(expect.objectContaining({ code: 'too-large' }))
})
