/** Watching a list: the rows, then what changes, also after a broken connection. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { assign, setup } from 'xstate'
import { z } from 'zod'
import { ChangeFeed } from '../../src/gateway/change-feed.ts'
import { rowMatches } from '../../src/gateway/filters.ts'
import { defineMachine } from '../../src/machine/index.ts'
import { defineApp } from '../../src/node/index.ts'
import type { ActorFilter } from '../../src/protocol/index.ts'
import { holds, until } from '../waiting.ts'
import { EventSource } from './event-source.ts'
import { type Rig, startRig } from './rig.ts'

const part = setup({}).createMachine({
  id: 'part',
  initial: 'on',
  states: { on: { tags: ['hot'], on: { OFF: 'off' } }, off: {} },
})
/** off ⇄ on.warm, broken; a child while it is on; `pin` is a secret that is indexed. */
const lamp = defineMachine({
  machine: setup({
    types: {
      context: {} as { room: string; pin: number },
      input: {} as { room: string },
      events: {} as { type: 'NEXT' } | { type: 'BREAK' } | { type: 'MOVE'; room: string },
    },
    actors: { part },
    actions: {
      burn: assign(() => {
        throw new Error('burnt out')
      }),
    },
  }).createMachine({
    id: 'lamp',
    context: ({ input }) => ({ room: input.room, pin: 1 }),
    initial: 'off',
    on: {
      BREAK: { actions: 'burn' },
      MOVE: { actions: assign({ room: ({ event }) => event.room }) },
    },
    states: {
      off: { on: { NEXT: 'on' } },
      on: {
        tags: ['hot'],
        invoke: { src: 'part', id: 'part' },
        initial: 'warm',
        states: { warm: {} },
        on: { NEXT: 'off' },
      },
    },
  }),
  events: { NEXT: z.object({}), BREAK: z.object({}), MOVE: z.object({ room: z.string() }) },
  secrets: ['pin'],
  index: ({ room, pin }) => ({ room, pin }),
})

let rig: Rig
const sources: EventSource[] = []
beforeAll(async () => {
  rig = await startRig({
    apps: [defineApp({ name: 'lamps', machines: [lamp] })],
    gateway: {
      limits: { watchHeartbeatMs: 30, watchBacklogMax: 10, watchLingerMs: 300 },
    },
  })
})
afterEach(async () => {
  for (const source of sources.splice(0)) source.close()
  const { rows } = await rig.node.client.list({ filter: { machine: 'lamp' } })
  for (const { address } of rows) await rig.node.client.delete(address)
})
afterAll(() => rig.close())

function watch(query: string, lastEventId?: string): EventSource {
  const headers = lastEventId === undefined ? {} : { 'last-event-id': lastEventId }
  const source = new EventSource(rig.gateway.url, `/watch${query}`, headers)
  sources.push(source)
  return source
}
const start = (id: string, room = 'hall') => rig.node.client.start(`lamp/${id}`, { room })
const send = (id: string, type: string, more = {}) =>
  rig.node.client.send(`lamp/${id}`, { type, ...more })
const told = (source: EventSource) =>
  source.events.map(({ event, data }) => [event, data.address].filter(Boolean).join(' '))

describe('a watch of a list', () => {
  it('tells the rows, then each that changes, and those that go', async () => {
    await start('a')
    await start('b')
    await send('b', 'NEXT')
    const source = watch('?machine=lamp&state=off')
    await source.until(2)
    expect(told(source)).toEqual(['row lamp/a', 'live'])
    await start('c')
    await source.until(3)
    await send('a', 'NEXT')
    await source.until(4)
    await send('b', 'NEXT')
    await source.until(5)
    await rig.node.client.delete('lamp/c')
    await source.until(6)
    expect(told(source).slice(2)).toEqual([
      'row lamp/c',
      'gone lamp/a',
      'row lamp/b',
      'gone lamp/c',
    ])
    expect(source.events[2]?.data).toMatchObject({
      value: 'off',
      index: { room: 'hall', pin: '•••' },
    })
    expect(source.events[0]?.data.index.pin).toBe('•••')
    const { body } = await rig.call('GET', '/troupe/v1/actors/lamp/a')
    expect([body.index.pin, body.context.pin]).toEqual(['•••', '•••'])
  })

  it('tells nothing of actors that the filter never found', async () => {
    await start('a')
    const source = watch('?machine=lamp&where.room=attic&rows=true')
    await source.until(1)
    await send('a', 'NEXT')
    await send('a', 'NEXT')
    await rig.start('an-order')
    await holds(() => source.events.length === 1, { forMs: 100 }, 'silence')
    await send('a', 'MOVE', { room: 'attic' })
    await source.until(2)
    expect(told(source)).toEqual(['live', 'row lamp/a'])
  })

  it('of everything hears of every machine, and of children when they are asked for', async () => {
    const roots = watch('?rows=false')
    const all = watch('?rows=false&children')
    await roots.until(1)
    await all.until(1)
    await start('a')
    await send('a', 'NEXT')
    await rig.start('another-order')
    await until(() => told(all).includes('row lamp/a/part'), { timeoutMs: 20_000 }, 'the child')
    const isTold = () => told(roots).includes('row order/another-order')
    await until(isTold, { timeoutMs: 20_000 }, 'the order')
    expect(told(roots)).toEqual(expect.arrayContaining(['live', 'row lamp/a']))
    expect(told(roots)).not.toContain('row lamp/a/part')
  })

  it('without rows tells changes only, also of what goes and was never told', async () => {
    await start('a')
    const source = watch('?machine=lamp&state=off&rows=false')
    await source.until(1)
    await send('a', 'NEXT')
    await source.until(2)
    expect(told(source)).toEqual(['live', 'gone lamp/a'])
  })

  it.each([
    ['olderThan=1m', 400, /olderThan" must not be given here/],
    ['machine=none', 404, /no machine is named/],
    ['machine=lamp&state=nowhere', 422, /no state "nowhere"/],
    ['machine=lamp&where.pin=1', 400, /is a secret/],
    ['where.room=hall', 400, /needs a machine/],
    ['stat=off', 400, /did you mean "state"/],
    ['limit=5', 400, /no parameter "limit"/],
  ])('refuses ?%s', async (query, status, message) => {
    const answer = await rig.call('GET', `/troupe/v1/watch?${query}`)
    expect(answer.status).toBe(status)
    expect(answer.body.error.message).toMatch(message)
  })
})

describe('after a broken connection', () => {
  it('a watcher that comes back is told what it missed, and only that', async () => {
    await start('a')
    await start('b')
    const first = watch('?machine=lamp&state=off')
    await first.until(3)
    first.close()
    await send('a', 'NEXT')
    await start('c')
    const second = watch('?machine=lamp&state=off', first.lastId)
    await second.until(2)
    expect(told(second).sort()).toEqual(['gone lamp/a', 'row lamp/c'])
    await send('a', 'NEXT')
    await second.until(3)
    expect(told(second)[2]).toBe('row lamp/a')
  })

  it('a silent watch moves its id on, so that nothing is told twice', async () => {
    await start('a')
    const first = watch('?machine=lamp&state=off&rows=false')
    await first.until(1)
    const begun = first.lastId
    await send('a', 'MOVE', { room: 'attic' })
    await first.until(2)
    await until(() => first.lastId !== begun, { timeoutMs: 20_000 }, 'another id')
    first.close()
    const second = watch('?machine=lamp&state=off', first.lastId)
    await until(() => second.heartbeats > 1, { timeoutMs: 20_000 }, 'heartbeats')
    expect(told(second)).toEqual([])
  })

  it.each(['a backlog that is full', 'an id of another feed', 'no id at all'])(
    'a watcher begins anew after %s',
    async (why) => {
      await start('a')
      const first = watch('?machine=lamp')
      await first.until(2)
      first.close()
      if (why.startsWith('a backlog')) for (let n = 0; n < 11; n++) await send('a', 'NEXT')
      const id = why.startsWith('an id')
        ? `AAAAAAAA.${first.lastId?.split('.')[1]}`
        : why.startsWith('no')
          ? '7'
          : first.lastId
      const second = watch('?machine=lamp', id)
      await second.until(3)
      expect(told(second)).toEqual(['reset', 'row lamp/a', 'live'])
    },
  )

  it('a watcher that comes back is told of changes for as long as it likes', async () => {
    await start('a')
    const first = watch('?machine=lamp&rows=false')
    await first.until(1)
    first.close()
    const second = watch('?machine=lamp&rows=false', first.lastId)
    // Longer than what changed is remembered without a watcher.
    await until(() => second.heartbeats > 12, { timeoutMs: 20_000 }, 'heartbeats')
    await send('a', 'NEXT')
    await second.until(1)
    expect(told(second)).toEqual(['row lamp/a'])
  })

  it('what changed is forgotten some time after the last watcher went', async () => {
    await start('a')
    const first = watch('?machine=lamp')
    await first.until(2)
    first.close()
    await until(
      async () => {
        const again = watch('?machine=lamp&rows=false', first.lastId)
        await until(() => again.heartbeats > 0, { timeoutMs: 20_000 }, 'a heartbeat')
        again.close()
        // Each look lets it linger anew: so they lie further apart than that.
        return again.names[0] === 'reset'
      },
      { timeoutMs: 20_000, every: 700 },
      'an id that is not known any more',
    )
  })

  it('a gateway that closes ends its watches', async () => {
    const own = await startRig()
    const source = new EventSource(own.gateway.url, '/watch')
    await source.until(1)
    const began = performance.now()
    await own.close()
    await source.untilEnd()
    expect(performance.now() - began).toBeLessThan(4_000)
  })
})

it('a reader that is too slow for the backlog is told that it was', async () => {
  const stop = new AbortController()
  const limits = { watchBacklogMax: 5, watchLingerMs: 1 }
  const feed = new ChangeFeed(rig.node.client, 'lamp', limits)
  await start('a')
  await until(() => feed.next === 1, { timeoutMs: 20_000 }, 'a change')
  expect(await feed.read(0, stop.signal)).toEqual({ addresses: ['lamp/a'], next: 1 })
  for (let n = 0; n < 3; n++) await start(`b${n}`)
  await send('b0', 'MOVE', { room: 'x' })
  await until(() => feed.next === 5, { timeoutMs: 20_000 }, 'five changes')
  expect((await feed.read(0, stop.signal))?.addresses).toEqual([
    'lamp/a',
    'lamp/b0',
    'lamp/b1',
    'lamp/b2',
  ])
  await send('b0', 'MOVE', { room: 'y' })
  await until(() => feed.next === 6, { timeoutMs: 20_000 }, 'six changes')
  expect(await feed.read(0, stop.signal)).toBeUndefined()
  const waiting = feed.read(6, stop.signal)
  stop.abort()
  expect(await waiting).toBeUndefined()
  feed.close()
})

it('judges rows as the shards do', async () => {
  for (const [index, id] of ['a', 'b', 'c', 'd/e', 'd'].entries()) {
    await start(encodeURIComponent(id), index % 2 === 0 ? 'hall' : 'attic')
  }
  await send('a', 'NEXT')
  await rig.node.client.pause('lamp/b')
  await send('c', 'BREAK').catch(() => {})
  await rig.node.client.cancel('lamp/d')
  const filters: ActorFilter[] = [
    {},
    { children: true },
    { machine: 'lamp' },
    { machine: 'order' },
    { machine: 'lamp', children: true },
    ...['off', 'on', 'on.warm', 'warm'].map((state) => ({ machine: 'lamp', state })),
    { state: 'on', children: true },
    { tag: 'hot' },
    { tag: 'hot', children: true },
    ...(['active', 'paused', 'parked', 'done', 'stopped'] as const).map((condition) => ({
      condition,
    })),
    ...['d', 'd/', 'D', 'd/e'].map((idPrefix) => ({ machine: 'lamp', idPrefix })),
    { machine: 'lamp', where: { room: 'hall' } },
    { machine: 'lamp', where: { room: 'hall' }, condition: 'parked' },
  ]
  const list = async (filter: ActorFilter) =>
    (await rig.node.client.list({ filter, limit: 100 })).rows
  const everything = await list({ children: true })
  expect(everything.length).toBeGreaterThan(5)
  for (const filter of filters) {
    const listed = (await list(filter)).map(({ address }) => address).sort()
    const judged = everything.filter((row) => rowMatches(row, filter)).map((row) => row.address)
    expect(judged.sort(), JSON.stringify(filter)).toEqual(listed)
  }
})
