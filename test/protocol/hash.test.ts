/** The fingerprint of bytes. */
import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hashBytes } from '../../src/protocol/index.ts'

const text = (value: string) => hashBytes(Buffer.from(value))

describe('hashBytes', () => {
  it('begins with MurmurHash3 of the published seed', () => {
    // Reference values for the seed 0x9747b28c, of every length of the last block.
    expect(text('aaaa').slice(0, 8)).toBe('5a97808a')
    expect(text('aaa').slice(0, 8)).toBe('283e0130')
    expect(text('aa').slice(0, 8)).toBe('5d211726')
    expect(text('a').slice(0, 8)).toBe('7fa09ea6')
    expect(text('abc').slice(0, 8)).toBe('c84a62dd')
    expect(text('abcd').slice(0, 8)).toBe('f0478627')
    expect(text('Hello, world!').slice(0, 8)).toBe('24884cba')
    expect(text('').slice(0, 8)).toBe('ebb6c228')
    const pi = 'π'.repeat(8)
    expect(text(pi).slice(0, 8)).toBe('d58063c1')
  })

  it('does not change: it stands in journals and stores', () => {
    expect(text('')).toMatch(/^ebb6c228[0-9a-f]{8}$/)
    expect(['', 'a', 'a record'].map(text)).toMatchInlineSnapshot(`
      [
        "ebb6c2283cd6e3f3",
        "7fa09ea6ba1e428e",
        "14cbddf926614cfe",
      ]
    `)
  })

  it('is 16 hexadecimal digits, the same for the same bytes wherever they lie', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70 }), fc.nat(9), (bytes, offset) => {
        const hash = hashBytes(bytes)
        expect(hash).toMatch(/^[0-9a-f]{16}$/)
        const moved = new Uint8Array(bytes.length + offset)
        moved.set(bytes, offset)
        expect(hashBytes(moved.subarray(offset))).toBe(hash)
      }),
    )
  })

  it('tells apart what differs in one bit, in length, or in order', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 70 }), fc.nat(), (bytes, at) => {
        const flipped = bytes.slice()
        const index = at % bytes.length
        flipped[index] = flipped[index]! ^ (1 << (at % 8))
        const longer = new Uint8Array([...bytes, 0])
        const hashes = [bytes, flipped, longer].map(hashBytes)
        expect(new Set(hashes).size).toBe(3)
      }),
    )
    const seen = new Set<string>()
    for (let n = 0; n < 20_000; n++) seen.add(text(`record ${n}`))
    expect(seen.size).toBe(20_000)
  })

  it('both halves count', () => {
    const halves = new Set<string>()
    for (let n = 0; n < 2_000; n++) {
      const hash = text(`half ${n}`)
      expect(hash.slice(0, 8)).not.toBe(hash.slice(8))
      halves.add(hash.slice(8))
    }
    expect(halves.size).toBe(2_000)
  })
})
