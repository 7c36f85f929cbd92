/** Pause: what arrives is kept in order, timers wait or stand still, tasks finish or are cancelled. */
import { describe, expect, it } from 'vitest'
import { cancel, raise, sendTo } from 'xstate'
import {
  type Args,
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
  tablesWith,
  theTask,
  worker,
} from './support.ts'

const numbers = (count: number, from = 0) =>
  Array.from({ length: count }, (_, index) => String(index + from))

describe('the kept queue', () => {
  it('keeps the order over batches and restarts, and says how many wait', async () => {
    let h = open([counter])
    await start(h, 'counter/a')
    expect(await h.run(h.client.pause('counter/a', { reason: 'lunch' }))).toMatchObject({
      paused: true,
      kept: 0,
    })
    for (const text of numbers(5)) await send(h, 'counter/a', 'NOTE', { text })
    h = restart(h, [counter])
    const last = await send(h, 'counter/a', 'NOTE', { text: '5' })
    expect(last).toMatchObject({ handled: false, kept: 6 })
    expect(await get(h, 'counter/a')).toMatchObject({
      kept: 6,
      context: { seen: [] },
      paused: { by: 'client', reason: 'lunch' },
    })
    await h.run(h.client.resume('counter/a'))
    expect(await seen(h, 'counter/a')).toEqual(numbers(6))
    expect(await get(h, 'counter/a')).toMatchObject({ kept: 0 })
    expect((await get(h, 'counter/a')).paused).toBeUndefined()
  })

  it('is drained over several batches, and what arrives meanwhile joins its end', async () => {
    let h = open([counter], { limits: { stepsPerBatchMax: 4 } })
    await start(h, 'counter/a')
    await h.run(h.client.pause('counter/a'))
    await h.run(
      Promise.all(numbers(30).map((text) => h.client.send('counter/a', { type: 'NOTE', text }))),
    )
    const resumed = h.client.resume('counter/a')
    const more = numbers(10, 30).map((text) => h.client.send('counter/a', { type: 'NOTE', text }))
    const views = (await h.run(Promise.all([resumed, ...more]))).slice(1)
    expect(views.some((view) => 'kept' in view)).toBe(true)
    h = restart(h, [counter], { limits: { stepsPerBatchMax: 4 } })
    await h.advance(100)
    expect(await seen(h, 'counter/a')).toEqual(numbers(40))
    expect((await get(h, 'counter/a')).kept).toBe(0)
    expect(tablesWith(h, 'counter/a')).not.toContain(0x42)
    expect(tablesWith(h, 'counter/a')).not.toContain(0x12)
  })

  it('survives a restart in the middle of its draining', async () => {
    const limits = { stepsPerBatchMax: 2 }
    let h = open([counter], { limits })
    await start(h, 'counter/a')
    await h.run(h.client.pause('counter/a'))
    await h.run(
      Promise.all(numbers(20).map((text) => h.client.send('counter/a', { type: 'NOTE', text }))),
    )
    h.client.resume('counter/a').catch(() => {})
    for (let turns = 0; turns < 4; turns++) {
      h.clock.advance(0)
      h = restart(h, [counter], { limits })
    }
    await h.run(h.client.resume('counter/a').catch(() => {}))
    await h.advance(100)
    expect(await seen(h, 'counter/a')).toEqual(numbers(20))
  })

  it('stops where an event parks, tries it once more, and goes on from there', async () => {
    const h = open([counter])
    await start(h, 'counter/a')
    await h.run(h.client.pause('counter/a'))
    await send(h, 'counter/a', 'NOTE', { text: '1' })
    await send(h, 'counter/a', 'BAD')
    await send(h, 'counter/a', 'NOTE', { text: '2' })
    await h.run(h.client.resume('counter/a'))
    for (const kept of [2, 1]) {
      expect(await get(h, 'counter/a')).toMatchObject({ kept, context: { seen: ['1'] } })
      expect((await get(h, 'counter/a')).parked?.cause).toBe('BAD')
      await h.run(h.client.resume('counter/a'))
    }
    expect(await seen(h, 'counter/a')).toEqual(['1', '2'])
  })

  it('an event whose turn does not fit parks, since nobody is there to be told', async () => {
    const h = open([counter])
    await start(h, 'counter/a')
    await h.run(h.client.pause('counter/a'))
    await send(h, 'counter/a', 'BIG', { by: 800_000 })
    await send(h, 'counter/a', 'NOTE', { text: 'after' })
    await h.run(h.client.resume('counter/a'))
    const view = await get(h, 'counter/a')
    expect(view.parked?.error.message).toContain('actorBytesMax')
    expect(view.kept).toBe(2)
  })

  it('can be paused again while it drains', async () => {
    const limits = { stepsPerBatchMax: 2 }
    const h = open([counter], { limits })
    await start(h, 'counter/a')
    await h.run(h.client.pause('counter/a'))
    await h.run(
      Promise.all(numbers(20).map((text) => h.client.send('counter/a', { type: 'NOTE', text }))),
    )
    await h.run(Promise.all([h.client.resume('counter/a'), h.client.pause('counter/a')]))
    await h.advance(100)
    const view = await get(h, 'counter/a')
    expect(view.kept).toBeGreaterThan(0)
    expect((view.context as { seen: string[] }).seen.length).toBe(20 - view.kept)
    await h.run(h.client.resume('counter/a'))
    await h.advance(100)
    expect(await seen(h, 'counter/a')).toEqual(numbers(20))
  })

  it('is refused what goes beyond keptEventsMax', async () => {
    const h = open([counter], { limits: { keptEventsMax: 2 } })
    await start(h, 'counter/a')
    await h.run(h.client.pause('counter/a'))
    await send(h, 'counter/a', 'NOTE', { text: '1' })
    await send(h, 'counter/a', 'NOTE', { text: '2' })
    const before = await get(h, 'counter/a')
    expect(await code(h, h.client.send('counter/a', { type: 'NOTE', text: '3' }))).toBe(
      'limit-exceeded',
    )
    expect(await get(h, 'counter/a')).toEqual(before)
  })
})

describe('timers of a paused actor', () => {
  const timed = host(
    'timed',
    {
      initial: 'waiting',
      states: {
        waiting: {
          after: { 10000: 'late' },
          on: { SKIP: 'skipped', REMIND: { actions: 'remind' } },
        },
        late: {},
        skipped: { on: { BACK: 'waiting' } },
      },
      on: { REMINDER: { actions: 'note' }, DROP: { actions: 'drop' } },
    },
    {
      actions: {
        remind: raise({ type: 'REMINDER' }, { delay: 5_000, id: 'r' }),
        note: see('reminder'),
        drop: cancel('r'),
      },
    },
    { internal: ['REMINDER'] } as never,
  )

  it('run: they are kept when due, and count on resume', async () => {
    let h = open([timed])
    await start(h, 'timed/a')
    await send(h, 'timed/a', 'REMIND')
    await h.run(h.client.pause('timed/a'))
    await h.advance(20_000)
    expect(await get(h, 'timed/a')).toMatchObject({ value: 'waiting', kept: 2 })
    h = restart(h, [timed])
    await h.run(h.client.resume('timed/a'))
    expect(await get(h, 'timed/a')).toMatchObject({
      value: 'late',
      timers: [],
      context: { seen: ['reminder'] },
    })
  })

  it('freeze: they go on with what was left', async () => {
    let h = open([timed])
    await start(h, 'timed/a')
    await h.advance(4_000)
    await h.run(h.client.pause('timed/a', { timers: 'freeze' }))
    expect((await get(h, 'timed/a')).timers).toMatchObject([{ frozenMs: 6_000 }])
    await h.advance(50_000)
    h = restart(h, [timed])
    await h.advance(50_000)
    await h.run(h.client.resume('timed/a'))
    await h.advance(5_900)
    expect((await get(h, 'timed/a')).value).toBe('waiting')
    await h.advance(200)
    expect((await get(h, 'timed/a')).value).toBe('late')
  })

  it('a kept timer of a state that was left meanwhile is dropped', async () => {
    const h = open([timed])
    await start(h, 'timed/a')
    await h.run(h.client.pause('timed/a'))
    await send(h, 'timed/a', 'SKIP')
    await h.advance(20_000)
    expect((await get(h, 'timed/a')).kept).toBe(2)
    await h.run(h.client.resume('timed/a'))
    await h.advance(0)
    expect(await get(h, 'timed/a')).toMatchObject({ value: 'skipped', timers: [], kept: 0 })
    await send(h, 'timed/a', 'BACK')
    expect((await get(h, 'timed/a')).value).toBe('waiting')
  })

  it('one of a state that was left and entered again meanwhile does not count for the new stay', async () => {
    const h = open([timed])
    await start(h, 'timed/a')
    await h.run(h.client.pause('timed/a'))
    await send(h, 'timed/a', 'SKIP')
    await send(h, 'timed/a', 'BACK')
    await h.advance(20_000)
    await h.run(h.client.resume('timed/a'))
    await h.advance(5_000)
    expect((await get(h, 'timed/a')).value).toBe('waiting')
    await h.advance(5_100)
    expect((await get(h, 'timed/a')).value).toBe('late')
  })

  it('a frozen timer can be cancelled by a kept event', async () => {
    const h = open([timed])
    await start(h, 'timed/a')
    await send(h, 'timed/a', 'REMIND')
    await h.run(h.client.pause('timed/a', { timers: 'freeze' }))
    await send(h, 'timed/a', 'DROP')
    await h.run(h.client.resume('timed/a'))
    await h.advance(6_000)
    expect(await seen(h, 'timed/a')).toEqual([])
    expect((await get(h, 'timed/a')).timers).toHaveLength(1)
  })
})

describe('tasks of a paused actor', () => {
  const worked = host(
    'worked',
    {
      initial: 'run',
      states: {
        run: {
          invoke: {
            src: 'work',
            id: 't',
            onDone: { target: 'fine', actions: see(({ event }) => String(event.output)) },
          },
        },
        fine: { on: { AGAIN: 'run' } },
      },
    },
    { actors: { work: job('work') } },
  )

  it('finish, and their results wait', async () => {
    let h = open([worked])
    await start(h, 'worked/a')
    const { taskId } = await theTask(h, 'worked/a')
    const { token } = await h.run(worker(h).start(taskId))
    await h.run(h.client.pause('worked/a'))
    expect(await get(h, 'worked/a')).toMatchObject({ paused: { pausing: true } })
    await h.run(worker(h).done(taskId, token, 'result'))
    h = restart(h, [worked])
    expect(await get(h, 'worked/a')).toMatchObject({
      value: 'run',
      kept: 1,
      tasks: [{ state: 'result-kept' }],
      paused: { pausing: false },
    })
    expect(await code(h, worker(h).start(taskId))).toBe('task-held')
    expect(await code(h, worker(h).done(taskId, token, 'twice'))).toBe('task-stale')
    await h.advance(200_000)
    expect((await get(h, 'worked/a')).kept).toBe(1)
    await h.run(h.client.resume('worked/a'))
    expect(await get(h, 'worked/a')).toMatchObject({
      value: 'fine',
      tasks: [],
      context: { seen: ['result'] },
    })
  })

  it('do not start, and are offered again on resume', async () => {
    const h = open([worked])
    h.consume('default')
    await start(h, 'worked/a')
    const { taskId } = await theTask(h, 'worked/a')
    await h.run(h.client.pause('worked/a'))
    expect(await code(h, worker(h).start(taskId))).toBe('task-held')
    const before = h.deliveries.length
    await h.run(h.client.resume('worked/a'))
    await h.advance(0)
    expect(h.deliveries.slice(before).map(({ message }) => message.taskId)).toEqual([taskId])
    await h.run(worker(h).start(taskId))
  })

  it('interrupt cancels them; resume runs the same task as another attempt', async () => {
    const h = open([worked])
    h.consume('default')
    const cancelled: unknown[] = []
    h.transport.subscribe(
      'troupe.test.cancel.w1',
      {},
      ({ payload }) => void cancelled.push(payload),
    )
    await start(h, 'worked/a')
    const { taskId } = await theTask(h, 'worked/a')
    const { token } = await h.run(worker(h).start(taskId))
    expect(await h.run(h.client.pause('worked/a', { interrupt: true }))).toMatchObject({
      tasksRunning: 0,
    })
    await h.advance(0)
    expect(cancelled).toHaveLength(1)
    expect(await code(h, worker(h).done(taskId, token, 'late'))).toBe('task-stale')
    expect(await code(h, worker(h).beat(taskId, token))).toBe('task-stale')
    const before = h.deliveries.length
    await h.run(h.client.resume('worked/a'))
    await h.advance(0)
    expect(h.deliveries.length).toBe(before + 1)
    expect(await h.run(worker(h).start(taskId))).toMatchObject({ attempt: 2 })
  })

  it('interrupt of an actor that is paused already', async () => {
    const h = open([worked])
    await start(h, 'worked/a')
    const { taskId } = await theTask(h, 'worked/a')
    await h.run(worker(h).start(taskId))
    expect(await h.run(h.client.pause('worked/a'))).toMatchObject({ tasksRunning: 1 })
    expect(await code(h, h.client.pause('worked/a'))).toBe('conflict')
    expect(await h.run(h.client.pause('worked/a', { interrupt: true }))).toMatchObject({
      tasksRunning: 0,
    })
  })

  it('a worker that falls silent during the pause does not lose the task', async () => {
    const h = open([worked])
    await start(h, 'worked/a')
    const { taskId } = await theTask(h, 'worked/a')
    await h.run(worker(h).start(taskId))
    await h.run(h.client.pause('worked/a'))
    await h.advance(100_000)
    expect((await get(h, 'worked/a')).paused).toMatchObject({ pausing: false })
    await h.run(h.client.resume('worked/a'))
    await h.advance(5_000)
    expect(await theTask(h, 'worked/a')).toMatchObject({ state: 'queued', attempt: 1 })
    expect(await h.run(worker(h).start(taskId))).toMatchObject({ attempt: 2 })
  })
})

it('children are paused and resumed with their parent', async () => {
  const kid = chart('kid', { on: { HEAR: { actions: see('heard') } } })
  const parent = host(
    'parent',
    { invoke: { src: 'kid', id: 'kid' }, on: { SAY: { actions: 'say' } } },
    {
      actors: { kid },
      actions: { say: sendTo('kid', ({ event }: Args) => ({ ...event, type: 'HEAR' })) },
    },
  )
  let h = open([parent])
  await start(h, 'parent/a')
  await h.run(h.client.pause('parent/a'))
  expect((await get(h, 'parent/a/kid')).paused).toBeDefined()
  await send(h, 'parent/a', 'SAY')
  h = restart(h, [parent])
  await h.run(h.client.resume('parent/a'))
  await h.advance(0)
  expect((await get(h, 'parent/a/kid')).paused).toBeUndefined()
  expect(await seen(h, 'parent/a/kid')).toEqual(['heard'])
  expect((await history(h, 'parent/a/kid')).map(({ cause }) => cause)).toEqual([
    'start',
    'pause',
    'resume',
    'HEAR',
  ])
})
