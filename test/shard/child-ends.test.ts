/** Children that end otherwise than by themselves, callbacks, and children that would take the place of another. */
import { describe, expect, it } from 'vitest'
import { fromCallback, spawnChild, stopChild } from 'xstate'
import type { Operation } from '../../src/protocol/index.ts'
import {
  type Args,
  chart,
  failure,
  get,
  host,
  job,
  open,
  restart,
  see,
  seen,
  send,
  start,
  tablesWith,
  theTask,
  worker,
} from './support.ts'

const kid = chart('kid', {})

const message = ({ event }: Args) => (event.error as { message: string }).message

const safely = host(
  'safely',
  {
    initial: 'safe',
    states: {
      safe: {
        invoke: { src: 'kid', id: 'kid', onError: { target: 'failed', actions: see(message) } },
      },
      failed: {},
    },
  },
  { actors: { kid } },
)

const family = host(
  'family',
  {
    initial: 'out',
    states: { out: { on: { IN: 'in' } }, in: { invoke: { src: 'kid', id: 'kid' } } },
  },
  { actors: { kid } },
)

describe('a child that is cancelled', () => {
  it('has failed: its parent gets the error, and it is gone', async () => {
    const h = open([safely])
    await start(h, 'safely/a')
    expect(await h.run(h.client.cancel('safely/a/kid', { reason: 'enough' }))).toMatchObject({
      address: 'safely/a/kid',
      status: 'stopped',
    })
    await h.advance(0)
    expect(await get(h, 'safely/a')).toMatchObject({ value: 'failed', children: [] })
    expect(await seen(h, 'safely/a')).toEqual(['child kid was cancelled by client: enough'])
    expect(tablesWith(h, 'safely/a/kid')).toEqual([])
  })

  it('parks a parent that has no onError for it; the resume starts another', async () => {
    const h = open([family])
    await start(h, 'family/a')
    await send(h, 'family/a', 'IN')
    await h.run(h.client.cancel('family/a/kid'))
    const { parked, children } = await get(h, 'family/a')
    expect(parked?.error.message).toContain('child kid was cancelled')
    expect(children).toEqual([])
    expect(tablesWith(h, 'family/a/kid')).toEqual([])
    await h.run(h.client.resume('family/a'))
    expect(await get(h, 'family/a')).toMatchObject({ value: 'in', kept: 0 })
    expect(await get(h, 'family/a/kid')).toMatchObject({ turn: 1, context: { n: 0 } })
  })

  it('waits with its error while the parent is paused', async () => {
    let h = open([safely])
    await start(h, 'safely/a')
    await h.run(h.client.pause('safely/a'))
    await h.run(h.client.cancel('safely/a/kid'))
    h = restart(h, [safely])
    expect(await get(h, 'safely/a')).toMatchObject({ value: 'safe', kept: 1 })
    await h.run(h.client.resume('safely/a'))
    expect(await get(h, 'safely/a')).toMatchObject({ value: 'failed', kept: 0 })
  })
})

describe('a second child of an id', () => {
  const holder = (actors: object, src: string) =>
    host(
      'holder',
      {
        on: { GO: { actions: 'one' }, STOP: { actions: stopChild('w') } },
        initial: 'a',
        states: { a: { on: { NEXT: 'b' } }, b: { after: { 100: { actions: 'one' } } } },
      },
      { actors, actions: { one: spawnChild(src as never, { id: 'w' } as never) } },
    )

  it.each([
    ['machine', { kid }],
    ['task', { kid: job('kid') }],
    ['callback', { kid: fromCallback(() => {}) }],
  ])('is refused while the first is alive: a %s', async (_name, actors) => {
    const m = holder(actors, 'kid')
    const h = open([m])
    await start(h, 'holder/a')
    await send(h, 'holder/a', 'GO')
    const before = await get(h, 'holder/a')
    const error = await failure(h, h.client.send('holder/a', { type: 'GO' }))
    expect([error.code, error.message]).toEqual(['conflict', expect.stringContaining('child w')])
    expect(await get(h, 'holder/a')).toEqual(before)
    await send(h, 'holder/a', 'NEXT')
    await h.advance(200)
    expect((await get(h, 'holder/a')).parked?.error.message).toContain('child w')
    await h.run(h.client.resume('holder/a', { state: 'a' }))
    await send(h, 'holder/a', 'STOP')
    await send(h, 'holder/a', 'GO')
    await h.run(h.client.delete('holder/a'))
    expect(tablesWith(h, 'holder/a')).toEqual([])
    expect(await h.run(h.client.count({ children: true }))).toEqual([])
    expect(h.stops).toEqual([])
  })

  it('takes the place of one that has ended', async () => {
    const h = open([holder({ kid: job('kid') }, 'kid')])
    await start(h, 'holder/a')
    for (let round = 0; round < 3; round++) {
      await send(h, 'holder/a', 'GO')
      const { taskId } = await theTask(h, 'holder/a')
      const { token } = await h.run(worker(h).start(taskId))
      await h.run(worker(h).done(taskId, token))
    }
    expect((await get(h, 'holder/a')).tasks).toEqual([])
  })
})

describe('a callback', () => {
  const live = host(
    'live',
    {
      initial: 'on',
      states: {
        on: {
          invoke: { src: 'ticker', id: 't', onDone: { actions: see('done') } },
          on: { TICK: { actions: see('tick') } },
        },
        off: {},
      },
    },
    { actors: { ticker: fromCallback(() => {}) } },
  )
  const from = (h: ReturnType<typeof open>, event: { type: string; [field: string]: unknown }) => {
    const { shard, effectId } = h.liveStarted[0]!
    h.engines[shard]!.liveEvent('live/a', effectId, event)
    return h.advance(10)
  }

  it('that has ended is stopped', async () => {
    const h = open([live])
    await start(h, 'live/a')
    await from(h, { type: 'xstate.done.actor.t', actorId: 't' })
    expect(await seen(h, 'live/a')).toEqual(['done'])
    expect(h.liveStopped).toEqual([h.liveStarted[0]!.effectId])
    await from(h, { type: 'TICK' })
    expect(await seen(h, 'live/a')).toEqual(['done'])
  })

  it('its kept events count in their order, also behind its end', async () => {
    const h = open([live])
    await start(h, 'live/a')
    await h.run(h.client.pause('live/a'))
    await from(h, { type: 'TICK' })
    await from(h, { type: 'xstate.done.actor.t', actorId: 't' })
    await h.run(h.client.resume('live/a'))
    expect(await seen(h, 'live/a')).toEqual(['tick', 'done'])
  })

  it('its kept events do not count for the one that took its place', async () => {
    const h = open([live])
    await start(h, 'live/a')
    await h.run(h.client.pause('live/a'))
    await from(h, { type: 'TICK' })
    await h.run(h.client.resume('live/a', { state: 'on' }))
    expect(await seen(h, 'live/a')).toEqual([])
    expect(h.liveStarted).toHaveLength(2)
  })

  it('that would begin and end with one batch does not run', async () => {
    const h = open([live])
    const act = (operation: Operation) => h.client.execute('live/a', operation)
    await h.run(Promise.all([act({ op: 'start' }), act({ op: 'cancel' })]))
    expect(h.liveStarted).toEqual([])
    expect(h.liveStopped).toEqual([])
    await h.run(act({ op: 'resume', state: 'on' }))
    const state = { op: 'resume', state: 'on' } as const
    await h.run(Promise.all([act(state), act(state)]))
    expect(h.liveStarted).toHaveLength(2)
    expect(h.liveStopped).toEqual([h.liveStarted[0]!.effectId])
  })
})
