/** Rows as one run of bytes, and of each key its last change: against lists and Maps that do the same. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { StoreWrite } from '../../src/ports/index.ts'
import { RowFold } from '../../src/shard/row-fold.ts'
import { decodeRun, encodeRun, writesOf } from '../../src/shard/row-run.ts'

type Plain = [key: string, value: string | null]

/** Few letters, so that keys are met again and begin alike. */
const key = fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 1, maxLength: 9 })
const rows = fc.array(fc.tuple(key, fc.option(fc.string({ maxLength: 5 }))), { maxLength: 40 })

function encoded(plain: readonly Plain[]): Uint8Array {
  return encodeRun(
    ['head'],
    plain.map(
      ([key, value]): StoreWrite => [Buffer.from(key), value === null ? null : Buffer.from(value)],
    ),
  )
}

function plainOf(writes: readonly StoreWrite[]): Plain[] {
  return writes.map(([key, value]) => [textOf(key), value && textOf(value)])
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString()
}

function folded(runs: readonly Plain[][]): Plain[] {
  const fold = new RowFold()
  for (const run of runs) fold.add(decodeRun(encoded(run)).rows)
  return plainOf(fold.writes())
}

describe('a run of rows', () => {
  it('comes back as it was, also from the middle of other bytes', () => {
    fc.assert(
      fc.property(rows, fc.nat(9), (plain, offset) => {
        const bytes = encoded(plain)
        const around = new Uint8Array(offset + bytes.length + 3).fill(0xff)
        around.set(bytes, offset)
        const { head, rows } = decodeRun(around.subarray(offset, offset + bytes.length))
        expect(head).toEqual(['head'])
        expect(rows.count).toBe(plain.length)
        expect(plainOf(writesOf(rows))).toEqual(plain)
      }),
    )
  })

  it('is whole or nothing, wherever it is cut off', () => {
    const plain: Plain[] = [
      ['a', 'value'],
      ['b', null],
      ['c', ''],
    ]
    const bytes = encoded(plain)
    const whole = plain.map((_, index) => encoded(plain.slice(0, index)).length)
    for (let length = 0; length < bytes.length; length++) {
      const cut = () => decodeRun(bytes.subarray(0, length))
      if (whole.includes(length)) expect(cut().rows.count).toBe(whole.indexOf(length))
      else expect(cut, `${length} bytes`).toThrow(expect.objectContaining({ code: 'malformed' }))
    }
  })

  it('has no value of less than no bytes', () => {
    const bytes = Buffer.from(encoded([['a', '']]))
    bytes.writeInt32LE(-2, bytes.length - 'a'.length - 4)
    expect(() => decodeRun(bytes)).toThrow(expect.objectContaining({ code: 'malformed' }))
  })
})

describe('rows of many runs', () => {
  it('are the last change of each key, in the order in which the keys were met', () => {
    fc.assert(
      fc.property(fc.array(rows, { maxLength: 6 }), (runs) => {
        expect(folded(runs)).toEqual([...new Map(runs.flat())])
      }),
    )
  })

  it('are told apart also when there are very many', () => {
    const run = (of: number) =>
      Array.from({ length: 3_000 }, (_, n): Plain => [`order/${(n * 7 + of) % 4_001}`, `${of}`])
    const runs = [0, 1, 2].map(run)
    expect(folded(runs)).toEqual([...new Map(runs.flat())])
  })

  it('are told apart by their bytes: of so many keys some have the same hash', () => {
    const count = 300_000
    const writes = Array.from({ length: count }, (_, n): StoreWrite => {
      const key = Buffer.alloc(12, n % 251)
      key.writeUInt32LE(n, 4)
      return [key, null]
    })
    const fold = new RowFold()
    fold.add(decodeRun(encodeRun([], writes)).rows)
    expect(fold.writes()).toHaveLength(count)
  })

  it('are not looked for among all others where somebody has chosen keys of one hash', () => {
    const keys = sameHashKeys(11)
    const run = (count: number, of: number) =>
      keys.slice(0, count).map((key): StoreWrite => [key, Buffer.of(of)])
    // The table grows with the second one.
    const runs = [run(1_000, 1), run(2_048, 2), run(1_500, 3)]
    const fold = new RowFold()
    const { getUint8 } = DataView.prototype
    let compared = 0
    DataView.prototype.getUint8 = function (at) {
      compared += 1
      return getUint8.call(this, at)
    }
    try {
      for (const run of runs) fold.add(decodeRun(encodeRun([], run)).rows)
    } finally {
      DataView.prototype.getUint8 = getUint8
    }
    expect(plainOf(fold.writes())).toEqual([...new Map(runs.flatMap(plainOf))])
    expect(compared / keys.length, 'bytes for each key').toBeLessThan(2_000)
  })
})

/** 2 to the power of `bits` keys: each flips in pairs of words what the hash of rows does not see. */
function sameHashKeys(bits: number): Buffer[] {
  return Array.from({ length: 2 ** bits }, (_, n) => {
    const key = Buffer.alloc(bits * 8)
    for (let bit = 0; bit < bits; bit++) {
      if (!(n & (1 << bit))) continue
      key.writeUInt32LE(0x80000000, bit * 8)
      key.writeUInt32LE(0x80010000, bit * 8 + 4)
    }
    return key
  })
}
