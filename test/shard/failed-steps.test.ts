/**
 * A step that fails, is refused or is only tried leaves the actor as it was, also when the code of the
 * machine changes its context in place, which it should not (P8, P9).
 */
import { describe, expect, it } from 'vitest'
import { fromTransition, sendTo } from 'xstate'
import type { Args } from './support.ts'
import { change, code, get, host, open, restart, see, seen, send, start } from './support.ts'

function grow({ context }: Args): object {
  context.seen.push('half')
  return { seen: context.seen }
}

const spoiler = host(
  'm',
  {
    // Of its own: what one actor changes in place would else be what the next one begins with.
    context: () => ({ n: 0, seen: [] }),
    initial: 'a',
    states: {
      a: {
        on: { STAY: { actions: 'broken' }, LEAVE: 'broken', FINE: { actions: see('fine') } },
      },
      broken: { entry: 'broken' },
    },
    on: {
      LARGE: { actions: 'large' },
      TRY: { actions: 'grown' },
      OFTEN: { actions: ['grown', 'broken'] },
    },
  },
  {
    actions: {
      broken: change((args) => {
        grow(args)
        throw new Error('it broke')
      }),
      large: change((args) => ({ ...grow(args), blob: 'x'.repeat(1_000_000) })),
      grown: change(grow),
    },
  },
)

describe('what was changed in place', () => {
  it.each(['STAY', 'LEAVE', 'LARGE', 'OFTEN'])('is undone after %s fails', async (type) => {
    let h = open([spoiler])
    await start(h, 'm/1')
    await send(h, 'm/1', 'FINE')
    expect(await code(h, h.client.send('m/1', { type }))).toMatch(/parked|too-large/)
    expect(await seen(h, 'm/1')).toEqual(['fine'])
    await h.run(h.client.resume('m/1')).catch(() => {})
    await send(h, 'm/1', 'FINE')
    expect(await seen(h, 'm/1')).toEqual(['fine', 'fine'])
    h = restart(h, [spoiler])
    expect(await seen(h, 'm/1')).toEqual(['fine', 'fine'])
  })

  it('is undone to what the same batch made of it before', async () => {
    const h = open([spoiler])
    await start(h, 'm/1')
    const sent = ['FINE', 'LARGE', 'FINE', 'STAY'].map((type) => h.client.send('m/1', { type }))
    await h.run(Promise.allSettled(sent))
    expect(await seen(h, 'm/1')).toEqual(['fine', 'fine'])
  })

  it('is undone when what was kept fails on a resume', async () => {
    const h = open([spoiler])
    await start(h, 'm/1')
    await send(h, 'm/1', 'FINE')
    await h.run(h.client.pause('m/1'))
    await send(h, 'm/1', 'STAY')
    await h.run(h.client.resume('m/1'))
    expect((await get(h, 'm/1')).parked).toBeDefined()
    expect(await seen(h, 'm/1')).toEqual(['fine'])
  })

  it.each([true, false])(
    'is undone when a resume at a state fails, dry run: %s',
    async (dryRun) => {
      const h = open([spoiler])
      await start(h, 'm/1')
      const resume = { op: 'resume', state: 'broken' } as const
      const tried = dryRun ? h.client.dryRun('m/1', resume) : h.client.execute('m/1', resume)
      expect(await code(h, tried)).toBe('parked')
      expect(await seen(h, 'm/1')).toEqual([])
    },
  )

  it('is shown by a dry run, and undone', async () => {
    const h = open([spoiler])
    await start(h, 'm/1')
    const view = await h.run(h.client.dryRun('m/1', { op: 'send', event: { type: 'TRY' } }))
    expect(view).toMatchObject({ dryRun: true })
    expect(JSON.stringify(view)).toContain('half')
    expect(await seen(h, 'm/1')).toEqual([])
    await send(h, 'm/1', 'TRY')
    expect(await seen(h, 'm/1')).toEqual(['half'])
  })

  it('is undone in a reducer', async () => {
    const reducer = fromTransition(
      (state: { list: string[] }) => {
        state.list.push('half')
        throw new Error('it broke')
      },
      { list: [] as string[] },
    )
    const m = host(
      'm',
      {
        invoke: { src: 'reducer', id: 'reducer' },
        on: { GO: { actions: sendTo('reducer', { type: 'X' }) } },
      },
      { actors: { reducer } },
    )
    const h = open([m])
    await start(h, 'm/1')
    await send(h, 'm/1', 'GO')
    const child = await get(h, 'm/1/reducer')
    expect(child.parked).toBeDefined()
    expect(child.context).toEqual({ list: [] })
  })
})
