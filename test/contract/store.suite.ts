/** What every `Store` promises. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Store, StoreSnapshot } from '../../src/ports/index.ts'
import { keys, read, type Writes, write, writesOf } from './store.support.ts'
import { bytes, realTime, text, until } from './support.ts'

export interface StoreHarness {
  store: Store
  /** The same data after a clean close. */
  reopen(): Promise<Store>
  close(): Promise<void>
}

export type StoreOptions = { snapshotOpenMaxMs?: number }

const DONE = 'visible flushed'
const ALL_ROWS = { from: bytes('\x00'), to: bytes('\xff\xff\xff'), bytesMax: 1e9 }

export function storeSuite(
  name: string,
  create: (options?: StoreOptions) => Promise<StoreHarness>,
): void {
  describe(`store: ${name}`, () => {
    let harness: StoreHarness
    let store: Store
    beforeEach(async () => {
      harness = await create()
      store = harness.store
    })
    afterEach(() => harness.close())

    rows(() => store)
    outcomes(() => store)
    conditions(() => store)
    ranges(() => store)
    iteration(() => store)
    snapshots(() => store)

    it('gives a snapshot up after its time', async () => {
      const impatient = await create({ snapshotOpenMaxMs: 20 })
      const snapshot = impatient.store.snapshot()
      expect(snapshot.page(ALL_ROWS)).toEqual([])
      await until(realTime, () => snapshot.page(ALL_ROWS) === undefined, 'it is given up')
      snapshot.close()
      await impatient.close()
    })

    it('gives snapshots up when it is closed', async () => {
      const snapshot = store.snapshot()
      store = await harness.reopen()
      expect(snapshot.page(ALL_ROWS)).toBeUndefined()
      snapshot.close()
    })

    it('keeps what was written across a clean close, which waits for what is under way', async () => {
      const told = write(store, [['a', '1']])
      store = await harness.reopen()
      expect(await told).toBe(DONE)
      expect(read(store, 'a')).toBe('1')
    })

    it('throws after it was closed', async () => {
      const closed = store
      await harness.reopen()
      expect(() => closed.get(bytes('a'))).toThrow()
      expect(() => closed.count(bytes('a'), bytes('b'))).toThrow()
      expect(() => closed.write({ writes: [], failed: () => {} })).toThrow()
      expect(() => keys(closed, 'a', 'b')).toThrow()
    })
  })
}

function rows(store: () => Store): void {
  it('has no row that was not written', () => {
    expect(store().get(bytes('a'))).toBeUndefined()
    expect(store().count(bytes(''), bytes('\xff'))).toBe(0)
  })

  it('sets, replaces and removes rows', async () => {
    await write(store(), [
      ['a', '1'],
      ['b', '2'],
    ])
    await write(store(), [
      ['a', null],
      ['b', '3'],
      ['never there', null],
    ])
    expect([read(store(), 'a'), read(store(), 'b')]).toEqual([undefined, '3'])
  })

  it('takes the last of several writes of one row in one transaction', async () => {
    await write(store(), [
      ['a', '1'],
      ['a', '2'],
      ['b', '1'],
      ['b', null],
      ['c', null],
      ['c', '1'],
    ])
    expect(keys(store(), 'a', 'z')).toEqual(['a', 'c'])
    expect(read(store(), 'a')).toBe('2')
  })

  it('keeps binary keys and values, and empty values', async () => {
    const odd = [
      '\x00',
      '\x00\x00',
      '\x00\xff',
      'a',
      'a\x00',
      'a\x00b',
      '\xff',
      '\xff\x00',
      '\xff\xff',
    ]
    await write(
      store(),
      odd.map((key) => [key, `\x00${key}\xff`]),
    )
    await write(store(), [['empty', '']])
    for (const key of odd) expect(read(store(), key)).toBe(`\x00${key}\xff`)
    expect(store().get(bytes('empty'))?.length).toBe(0)
    await write(store(), [['a\x00', null]])
    expect(read(store(), 'a')).toBe('\x00a\xff')
  })

  it('keeps large values and long keys', async () => {
    const key = 'k'.repeat(1_900)
    const value = Buffer.alloc(3_000_000, 7)
    await new Promise<void>((resolve, reject) =>
      store().write({ writes: [[bytes(key), value]], flushed: resolve, failed: reject }),
    )
    expect(Buffer.compare(store().get(bytes(key))!, value)).toBe(0)
    const [row] = [...store().range({ from: bytes('k'), to: bytes('l') })]
    expect(Buffer.compare(row!.value, value)).toBe(0)
  })

  it('refuses an empty key at once, and writes nothing of that transaction', async () => {
    expect(() =>
      store().write({
        writes: writesOf([
          ['a', '1'],
          ['', '2'],
        ]),
        failed: () => {},
      }),
    ).toThrow(RangeError)
    await write(store(), [['b', '1']])
    expect(read(store(), 'a')).toBeUndefined()
  })

  it('gives bytes that are the reader’s to keep', async () => {
    await write(store(), [
      ['a', 'first'],
      ['b', 'second'],
    ])
    const a = store().get(bytes('a'))!
    const b = store().get(bytes('b'))!
    const listed = [...store().range({ from: bytes('a'), to: bytes('c') })]
    await write(store(), [['a', 'other']])
    store().get(bytes('a'))
    expect([text(a), text(b)]).toEqual(['first', 'second'])
    expect(listed.map(({ value }) => text(value))).toEqual(['first', 'second'])
    a.fill(0)
    b.fill(0)
    expect([read(store(), 'a'), read(store(), 'b')]).toEqual(['other', 'second'])
  })
}

function outcomes(store: () => Store): void {
  it('tells visible, then flushed, after the call returned; reads see it when it is visible', async () => {
    const told: (string | undefined)[] = []
    await new Promise<void>((resolve, reject) => {
      store().write({
        writes: writesOf([['a', '1']]),
        visible: () => told.push('visible', read(store(), 'a')),
        flushed: () => resolve(),
        failed: reject,
      })
      told.push('returned', read(store(), 'a'))
    })
    expect(told).toEqual(['returned', undefined, 'visible', '1'])
  })

  it('applies an empty transaction', async () => {
    expect(await write(store(), [])).toBe(DONE)
  })

  it('tells outcomes in the order of the calls, failures included, over many turns', async () => {
    const told: string[] = []
    await write(store(), [['owner', 'me']])
    const all = Array.from({ length: 300 }, (_, i) => async () => {
      const condition = i % 7 === 3 ? { key: 'owner', equals: 'other' } : undefined
      const outcome = await write(store(), [[`row ${i}`, 'x']], condition)
      told.push(`${i} ${outcome}`)
    })
    const under: Promise<void>[] = []
    for (const [i, start] of all.entries()) {
      under.push(start())
      if (i % 20 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    await Promise.all(under)
    expect(told).toEqual(all.map((_, i) => `${i} ${i % 7 === 3 ? 'fenced' : DONE}`))
    expect(store().count(bytes('row '), bytes('row a'))).toBe(257)
  })

  it('goes on from inside a callback', async () => {
    let left = 50
    await new Promise<void>((resolve, reject) => {
      const next = (): void => {
        store().write({
          writes: writesOf([[`row ${left}`, 'x']]),
          flushed: () => (--left === 0 ? resolve() : next()),
          failed: reject,
        })
      }
      next()
    })
    expect(store().count(bytes('row '), bytes('row a'))).toBe(50)
  })

  it('writes thousands of rows in one transaction and many transactions in one turn', async () => {
    const big: Writes = Array.from({ length: 5_000 }, (_, i) => [`big ${i}`, `${i}`])
    const small = Array.from({ length: 500 }, (_, i): Writes => [[`small ${i}`, `${i}`]])
    const told = await Promise.all([write(store(), big), ...small.map((w) => write(store(), w))])
    expect(new Set(told)).toEqual(new Set([DONE]))
    expect(store().count(bytes('big '), bytes('big a'))).toBe(5_000)
    expect(store().count(bytes('small '), bytes('small a'))).toBe(500)
  })
}

function conditions(store: () => Store): void {
  it('applies a transaction while the row of its condition has exactly the expected bytes', async () => {
    await write(store(), [['owner', 'epoch-1']])
    const mine = { key: 'owner', equals: 'epoch-1' }
    expect(await write(store(), [['a', '1']], mine)).toBe(DONE)
    for (const equals of ['epoch-2', 'epoch-', 'epoch-11', '', 'epoch-1\x00']) {
      const told = await write(
        store(),
        [
          ['b', '1'],
          ['a', null],
        ],
        { key: 'owner', equals },
      )
      expect(told).toBe('fenced')
    }
    expect(await write(store(), [['b', '1']], { key: 'nobody', equals: '' })).toBe('fenced')
    expect([read(store(), 'a'), read(store(), 'b')]).toEqual(['1', undefined])
  })

  it('judges a condition after the transactions before it, in the same turn too', async () => {
    const told = await Promise.all([
      write(store(), [['owner', '1']]),
      write(store(), [['a', 'x']], { key: 'owner', equals: '1' }),
      write(store(), [['owner', '2']], { key: 'owner', equals: '1' }),
      write(store(), [['a', 'y']], { key: 'owner', equals: '1' }),
      write(store(), [['owner', '9']], { key: 'owner', equals: '1' }),
      write(store(), [['b', 'x']], { key: 'owner', equals: '2' }),
      write(store(), [['owner', null]]),
      write(store(), [['b', 'y']], { key: 'owner', equals: '2' }),
    ])
    expect(told).toEqual([DONE, DONE, DONE, 'fenced', 'fenced', DONE, DONE, 'fenced'])
    expect([read(store(), 'a'), read(store(), 'b')]).toEqual(['x', 'x'])
  })

  it('goes on after a condition that did not hold', async () => {
    expect(await write(store(), [['a', '1']], { key: 'owner', equals: 'x' })).toBe('fenced')
    expect(await write(store(), [['a', '2']])).toBe(DONE)
    expect(read(store(), 'a')).toBe('2')
  })
}

function ranges(store: () => Store): void {
  const ALL = ['\x00', '\x00\x00', 'a', 'a\x00', 'ab', 'a\xff', 'b', '\xff', '\xff\x00', '\xff\xff']
  const END = '\xff\xff\xff'

  it('lists rows in bytewise order, from inclusive, to exclusive', async () => {
    await write(
      store(),
      ALL.toReversed().map((key) => [key, 'x']),
    )
    expect(keys(store(), '', END)).toEqual(ALL)
    expect(keys(store(), 'a', 'b')).toEqual(['a', 'a\x00', 'ab', 'a\xff'])
    expect(keys(store(), 'a\x00', 'ab')).toEqual(['a\x00'])
    expect(keys(store(), '\x00', '\x00\x00')).toEqual(['\x00'])
    expect(keys(store(), '\xff', '\xff\xff')).toEqual(['\xff', '\xff\x00'])
    expect(keys(store(), 'aa', 'ab')).toEqual([])
  })

  it('lists backwards, with the same bounds', async () => {
    await write(
      store(),
      ALL.map((key) => [key, 'x']),
    )
    const reverse = true
    expect(keys(store(), '', END, { reverse })).toEqual(ALL.toReversed())
    expect(keys(store(), 'a', 'b', { reverse })).toEqual(keys(store(), 'a', 'b').toReversed())
    expect(keys(store(), 'a', 'ba', { reverse, limit: 2 })).toEqual(['b', 'a\xff'])
    expect(keys(store(), 'a\x01', 'c', { reverse }).at(-1)).toBe('ab')
  })

  it('limits, and lists and counts nothing in an empty or inverted range', async () => {
    await write(
      store(),
      ALL.map((key) => [key, 'x']),
    )
    expect(keys(store(), '', END, { limit: 3 })).toEqual(ALL.slice(0, 3))
    expect(keys(store(), '', END, { limit: 0 })).toEqual([])
    expect(keys(store(), '', END, { limit: 99 })).toEqual(ALL)
    for (const [from, to] of [
      ['a', 'a'],
      ['b', 'a'],
      ['', ''],
      ['a', ''],
    ] as const) {
      expect(keys(store(), from, to)).toEqual([])
      expect(keys(store(), from, to, { reverse: true })).toEqual([])
      expect(store().count(bytes(from), bytes(to))).toBe(0)
    }
  })

  it('counts as it lists', async () => {
    await write(
      store(),
      ALL.map((key) => [key, 'x']),
    )
    for (const from of ['', ...ALL]) {
      for (const to of [...ALL, END]) {
        const listed = keys(store(), from, to)
        expect(store().count(bytes(from), bytes(to))).toBe(listed.length)
        expect(keys(store(), from, to, { reverse: true })).toEqual(listed.toReversed())
      }
    }
  })
}

function iteration(store: () => Store): void {
  const key = (i: number): string => `k${String(i).padStart(5, '0')}`
  const fill = (count: number): Promise<string> =>
    write(
      store(),
      Array.from({ length: count }, (_, i) => [key(i), `${i}`]),
    )

  it('lists thousands of rows both ways without gap or repetition', async () => {
    await fill(5_000)
    const all = Array.from({ length: 5_000 }, (_, i) => key(i))
    expect(keys(store(), 'k', 'l')).toEqual(all)
    expect(keys(store(), 'k', 'l', { reverse: true })).toEqual(all.toReversed())
    expect(keys(store(), 'k', 'l', { limit: 1_234 })).toEqual(all.slice(0, 1_234))
    expect(keys(store(), 'k', 'l', { limit: 1_234, reverse: true })).toEqual(
      all.toReversed().slice(0, 1_234),
    )
  })

  it('sees every row that stays once while others come and go', async () => {
    await fill(2_000)
    const seen: string[] = []
    for (const row of store().range({ from: bytes('k'), to: bytes('l') })) {
      seen.push(text(row.key)!)
      if (seen.length % 100 !== 0) continue
      // What was just read, something behind, and something ahead.
      await write(store(), [
        [seen.at(-1)!, null],
        [`${seen[0]}+`, 'behind'],
        [key(1_950), null],
      ])
    }
    const expected = Array.from({ length: 2_000 }, (_, i) => key(i)).filter((k) => k !== key(1_950))
    expect(seen).toEqual(expected)
  })

  it('survives iterators that were given up', async () => {
    await fill(500)
    for (let i = 0; i < 200; i++) {
      const iterator = store()
        .range({ from: bytes('k'), to: bytes('l') })
        [Symbol.iterator]()
      expect(iterator.next().done).toBe(false)
      if (i % 10 === 0) await write(store(), [[key(i), null]])
    }
    expect(store().count(bytes('k'), bytes('l'))).toBe(480)
  })
}

function snapshots(store: () => Store): void {
  const shown = (snapshot: StoreSnapshot, from = 'a', to = 'z', bytesMax = 1e9) =>
    snapshot
      .page({ from: bytes(from), to: bytes(to), bytesMax })
      ?.map(({ key, value }) => `${text(key)}=${text(value)}`)

  it('shows the rows of its moment, whatever is committed later', async () => {
    await write(store(), [
      ['a', '1'],
      ['b', '1'],
      ['c', '1'],
    ])
    const snapshot = store().snapshot()
    const before = ['a=1', 'b=1', 'c=1']
    for (let round = 0; round < 5; round++) {
      await write(store(), [
        ['a', `${round}`],
        ['b', null],
        [`c${round}`, 'new'],
      ])
      expect(shown(snapshot)).toEqual(before)
      await new Promise((resolve) => setImmediate(resolve))
      expect(shown(snapshot)).toEqual(before)
    }
    const later = store().snapshot()
    expect(shown(later, 'a', 'c1')).toEqual(['a=4', 'c=1', 'c0=new'])
    expect(shown(snapshot)).toEqual(before)
    expect(read(store(), 'a')).toBe('4')
    snapshot.close()
    expect(shown(later, 'a', 'b')).toEqual(['a=4'])
    later.close()
  })

  it('gives pages up to a number of bytes, and one row at least', async () => {
    await write(
      store(),
      Array.from({ length: 300 }, (_, i) => [`k${String(i).padStart(3, '0')}`, 'x'.repeat(6)]),
    )
    const snapshot = store().snapshot()
    // Ten bytes each.
    expect(shown(snapshot, 'k', 'l', 1)).toEqual(['k000=xxxxxx'])
    expect(shown(snapshot, 'k', 'l', 20)).toHaveLength(2)
    expect(shown(snapshot, 'k', 'l', 21)).toHaveLength(3)
    expect(shown(snapshot, 'k010', 'l', 1_500)).toHaveLength(150)
    expect(shown(snapshot, 'k', 'l')).toHaveLength(300)
    expect(shown(snapshot, 'k298\x00', 'l', 1)).toEqual(['k299=xxxxxx'])
    expect(shown(snapshot, 'l', 'k')).toEqual([])
    snapshot.close()
  })

  it('shows nothing once it is closed, which may be said twice', async () => {
    await write(store(), [['a', '1']])
    const snapshot = store().snapshot()
    const [row] = snapshot.page(ALL_ROWS)!
    snapshot.close()
    snapshot.close()
    expect(snapshot.page(ALL_ROWS)).toBeUndefined()
    await write(store(), [['a', '2']])
    expect(text(row!.value), 'the bytes of a row are its reader’s').toBe('1')
  })
}
