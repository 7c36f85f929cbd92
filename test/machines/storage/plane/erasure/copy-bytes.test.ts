/** Copies to and from memory that threads share, wherever they begin and end. */
import { expect, it } from 'vitest'
import { copyBytes } from '../../../../../machines/storage/plane/erasure/copy-bytes.ts'

it('copies what it is given to where it belongs, and touches nothing else', () => {
  for (const at of [0, 1, 7, 8])
    for (const length of [0, 1, 9, 1_000]) {
      const shared = new Uint8Array(new SharedArrayBuffer(2_000), 3, 1_900).fill(9)
      const source = Uint8Array.from({ length }, (_, n) => n % 251)
      copyBytes(shared, at, source)
      const expected = new Uint8Array(1_900).fill(9)
      expected.set(source, at)
      expect(Buffer.from(shared).equals(expected)).toBe(true)
      const back = new Uint8Array(length + 2)
      copyBytes(back, 1, shared.subarray(at, at + length))
      expect([...back]).toEqual([0, ...source, 0])
    }
})

it('refuses what does not fit', () => {
  expect(() => copyBytes(new Uint8Array(4), 2, new Uint8Array(3))).toThrow('out of range')
})
