/** The codec: what it keeps, what it refuses, and that its bytes mean the same for ever. */
import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { pack, TroupeError, unpack } from '../../src/protocol/index.ts'
import { packables } from './arbitraries.ts'

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

function isMalformed(bytes: Uint8Array): boolean {
  try {
    unpack(bytes)
  } catch (error) {
    if (error instanceof TroupeError) return error.code === 'malformed'
    throw error
  }
  return false
}

/** A codec that has packed and unpacked nothing: another process, as far as its state goes. */
async function freshCodec(): Promise<{ pack: typeof pack; unpack: typeof unpack }> {
  vi.resetModules()
  return await import('../../src/protocol/codec.ts')
}

describe('packing', () => {
  it('keeps JSON-like values, Map, Set, Date, bigint, bytes and undefined', () => {
    fc.assert(
      fc.property(packables, (value) => {
        expect(unpack(pack(value))).toStrictEqual(value)
      }),
    )
  })

  it.each([
    2n ** 63n - 1n,
    2n ** 63n,
    2n ** 64n - 1n,
    2n ** 64n,
    -(2n ** 63n),
    -(2n ** 63n) - 1n,
    2n ** 2_000n + 1n,
    -(2n ** 2_000n) - 1n,
    0n,
    -1n,
  ])('keeps every digit of the bigint %i', (value) => {
    expect(unpack(pack({ value }))).toStrictEqual({ value })
  })

  it('keeps a bigint apart from the number of the same size', () => {
    expect(unpack(pack([1n, 1, 2n ** 60n]))).toStrictEqual([1n, 1, 2n ** 60n])
  })

  it('keeps many shapes in one pack, and objects of many fields', () => {
    const shapes = Array.from({ length: 10_000 }, (_, i) => ({ [`key${i}`]: i }))
    const wide = Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`key${i}`, i]))
    expect(unpack(pack({ shapes, wide }))).toStrictEqual({ shapes, wide })
  })

  it('gives bytes of its own: later packs do not write over them', () => {
    const first = pack({ text: 'x'.repeat(100) })
    const before = hex(first)
    for (let i = 0; i < 2_000; i++) pack({ i, text: 'y'.repeat(i % 300) })
    expect(hex(first)).toBe(before)
  })

  it('is unharmed by a value that could not be packed', () => {
    const circular: Record<string, unknown> = {}
    circular['self'] = circular
    expect(() => pack({ a: 1, circular })).toThrow()
    expect(() => pack({ a: 1, symbol: Symbol('x') })).toThrow()
    expect(hex(pack({ a: 1 }))).toBe('81a16101')
  })
})

describe('codecs with different histories', () => {
  it('make the same bytes and understand each other', async () => {
    const one = await freshCodec()
    const other = await freshCodec()
    expect(one.pack).not.toBe(other.pack)
    fc.assert(
      fc.property(fc.array(packables, { maxLength: 5 }), packables, (history, value) => {
        for (const earlier of history) one.unpack(one.pack(earlier))
        const bytes = one.pack(value)
        expect(hex(bytes)).toBe(hex(other.pack(value)))
        expect(other.unpack(bytes)).toStrictEqual(value)
        expect(one.unpack(other.pack(value))).toStrictEqual(value)
      }),
    )
  })
})

describe('bytes that are no pack', () => {
  it('every truncation is malformed', () => {
    fc.assert(
      fc.property(packables, fc.nat(), (value, cut) => {
        const bytes = pack(value)
        expect(isMalformed(bytes.slice(0, cut % bytes.length))).toBe(true)
      }),
    )
  })

  it('two packs in a row are malformed', () => {
    fc.assert(
      fc.property(packables, packables, (one, other) => {
        expect(isMalformed(Buffer.concat([pack(one), pack(other)]))).toBe(true)
      }),
    )
  })

  it('random and damaged bytes are unpacked or malformed, and harm nothing that comes after', () => {
    const damaged = fc.tuple(packables, fc.nat(), fc.nat(255)).map(([value, place, byte]) => {
      const bytes = Uint8Array.from(pack(value))
      bytes[place % bytes.length] = byte
      return bytes
    })
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 30 }), damaged), (bytes) => {
        isMalformed(bytes)
        expect(unpack(pack({ after: [1, { b: 2n }] }))).toStrictEqual({ after: [1, { b: 2n }] })
      }),
      { numRuns: 2_000 },
    )
  })

  it('a length that promises gigabytes is refused at once', () => {
    for (const promise of [
      'ddffffffff',
      'dfffffffff',
      'c6ffffffff',
      'dbffffffff',
      'c9ffffffff42',
    ]) {
      expect(isMalformed(Buffer.from(promise, 'hex')), promise).toBe(true)
    }
    expect(isMalformed(Buffer.alloc(1_000_000, 0x91))).toBe(true)
  })
})

/**
 * Bytes in journals and stores that exist. When a line here fails, the codec has changed its format:
 * nodes of two versions would not understand each other, and stores would have to be migrated.
 */
describe('golden bytes', () => {
  const golden: [what: string, value: unknown, bytes: string][] = [
    ['null', null, 'c0'],
    ['undefined', undefined, 'd40000'],
    ['an integer', 65_536, 'ce00010000'],
    ['a large integer', 1_767_225_600_000, 'cb4279b76daa800000'],
    ['a fraction', 1.5, 'cb3ff8000000000000'],
    ['a string', 'héllo', 'a668c3a96c6c6f'],
    ['an array', [1, 'a', null], '9301a161c0'],
    ['an object', { a: 1 }, '81a16101'],
    [
      'objects of one shape',
      {
        z: 1,
        y: [
          { z: 1, y: 2 },
          { z: 3, y: 4 },
        ],
      },
      '82a17a01a1799282a17a01a1790282a17a03a17904',
    ],
    ['an empty object', {}, '80'],
    ['a Map', new Map([[1, { a: 1 }]]), 'd44d00920181a16101'],
    ['a Set', new Set([1]), 'd473009101'],
    ['a Date', new Date(5), 'd7ff01312d0000000000'],
    ['a small bigint', 10n, 'd3000000000000000a'],
    ['a bigint of 65 bits', 2n ** 64n, 'd84200000000000000010000000000000000'],
    ['bytes', new Uint8Array([1, 2]), 'c70374010102'],
    ['a Buffer', Buffer.from([1, 2]), 'c4020102'],
  ]

  it.each(golden)('%s', (_what, value, bytes) => {
    expect(hex(pack(value))).toBe(bytes)
    expect(unpack(Buffer.from(bytes, 'hex'))).toStrictEqual(value)
  })
})

it('refuses what it could not give back', () => {
  expect(() => pack({ run: () => 1 })).toThrow(expect.objectContaining({ code: 'malformed' }))
  expect(() => pack(Symbol('x'))).toThrow(expect.objectContaining({ code: 'malformed' }))
  const circular: Record<string, unknown> = {}
  circular['self'] = circular
  expect(() => pack(circular)).toThrow(expect.objectContaining({ code: 'malformed' }))
  expect(() => unpack(Uint8Array.of(0xc1))).toThrow(expect.objectContaining({ code: 'malformed' }))
})

it('values do not change with the message that they came in', () => {
  const bytes = pack({ part: Buffer.from('abc') })
  const value = unpack(bytes) as { part: Uint8Array }
  bytes.fill(0)
  expect(Buffer.from(value.part).toString()).toBe('abc')
})
