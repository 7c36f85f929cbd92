/** Which bytes of an object lie in which blob and shard. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  blobsOf,
  partsOf,
  shardWindowOf,
  wantedOf,
} from '../../../../../machines/storage/plane/access/blob-layout.ts'
import { rangeOf } from '../../../../../machines/storage/plane/access/byte-range.ts'
import {
  CODE_MODES,
  codeModeOf,
  shardBytesOf,
} from '../../../../../machines/storage/plane/codes/index.ts'

const mode = codeModeOf('EC6P3')
const slices = [
  { vid: 1, firstBid: 10n, count: 2 },
  { vid: 2, firstBid: 5n, count: 1 },
]

describe('blobs of an object', () => {
  it('follow the slices; the last one is shorter', () => {
    expect([...blobsOf({ mode, size: 250, blobBytes: 100, slices })]).toEqual([
      { vid: 1, bid: 10n, bytes: 100 },
      { vid: 1, bid: 11n, bytes: 100 },
      { vid: 2, bid: 5n, bytes: 50 },
    ])
  })

  it('are one of one byte where there are no bytes', () => {
    const empty = { mode, size: 0, blobBytes: 100, slices: [{ vid: 1, firstBid: 1n, count: 1 }] }
    expect([...blobsOf(empty)]).toEqual([{ vid: 1, bid: 1n, bytes: 1 }])
    expect([...partsOf(empty, { from: 0, to: 0 })]).toEqual([])
  })

  it('give any range, part by part, without a gap', () => {
    const id = { mode, size: 250, blobBytes: 100, slices }
    const all = [...blobsOf(id)]
    fc.assert(
      fc.property(fc.nat(249), fc.integer({ min: 1, max: 250 }), (from, length) => {
        const to = Math.min(250, from + length)
        const bytes = [...partsOf(id, { from, to })].flatMap(({ bid, vid, range }) => {
          const at = all.findIndex((blob) => blob.bid === bid && blob.vid === vid)
          return Array.from({ length: range.to - range.from }, (_, i) => at * 100 + range.from + i)
        })
        expect(bytes).toEqual(Array.from({ length: to - from }, (_, i) => from + i))
      }),
    )
  })

  it('before a range cost nothing, however many an id claims', () => {
    const count = 2 ** 50
    const id = { mode, size: count, blobBytes: 1, slices: [{ vid: 1, firstBid: 1n, count }] }
    const [part] = partsOf(id, { from: count - 1, to: count })
    expect(part).toMatchObject({ bid: BigInt(count), range: { from: 0, to: 1 } })
  })
})

it('the windows of data units give any range of a blob, of every mode', () => {
  const modes = CODE_MODES.filter(({ kind }) => kind === 'erasure')
  const cases = fc
    .tuple(fc.constantFrom(...modes), fc.integer({ min: 1, max: 100_000 }))
    .chain(([one, bytes]) =>
      fc.tuple(
        fc.constant(one),
        fc.constant(bytes),
        fc.nat(bytes - 1),
        fc.integer({ min: 1, max: bytes }),
      ),
    )
  fc.assert(
    fc.property(cases, ([one, bytes, from, length]) => {
      const range = { from, to: Math.min(bytes, from + length) }
      const shardBytes = shardBytesOf(one, bytes)
      const wanted = shardWindowOf(one, bytes, range)
      let at = range.from
      for (const index of wanted.units) {
        expect(index).toBeLessThan(one.data)
        const part = wantedOf(one, bytes, range, wanted, index)
        expect(index * shardBytes + wanted.window.from + part.from).toBe(at)
        at += part.to - part.from
      }
      expect(at).toBe(range.to)
      expect(wanted.window.to).toBeLessThanOrEqual(shardBytes)
    }),
  )
})

it('reads no more of a shard than a range within it needs', () => {
  expect(shardWindowOf(mode, 60_000, { from: 10_010, to: 10_020 })).toEqual({
    units: [1],
    window: { from: 10, to: 20 },
  })
  expect(shardWindowOf(mode, 1, { from: 0, to: 1 })).toEqual({
    units: [0],
    window: { from: 0, to: 1 },
  })
})

it('any copy has any range', () => {
  const copies = codeModeOf('Replica3')
  const range = { from: 5, to: 9 }
  const wanted = shardWindowOf(copies, 10, range)
  expect(wanted).toEqual({ units: [0, 1, 2], window: range })
  expect(wantedOf(copies, 10, range, wanted, 2)).toEqual({ from: 0, to: 4 })
})

describe('the header Range', () => {
  it.each([
    [undefined, undefined],
    ['bytes=0-9', { from: 0, to: 10 }],
    ['bytes=90-', { from: 90, to: 100 }],
    ['bytes=90-1000', { from: 90, to: 100 }],
    ['bytes=-10', { from: 90, to: 100 }],
    ['bytes=-1000', { from: 0, to: 100 }],
    ['bytes=100-', null],
    ['bytes=100-200', null],
    ['bytes=-0', null],
    ['bytes=9-0', undefined],
    ['bytes=0-1,5-6', undefined],
    ['bytes=-', undefined],
    ['lines=0-9', undefined],
    ['bytes=a-b', undefined],
  ])('%s of 100 bytes', (header, range) => {
    expect(rangeOf(header, 100)).toEqual(range)
  })

  it('of nothing asks for nothing that is there', () => {
    expect(rangeOf('bytes=0-', 0)).toBeNull()
    expect(rangeOf('bytes=-5', 0)).toBeNull()
  })
})
