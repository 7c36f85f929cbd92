/** Child actors: how they start, talk, finish, fail and go. */

import { describe, expect, it } from 'vitest'
import {
  enqueueActions,
  fromCallback,
  fromTransition,
  sendParent,
  sendTo,
  spawnChild,
  stopChild,
} from 'xstate'
import {
  type Args,
  change,
  chart,
  code,
  get,
  host,
  open,
  restart,
  see,
  seen,
  send,
  start,
  tablesWith,
} from './support.ts'

const grandchild = chart('grand', {
  initial: 'idle',
  states: { idle: { on: { STOP: 'end' } }, end: { type: 'final' } },
})

const child = chart(
  'kid',
  {
    initial: 'idle',
    context: ({ input }: { input?: { n?: number } }) => ({ n: input?.n ?? 0, seen: [] }),
    on: {
      HELLO: {
        actions: [
          'greet',
          sendParent(({ context }) => ({
            type: 'HI',
            text: `hi ${(context as Args['context']).n}`,
          })),
        ],
      },
      BREAK: { actions: 'broken' },
      END: '.end',
      DEEP: '.deep',
    },
    states: {
      idle: {},
      deep: { invoke: { src: 'grand', id: 'g', onDone: 'end' } },
      end: { type: 'final' },
    },
    output: ({ context }: Args) => `out ${context.n}`,
  },
  {
    actors: { grand: grandchild },
    actions: {
      greet: change(({ context, event }) => ({ n: context.n + event.by })),
      broken: change(() => {
        throw new Error('the child broke')
      }),
    },
  },
)

const family = host(
  'family',
  {
    initial: 'out',
    states: {
      out: { on: { IN: 'in', FLASH: 'flash', SAFE: 'safe' } },
      in: {
        invoke: {
          src: 'kid',
          id: 'kid',
          input: ({ context }: Args) => ({ n: context.n + 100 }),
          onDone: { target: 'ended', actions: see(({ event }) => String(event.output)) },
        },
        on: {
          OUT: 'out',
          AGAIN: { target: 'in', reenter: true },
          TALK: { actions: 'talk' },
          HI: { actions: see(({ event }) => event.text) },
        },
      },
      /** Entered and left within one macrostep. */
      flash: { invoke: { src: 'kid', id: 'kid' }, always: 'out' },
      safe: {
        invoke: {
          src: 'kid',
          id: 'kid',
          onError: {
            target: 'failed',
            actions: see(({ event }) => (event.error as { message: string }).message),
          },
        },
        on: { TALK: { actions: 'talk' }, HI: {} },
      },
      failed: {},
      ended: {},
    },
  },
  {
    actors: { kid: child },
    actions: {
      talk: sendTo('kid', ({ event }: Args) => ({ type: event.text, by: event.by })),
    },
  },
)

describe('a child machine', () => {
  it('starts with its input, under the address of its parent, on the same shard', async () => {
    const h = open([family])
    await start(h, 'family/a')
    await send(h, 'family/a', 'IN')
    expect((await get(h, 'family/a')).children).toEqual(['family/a/kid'])
    expect((await get(h, 'family/a/kid')).context).toEqual({ n: 100, seen: [] })
  })

  it('gets events of its parent and answers, also after a restart', async () => {
    let h = open([family])
    await start(h, 'family/a')
    await send(h, 'family/a', 'IN')
    await send(h, 'family/a', 'TALK', { text: 'HELLO', by: 1 })
    h = restart(h, [family])
    await send(h, 'family/a', 'TALK', { text: 'HELLO', by: 2 })
    await h.advance(0)
    expect(await seen(h, 'family/a')).toEqual(['hi 101', 'hi 103'])
  })

  it('hands its output to onDone and is gone', async () => {
    const h = open([family])
    await start(h, 'family/a')
    await send(h, 'family/a', 'IN')
    await send(h, 'family/a', 'TALK', { text: 'END' })
    await h.advance(0)
    const view = await get(h, 'family/a')
    expect(view.value).toBe('ended')
    expect(view.context).toMatchObject({ seen: ['out 100'] })
    expect(view.children).toEqual([])
    expect(await code(h, h.client.get('family/a/kid'))).toBe('unknown-actor')
  })

  it('leaves no row behind when its state is left', async () => {
    const h = open([family])
    await start(h, 'family/a')
    await send(h, 'family/a', 'IN')
    await send(h, 'family/a', 'TALK', { text: 'DEEP' })
    await h.advance(0)
    expect((await get(h, 'family/a/kid')).children).toEqual(['family/a/kid/g'])
    await send(h, 'family/a', 'OUT')
    await h.advance(0)
    expect(tablesWith(h, 'family/a/kid')).toEqual([])
    expect(await h.run(h.client.count({ children: true }))).toEqual([
      expect.objectContaining({ machine: 'family', state: 'out', count: 1 }),
    ])
  })

  it('is a new one when its state is entered again in the same step', async () => {
    let h = open([family])
    await start(h, 'family/a')
    await send(h, 'family/a', 'IN')
    await send(h, 'family/a', 'TALK', { text: 'HELLO', by: 7 })
    await send(h, 'family/a', 'AGAIN')
    expect((await get(h, 'family/a/kid')).context).toMatchObject({ n: 100 })
    h = restart(h, [family])
    await send(h, 'family/a', 'AGAIN')
    await h.run(h.client.resume('family/a', { retry: true }))
    expect((await get(h, 'family/a/kid')).turn).toBe(1)
    expect(h.stops).toEqual([])
  })

  it('never starts when its state is left in the step that entered it', async () => {
    const h = open([family])
    await start(h, 'family/a')
    await send(h, 'family/a', 'FLASH')
    await h.advance(0)
    expect(await code(h, h.client.get('family/a/kid'))).toBe('unknown-actor')
    expect((await get(h, 'family/a')).children).toEqual([])
    expect(tablesWith(h, 'family/a/kid')).toEqual([])
  })

  it('has children of its own, whose end reaches it', async () => {
    let h = open([family])
    await start(h, 'family/a')
    await send(h, 'family/a', 'IN')
    await send(h, 'family/a', 'TALK', { text: 'DEEP' })
    h = restart(h, [family])
    await h.run(h.client.resume('family/a/kid/g', { state: 'end' }))
    await h.advance(0)
    expect((await get(h, 'family/a')).value).toBe('ended')
    expect(tablesWith(h, 'family/a/kid')).toEqual([])
  })

  it('takes no events from outside', async () => {
    const h = open([family])
    await start(h, 'family/a')
    await send(h, 'family/a', 'IN')
    expect(await code(h, h.client.send('family/a/kid', { type: 'END' }))).toBe('invalid-event')
    expect(await code(h, h.client.start('family/a/kid'))).toBe('invalid-address')
    expect(await code(h, h.client.delete('family/a/kid'))).toBe('conflict')
  })
})

describe('a child that fails', () => {
  it('parks where it stands when its parent has no onError', async () => {
    const h = open([family])
    await start(h, 'family/a')
    await send(h, 'family/a', 'IN')
    await send(h, 'family/a', 'TALK', { text: 'BREAK' })
    await h.advance(0)
    const view = await get(h, 'family/a/kid')
    expect(view.parked?.error.message).toContain('the child broke')
    expect((await get(h, 'family/a')).parked).toBeUndefined()
  })

  it('goes to the onError of its parent, and is gone', async () => {
    const safe = open([onlySafe])
    await start(safe, 'safely/a')
    await send(safe, 'safely/a', 'TALK', { text: 'BREAK' })
    await safe.advance(0)
    expect((await get(safe, 'safely/a')).value).toBe('failed')
    expect(await seen(safe, 'safely/a')).toEqual([expect.stringContaining('the child broke')])
    expect(tablesWith(safe, 'safely/a/kid')).toEqual([])
  })

  it('at its very start counts as its failure too', async () => {
    const stillborn = chart('stillborn', {
      context: () => {
        throw new Error('no context')
      },
    })
    const parent = host(
      'parent',
      {
        initial: 'a',
        states: {
          a: { invoke: { src: 'stillborn', id: 's', onError: 'b' } },
          b: { on: { NEXT: 'c' } },
          c: { invoke: { src: 'stillborn', id: 's2' } },
        },
      },
      { actors: { stillborn } },
    )
    const h = open([parent])
    await start(h, 'parent/x')
    await h.advance(0)
    expect((await get(h, 'parent/x')).value).toBe('b')
    await send(h, 'parent/x', 'NEXT')
    await h.advance(0)
    const view = await get(h, 'parent/x')
    expect(view.value).toBe('c')
    expect(view.parked?.error.message).toContain('no context')
    expect(tablesWith(h, 'parent/x/s')).toEqual([])
  })
})

const onlySafe = host(
  'safely',
  {
    initial: 'safe',
    states: {
      safe: {
        invoke: {
          src: 'kid',
          id: 'kid',
          onError: {
            target: 'failed',
            actions: see(({ event }) => (event.error as { message: string }).message),
          },
        },
        on: { TALK: { actions: 'talk' } },
      },
      failed: {},
    },
  },
  {
    actors: { kid: child },
    actions: { talk: sendTo('kid', ({ event }: Args) => ({ type: event.text, by: event.by })) },
  },
)

describe('children of other kinds', () => {
  const reducer = fromTransition(
    (state: { total: number }, event) => {
      const { by = 0 } = event as { by?: number }
      if (by === 13) throw new Error('unlucky')
      return { total: state.total + by }
    },
    ({ input }: { input: { total: number } }) => ({ total: input.total }),
  )
  const holder = host(
    'holder',
    {
      initial: 'idle',
      states: {
        idle: {
          on: {
            SPAWN: { actions: 'birth' },
            TALK: { actions: 'talk' },
            STOP: { actions: 'end' },
            MANY: { actions: 'many' },
          },
        },
      },
    },
    {
      actors: { reducer, kid: child },
      actions: {
        birth: spawnChild('reducer' as never, { id: 'r', input: { total: 5 } } as never),
        talk: sendTo('r', ({ event }: Args) => ({ type: 'ANY', by: event.by })),
        end: stopChild('r'),
        many: enqueueActions(({ enqueue }) => {
          for (const id of ['k1', 'k2']) enqueue.spawnChild('kid' as never, { id } as never)
        }),
      },
    },
  )

  it('a reducer is stored like a machine', async () => {
    let h = open([holder])
    await start(h, 'holder/a')
    await send(h, 'holder/a', 'SPAWN')
    await send(h, 'holder/a', 'TALK', { by: 2 })
    h = restart(h, [holder])
    await send(h, 'holder/a', 'TALK', { by: 3 })
    await h.advance(0)
    expect((await get(h, 'holder/a/r')).context).toEqual({ total: 10 })
    await send(h, 'holder/a', 'TALK', { by: 13 })
    await h.advance(0)
    expect((await get(h, 'holder/a/r')).parked?.error.message).toContain('unlucky')
    await send(h, 'holder/a', 'STOP')
    await h.advance(0)
    expect(tablesWith(h, 'holder/a/r')).toEqual([])
  })

  it('several are spawned by one enqueueActions, and go with their parent', async () => {
    const h = open([holder])
    await start(h, 'holder/a')
    await send(h, 'holder/a', 'MANY')
    await h.advance(0)
    expect((await get(h, 'holder/a')).children.sort()).toEqual(['holder/a/k1', 'holder/a/k2'])
    await h.run(h.client.delete('holder/a'))
    expect(tablesWith(h, 'holder/a/k1')).toEqual([])
    expect(tablesWith(h, 'holder/a/k2')).toEqual([])
  })

  it('onSnapshot of the parent sees the steps of the child', async () => {
    const watcher = host(
      'watcher',
      {
        initial: 'on',
        states: {
          on: {
            invoke: {
              src: 'kid',
              id: 'kid',
              onSnapshot: {
                actions: see(({ event }) =>
                  String((event['snapshot'] as { context: { n: number } }).context.n),
                ),
              },
            },
            on: { TALK: { actions: 'talk' }, HI: {} },
          },
        },
      },
      {
        actors: { kid: child },
        actions: { talk: sendTo('kid', ({ event }: Args) => ({ type: 'HELLO', by: event.by })) },
      },
    )
    let h = open([watcher])
    await start(h, 'watcher/a')
    await send(h, 'watcher/a', 'TALK', { by: 4 })
    h = restart(h, [watcher])
    await send(h, 'watcher/a', 'TALK', { by: 5 })
    await h.advance(0)
    expect((await seen(h, 'watcher/a')).slice(-2)).toEqual(['4', '9'])
  })
})

describe('callbacks', () => {
  const live = host(
    'live',
    {
      initial: 'on',
      states: {
        on: {
          invoke: { src: 'ticker', id: 't', input: { every: 5 }, onDone: { actions: see('done') } },
          on: {
            OFF: 'off',
            TICK: { actions: see('tick') },
            PING: { actions: sendTo('t', { type: 'PONG' }) },
          },
        },
        off: { on: { ON: 'on' } },
      },
    },
    { actors: { ticker: fromCallback(() => {}) } },
  )

  it('start after the commit, stop with their state, start again after a restart', async () => {
    let h = open([live])
    await start(h, 'live/a')
    expect(h.liveStarted).toMatchObject([{ address: 'live/a', childId: 't', input: { every: 5 } }])
    h = restart(h, [live])
    await h.advance(0)
    expect(h.liveStarted).toHaveLength(1)
    await send(h, 'live/a', 'OFF')
    expect(h.liveStopped).toEqual([h.liveStarted[0]!.effectId])
    h = restart(h, [live])
    await h.advance(0)
    expect(h.liveStarted).toEqual([])
  })

  it('their events count while they run, and not after', async () => {
    const h = open([live])
    await start(h, 'live/a')
    const { shard, effectId } = h.liveStarted[0]!
    const tick = () => h.engines[shard]!.liveEvent('live/a', effectId, { type: 'TICK' })
    tick()
    await h.advance(0)
    expect(await seen(h, 'live/a')).toEqual(['tick'])
    await send(h, 'live/a', 'OFF')
    await send(h, 'live/a', 'ON')
    tick()
    await h.advance(0)
    expect(await seen(h, 'live/a')).toEqual(['tick'])
  })

  it('one that has ended is not started again, and leaves no row', async () => {
    let h = open([live])
    await start(h, 'live/a')
    const { shard, effectId } = h.liveStarted[0]!
    const event = { type: 'xstate.done.actor.t', output: 1, actorId: 't' }
    h.engines[shard]!.liveEvent('live/a', effectId, event)
    await h.advance(0)
    expect(await seen(h, 'live/a')).toEqual(['done'])
    h = restart(h, [live])
    await h.advance(0)
    expect(h.liveStarted).toEqual([])
    await h.run(h.client.delete('live/a'))
    expect(tablesWith(h, 'live/a')).not.toContain(0x41)
  })

  it('get events that are sent later, too', async () => {
    const later = host(
      'later',
      {
        initial: 'on',
        states: {
          on: {
            invoke: { src: 'ticker', id: 't' },
            entry: sendTo('t', { type: 'PONG' }, { delay: 1_000 }),
          },
        },
      },
      { actors: { ticker: fromCallback(() => {}) } },
    )
    const sent: string[] = []
    const host_ = {
      start: () => {},
      stop: () => {},
      send: (_: string, e: { type: string }) => void sent.push(e.type),
    }
    const h = open([later], { live: host_ })
    await start(h, 'later/a')
    await h.advance(1_500)
    expect(sent).toEqual(['PONG'])
  })
})
