/** Behaviour that XState's users would expect and that is not there yet. */
import { describe, expect, it } from 'vitest'
import { fromTransition, sendTo } from 'xstate'
import { type Args, chart, get, host, open, see, seen, send, start } from './support.ts'

const snapshots = (src: object, id: string) =>
  host(
    'watcher',
    {
      invoke: {
        src: 'kid',
        id,
        onSnapshot: {
          actions: see(({ event }) =>
            JSON.stringify((event['snapshot'] as { context: unknown }).context),
          ),
        },
      },
      on: { TALK: { actions: 'talk' } },
    },
    {
      actors: { kid: src },
      actions: { talk: sendTo(id, ({ event }: Args) => ({ type: 'X', by: event.by })) },
    },
  )

describe('onSnapshot', () => {
  it('also sees the steps of a reducer', async () => {
    const h = open([
      snapshots(
        fromTransition((state: { n: number }) => ({ n: state.n + 1 }), { n: 0 }),
        'k',
      ),
    ])
    await start(h, 'watcher/a')
    await send(h, 'watcher/a', 'TALK')
    await h.advance(0)
    expect(await seen(h, 'watcher/a')).toContain('{"n":1}')
  })

  it('also sees the first snapshot, as in XState', async () => {
    const kid = chart('kid', { context: { n: 5 } })
    const h = open([snapshots(kid, 'k')])
    await start(h, 'watcher/a')
    await h.advance(0)
    expect(await seen(h, 'watcher/a')).toEqual(['{"n":5}'])
  })
})

it('a timer of a parent state whose step parked rings again after the resume', async () => {
  let breaks = true
  const nested = host(
    'nested',
    {
      initial: 'out',
      states: {
        out: {
          after: { 1000: { target: 'late', guard: 'check' } },
          initial: 'in',
          states: { in: {} },
        },
        late: {},
      },
    },
    {
      guards: {
        check: () => {
          if (breaks) throw new Error('not yet')
          return true
        },
      },
    },
  )
  const h = open([nested])
  await start(h, 'nested/x')
  await h.advance(1_500)
  expect((await get(h, 'nested/x')).parked).toBeDefined()
  breaks = false
  await h.run(h.client.resume('nested/x'))
  await h.advance(5_000)
  expect((await get(h, 'nested/x')).value).toBe('late')
})
