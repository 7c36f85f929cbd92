/** P9: an actor never dies silently. What fails parks it where it stands, with the reason. */
import { describe, expect, it } from 'vitest'
import { raise } from 'xstate'
import { reply, tell } from '../../src/machine/index.ts'
import {
  change,
  code,
  counter,
  failure,
  get,
  history,
  host,
  job,
  open,
  restart,
  see,
  send,
  start,
  theTask,
  worker,
} from './support.ts'

it.each([
  ['a guard', 'BOOM', 'the guard broke'],
  ['an assign', 'BAD', 'the assign broke'],
])('%s that throws parks, and leaves the actor as it was', async (_name, type, words) => {
  let h = open([counter])
  await start(h, 'counter/a')
  await send(h, 'counter/a', 'ADD', { by: 1 })
  const error = await failure(h, h.client.send('counter/a', { type }))
  expect([error.code, error.address]).toEqual(['parked', 'counter/a'])
  expect(error.message).toContain(words)
  h = restart(h, [counter])
  const view = await get(h, 'counter/a')
  expect(view).toMatchObject({ value: 'on', status: 'active', context: { n: 1, seen: [] } })
  expect(view.parked).toMatchObject({ cause: type, error: { code: 'parked' } })
  expect(await h.run(h.client.count({ condition: 'parked' }))).toMatchObject([{ count: 1 }])
  const { rows } = await h.run(h.client.list({ filter: { condition: 'parked' } }))
  expect(rows[0]!.reason).toContain(words)
})

it.each([
  ['a tell to no address', tell({ to: 'nowhere', event: { type: 'X' } })],
  ['a tell that cannot be packed', tell({ to: 'counter/b', event: { type: 'X', f: () => 0 } })],
  [
    'a tell that is too large',
    tell({ to: 'counter/b', event: { type: 'X', f: 'x'.repeat(600_000) } }),
  ],
  ['a context that cannot be stored', change(() => ({ f: () => 0 }))],
  ['a timer without an end', raise({ type: 'GO' }, { delay: Number.POSITIVE_INFINITY })],
  ['a timer of no number', raise({ type: 'GO' }, { delay: Number.NaN })],
  ['too much context', change(() => ({ f: 'x'.repeat(800_000) }))],
])('%s is refused when somebody waits, and parks when nobody does', async (_name, action) => {
  const odd = host(
    'odd',
    {
      initial: 'a',
      states: {
        a: { on: { GO: { actions: ['odd', 'seen'] }, LATER: 'b' } },
        b: { after: { 1000: { target: 'a', actions: 'odd' } } },
      },
    },
    { actions: { odd: action, seen: see('done') } },
  )
  const h = open([odd])
  await start(h, 'odd/a')
  const before = await get(h, 'odd/a')
  await failure(h, h.client.send('odd/a', { type: 'GO' }))
  expect(await get(h, 'odd/a')).toEqual(before)
  await send(h, 'odd/a', 'LATER')
  await h.advance(2_000)
  const view = await get(h, 'odd/a')
  expect(view.value).toBe('b')
  expect(view.parked).toBeDefined()
  expect(h.stops).toEqual([])
})

it('a timer whose step fails parks; the resume starts the wait again', async () => {
  let fails = true
  const timed = host(
    'timed',
    { initial: 'a', states: { a: { after: { 1000: { target: 'b', guard: 'check' } } }, b: {} } },
    {
      guards: {
        check: () => {
          if (fails) throw new Error('not yet')
          return true
        },
      },
    },
  )
  const h = open([timed])
  await start(h, 'timed/x')
  await h.advance(1_500)
  expect((await get(h, 'timed/x')).parked?.cause).toBe('xstate.after.1000.timed.a')
  fails = false
  await h.run(h.client.resume('timed/x'))
  await h.advance(1_500)
  expect((await get(h, 'timed/x')).value).toBe('b')
})

it('an endless loop of always ends at microstepsMax', async () => {
  const loop = host('loop', {
    initial: 'calm',
    states: { calm: { on: { GO: 'a' } }, a: { always: 'b' }, b: { always: 'a' } },
  })
  const h = open([loop], { limits: { microstepsMax: 50 } })
  await start(h, 'loop/x')
  expect(await code(h, h.client.send('loop/x', { type: 'GO' }))).toBe('parked')
  expect(await get(h, 'loop/x')).toMatchObject({ value: 'calm' })
})

describe('a task that fails', () => {
  const machine = (withError: boolean, options: object = {}) =>
    host(
      'm',
      {
        initial: 'run',
        states: {
          run: {
            invoke: {
              src: 'work',
              id: 't',
              onDone: 'fine',
              ...(withError
                ? {
                    onError: {
                      target: 'failed',
                      actions: see(({ event }) => JSON.stringify(event.error)),
                    },
                  }
                : {}),
            },
          },
          fine: {},
          failed: {},
        },
      },
      { actors: { work: job('work', { retry: { attemptsMax: 2, initialMs: 1_000, jitter: 0 } }) } },
      options,
    )

  async function failTwice(h: ReturnType<typeof open>, kind: string) {
    await start(h, 'm/x')
    const { taskId } = await theTask(h, 'm/x')
    const first = await h.run(worker(h).start(taskId))
    await h.run(worker(h).fail(taskId, first.token, kind, 'first'))
    if (kind !== 'temporary') return
    await h.advance(1_100)
    const second = await h.run(worker(h).start(taskId))
    await h.run(worker(h).fail(taskId, second.token, kind, 'second'))
  }

  it.each([
    ['temporary, attempts used up, with onError', 'temporary', true, 'failed'],
    ['temporary, attempts used up, without onError', 'temporary', false, 'parked'],
    ['permanent, with onError', 'permanent', true, 'parked'],
    ['permanent, without onError', 'permanent', false, 'parked'],
    ['aborted, with onError', 'aborted', true, 'failed'],
    ['aborted, without onError', 'aborted', false, 'parked'],
  ])('%s', async (_name, kind, withError, expected) => {
    let h = open([machine(withError)])
    await failTwice(h, kind)
    h = restart(h, [machine(withError)])
    const view = await get(h, 'm/x')
    const message = kind === 'temporary' ? 'second' : 'first'
    if (expected === 'failed') {
      expect(view).toMatchObject({ value: 'failed', tasks: [] })
      expect((view.context as { seen: string[] }).seen[0]).toContain(message)
    } else {
      expect(view).toMatchObject({
        value: 'run',
        tasks: [],
        parked: { error: { message: expect.stringContaining(message) } },
      })
      await h.run(h.client.resume('m/x'))
      expect(await theTask(h, 'm/x')).toMatchObject({ attempt: 0, state: 'queued' })
    }
    expect((await history(h, 'm/x')).length).toBeGreaterThan(1)
  })

  it('an onError elsewhere in the chart is no way out of the present state', async () => {
    const elsewhere = host(
      'm',
      {
        initial: 'run',
        states: {
          run: { invoke: { src: 'work', id: 't' } },
          other: { invoke: { src: 'work', id: 't', onError: 'run' } },
        },
      },
      { actors: { work: job('work', { retry: { attemptsMax: 1 } }) } },
    )
    const h = open([elsewhere])
    await start(h, 'm/x')
    const { taskId } = await theTask(h, 'm/x')
    const { token } = await h.run(worker(h).start(taskId))
    await h.run(worker(h).fail(taskId, token, 'temporary', 'gone wrong'))
    expect((await get(h, 'm/x')).parked?.error.message).toBe('gone wrong')
  })
})

it('parking is told once and every event after it is kept', async () => {
  const h = open([counter])
  await start(h, 'counter/a')
  await failure(h, h.client.send('counter/a', { type: 'BAD' }))
  expect(await send(h, 'counter/a', 'BAD')).toMatchObject({ kept: 1 })
  expect(await send(h, 'counter/a', 'ADD', { by: 2 })).toMatchObject({ kept: 2 })
  expect(await h.run(h.client.pause('counter/a'))).toMatchObject({ paused: true, parked: true })
  await h.run(h.client.resume('counter/a'))
  for (const kept of [2, 1]) {
    const parked = { cause: 'BAD' }
    expect(await get(h, 'counter/a')).toMatchObject({ kept, context: { n: 0 }, parked })
    await h.run(h.client.resume('counter/a'))
  }
  expect(await get(h, 'counter/a')).toMatchObject({ kept: 0, context: { n: 2 } })
})

it('a reply of a turn that nobody asked for does no harm', async () => {
  const quiet = host(
    'quiet',
    { initial: 'a', states: { a: { after: { 100: { target: 'b', actions: 'answer' } } }, b: {} } },
    { actions: { answer: reply(() => 'x'.repeat(600_000)) } },
  )
  const h = open([quiet])
  await start(h, 'quiet/a')
  await h.advance(200)
  expect((await get(h, 'quiet/a')).value).toBe('b')
})
