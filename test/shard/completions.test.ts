/**
 * Ends of tasks and children that meet an actor which holds, has moved on, or fails on them: each
 * counts for the very effect that asked for it, and nothing that was taken vanishes.
 */
import { describe, expect, it } from 'vitest'
import { sendParent, spawnChild } from 'xstate'
import { tell } from '../../src/machine/index.ts'
import {
  type Args,
  change,
  chart,
  code,
  counter,
  get,
  history,
  host,
  job,
  open,
  restart,
  see,
  seen,
  send,
  start,
  theTask,
  worker,
} from './support.ts'

type H = ReturnType<typeof open>

/** What fails for as long as a test says so. */
function switched() {
  const on = { broken: true }
  const check = change(() => {
    if (on.broken) throw new Error('it broke')
    return {}
  })
  return { on, check }
}

const causes = async (h: H, address: string) =>
  (await history(h, address)).map(({ cause }) => cause)

/** A child that ends by a timer of its own. */
const ending = (afterMs: number, more: object = {}) =>
  chart('ending', {
    initial: 'c',
    states: { c: { after: { [afterMs]: 'end' }, ...more }, end: { type: 'final' } },
    output: () => 'the old one',
  })

describe('the resume of a family', () => {
  it('leaves out who went while those above were stepped', async () => {
    const grand = chart('grand', { initial: 'g', states: { g: {} } })
    const child = chart(
      'child',
      {
        initial: 'c',
        states: {
          c: { invoke: { src: 'grand', id: 'grand' }, after: { 1000: 'end' } },
          end: { type: 'final' },
        },
      },
      { actors: { grand } },
    )
    const m = host(
      'm',
      {
        initial: 'a',
        states: { a: { invoke: { src: 'child', id: 'child', onDone: 'b' } }, b: {} },
      },
      { actors: { child } },
    )
    const h = open([m])
    await start(h, 'm/1')
    await h.run(h.client.pause('m/1'))
    await h.advance(2_000)
    await h.run(h.client.resume('m/1'))
    expect((await get(h, 'm/1')).value).toBe('b')
    expect(await code(h, h.client.get('m/1/child/grand'))).toBe('unknown-actor')
    expect(h.stops).toEqual([])
  })
})

describe('the result of a task on which its actor fails', () => {
  const compound = (check: object) =>
    host(
      'm',
      {
        initial: 'a',
        states: {
          a: {
            initial: 'x',
            states: { x: { on: { NEXT: 'y' } }, y: {} },
            invoke: { src: 't', id: 't', onDone: { target: 'b', actions: check } },
          },
          b: {},
        },
      },
      { actors: { t: job('t') } },
    )

  it('waits; the resume enters the state that asked for it again, and says what it drops', async () => {
    const { on, check } = switched()
    let h = open([compound(check)])
    await start(h, 'm/1')
    await send(h, 'm/1', 'NEXT')
    const { taskId } = await theTask(h, 'm/1')
    const { token } = await h.run(worker(h).start(taskId))
    await h.run(worker(h).done(taskId, token, { paid: 1 }))
    h = restart(h, [compound(check)])
    expect(await get(h, 'm/1')).toMatchObject({
      parked: { error: { message: expect.stringContaining('it broke') } },
      tasks: [{ taskId, state: 'result-kept' }],
      kept: 1,
    })
    expect(await code(h, worker(h).start(taskId))).toBe('task-held')
    on.broken = false
    await h.run(h.client.resume('m/1'))
    expect(await get(h, 'm/1')).toMatchObject({ value: { a: 'y' }, kept: 0 })
    expect((await causes(h, 'm/1')).at(-1)).toBe('dropped the result of a task')
    const again = await theTask(h, 'm/1')
    expect(again.taskId).not.toBe(taskId)
    const attempt = await h.run(worker(h).start(again.taskId))
    await h.run(worker(h).done(again.taskId, attempt.token))
    expect((await get(h, 'm/1')).value).toBe('b')
  })

  it('is given once more when no state can be entered again for it, then is a dead letter', async () => {
    const { on, check } = switched()
    const m = host(
      'm',
      {
        on: {
          GO: { actions: spawnChild('t' as never, { id: 't' } as never) },
          'xstate.done.actor.t': { actions: [check, see(({ event }) => String(event.output))] },
        },
      },
      { actors: { t: job('t') } },
    )
    const h = open([m])
    for (const [address, broken] of [
      ['m/1', false],
      ['m/2', true],
    ] as const) {
      on.broken = true
      await start(h, address)
      await send(h, address, 'GO')
      const { taskId } = await theTask(h, address)
      const { token } = await h.run(worker(h).start(taskId))
      await h.run(worker(h).done(taskId, token, 'paid'))
      on.broken = broken
      await h.run(h.client.resume(address))
    }
    expect(await seen(h, 'm/1')).toEqual(['paid'])
    expect(await get(h, 'm/2')).toMatchObject({ kept: 0, tasks: [], parked: {} })
    expect(await h.run(h.client.deadLetters())).toMatchObject([
      { to: 'm/2', event: { type: 'xstate.done.actor.t', output: 'paid' } },
    ])
  })
})

describe('what was kept and fails when it is stepped', () => {
  it('is tried once more by the next resume', async () => {
    const { on, check } = switched()
    const m = host('m', { on: { GO: { actions: [check, see('went')] } } })
    let h = open([m])
    await start(h, 'm/1')
    await h.run(h.client.pause('m/1'))
    expect(await send(h, 'm/1', 'GO')).toMatchObject({ kept: 1 })
    await h.run(h.client.resume('m/1'))
    h = restart(h, [m])
    expect(await get(h, 'm/1')).toMatchObject({ kept: 1, parked: { cause: 'GO' } })
    on.broken = false
    await h.run(h.client.resume('m/1'))
    expect(await seen(h, 'm/1')).toEqual(['went'])
    expect((await history(h, 'm/1')).filter(({ commandId }) => commandId)).toMatchObject([
      { cause: 'start' },
      { cause: 'pause' },
      { cause: 'resume' },
      { cause: 'resume' },
      { cause: 'GO' },
    ])
  })

  it('is a dead letter after that, and blocks nothing', async () => {
    const h = open([counter])
    await start(h, 'counter/a')
    await h.run(h.client.pause('counter/a'))
    await send(h, 'counter/a', 'BAD')
    await send(h, 'counter/a', 'NOTE', { text: 'after' })
    await h.run(h.client.resume('counter/a'))
    expect(await h.run(h.client.deadLetters())).toEqual([])
    await h.run(h.client.resume('counter/a'))
    expect(await get(h, 'counter/a')).toMatchObject({ kept: 1, parked: { cause: 'BAD' } })
    expect(await h.run(h.client.deadLetters())).toMatchObject([
      { to: 'counter/a', event: { type: 'BAD' }, error: { code: 'parked' } },
    ])
    await h.run(h.client.resume('counter/a'))
    expect(await seen(h, 'counter/a')).toEqual(['after'])
    expect(await causes(h, 'counter/a')).toEqual([
      'start',
      'pause',
      'resume',
      'parked by BAD',
      'resume',
      'parked by BAD',
      'resume',
      'NOTE',
    ])
  })

  it('a message of another actor is not lost either', async () => {
    const { on, check } = switched()
    const m = host('m', { on: { GO: { actions: [check, see('went')] } } })
    const teller = host('teller', {
      on: { ASK: { actions: tell({ to: 'm/1', event: { type: 'GO' } }) } },
    })
    const h = open([m, teller])
    await start(h, 'm/1')
    await start(h, 'teller/1')
    await send(h, 'teller/1', 'ASK')
    await h.advance(50)
    expect(await get(h, 'm/1')).toMatchObject({ kept: 1, parked: { cause: 'GO' } })
    on.broken = false
    await h.run(h.client.resume('m/1'))
    expect(await seen(h, 'm/1')).toEqual(['went'])
  })
})

describe('what was kept for an actor that has finished', () => {
  it.each(['FINISH', 'cancel'])('is a dead letter: %s', async (end) => {
    const h = open([counter])
    await start(h, 'counter/a')
    await h.run(h.client.pause('counter/a'))
    if (end === 'FINISH') await send(h, 'counter/a', 'FINISH')
    expect(await send(h, 'counter/a', 'ADD', { by: 7 })).toMatchObject({ handled: false })
    await send(h, 'counter/a', 'NOTE', { text: 'x' })
    if (end === 'FINISH') await h.run(h.client.resume('counter/a'))
    else await h.run(h.client.cancel('counter/a'))
    expect(await get(h, 'counter/a')).toMatchObject({ kept: 0 })
    const letters = await h.run(h.client.deadLetters())
    expect(letters).toHaveLength(2)
    expect(letters).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ event: { type: 'ADD', by: 7 } }),
        expect.objectContaining({ event: { type: 'NOTE', text: 'x' } }),
      ]),
    )
    expect(letters[0]).toMatchObject({ to: 'counter/a', error: { code: 'finished' } })
  })
})

describe('the end of a child actor', () => {
  const parent = (child: object, more: object = {}) =>
    host(
      'm',
      {
        initial: 'a',
        states: {
          a: {
            invoke: {
              src: 'child',
              id: 'child',
              onDone: { target: 'b', actions: see(({ event }) => String(event.output)) },
            },
            on: { AGAIN: { target: 'a', reenter: true } },
          },
          b: {},
        },
      },
      { actors: { child }, ...more },
      { internal: ['AGAIN'] } as never,
    )

  it('does not end the one that took its place while the parent held', async () => {
    const m = parent(ending(1_000))
    let h = open([m])
    await start(h, 'm/1')
    await h.run(h.client.pause('m/1'))
    await h.run(h.client.resume('m/1/child'))
    await h.advance(1_500)
    expect(await get(h, 'm/1')).toMatchObject({ kept: 1, value: 'a' })
    h = restart(h, [m])
    await h.run(h.client.resume('m/1', { state: 'a' }))
    expect(await get(h, 'm/1')).toMatchObject({ value: 'a', children: ['m/1/child'] })
    expect((await get(h, 'm/1/child')).turn).toBe(1)
    expect((await causes(h, 'm/1')).at(-1)).toBe('dropped xstate.done.actor.child')
    await h.advance(1_500)
    expect((await get(h, 'm/1')).value).toBe('b')
  })

  it('does not end the one that took its place in the same batch', async () => {
    const leaver = chart('leaver', {
      initial: 'c',
      states: {
        c: { after: { 1000: { target: 'end', actions: sendParent({ type: 'AGAIN' }) } } },
        end: { type: 'final' },
      },
    })
    const h = open([parent(leaver)])
    await start(h, 'm/1')
    await h.advance(1_500)
    expect(await get(h, 'm/1')).toMatchObject({ value: 'a', children: ['m/1/child'] })
    expect(await get(h, 'm/1/child')).toMatchObject({ turn: 1, value: 'c' })
  })

  it('counts once the parent goes on, if it is still the one', async () => {
    const h = open([parent(ending(1_000))])
    await start(h, 'm/1')
    await h.run(h.client.pause('m/1'))
    await h.run(h.client.resume('m/1/child'))
    await h.advance(1_500)
    await h.run(h.client.resume('m/1'))
    expect(await get(h, 'm/1')).toMatchObject({ value: 'b', context: { seen: ['the old one'] } })
  })

  it('that parks the parent leads to a new child', async () => {
    const { on, check } = switched()
    const m = host(
      'm',
      {
        initial: 'a',
        states: {
          a: {
            initial: 'x',
            states: { x: {} },
            invoke: { src: 'child', id: 'child', onDone: { target: 'b', actions: check } },
          },
          b: {},
        },
      },
      { actors: { child: ending(1_000) } },
    )
    const h = open([m])
    await start(h, 'm/1')
    await h.advance(1_500)
    expect(await get(h, 'm/1')).toMatchObject({ kept: 1, parked: {} })
    on.broken = false
    await h.run(h.client.resume('m/1'))
    expect(await get(h, 'm/1')).toMatchObject({ children: ['m/1/child'], kept: 0 })
    await h.advance(1_500)
    expect((await get(h, 'm/1')).value).toBe('b')
  })
})

it('kept events of one batch pack the actor once', async () => {
  let packed = 0
  const context = ({ input }: { input: Args['context'] }) =>
    Object.defineProperty({ n: 0, seen: [], input }, 'probe', {
      enumerable: true,
      get: () => {
        packed += 1
        return 1
      },
    })
  const m = host('m', { context, on: { GO: { actions: see('go') } } })
  const h = open([m])
  await start(h, 'm/1')
  await h.run(h.client.pause('m/1'))
  packed = 0
  await h.run(Promise.all(Array.from({ length: 20 }, () => h.client.send('m/1', { type: 'GO' }))))
  expect((await get(h, 'm/1')).kept).toBe(20)
  expect(packed).toBeLessThan(6)
})
