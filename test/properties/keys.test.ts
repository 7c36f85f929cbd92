/** Keys sort as what they are made of, and give it back: every range of the engine rests on it. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatAddress, type IndexValue } from '../../src/protocol/index.ts'
import * as indexKeys from '../../src/shard/index-keys.ts'
import * as keys from '../../src/shard/keys.ts'
import { ids, machineNames } from '../protocol/arbitraries.ts'

const TIME_MAX = 2 ** 48 - 1
const shards = fc.integer({ min: 0, max: 4_095 })
const times = fc.oneof(
  fc.integer({ min: 0, max: TIME_MAX }),
  fc.constantFrom(0, 1, 255, 256, TIME_MAX),
)
const counters = fc.oneof(fc.nat(), fc.constantFrom(0, 1, 255, 256, 65_535, 65_536, TIME_MAX))
/** Short ids of few characters, so that one is often the beginning of another. */
const near = fc.string({
  unit: fc.constantFrom('a', 'b', '/', '%', ' ', 'é', '\u{1f600}'),
  minLength: 1,
  maxLength: 3,
})
const addresses = fc
  .tuple(
    fc.oneof(fc.constantFrom('m', 'mm'), machineNames),
    fc.oneof(near, ids),
    fc.array(near, { maxLength: 2 }),
  )
  .map(([machine, id, below]) => formatAddress(machine, id, below))
const effects = fc
  .tuple(addresses, counters, counters)
  .map(([address, turn, index]) => `${address}#${turn}.0:${turn}:${index}`)

const indexValues: fc.Arbitrary<IndexValue> = fc.oneof(
  fc.constantFrom<IndexValue>(
    null,
    true,
    false,
    0,
    -0,
    1,
    -1,
    0.1,
    -0.1,
    5e-324,
    -5e-324,
    '',
    'a',
    'ab',
    'b',
    'é',
    '\u{1f600}',
  ),
  fc.double({ noNaN: true }),
  fc.integer(),
  fc.string({ unit: fc.constantFrom('a', 'b', '\u00ff', 'é', '\u{10000}'), maxLength: 4 }),
  fc.string({ unit: 'grapheme' }),
)

function order(a: Uint8Array, b: Uint8Array): number {
  return Math.sign(Buffer.compare(a, b))
}

function compareText(a: string, b: string): number {
  return Math.sign(Buffer.compare(Buffer.from(a), Buffer.from(b)))
}

/** null, false, true, numbers, texts by their bytes up to the first zero. */
function compareValues(a: IndexValue, b: IndexValue): number {
  const rank = (value: IndexValue) =>
    value === null
      ? 0
      : value === false
        ? 1
        : value === true
          ? 2
          : typeof value === 'number'
            ? 3
            : 4
  if (rank(a) !== rank(b)) return Math.sign(rank(a) - rank(b))
  if (typeof a === 'number' && typeof b === 'number') return a < b ? -1 : a > b ? 1 : 0
  if (typeof a !== 'string' || typeof b !== 'string') return 0
  const bytes = (text: string) => Buffer.from(text.split('\0')[0] ?? '').subarray(0, 256)
  return Math.sign(Buffer.compare(bytes(a), bytes(b)))
}

describe('values of an index', () => {
  it('sort as values, then as addresses', () => {
    fc.assert(
      fc.property(indexValues, indexValues, addresses, addresses, (a, b, first, second) => {
        const row = (value: IndexValue, address: string) =>
          Buffer.concat([indexKeys.fieldPrefix(1, 'm', 'f'), indexKeys.fieldSuffix(value, address)])
        const expected = compareValues(a, b) || compareText(first, second)
        expect(order(row(a, first), row(b, second))).toBe(expected)
      }),
      {
        numRuns: 2_000,
        examples: [
          [0, -0, 'm/b', 'm/a'],
          [-0, 0, 'm/b', 'm/a'],
          [-1, -0, 'm/a', 'm/a'],
        ],
      },
    )
  })

  it('give the address back', () => {
    fc.assert(
      fc.property(indexValues, addresses, times, (value, address, since) => {
        expect(indexKeys.addressOfFieldSuffix(indexKeys.fieldSuffix(value, address))).toBe(address)
        expect(indexKeys.addressOfSinceSuffix(indexKeys.sinceSuffix(since, address))).toBe(address)
      }),
      { numRuns: 500 },
    )
  })

  it('of a state are its prefix and its suffix, made in one go', () => {
    fc.assert(
      fc.property(
        machineNames,
        fc.string({ unit: 'grapheme' }),
        times,
        addresses,
        (m, st, t, a) => {
          const whole = indexKeys.stateIndexKey(3, m, 'paused', st, t, a)
          const parts = [indexKeys.statePrefix(3, m, 'paused', st), indexKeys.sinceSuffix(t, a)]
          expect(whole.equals(Buffer.concat(parts))).toBe(true)
        },
      ),
      { numRuns: 500, examples: [['m', 'ä'.repeat(300), 5, 'm/a']] },
    )
  })

  it('of different fields and machines never mix', () => {
    fc.assert(
      fc.property(
        machineNames,
        machineNames,
        near,
        near,
        indexValues,
        addresses,
        (m, n, f, g, value, address) => {
          fc.pre(m !== n || f !== g)
          const prefix = indexKeys.fieldPrefix(1, m, f)
          const row = Buffer.concat([
            indexKeys.fieldPrefix(1, n, g),
            indexKeys.fieldSuffix(value, address),
          ])
          expect(row.subarray(0, prefix.length).equals(prefix)).toBe(false)
        },
      ),
    )
  })
})

describe('numbered keys', () => {
  it('timers sort by due time and give both parts back', () => {
    fc.assert(
      fc.property(shards, times, times, effects, effects, (shard, a, b, first, second) => {
        const expected = Math.sign(a - b) || compareText(first, second)
        expect(order(keys.timerKey(shard, a, first), keys.timerKey(shard, b, second))).toBe(
          expected,
        )
        expect(keys.parseTimerKey(keys.timerKey(shard, a, first))).toEqual({
          dueAtMs: a,
          effectId: first,
        })
        expect(order(keys.timerBound(shard, a), keys.timerKey(shard, b, second))).toBe(
          a <= b ? -1 : 1,
        )
      }),
    )
  })

  it('a time beyond the last stands at the end, and is no failure', () => {
    for (const far of [TIME_MAX + 1, 1e18, Number.POSITIVE_INFINITY])
      expect(keys.parseTimerKey(keys.timerKey(1, far, 'm/a#1.0:1:0')).dueAtMs).toBe(TIME_MAX)
  })

  it('history and kept events sort by address, then by number', () => {
    fc.assert(
      fc.property(addresses, addresses, counters, counters, (a, b, m, n) => {
        const expected = a === b ? Math.sign(m - n) : compareText(a, b)
        for (const key of [keys.historyKey, keys.keptKey])
          expect(order(key(3, a, m), key(3, b, n))).toBe(expected)
      }),
    )
  })

  it('messages of a channel sort by target, then by number, and give both back', () => {
    fc.assert(
      fc.property(shards, shards, counters, counters, (s, t, m, n) => {
        const expected = Math.sign(s - t) || Math.sign(m - n)
        expect(order(keys.outboxKey(7, s, m), keys.outboxKey(7, t, n))).toBe(expected)
        expect(keys.parseOutboxKey(keys.outboxKey(7, s, m))).toEqual({ target: s, sequence: m })
        expect(keys.peerOfKey(keys.inboundKey(7, s))).toBe(s)
        expect(keys.peerOfKey(keys.outboxEndKey(7, t))).toBe(t)
        expect(keys.slotOfTailKey(keys.tailKey(7, m))).toBe(m)
      }),
    )
  })

  it('command ids sort by their time, and no two share a row', () => {
    const unique = fc.string({
      unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)),
      minLength: 1,
      maxLength: 8,
    })
    const issued = fc.integer({ min: 1e9, max: TIME_MAX })
    fc.assert(
      fc.property(issued, issued, unique, unique, addresses, addresses, (a, b, u, v, x, y) => {
        const first = keys.dedupeKey(2, a, x, `${a}-${u}`)
        const second = keys.dedupeKey(2, b, y, `${b}-${v}`)
        if (a !== b) expect(order(first, second)).toBe(Math.sign(a - b))
        expect(first.equals(second)).toBe(a === b && u === v && x === y)
        const { from, to } = keys.dedupeRangeBefore(2, b)
        expect(order(from, first) <= 0 && order(first, to) < 0).toBe(a < b)
      }),
    )
  })
})

describe('every key', () => {
  const rows = (shard: number, address: string, effectId: string, n: number, value: IndexValue) => [
    keys.metaKey(shard),
    keys.appliedKey(shard),
    keys.actorKey(shard, address),
    keys.liveKey(shard, effectId),
    keys.taskKey(shard, effectId),
    keys.drainingKey(shard, address),
    keys.historyKey(shard, address, n),
    keys.keptKey(shard, address, n),
    keys.dedupeKey(shard, n, address, `${n}-x`),
    keys.timerKey(shard, n, effectId),
    keys.outboxKey(shard, 3, n),
    keys.outboxEndKey(shard, 3),
    keys.inboundKey(shard, 3),
    keys.sequencedKey(shard, keys.TABLE.audit, n, n, 1),
    keys.tailKey(shard, n),
    indexKeys.counterKey(shard, { machine: 'm', condition: 'active', state: 'a.b|c' }),
    keys.fingerprintKey(shard, 'm'),
    Buffer.concat([
      indexKeys.statePrefix(shard, 'm', 'parked', 'a|b'),
      indexKeys.sinceSuffix(n, address),
    ]),
    Buffer.concat([indexKeys.fieldPrefix(shard, 'm', 'f'), indexKeys.fieldSuffix(value, address)]),
  ]

  it('lies in its shard and its table, and differs from all others', () => {
    fc.assert(
      fc.property(
        shards,
        addresses,
        effects,
        counters,
        indexValues,
        (shard, address, effect, n, value) => {
          const all = rows(shard, address, effect, n, value)
          for (const key of all) {
            const { from, to } = keys.tableRange(shard, key[2]!)
            expect(order(from, key) <= 0 && order(key, to) < 0).toBe(true)
          }
          expect(new Set(all.map((key) => key.toString('hex'))).size).toBe(all.length)
          expect(keys.nameOfKey(keys.actorKey(shard, address))).toBe(address)
          expect(keys.nameOfKey(keys.taskKey(shard, effect))).toBe(effect)
        },
      ),
    )
  })

  it('begins with a prefix exactly when it lies before the end of that prefix', () => {
    const bytes = fc
      .uint8Array({ minLength: 1, maxLength: 4 })
      .map((list) => Buffer.from([0, ...list]))
    const few = fc
      .array(fc.constantFrom(0, 1, 0xfe, 0xff), { minLength: 1, maxLength: 4 })
      .map((list) => Buffer.from([0, ...list]))
    fc.assert(
      fc.property(fc.oneof(few, bytes), fc.oneof(few, bytes), (prefix, key) => {
        const begins = key.subarray(0, prefix.length).equals(prefix)
        expect(order(prefix, key) <= 0 && order(key, keys.prefixEnd(prefix)) < 0).toBe(begins)
      }),
      { numRuns: 1_000 },
    )
  })

  it('of a counter gives its name back', () => {
    const states = fc.string({ unit: fc.constantFrom('a', '.', '|', 'é'), maxLength: 300 })
    const conditions = fc.constantFrom('active', 'paused', 'parked', 'done', 'stopped')
    fc.assert(
      fc.property(machineNames, conditions, states, (machine, condition, state) => {
        const name = { machine, condition: condition as indexKeys.Condition, state }
        expect(indexKeys.parseCounterKey(indexKeys.counterKey(5, name))).toEqual({
          ...name,
          state: indexKeys.clipState(state),
        })
      }),
    )
  })
})
