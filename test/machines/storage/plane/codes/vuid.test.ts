/** Ids of volume units and blobs: every digit of them, in every form in which they travel. */
import fc from 'fast-check'
import { pack, unpack } from 'msgpackr'
import { expect, it } from 'vitest'
import {
  bidSchema,
  EPOCH_MAX,
  INDEX_MAX,
  isSamePlace,
  nextEpoch,
  parseStorageJson,
  storageJson,
  VID_MAX,
  vuidOf,
  vuidParts,
  vuidSchema,
} from '../../../../../machines/storage/plane/codes/index.ts'

const someParts = fc.record({
  vid: fc.oneof(fc.integer({ min: 1, max: VID_MAX }), fc.constantFrom(1, VID_MAX)),
  index: fc.integer({ min: 0, max: INDEX_MAX }),
  epoch: fc.oneof(fc.integer({ min: 1, max: EPOCH_MAX }), fc.constantFrom(1, EPOCH_MAX)),
})

it('is put together as the seed has it', () => {
  expect(vuidOf({ vid: 387752, index: 1, epoch: 3 })).toBe(1665382175735811n)
  expect(nextEpoch(1665382175735811n)).toBe(1665382175735812n)
  expect(vuidParts(4395630596n)).toEqual({ vid: 1, index: 6, epoch: 4 })
})

it('is taken apart to what it was made of, in the same order of places', () => {
  fc.assert(
    fc.property(someParts, someParts, (a, b) => {
      expect(vuidParts(vuidOf(a))).toEqual(a)
      expect(isSamePlace(vuidOf(a), vuidOf({ ...a, epoch: b.epoch }))).toBe(true)
      const isSame = a.vid === b.vid && a.index === b.index
      expect(isSamePlace(vuidOf(a), vuidOf(b))).toBe(isSame)
    }),
  )
})

it('keeps its digits through messages, JSON and schemas, up to the last volume', () => {
  const largest = vuidOf({ vid: 4294967295, index: 255, epoch: EPOCH_MAX })
  expect(largest).toBe(2n ** 64n - 1n)
  fc.assert(
    fc.property(fc.oneof(someParts.map(vuidOf), fc.constant(largest)), (vuid) => {
      expect(unpack(pack(vuid))).toBe(vuid)
      expect(parseStorageJson(storageJson({ vuid }))).toEqual({
        vuid: vuid > BigInt(Number.MAX_SAFE_INTEGER) ? vuid : Number(vuid),
      })
      const { vuid: read } = parseStorageJson(storageJson({ vuid })) as { vuid: unknown }
      for (const form of [vuid, `${vuid}`, { $bigint: `${vuid}` }, read]) {
        expect(vuidSchema.parse(form)).toBe(vuid)
        expect(bidSchema.parse(form)).toBe(vuid)
      }
    }),
  )
})

it.each([
  ['vid', { vid: 0, index: 0, epoch: 1 }],
  ['vid', { vid: VID_MAX + 1, index: 0, epoch: 1 }],
  ['vid', { vid: 1.5, index: 0, epoch: 1 }],
  ['index', { vid: 1, index: -1, epoch: 1 }],
  ['index', { vid: 1, index: 256, epoch: 1 }],
  ['epoch', { vid: 1, index: 0, epoch: 0 }],
  ['epoch', { vid: 1, index: 0, epoch: EPOCH_MAX + 1 }],
])('has no such %s: %j', (what, parts) => {
  expect(() => vuidOf(parts)).toThrow(
    expect.objectContaining({ code: 'malformed', message: expect.stringContaining(`the ${what}`) }),
  )
})

it('has a last chunk', () => {
  const last = vuidOf({ vid: 7, index: 3, epoch: EPOCH_MAX })
  expect(() => nextEpoch(last)).toThrow(expect.objectContaining({ code: 'limit-exceeded' }))
})

it.each([
  ['a number that has lost digits', Number(vuidOf({ vid: VID_MAX, index: 1, epoch: 1 }))],
  ['zero', 0],
  ['no volume', 16777217n],
  ['no epoch', vuidOf({ vid: 1, index: 1, epoch: 1 }) - 1n],
  ['more than 64 bits', 2n ** 64n + vuidOf({ vid: 1, index: 1, epoch: 1 })],
  ['less than nothing', -4395630596],
  ['words', 'four'],
  ['a text with a sign', '+4395630596'],
  ['a text that is no whole number', '4395630596.0'],
  ['nothing', undefined],
])('is not read from %s', (_, given) => {
  expect(vuidSchema.safeParse(given).success).toBe(false)
})

it('of a blob is 1 to 64 bits', () => {
  expect(bidSchema.parse(1)).toBe(1n)
  expect(bidSchema.parse('18446744073709551615')).toBe(2n ** 64n - 1n)
  for (const given of [0, -1n, '18446744073709551616', 2 ** 53]) {
    expect(bidSchema.safeParse(given).success).toBe(false)
  }
})
