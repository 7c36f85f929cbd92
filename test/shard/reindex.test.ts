/** After a roll-out, lists and counts say what is so, for actors that nobody touched as well. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { sendTo } from 'xstate'
import { stateText } from '../../src/machine/index.ts'
import type { ActorFilter } from '../../src/protocol/index.ts'
import {
  clipState,
  counterKey,
  fieldPrefix,
  fieldSuffix,
  sinceSuffix,
  statePrefix,
} from '../../src/shard/index-keys.ts'
import { fingerprintKey, nameOfKey, packNumber, TABLE } from '../../src/shard/keys.ts'
import { conditionOf, decodeActor } from '../../src/shard/records.ts'
import { SLICE_COUNT_MAX } from '../../src/shard/reindex.ts'
import type { Harness } from './harness.ts'
import {
  type Args,
  change,
  chart,
  code,
  commandId,
  get,
  host,
  job,
  open,
  restart,
  rows,
  see,
  seen,
  send,
  start,
  theTask,
} from './support.ts'

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

/** The rows of the indexes and counters as they are, and as the stored actors say they should be. */
function indexes(h: Harness): { are: string[]; should: string[] } {
  const should: string[] = []
  const counts = new Map<string, { key: Buffer; count: number }>()
  const are: string[] = []
  for (const { key, value } of rows(h)) {
    const [shard, table] = [key[1]!, key[2]!]
    if (table === TABLE.stateIndex || table === TABLE.fieldIndex) are.push(hex(key))
    if (table === TABLE.counter) are.push(`${hex(key)} ${hex(value)}`)
    if (table !== TABLE.actor) continue
    const { record, stored } = decodeActor(value)
    const address = nameOfKey(key)
    const machine = [address.split('/')[0], ...record.sources].join('/')
    const [condition, state] = [conditionOf(record), stateText(stored.value)]
    const prefix = statePrefix(shard, machine, condition, state)
    should.push(hex(Buffer.concat([prefix, sinceSuffix(record.since, address)])))
    for (const [field, of] of Object.entries(record.index)) {
      const row = [fieldPrefix(shard, machine, field), fieldSuffix(of, address)]
      should.push(hex(Buffer.concat(row)))
    }
    const name = counterKey(shard, { machine, condition, state: clipState(state) })
    const entry = counts.get(hex(name)) ?? { key: name, count: 0 }
    counts.set(hex(name), { ...entry, count: entry.count + 1 })
  }
  for (const { key, count } of counts.values()) should.push(`${hex(key)} ${hex(packNumber(count))}`)
  return { are: are.sort(), should: should.sort() }
}

function expectHonest(h: Harness): void {
  const { are, should } = indexes(h)
  expect(are).toEqual(should)
  expect(h.stops).toEqual([])
}

const actorRows = (h: Harness) =>
  rows(h)
    .filter(({ key }) => key[2] === TABLE.actor)
    .map(({ key, value }) => `${hex(key)} ${hex(value)}`)

/** Counts the transactions from now on; those after the first `allowed` are lost, with their outcomes. */
function countWrites(h: Harness, allowed = Number.POSITIVE_INFINITY): () => number {
  const write = h.store.write.bind(h.store)
  let count = 0
  h.store.write = (transaction) => {
    count += 1
    if (count <= allowed) write(transaction)
  }
  return () => count
}

async function list(h: Harness, filter: ActorFilter, by = 'id'): Promise<string[]> {
  const page = await h.run(h.client.list({ filter, sort: { by }, limit: 1_000 }))
  return page.rows.map(({ address }) => address)
}

async function counted(h: Harness, filter: ActorFilter): Promise<number> {
  const counts = await h.run(h.client.count(filter))
  return counts.reduce((sum, { count }) => sum + count, 0)
}

const adder = (index?: (context: { n: number }) => object, options: object = {}) =>
  host('m', { on: { ADD: { actions: change(({ context }) => ({ n: context.n + 1 })) } } }, {}, {
    ...(index ? { index } : {}),
    ...options,
  } as never)

describe('indexed fields', () => {
  it('that are new are found for actors that were stored before', async () => {
    let h = open([adder()])
    await start(h, 'm/x')
    h = restart(h, [adder(({ n }) => ({ n }))])
    await h.advance(0)
    expect(await list(h, { machine: 'm' }, 'n')).toEqual(['m/x'])
    expectHonest(h)
  })

  it('that were dropped leave no rows, and a new meaning of one replaces the old', async () => {
    let h = open([adder(({ n }) => ({ n, twice: 2 * n, name: 'é'.repeat(400) }))])
    for (const id of ['x', 'y', 'z']) await start(h, `m/${id}`)
    await send(h, 'm/y', 'ADD')
    h = restart(h, [adder(({ n }) => ({ twice: -2 * n }))])
    await h.advance(0)
    expect(await list(h, { machine: 'm' }, 'n')).toEqual([])
    expect(await list(h, { machine: 'm' }, 'twice')).toEqual(['m/y', 'm/x', 'm/z'])
    await send(h, 'm/z', 'ADD')
    expectHonest(h)
    h = restart(h, [adder()])
    await h.advance(0)
    expect(rows(h).filter(({ key }) => key[2] === TABLE.fieldIndex)).toEqual([])
    await h.run(h.client.delete('m/x'))
    expectHonest(h)
  })

  it('are brought along by a migration, with the position', async () => {
    let h = open([adder(({ n }) => ({ n }))])
    await start(h, 'm/x')
    const two = host('m', { initial: 'b', states: { a: {}, b: {} } }, {}, {
      version: 2,
      index: ({ sum }: { sum: number }) => ({ sum }),
      migrations: { 1: () => ({ value: 'b', context: { sum: 7 } }) },
    } as never)
    h = restart(h, [two])
    await h.advance(0)
    expect(await list(h, { machine: 'm', state: 'b' }, 'since')).toEqual(['m/x'])
    expect(await list(h, { machine: 'm', where: { sum: 7 } })).toEqual(['m/x'])
    expectHonest(h)
  })
})

describe('an actor that is stuck', () => {
  const states = (there: boolean) => ({
    a: { on: { NOTE: { actions: 'note' }, ...(there ? { GO: 'old' } : {}) } },
    ...(there
      ? { old: { invoke: { src: 'work', id: 't' }, on: { NOTE: { actions: 'note' } } } }
      : {}),
  })
  const machine = (there: boolean, events: string[] = ['GO', 'NOTE']) =>
    host(
      'm',
      { initial: 'a', states: states(there), on: Object.fromEntries(events.map((e) => [e, {}])) },
      { actors: { work: job('work') }, actions: { note: see(({ event }) => event.text) } },
    )

  async function stuck(): Promise<Harness> {
    const h = open([machine(true)], { shardCount: 1 })
    await start(h, 'm/x')
    await start(h, 'm/y')
    await send(h, 'm/x', 'GO')
    return restart(h, [machine(false)])
  }

  it('is counted and listed as parked before it is touched, and can be resumed at a state', async () => {
    const h = await stuck()
    expect(await counted(h, { condition: 'parked' })).toBe(1)
    const page = await h.run(
      h.client.list({ filter: { condition: 'parked' }, sort: { by: 'since' } }),
    )
    expect(page.rows).toMatchObject([
      { address: 'm/x', parked: true, reason: expect.stringContaining('no state "old"') },
    ])
    expectHonest(h)
    await h.run(h.client.resume('m/x', { state: 'a' }))
    expect(await counted(h, { condition: 'parked' })).toBe(0)
    expect(await get(h, 'm/x')).toMatchObject({ value: 'a', tasks: [] })
    await h.advance(0)
    expectHonest(h)
  })

  it('stays so over a restart, and says the present reason', async () => {
    let h = await stuck()
    await h.advance(0)
    h = restart(h, [host('m', { initial: 'a', states: { a: {} } }, {}, { version: 2 } as never)])
    await h.advance(0)
    expect(await counted(h, { condition: 'parked' })).toBe(2)
    expect((await get(h, 'm/x')).parked?.error.message).toContain('no migration from version 1')
    expect(await code(h, h.client.resume('m/x'))).toBe('version-unknown')
    expectHonest(h)
  })

  it('goes on by itself when its state comes back, with what it kept', async () => {
    let h = await stuck()
    await send(h, 'm/x', 'NOTE', { text: 'one' })
    await send(h, 'm/x', 'NOTE', { text: 'two' })
    expect(await seen(h, 'm/x')).toEqual([])
    h = restart(h, [machine(true)])
    await h.advance(0)
    expect(await counted(h, { condition: 'parked' })).toBe(0)
    expect(await seen(h, 'm/x')).toEqual(['one', 'two'])
    expect((await get(h, 'm/x')).kept).toBe(0)
    expect(await theTask(h, 'm/x')).toMatchObject({ state: 'queued' })
    expectHonest(h)
  })

  it('steps what it kept also when the node dies right after the walk', async () => {
    let h = await stuck()
    await send(h, 'm/x', 'NOTE', { text: 'one' })
    h = restart(h, [machine(true)])
    countWrites(h, 1)
    await h.advance(0)
    expect(h.store.get(fingerprintKey(0, 'm'))).toBeDefined()
    h = restart(h, [machine(true)])
    await h.advance(0)
    expect(await seen(h, 'm/x')).toEqual(['one'])
  })

  it('and failed before stays parked for that', async () => {
    const breaks = (there: boolean) =>
      host(
        'm',
        {
          initial: 'a',
          states: { a: { on: there ? { GO: 'b' } : {} }, ...(there ? { b: {} } : {}) },
          on: { BOOM: { guard: 'boom', target: '.a' }, GO: {} },
        },
        {
          guards: {
            boom: () => {
              throw new Error('boom')
            },
          },
        },
      )
    let h = open([breaks(true)])
    await start(h, 'm/x')
    await send(h, 'm/x', 'GO')
    await code(h, h.client.send('m/x', { type: 'BOOM' }))
    for (const there of [false, true]) {
      h = restart(h, [breaks(there)])
      await h.advance(0)
      expect((await get(h, 'm/x')).parked).toMatchObject({ cause: 'BOOM' })
      expectHonest(h)
    }
  })

  it('is what a migration leaves behind whose context cannot be stored', async () => {
    let h = open([adder()])
    await start(h, 'm/x')
    const migrations = { 1: () => ({ value: {}, context: { n: () => 1 } }) }
    h = restart(h, [adder(undefined, { version: 2, migrations })])
    await h.advance(0)
    expect((await get(h, 'm/x')).parked?.error.message).toContain('cannot be stored')
    expectHonest(h)
  })

  it('can be a child', async () => {
    const parent = (kid: object) =>
      host(
        'p',
        { invoke: { src: 'kid', id: 'k' }, on: { GO: { actions: 'go' } } },
        {
          actors: { kid: chart('kid', kid) },
          actions: { go: sendTo('k', { type: 'GO' }) },
        },
      )
    let h = open([parent({ initial: 'a', states: { a: { on: { GO: 'b' } }, b: {} } })])
    await start(h, 'p/x')
    await send(h, 'p/x', 'GO')
    await h.advance(0)
    expect(await get(h, 'p/x/k')).toMatchObject({ value: 'b' })
    h = restart(h, [parent({ initial: 'a', states: { a: {} } })])
    await h.advance(0)
    expect(await counted(h, { condition: 'parked', children: true })).toBe(1)
    expectHonest(h)
  })
})

describe('the walk', () => {
  const COUNT = 3 * SLICE_COUNT_MAX + 7

  async function many(): Promise<Harness> {
    const h = open([adder()], { shardCount: 1 })
    await h.run(Promise.all(Array.from({ length: COUNT }, (_, n) => h.client.start(`m/${n}`))))
    return h
  }

  const byN = () => [adder(({ n }) => ({ n }))]

  it('begins anew after a restart in the middle', async () => {
    let h = restart(await many(), byN())
    countWrites(h, 2)
    await h.advance(0)
    const done = () => rows(h).filter(({ key }) => key[2] === TABLE.fieldIndex).length
    expect(done()).toBe(2 * SLICE_COUNT_MAX)
    expectHonest(h)
    // Meanwhile a node of the former version had the shard.
    h = restart(h, [adder()])
    countWrites(h, 1)
    await h.advance(0)
    expect(done()).toBe(SLICE_COUNT_MAX)
    h = restart(h, byN())
    await h.advance(0)
    expect(await list(h, { machine: 'm' }, 'n')).toHaveLength(COUNT)
    expectHonest(h)
  })

  it('lets commands pass', async () => {
    const h = restart(await many(), byN())
    const [address, event] = [`m/${COUNT - 1}`, { type: 'ADD' }]
    let walked: boolean | undefined
    h.engines[0]?.submit({ op: 'send', address, event, id: commandId(h) }, 100, (outcome) => {
      expect(outcome).toMatchObject({ ok: { handled: true } })
      walked = h.store.get(fingerprintKey(0, 'm')) !== undefined
    })
    await h.advance(0)
    expect(walked).toBe(false)
    expect(h.store.get(fingerprintKey(0, 'm'))).toBeDefined()
    expect(await list(h, { machine: 'm', where: { n: 1 } })).toEqual([`m/${COUNT - 1}`])
    expect(await list(h, { machine: 'm' }, 'n')).toHaveLength(COUNT)
    expectHonest(h)
  })

  it('goes on between commands that take an actor away, and keeps none of them in memory', async () => {
    const h = restart(await many(), byN())
    await h.run(Promise.all([1, 2, 3].map((n) => h.client.delete(`m/${n}`))))
    await h.advance(0)
    expect(h.engines[0]?.status().residentCount).toBeLessThanOrEqual(SLICE_COUNT_MAX)
    expect(await list(h, { machine: 'm' }, 'n')).toHaveLength(COUNT - 3)
    expectHonest(h)
  })

  it('is not made for an unchanged machine: nothing is written and nothing loaded', async () => {
    let h = restart(await many(), byN())
    await h.advance(0)
    const before = actorRows(h)
    h = restart(h, byN())
    const writes = countWrites(h)
    await h.advance(0)
    expect(writes()).toBe(0)
    expect(h.engines[0]?.status().residentCount).toBe(0)
    expect(actorRows(h)).toEqual(before)
  })

  it('writes no actor that is as it should be, only that it began and ended', async () => {
    let h = await many()
    const before = actorRows(h)
    h = restart(h, [adder(undefined, { migrations: {}, index: () => ({}) })])
    const writes = countWrites(h)
    await h.advance(0)
    expect(writes()).toBe(2)
    expect(actorRows(h)).toEqual(before)
  })

  it('is nothing to an empty node; the first commit of a shard says what it is stored under', async () => {
    const h = open(byN(), { shardCount: 4 })
    const writes = countWrites(h)
    await h.advance(0)
    expect(writes()).toBe(0)
    await start(h, 'm/x')
    expect(writes()).toBe(1)
    expect(rows(h).filter(({ key }) => key[2] === TABLE.fingerprint)).toHaveLength(1)
  })

  it('leaves what a newer version wrote as it is', async () => {
    let h = open([adder(({ n }) => ({ n }), { version: 2 })])
    await start(h, 'm/x')
    const before = actorRows(h)
    h = restart(h, [adder(({ n }) => ({ other: n }))])
    await h.advance(0)
    expect((await get(h, 'm/x')).parked?.error.code).toBe('version-unknown')
    await h.advance(0)
    expect(actorRows(h)).toEqual(before)
    expectHonest(h)
    expect(await send(h, 'm/x', 'ADD')).toMatchObject({ kept: 1 })
    expectHonest(h)
    h = restart(h, [adder(({ n }) => ({ n }), { version: 2 })])
    await h.advance(0)
    expect(await get(h, 'm/x')).toMatchObject({ context: { n: 1 }, kept: 0 })
    expectHonest(h)
  })
})

describe('any sequence of roll-outs', () => {
  const has = (...names: string[]) =>
    Object.fromEntries(names.map((name) => [name, { on: { NEXT: names[0] } }]))
  const form = (version: number, names: string[], index?: (context: Args['context']) => object) =>
    host(
      'm',
      {
        initial: names[0],
        states: { ...has(...names), [names[0]!]: { on: { NEXT: names.at(-1) } } },
        on: { ADD: { actions: change(({ context }) => ({ n: context.n + 1 })) } },
      },
      {},
      {
        version,
        ...(index ? { index } : {}),
        migrations: version === 2 ? { 1: (state: unknown) => state } : {},
      } as never,
    )
  const forms = [
    form(1, ['a', 'b']),
    form(1, ['a', 'b', 'c'], ({ n }) => ({ n })),
    form(1, ['a'], ({ n }) => ({ n: n > 1, m: String(n) })),
    form(2, ['a', 'c'], ({ n }) => ({ m: n })),
    form(3, ['a']),
  ]
  const ids = fc.integer({ min: 0, max: 3 }).map((n) => `m/${n}`)
  const steps = fc.oneof(
    fc.record({ do: fc.constant('roll-out' as const), to: fc.constantFrom(...forms.keys()) }),
    fc.record({ do: fc.constant('cut' as const), to: fc.constantFrom(...forms.keys()) }),
    fc.record({ do: fc.constantFrom('start' as const, 'ADD' as const, 'NEXT' as const), to: ids }),
    fc.record({
      do: fc.constantFrom('resume' as const, 'pause' as const, 'delete' as const),
      to: ids,
    }),
  )

  it('leaves rows and counts that are what the actors say', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(steps, { minLength: 5, maxLength: 40 }), async (all) => {
        let h = open([forms[0]!], { shardCount: 2 })
        const quiet = (work: Promise<unknown>) => h.run(work).catch(() => {})
        for (const step of all) {
          if (typeof step.to === 'number') {
            h = restart(h, [forms[step.to]!])
            if (step.do === 'cut') {
              countWrites(h, 1)
              await h.advance(0)
              h = restart(h, [forms[(step.to + 1) % forms.length]!])
            }
          } else if (step.do === 'start') await quiet(h.client.start(step.to))
          else if (step.do === 'pause') await quiet(h.client.pause(step.to))
          else if (step.do === 'delete') await quiet(h.client.delete(step.to))
          else if (step.do === 'resume') await quiet(h.client.resume(step.to, { state: 'a' }))
          else await quiet(h.client.send(step.to, { type: step.do }))
          await h.advance(0)
          expectHonest(h)
        }
      }),
    )
  })
})
