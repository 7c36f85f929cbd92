/** What a version of a program or of a machine cannot read stays as it is, and harms nobody else. */
import { describe, expect, it } from 'vitest'
import { sendTo } from 'xstate'
import { z } from 'zod'
import { tell } from '../../src/machine/index.ts'
import { pack, unpack } from '../../src/protocol/index.ts'
import {
  change,
  chart,
  code,
  counter,
  failure,
  get,
  host,
  job,
  open,
  restart,
  rows as rowsOf,
  send,
  start,
  tablesWith,
  theTask,
  worker,
} from './support.ts'

type H = ReturnType<typeof open>

const ACTOR_TABLE = 0x10

/** Gives the row of an actor a form that no program has. */
async function rewrite(h: H, address: string): Promise<Uint8Array> {
  const row = rowsOf(h).find(
    ({ key }) => key[2] === ACTOR_TABLE && Buffer.from(key).toString('latin1', 3) === address,
  )!
  const value = pack([77, ...(unpack(row.value) as unknown[]).slice(1)])
  h.store.write({ writes: [[row.key, value]], failed: () => {} })
  await h.advance(10)
  return value
}

describe('an actor of a form that this program does not know', () => {
  const m = host(
    'm',
    {
      invoke: { src: 't', id: 't' },
      after: { 1000: { actions: change(() => ({ n: 1 })) } },
      on: { GO: {} },
    },
    { actors: { t: job('t') } },
  )
  const teller = host(
    'teller',
    { on: { GO: { actions: 'go' }, 'troupe.deadLetter': { actions: 'hear' } } },
    {
      actions: {
        go: tell({ to: 'm/1', event: { type: 'GO' } }),
        hear: change(({ event }) => ({ code: (event.error as { code: string }).code })),
      },
    },
    { events: { GO: z.object({}) } } as never,
  )
  const machines = [m, teller, counter]

  async function opened() {
    let h = open(machines, { shardCount: 1 })
    for (const address of ['m/1', 'm/2', 'teller/1', 'counter/1']) await start(h, address)
    const task = await theTask(h, 'm/1')
    const row = await rewrite(h, 'm/1')
    h = restart(h, machines)
    return { h, task, row }
  }

  it('answers every operation with that, and is not begun anew', async () => {
    const { h, task, row } = await opened()
    const w = worker(h)
    for (const ask of [
      () => h.client.get('m/1'),
      () => h.client.send('m/1', { type: 'GO' }),
      () => h.client.history('m/1'),
      () => h.client.start('m/1'),
      () => h.client.pause('m/1'),
      () => h.client.delete('m/1'),
      () => w.start(task.taskId),
    ]) {
      const error = await failure(h, ask())
      expect([error.code, error.message]).toEqual([
        'version-unknown',
        'm/1 was written by a newer program: actor record of form 77; this version reads 2',
      ])
    }
    expect(rowsOf(h).some(({ value }) => Buffer.compare(value, row) === 0)).toBe(true)
  })

  it('is skipped by lists; others go on, and so does time', async () => {
    const { h } = await opened()
    const { rows } = await h.run(h.client.list({ filter: { machine: 'm' } }))
    expect(rows.map(({ address }) => address)).toEqual(['m/2'])
    await h.advance(2_000)
    expect((await get(h, 'm/2')).context).toMatchObject({ n: 1 })
    await send(h, 'counter/1', 'ADD', { by: 1 })
    expect(h.stops).toEqual([])
    expect(tablesWith(h, 'm/1')).toContain(0x30)
  })

  it('what is told to it is a dead letter', async () => {
    const { h } = await opened()
    await send(h, 'teller/1', 'GO')
    expect((await get(h, 'teller/1')).context).toMatchObject({ code: 'version-unknown' })
  })
})

it('a child whose place is taken by one of a form that nobody knows fails to start', async () => {
  const kid = chart('kid', {})
  const states = {
    a: { invoke: { src: 'kid', id: 'kid' }, on: { GO: 'b' } },
    b: { on: { GO: 'a' } },
  }
  const m = host('m', { initial: 'a', states }, { actors: { kid } })
  let h = open([m], { shardCount: 1 })
  await start(h, 'm/1')
  await rewrite(h, 'm/1/kid')
  h = restart(h, [m])
  await send(h, 'm/1', 'GO')
  await send(h, 'm/1', 'GO')
  await h.advance(10)
  expect(h.stops).toEqual([])
  expect((await get(h, 'm/1')).parked?.error.message).toContain('m/1/kid already')
})

describe('a child of a source that its version does not have', () => {
  const t = job('t')
  const grandkid = chart('grandkid', { invoke: { src: 't', id: 't' } }, { actors: { t } })
  const kid = chart(
    'kid',
    {
      invoke: [
        { src: 'grandkid', id: 'g' },
        { src: 't', id: 't' },
      ],
      after: { 60000: {} },
      on: { X: { actions: change(({ context }) => ({ n: context.n + 1 })) } },
    },
    { actors: { grandkid, t } },
  )
  const config = (src: string) => ({
    initial: 'a',
    states: { a: { invoke: { src, id: 'kid' }, on: { GO: 'b' } }, b: { on: { BACK: 'a' } } },
    on: { X: { actions: sendTo('kid', { type: 'X' }) } },
  })
  const next = { version: 2, migrations: { 1: (state: object) => state } } as never
  const v1 = host('m', config('kid'), { actors: { kid } })
  const v2 = host('m', config('other'), { actors: { other: kid } }, next)

  async function rolledOut() {
    const h = open([v1], { shardCount: 1 })
    await start(h, 'm/1')
    await send(h, 'm/1', 'X')
    return restart(h, [v2])
  }

  it('is shown as parked, keeps what comes, and goes on when its source is back', async () => {
    let h = await rolledOut()
    const { parked, context } = await get(h, 'm/1/kid')
    expect(parked?.error.code).toBe('version-unknown')
    expect(parked?.error.message).toContain('m version 2 has no actor "kid"')
    expect(context).toMatchObject({ n: 1 })
    await send(h, 'm/1', 'X')
    expect(await get(h, 'm/1/kid')).toMatchObject({ kept: 1 })
    for (const options of [{}, { retry: true }])
      expect(await code(h, h.client.resume('m/1/kid', options))).toBe('version-unknown')
    expect(await code(h, h.client.resume('m/1/kid', { state: 'a' }))).toBe('unknown-state')
    const v3 = host('m', config('kid'), { actors: { kid } }, {
      version: 3,
      migrations: { 1: (state: object) => state, 2: (state: object) => state },
    } as never)
    h = restart(h, [v3])
    await h.advance(10)
    expect(await get(h, 'm/1/kid')).toMatchObject({ kept: 0, context: { n: 2 } })
  })

  it.each<[string, (h: H) => Promise<unknown>]>([
    ['is deleted', (h) => h.client.delete('m/1')],
    ['leaves the state of the child', (h) => h.client.send('m/1', { type: 'GO' })],
    ['has the child cancelled', (h) => h.client.cancel('m/1/kid')],
  ])('leaves no row behind when its parent %s', async (_name, end) => {
    const h = await rolledOut()
    expect(tablesWith(h, 'm/1/kid').length).toBeGreaterThan(3)
    await h.run(end(h))
    await h.advance(10)
    expect(tablesWith(h, 'm/1/kid/g')).toEqual([])
    expect(tablesWith(h, 'm/1/kid')).toEqual([])
    expect(await h.run(h.client.count({ children: true }))).toHaveLength(
      _name === 'is deleted' ? 0 : 1,
    )
    expect(h.stops).toEqual([])
  })

  it('gives way to one of the new source', async () => {
    const h = await rolledOut()
    await send(h, 'm/1', 'GO')
    await send(h, 'm/1', 'BACK')
    expect(await get(h, 'm/1/kid')).toMatchObject({ context: { n: 0 }, turn: 1 })
  })
})

it('a migration that fails leaves the context as it was, also when it changed it in place', async () => {
  const config = { on: { ADD: { actions: change(({ context }) => ({ n: context.n + 1 })) } } }
  const v1 = host('m', config)
  const spoil = (state: { context: { n: number } }) => {
    state.context.n = 99
    throw new Error('it broke')
  }
  const v2 = host('m', config, {}, { version: 2, migrations: { 1: spoil } } as never)
  const first = open([v1])
  await start(first, 'm/1')
  await send(first, 'm/1', 'ADD')
  const h = restart(first, [v2])
  await h.advance(10)
  const view = await get(h, 'm/1')
  expect(view.parked?.error.message).toContain('it broke')
  expect(view).toMatchObject({ version: 1, context: { n: 1 } })
  await h.run(h.client.pause('m/1'))
  expect((await get(restart(h, [v1]), 'm/1')).context).toMatchObject({ n: 1 })
})
