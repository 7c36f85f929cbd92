/** Ids of objects: what is formatted is read back, and what was changed on its way is refused. */
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type BlobId,
  blobCountOf,
  formatBlobId,
  parseBlobId,
  type Slice,
} from '../../../../../machines/storage/plane/access/blob-id.ts'
import { BLOB_BYTES_MAX, SLICES_MAX } from '../../../../../machines/storage/plane/access/limits.ts'
import {
  CODE_MODES,
  codeModeOf,
  VID_MAX,
} from '../../../../../machines/storage/plane/codes/index.ts'

const slice: fc.Arbitrary<Slice> = fc.record({
  vid: fc.integer({ min: 1, max: VID_MAX }),
  firstBid: fc.bigInt({ min: 1n, max: 2n ** 64n - 1_000n }),
  count: fc.integer({ min: 1, max: 900 }),
})
const blobId: fc.Arbitrary<BlobId> = fc
  .tuple(
    fc.constantFrom(...CODE_MODES),
    fc.integer({ min: 1, max: BLOB_BYTES_MAX }),
    fc.array(slice, { minLength: 1, maxLength: 20 }),
    fc.double({ min: 0, max: 1, noNaN: true }),
  )
  .map(([mode, blobBytes, slices, part]) => {
    const blobs = slices.reduce((sum, { count }) => sum + count, 0)
    const size = (blobs - 1) * blobBytes + 1 + Math.floor(part * (blobBytes - 1))
    return { mode, size, blobBytes, slices }
  })

const example: BlobId = {
  mode: codeModeOf('EC6P3'),
  size: 5_000_000,
  blobBytes: BLOB_BYTES_MAX,
  slices: [{ vid: VID_MAX, firstBid: 2n ** 60n + 1n, count: 2 }],
}

/** With a checksum that fits, as somebody could make it. */
function forged(numbers: readonly number[]): string {
  const body = Buffer.from([1, ...numbers])
  const check = Buffer.alloc(4)
  check.writeUInt32BE(crc32(body))
  return Buffer.concat([body, check]).toString('base64url')
}

it('is read back as it was formatted', () => {
  fc.assert(
    fc.property(blobId, (id) => {
      const text = formatBlobId(id)
      expect(text).toMatch(/^[\w-]+$/)
      expect(parseBlobId(text)).toEqual(id)
    }),
  )
})

it('is short', () => {
  expect(formatBlobId(example).length).toBeLessThanOrEqual(48)
})

it('has a form that stays: ids are kept for years', () => {
  const text = formatBlobId({ ...example, slices: [{ vid: 7, firstBid: 300n, count: 2 }] })
  expect(text).toMatchInlineSnapshot(`"AQ3AlrECgICAAgEHrAICgXoypQ"`)
})

it('is refused with any byte changed, cut or added', () => {
  const bytes = Buffer.from(formatBlobId(example), 'base64url')
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const other = Buffer.from(bytes)
      other[at] = (other[at] as number) ^ change
      expect(() => parseBlobId(other.toString('base64url'))).toThrow(/checksum|form/)
    }),
  )
  for (let length = 0; length < bytes.length; length++)
    expect(() => parseBlobId(bytes.subarray(0, length).toString('base64url'))).toThrow()
  expect(() => parseBlobId(`${formatBlobId(example)}AA`)).toThrow(/damaged/)
})

describe('is refused', () => {
  it.each([
    ['nothing', ''],
    ['a word', 'hello'],
    ['padding', `${formatBlobId(example)}=`],
    ['signs that are no digits', `${formatBlobId(example).slice(0, -1)}!`],
    ['another form', Buffer.from([2, 0, 0, 0, 0]).toString('base64url')],
    ['a mode that is none', forged([99, 1, 1, 1, 1, 1, 1])],
    ['a vid of 0', forged([13, 1, 1, 1, 0, 1, 1])],
    ['a bid of 0', forged([13, 1, 1, 1, 1, 0, 1])],
    ['fewer blobs than its size has', forged([13, 3, 1, 1, 1, 1, 2])],
    ['blobs without bytes', forged([13, 1, 0, 1, 1, 1, 1])],
    ['something behind its end', forged([13, 1, 1, 1, 1, 1, 1, 0])],
    ['a number that could be shorter', forged([13, 1, 1, 1, 0x81, 0, 1, 1])],
    ['a number without an end', forged([13, 1, 1, 1, 1, ...Array(11).fill(0xff)])],
  ])('%s', (_name, text) => {
    expect(() => parseBlobId(text)).toThrow(expect.objectContaining({ code: 'malformed' }))
  })
})

it('has a blob for an object without bytes', () => {
  expect([0, 1, 4, 5].map((size) => blobCountOf(size, 4))).toEqual([1, 1, 1, 2])
})

it('fits a path: more slices are refused', () => {
  const slices = (count: number) =>
    Array.from({ length: count }, (_, at) => ({
      ...{ vid: VID_MAX - at, firstBid: 2n ** 63n + BigInt(at), count: 1 },
    }))
  const id = (count: number) => ({ ...example, blobBytes: 1, size: count, slices: slices(count) })
  expect(formatBlobId(id(SLICES_MAX)).length).toBeLessThan(15 * 1024)
  expect(() => formatBlobId(id(SLICES_MAX + 1))).toThrow(
    expect.objectContaining({ code: 'too-large' }),
  )
})
