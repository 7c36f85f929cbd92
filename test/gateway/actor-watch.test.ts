/** Watching one actor: every turn once and in order, also after a broken connection. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { assign, emit, setup } from 'xstate'
import { z } from 'zod'
import { followActor } from '../../src/client/follow.ts'
import type { Client, WatchedEvent } from '../../src/client/index.ts'
import { watchActor } from '../../src/gateway/actor-watch.ts'
import { createGateway, type GatewayLimits } from '../../src/gateway/index.ts'
import { defineMachine } from '../../src/machine/index.ts'
import { defineApp } from '../../src/node/index.ts'
import type { ActorView, HistoryView } from '../../src/protocol/index.ts'
import { until } from '../waiting.ts'
import { EventSource } from './event-source.ts'
import { type Rig, startRig } from './rig.ts'

/** Counts, says so, and remembers two turns only; `pin` is a secret that is indexed. */
const meter = defineMachine({
  machine: setup({
    types: {
      context: {} as { n: number; pin: number },
      events: {} as { type: 'ADD' } | { type: 'SHOUT'; bytes: number },
      emitted: {} as { type: 'said'; text: string },
    },
  }).createMachine({
    id: 'meter',
    context: { n: 0, pin: 1234 },
    initial: 'even',
    on: {
      SHOUT: { actions: emit(({ event }) => ({ type: 'said', text: 'x'.repeat(event.bytes) })) },
    },
    states: {
      even: {
        on: { ADD: { target: 'odd', actions: assign({ n: ({ context }) => context.n + 1 }) } },
      },
      odd: {
        on: { ADD: { target: 'even', actions: assign({ n: ({ context }) => context.n + 1 }) } },
      },
    },
  }),
  events: { ADD: z.object({}), SHOUT: z.object({ bytes: z.number() }) },
  retention: { historyCount: 2 },
  secrets: ['pin'],
  index: ({ n, pin }) => ({ n, pin }),
})

let rig: Rig
const sources: EventSource[] = []
beforeAll(async () => {
  rig = await startRig({
    apps: [defineApp({ name: 'meters', machines: [meter] })],
    gateway: { limits: { watchHeartbeatMs: 30, watchersMax: 3 } },
  })
})
afterEach(() => {
  for (const source of sources.splice(0)) source.close()
})
afterAll(() => rig.close())

function watch(path: string, lastEventId?: string): EventSource {
  const headers = lastEventId === undefined ? {} : { 'last-event-id': lastEventId }
  const source = new EventSource(rig.gateway.url, `/actors/${path}/watch`, headers)
  sources.push(source)
  return source
}
const send = (address: string, event: { type: string; [field: string]: unknown }) =>
  rig.node.client.send(address, event)
const turnsOf = (source: EventSource) => source.events.map(({ event, data }) => [event, data.turn])

describe('a watch of an actor', () => {
  it('shows it as it is, then every turn, what it emits, and its end', async () => {
    await rig.node.client.start('meter/a')
    const source = watch('meter/a')
    const [state] = await source.until(1)
    expect(state).toMatchObject({
      event: 'state',
      data: { address: 'meter/a', value: 'even', turn: 1, index: { n: 0, pin: '•••' } },
    })
    expect(source.headers['content-type']).toMatch(/^text\/event-stream/)
    await send('meter/a', { type: 'ADD' })
    await send('meter/a', { type: 'SHOUT', bytes: 3 })
    await rig.node.client.pause('meter/a')
    await rig.node.client.delete('meter/a')
    await source.untilEnd()
    expect(source.events.slice(1)).toMatchObject([
      {
        event: 'transition',
        data: { turn: 2, cause: 'ADD', from: 'even', to: 'odd', status: 'active' },
      },
      { event: 'transition', data: { turn: 3, cause: 'SHOUT' } },
      { event: 'emitted', id: undefined, data: { turn: 3, event: { type: 'said', text: 'xxx' } } },
      { event: 'transition', data: { turn: 4, cause: 'pause' } },
      { event: 'removed', data: { address: 'meter/a', turn: 4 } },
    ])
  })

  it('goes on behind the last id: with what the history holds', async () => {
    await rig.node.client.start('meter/b')
    const first = watch('meter/b')
    await first.until(1)
    first.close()
    await send('meter/b', { type: 'ADD' })
    await send('meter/b', { type: 'ADD' })
    const second = watch('meter/b', first.lastId)
    await second.until(2)
    await send('meter/b', { type: 'ADD' })
    await second.until(3)
    expect(turnsOf(second)).toEqual([
      ['transition', 2],
      ['transition', 3],
      ['transition', 4],
    ])
    expect(second.events[1]?.data).toMatchObject({ from: 'odd', to: 'even', status: 'active' })
    const third = watch('meter/b', second.lastId)
    await until(() => third.heartbeats > 1, { timeoutMs: 20_000 }, 'a silent watch')
    expect(third.events).toEqual([])
  })

  it('says reset when the history no longer holds what was missed', async () => {
    await rig.node.client.start('meter/c')
    const first = watch('meter/c')
    await first.until(1)
    first.close()
    for (let n = 0; n < 3; n++) await send('meter/c', { type: 'ADD' })
    const second = watch('meter/c', first.lastId)
    const [reset] = await second.until(1)
    expect(reset).toMatchObject({ event: 'reset', data: { turn: 4, value: 'odd' } })
    await send('meter/c', { type: 'ADD' })
    await second.until(2)
    expect(turnsOf(second)).toEqual([
      ['reset', 4],
      ['transition', 5],
    ])
  })

  it('says reset when another actor lives there by now', async () => {
    await rig.node.client.start('meter/d')
    const first = watch('meter/d')
    await first.until(1)
    first.close()
    await rig.node.client.delete('meter/d')
    // Ids hold the time at which the actor was made.
    const createdAt = Number(first.events[0]?.data.createdAt)
    await until(() => Date.now() > createdAt + 1, { timeoutMs: 20_000 }, 'another millisecond')
    await rig.node.client.start('meter/d')
    await send('meter/d', { type: 'ADD' })
    const second = watch('meter/d', first.lastId)
    await second.until(1)
    expect(turnsOf(second)).toEqual([['reset', 2]])
  })

  it('of a child has the path of the child', async () => {
    const answer = await rig.call('GET', '/troupe/v1/actors/meter/b/children/none/watch')
    expect(answer).toMatchObject({ status: 404, body: { error: { code: 'unknown-actor' } } })
  })

  it.each([
    ['GET', 'meter/none/watch', {}, 404],
    ['GET', 'meter/b/watch', { 'last-event-id': 'yesterday' }, 400],
    ['GET', 'meter/b/watch?since=1', {}, 400],
    ['HEAD', 'meter/b/watch', {}, 405],
    ['POST', 'meter/b/watch', {}, 405],
  ])('%s %s %j is refused: %d', async (method, path, headers, status) => {
    const answer = await rig.call(method, `/troupe/v1/actors/${path}`, { headers })
    expect(answer.status).toBe(status)
  })
})

describe('a connection', () => {
  it('that is silent says that it lives', async () => {
    await rig.node.client.ensure('meter/e')
    const source = watch('meter/e')
    await until(() => source.heartbeats >= 3, { timeoutMs: 20_000 }, 'heartbeats')
    expect(source.names).toEqual(['state'])
  })

  /** True once a paused reader has lost its place among the two that are allowed. */
  async function isCut(limits: Partial<GatewayLimits>, events: number): Promise<boolean> {
    const gateway = await createGateway({
      node: rig.node,
      port: 0,
      limits: { watchersMax: 2, watchHeartbeatMs: 60_000, ...limits },
    })
    const open = () => {
      const source = new EventSource(gateway.url, '/actors/meter/f/watch')
      sources.push(source)
      return source
    }
    const slow = open()
    await slow.until(1)
    slow.pause()
    for (let n = 0; n < events; n++) await send('meter/f', { type: 'SHOUT', bytes: 200_000 })
    const isFree = async () => {
      const probes = [open(), open()]
      await until(() => probes.every(({ status }) => status > 0), { timeoutMs: 20_000 }, 'answers')
      for (const probe of probes) probe.close()
      await until(() => probes.every(({ isEnded }) => isEnded), { timeoutMs: 20_000 }, 'ends')
      return probes.every(({ status }) => status === 200)
    }
    const wait = { timeoutMs: 2_000, every: 50 }
    const cut = await until(isFree, wait, 'the place of the slow reader').catch(() => false)
    await gateway.close({ graceMs: 0 })
    return cut
  }

  it('whose reader leaves too much unread is cut', async () => {
    await rig.node.client.ensure('meter/f')
    expect(await isCut({ watchBufferBytesMax: 100_000 }, 150)).toBe(true)
  })

  it('whose reader stands still is cut, also when little waits for it', async () => {
    const watchBufferBytesMax = 1_000_000_000
    expect(await isCut({ watchBufferBytesMax, watchHeartbeatMs: 20 }, 150)).toBe(true)
    expect(await isCut({ watchBufferBytesMax }, 150)).toBe(false)
  })

  it('more than the limit allows is refused', async () => {
    await rig.node.client.ensure('meter/g')
    const open = [watch('meter/g'), watch('meter/g'), watch('meter/g')]
    for (const source of open) await source.until(1)
    const answer = await rig.call('GET', '/troupe/v1/actors/meter/g/watch')
    expect(answer).toMatchObject({ status: 429, body: { error: { code: 'limit-exceeded' } } })
    for (const source of open) source.close()
    await until(
      async () => {
        const again = watch('meter/g')
        await until(() => again.status > 0, { timeoutMs: 1_000 }, 'an answer')
        again.close()
        return again.status === 200
      },
      { timeoutMs: 20_000 },
      'room for another watch',
    )
  })
})

describe('what was published and lost', () => {
  const transition = (turn: number, createdAt = 7): WatchedEvent => {
    const [from, to] = turn % 2 === 0 ? ['even', 'odd'] : ['odd', 'even']
    const base = { kind: 'transition', address: 'm/1', cause: 'ADD', status: 'active' } as const
    return { ...base, createdAt, turn, from: turn === 1 ? null : (from ?? ''), to: to ?? '' }
  }
  const history = (turns: readonly number[]) =>
    turns.map((turn) => ({ turn, cause: 'ADD', from: 'x', to: 'y' }) as unknown as HistoryView)

  /** The actor is at the turn of its newest history entry, and was made at the time given. */
  async function told(published: readonly WatchedEvent[], held: number[][], madeAt: number[]) {
    const looks = held.map((turns, index) => ({ turns, createdAt: madeAt[index] ?? 0 }))
    let look = looks[0] ?? { turns: [], createdAt: 0 }
    const client = {
      watch: async function* () {
        yield* published
      },
      get: async () => {
        look = looks.shift() ?? look
        const turn = look.turns[0] ?? 0
        return {
          turn,
          createdAt: look.createdAt,
          status: 'active',
          tasks: [],
        } as unknown as ActorView
      },
      history: async () => history(look.turns),
    } as unknown as Client
    const seen: unknown[] = []
    const following: Pick<Client, 'follow'> = {
      follow: (address, signal) => followActor(client, rig.node.clock, address, signal),
    }
    const { signal } = new AbortController()
    for await (const { event, data, id } of watchActor(
      following,
      'm/1',
      new Set(),
      undefined,
      signal,
    )) {
      seen.push([event, (data as { turn: number }).turn, id])
    }
    return seen
  }

  it('is taken from the history', async () => {
    const published = [transition(2), transition(5), transition(5), transition(4), transition(6)]
    expect(await told(published, [[1], [5, 4, 3, 2]], [7, 7])).toEqual([
      ['state', 1, '7-1'],
      ['transition', 2, '7-2'],
      ['transition', 3, '7-3'],
      ['transition', 4, '7-4'],
      ['transition', 5, '7-5'],
      ['transition', 6, '7-6'],
    ])
  })

  it('is a reset when the history does not hold it, or the actor is another', async () => {
    expect(await told([transition(6)], [[2], [6, 5]], [7, 7])).toEqual([
      ['state', 2, '7-2'],
      ['reset', 6, '7-6'],
    ])
    expect(await told([transition(1, 8), transition(2, 8)], [[1], [1]], [7, 8])).toEqual([
      ['state', 1, '7-1'],
      ['reset', 1, '8-1'],
      ['transition', 2, '8-2'],
    ])
  })
})
