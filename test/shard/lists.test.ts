/** Lists and counts over all shards: they say what a look at every single actor would say. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type {
  ActorFilter,
  ActorQuery,
  ActorRow,
  ActorView,
  IndexValue,
} from '../../src/protocol/index.ts'
import { change, code, counter, failure, get, host, open, restart, send, start } from './support.ts'

const thing = host(
  'thing',
  {
    initial: 'red',
    states: {
      red: { tags: 'warm', on: { NEXT: 'green' } },
      green: { on: { NEXT: 'deep' } },
      deep: {
        type: 'parallel',
        states: {
          x: { initial: 'x1', states: { x1: { tags: 'warm' } } },
          y: { initial: 'y1', states: { y1: {} } },
        },
        on: { NEXT: 'end' },
      },
      end: { type: 'final' },
    },
    on: { SET: { actions: 'set' }, BAD: { actions: 'bad' } },
  },
  {
    actions: {
      set: change(({ event }) => ({ field: event['value'] })),
      bad: change(() => {
        throw new Error('bad')
      }),
    },
  },
  { index: (context: unknown) => ({ field: (context as { field?: IndexValue }).field }) } as never,
)

type H = ReturnType<typeof open>

async function all(h: H, query: ActorQuery): Promise<ActorRow[]> {
  const rows: ActorRow[] = []
  let cursor: string | undefined
  for (let pages = 0; pages < 1_000; pages++) {
    const page = await h.run(h.client.list(cursor === undefined ? query : { ...query, cursor }))
    rows.push(...page.rows)
    cursor = page.cursor
    if (cursor === undefined) return rows
  }
  throw new Error('the pages have no end')
}

const addresses = (rows: readonly { address: string }[]) => rows.map(({ address }) => address)

describe('a random workload', () => {
  const ids = fc.integer({ min: 0, max: 7 }).map((n) => `thing/${n}`)
  const values = fc.oneof(
    fc.constantFrom<IndexValue>(
      null,
      true,
      false,
      0,
      -0,
      -1,
      1,
      1.5,
      -1e9,
      1e300,
      '',
      'a',
      'ab',
      'b',
      'é',
      'z\u0000z',
    ),
    fc.integer(),
    fc.string({ maxLength: 5, unit: 'grapheme' }),
  )
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: fc.constant('start' as const), to: ids }) },
    { weight: 6, arbitrary: fc.record({ do: fc.constant('NEXT' as const), to: ids }) },
    {
      weight: 6,
      arbitrary: fc.record({ do: fc.constant('SET' as const), to: ids, value: values }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('BAD' as const), to: ids }) },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constantFrom(
          'pause' as const,
          'resume' as const,
          'cancel' as const,
          'delete' as const,
        ),
        to: ids,
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant('time' as const),
        ms: fc.integer({ min: 1, max: 500 }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
  )

  it('counts, filters, sorts and pages as a look at every actor says', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 5, maxLength: 60 }),
        fc.integer({ min: 1, max: 4 }),
        async (steps, limit) => {
          let h = open([thing])
          for (const one of steps) {
            if (one.do === 'time') await h.advance(one.ms)
            else if (one.do === 'restart') h = restart(h, [thing])
            else await h.run(apply(h, one as never).catch(() => {}))
          }
          await h.advance(0)
          expect(h.stops).toEqual([])
          await compare(h, limit)
        },
      ),
      { numRuns: 40 },
    )
  })

  function apply(h: H, one: { do: string; to: string; value?: unknown }): Promise<unknown> {
    const { client } = h
    switch (one.do) {
      case 'start':
        return client.start(one.to)
      case 'pause':
        return client.pause(one.to)
      case 'resume':
        return client.resume(one.to)
      case 'cancel':
        return client.cancel(one.to)
      case 'delete':
        return client.delete(one.to)
      default:
        return client.send(one.to, { type: one.do, value: one.value })
    }
  }

  async function compare(h: H, limit: number): Promise<void> {
    const views: ActorView[] = []
    for (let n = 0; n < 8; n++)
      await h.run(h.client.get(`thing/${n}`)).then(
        (view) => views.push(view),
        () => {},
      )
    const counts = new Map<string, number>()
    for (const view of views) {
      const key = `${conditionOf(view)} ${textOf(view)}`
      counts.set(key, (counts.get(key) ?? 0) + 1)
    }
    const counted = await h.run(h.client.count({ machine: 'thing' }))
    expect(new Map(counted.map((row) => [`${row.condition} ${row.state}`, row.count]))).toEqual(
      counts,
    )

    const filters: [ActorFilter, (view: ActorView) => boolean][] = [
      [{ machine: 'thing' }, () => true],
      [{ machine: 'thing', condition: 'parked' }, (view) => conditionOf(view) === 'parked'],
      [{ machine: 'thing', state: 'deep' }, (view) => textOf(view).includes('deep')],
      [{ machine: 'thing', tag: 'warm' }, (view) => view.tags.includes('warm')],
      [{ machine: 'thing', olderThanMs: 200 }, (view) => h.clock.now() - view.since >= 200],
      [{ machine: 'thing', where: { field: 'a' } }, (view) => view.index['field'] === 'a'],
    ]
    for (const [filter, wanted] of filters) {
      const expected = views.filter(wanted)
      for (const descending of [false, true]) {
        for (const by of ['id', 'since', 'field']) {
          const found = await all(h, { filter, sort: { by, descending }, limit })
          expect(addresses(found)).toEqual(addresses(sorted(expected, by, descending)))
        }
      }
    }
  }

  function sorted(views: ActorView[], by: string, descending: boolean): ActorView[] {
    const order = views.toSorted((a, b) => {
      const byKey =
        by === 'since'
          ? a.since - b.since
          : by === 'field'
            ? compareValues(a.index['field']!, b.index['field']!)
            : 0
      return byKey || (a.address < b.address ? -1 : 1)
    })
    return descending ? order.reverse() : order
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
    if (rank(a) !== rank(b)) return rank(a) - rank(b)
    if (typeof a === 'number') return a - (b as number)
    if (typeof a !== 'string') return 0
    const bytes = (value: string) => Buffer.from(value.split('\0')[0]!)
    return Buffer.compare(bytes(a), bytes(b as string))
  }
})

function conditionOf(view: ActorView): string {
  if (view.status !== 'active') return view.status
  if (view.parked) return 'parked'
  return view.paused ? 'paused' : 'active'
}

function textOf(view: ActorView): string {
  return typeof view.value === 'string' ? view.value : 'deep.x.x1|deep.y.y1'
}

it('numbers, texts, null and booleans have one order', async () => {
  const h = open([thing])
  const values: IndexValue[] = [
    null,
    false,
    true,
    -1e300,
    -7,
    -0.5,
    0,
    0.5,
    7,
    1e300,
    '',
    'B',
    'a',
    'aa',
    'b',
    'é',
  ]
  const shuffled = values
    .map((value, n) => ({ value, n }))
    .toSorted((a, b) => ((a.n * 7) % 16) - ((b.n * 7) % 16))
  for (const { value, n } of shuffled) {
    await start(h, `thing/v${n}`)
    await send(h, `thing/v${n}`, 'SET', { value })
  }
  const query = { filter: { machine: 'thing' }, sort: { by: 'field' }, limit: 3 }
  expect((await all(h, query)).map(({ index }) => index['field'])).toEqual(values)
  const descending = await all(h, { ...query, sort: { by: 'field', descending: true } })
  expect(descending.map(({ index }) => index['field'])).toEqual(values.toReversed())
})

it('since is the time in the present state, and not of the last event', async () => {
  const h = open([counter])
  await start(h, 'counter/a')
  await h.advance(1_000)
  await start(h, 'counter/b')
  await h.advance(1_000)
  await send(h, 'counter/b', 'ADD', { by: 1 })
  expect(addresses(await all(h, { filter: { state: 'on' } }))).toEqual(['counter/a', 'counter/b'])
  await send(h, 'counter/a', 'OFF')
  await h.advance(1_000)
  await send(h, 'counter/a', 'ON')
  expect(addresses(await all(h, { filter: { state: 'on' } }))).toEqual(['counter/b', 'counter/a'])
  expect((await get(h, 'counter/a')).since - (await get(h, 'counter/b')).since).toBe(2_000)
})

it('pages go on when a shard has looked at enough rows', async () => {
  const h = open([counter], { limits: { scanCountMax: 3, pageCountMax: 3 } })
  for (let n = 0; n < 30; n++) await start(h, `counter/${n}`)
  for (let n = 0; n < 30; n += 9) await send(h, `counter/${n}`, 'OFF')
  for (const by of ['id', 'since', 'n']) {
    const found = await all(h, {
      filter: { machine: 'counter', state: 'off' },
      sort: { by },
      limit: 2,
    })
    expect(addresses(found).sort()).toEqual(['counter/0', 'counter/18', 'counter/27', 'counter/9'])
  }
})

it('ids that need escapes are found by their beginning', async () => {
  const h = open([counter])
  for (const id of ['a b/c', 'a b/d', 'ab']) await h.run(h.client.actor(counter, id).start())
  expect(addresses(await all(h, { filter: { machine: 'counter', idPrefix: 'a' } }))).toHaveLength(3)
  expect(addresses(await all(h, { filter: { machine: 'counter', idPrefix: 'a b/' } }))).toEqual([
    'counter/a%20b%2Fc',
    'counter/a%20b%2Fd',
  ])
})

it.each([
  ['a limit of 0', { filter: {}, limit: 0 }],
  ['a limit beyond the maximum', { filter: {}, limit: 1_001 }],
  ['half a row', { filter: {}, limit: 1.5 }],
  ['a made-up cursor', { filter: {}, cursor: 'AAAA' }],
  ['a field without a machine', { filter: { where: { n: 1 } } }],
  ['a sort by a field without a machine', { filter: {}, sort: { by: 'n' } }],
])('refuses %s', async (_name, query) => {
  const h = open([counter])
  await start(h, 'counter/a')
  expect((await failure(h, h.client.list(query))).code).toBe('invalid-query')
})

it('refuses fields of a machine that indexes none, whoever asks', async () => {
  const plain = host('plain', { initial: 'a', states: { a: {} } })
  const h = open([plain])
  await start(h, 'plain/x')
  const filter = { machine: 'plain' }
  for (const query of [
    { filter: { ...filter, where: { size: 1 } } },
    { filter: { ...filter, where: { size: 1 } }, sort: { by: 'since' } },
    { filter, sort: { by: 'size' } },
  ]) {
    const { code: found, message } = await failure(h, h.client.list(query))
    expect([found, message]).toEqual([
      'invalid-query',
      'plain indexes no fields, so not "size" either',
    ])
  }
  for (const by of ['id', 'since']) {
    const { rows } = await h.run(h.client.list({ filter, sort: { by } }))
    expect(addresses(rows)).toEqual(['plain/x'])
  }
})

it('refuses to count by what is not counted, rather than giving a wrong number', async () => {
  const h = open([counter])
  for (const filter of [{ where: { n: 1 } }, { idPrefix: 'a' }, { olderThanMs: 10 }])
    expect(await code(h, h.client.count({ machine: 'counter', ...filter }))).toBe('invalid-query')
})

it('positions that differ only far out are counted rightly, over restarts', async () => {
  const long = (tail: string) => `${'x'.repeat(250)}${tail}`
  const far = host('far', {
    initial: long('a'),
    states: { [long('a')]: { on: { NEXT: long('b') } }, [long('b')]: { on: { NEXT: long('a') } } },
  })
  let h = open([far])
  for (const id of ['1', '2', '3']) await start(h, `far/${id}`)
  await send(h, 'far/1', 'NEXT')
  for (let round = 0; round < 2; round++) {
    h = restart(h, [far])
    await send(h, 'far/2', 'NEXT')
    const counts = await h.run(h.client.count({ machine: 'far' }))
    expect(counts.reduce((sum, { count }) => sum + count, 0)).toBe(3)
    expect(
      addresses(await all(h, { filter: { machine: 'far' }, sort: { by: 'since' } })).sort(),
    ).toEqual(['far/1', 'far/2', 'far/3'])
  }
  for (const id of ['1', '2', '3']) await h.run(h.client.delete(`far/${id}`))
  expect(await h.run(h.client.count({}))).toEqual([])
  expect(h.stops).toEqual([])
})
