/** Resume: plain, after a failure, again, and at a state; through the engine, over restarts. */
import { describe, expect, it } from 'vitest'
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

/** Two regions, each with a task and a timer; a root task beside them. */
const plant = host(
  'plant',
  {
    initial: 'work',
    invoke: { src: 'watch', id: 'root' },
    entry: see('root in'),
    states: {
      work: {
        type: 'parallel',
        states: {
          a: {
            initial: 'a1',
            states: {
              a1: {
                entry: see('a1 in'),
                exit: see('a1 out'),
                invoke: { src: 'ta', id: 'ta' },
                after: { 60000: 'a2' },
                on: { NEXT: 'a2' },
              },
              a2: { entry: see('a2 in') },
            },
          },
          b: {
            initial: 'b1',
            states: {
              b1: { entry: see('b1 in'), invoke: { src: 'tb', id: 'tb' }, on: { NEXTB: 'b2' } },
              b2: { entry: see('b2 in') },
            },
          },
        },
        on: { STOP: 'end' },
      },
      rest: { entry: see('rest in') },
      end: { type: 'final' },
    },
  },
  { actors: { watch: job('watch'), ta: job('ta'), tb: job('tb') } },
)

const tasksOf = async (h: Parameters<typeof get>[0], address: string) =>
  Object.fromEntries((await get(h, address)).tasks.map(({ name, taskId }) => [name, taskId]))

describe('resume at a state', () => {
  it('moves one region; sibling regions and root tasks stay', async () => {
    let h = open([plant])
    await start(h, 'plant/x')
    await send(h, 'plant/x', 'NEXTB')
    const before = await tasksOf(h, 'plant/x')
    h = restart(h, [plant])
    await h.run(h.client.resume('plant/x', { state: 'work.a.a2' }))
    const view = await get(h, 'plant/x')
    expect(view.value).toEqual({ work: { a: 'a2', b: 'b2' } })
    expect(view.context).toMatchObject({
      seen: ['root in', 'a1 in', 'b1 in', 'b2 in', 'a1 out', 'a2 in'],
    })
    expect(await tasksOf(h, 'plant/x')).toEqual({ watch: before['watch'] })
    expect(view.timers).toEqual([])
  })

  it('a region as target starts that region anew, and nothing else', async () => {
    const h = open([plant])
    await start(h, 'plant/x')
    await send(h, 'plant/x', 'NEXT')
    const before = await tasksOf(h, 'plant/x')
    await h.run(h.client.resume('plant/x', { state: 'work.a' }))
    const after = await tasksOf(h, 'plant/x')
    expect((await get(h, 'plant/x')).value).toEqual({ work: { a: 'a1', b: 'b1' } })
    expect([after['tb'], after['watch']]).toEqual([before['tb'], before['watch']])
    expect(after['ta']).toBeDefined()
  })

  it('a state of another branch enters it with the initial states beside it', async () => {
    const h = open([plant])
    await start(h, 'plant/x')
    await h.run(h.client.resume('plant/x', { state: 'rest' }))
    const before = await tasksOf(h, 'plant/x')
    expect(Object.keys(before)).toEqual(['watch'])
    await h.run(h.client.resume('plant/x', { state: 'work.b.b2' }))
    expect((await get(h, 'plant/x')).value).toEqual({ work: { a: 'a1', b: 'b2' } })
    expect((await tasksOf(h, 'plant/x'))['watch']).toBe(before['watch'])
  })

  it('lists the states when there is no such state', async () => {
    const h = open([plant])
    await start(h, 'plant/x')
    const before = await get(h, 'plant/x')
    const error = await failure(h, h.client.resume('plant/x', { state: 'work.c' }))
    expect(error.code).toBe('unknown-state')
    expect(error.detail).toEqual({
      states: [
        'work',
        'work.a',
        'work.a.a1',
        'work.a.a2',
        'work.b',
        'work.b.b1',
        'work.b.b2',
        'rest',
        'end',
      ],
    })
    expect(await get(h, 'plant/x')).toEqual(before)
  })

  it('brings a finished actor back, without its output and its purge', async () => {
    let h = open([counter])
    await start(h, 'counter/a')
    await send(h, 'counter/a', 'FINISH')
    expect(await code(h, h.client.resume('counter/a'))).toBe('conflict')
    expect(await code(h, h.client.resume('counter/a', { retry: true }))).toBe('conflict')
    expect(await h.run(h.client.resume('counter/a', { state: 'on' }))).toMatchObject({
      status: 'active',
      value: 'on',
    })
    expect(await get(h, 'counter/a')).not.toHaveProperty('output')
    await send(h, 'counter/a', 'ADD', { by: 3 })
    h = restart(h, [counter])
    await h.advance(h.limits.finishedRetentionMs + 60_000)
    expect(await get(h, 'counter/a')).toMatchObject({ status: 'active', context: { n: 3 } })
    expect(await get(h, 'counter/a')).not.toHaveProperty('output')
    expect(await send(h, 'counter/a', 'FINISH')).toMatchObject({ output: 3 })
  })

  it('brings a cancelled actor back', async () => {
    const h = open([counter])
    await start(h, 'counter/a')
    await h.run(h.client.cancel('counter/a'))
    await h.run(h.client.resume('counter/a', { state: 'off' }))
    await h.advance(h.limits.finishedRetentionMs + 60_000)
    expect(await get(h, 'counter/a')).toMatchObject({ status: 'active', value: 'off' })
  })

  it('a move that does not fit is refused, and the purge of a finished actor stands', async () => {
    const heavy = host(
      'heavy',
      { initial: 'end', states: { end: { type: 'final' }, big: { entry: 'grow' } } },
      { actions: { grow: change(() => ({ blob: 'x'.repeat(800_000) })) } },
    )
    let h = open([heavy])
    await start(h, 'heavy/a')
    const before = await get(h, 'heavy/a')
    expect(await code(h, h.client.resume('heavy/a', { state: 'big' }))).toBe('too-large')
    expect(await get(h, 'heavy/a')).toEqual(before)
    h = restart(h, [heavy])
    await h.advance(h.limits.finishedRetentionMs + 60_000)
    expect(await code(h, h.client.get('heavy/a'))).toBe('unknown-actor')
  })

  it('an entry that throws leaves everything as it was', async () => {
    const trap = host(
      'trap',
      { initial: 'ok', states: { ok: {}, bad: { entry: 'boom' } } },
      {
        actions: {
          boom: change(() => {
            throw new Error('entry broke')
          }),
        },
      },
    )
    const h = open([trap])
    await start(h, 'trap/a')
    await h.run(h.client.pause('trap/a'))
    const before = await get(h, 'trap/a')
    const error = await failure(h, h.client.resume('trap/a', { state: 'bad' }))
    expect([error.code, error.message]).toEqual(['parked', expect.stringContaining('entry broke')])
    expect(await get(h, 'trap/a')).toEqual(before)
  })

  it('lifts a pause and steps what was kept in the new state', async () => {
    const h = open([counter])
    await start(h, 'counter/a')
    await h.run(h.client.pause('counter/a'))
    await send(h, 'counter/a', 'ON')
    await h.run(h.client.resume('counter/a', { state: 'off' }))
    expect((await get(h, 'counter/a')).value).toBe('on')
    expect((await history(h, 'counter/a')).map(({ cause, to }) => [cause, to])).toEqual([
      ['start', 'on'],
      ['pause', 'on'],
      ['resume', 'off'],
      ['ON', 'on'],
    ])
  })

  it('a result that was kept for a state that is left is dropped', async () => {
    const h = open([plant])
    await start(h, 'plant/x')
    const { ta = '' } = await tasksOf(h, 'plant/x')
    const { token } = await h.run(worker(h).start(ta))
    await h.run(h.client.pause('plant/x'))
    await h.run(worker(h).done(ta, token, 1))
    await h.run(h.client.resume('plant/x', { state: 'rest' }))
    expect(await get(h, 'plant/x')).toMatchObject({ value: 'rest', kept: 0 })
    expect(h.stops).toEqual([])
  })
})

describe('resume of what failed', () => {
  const flaky = host(
    'flaky',
    {
      initial: 'run',
      states: {
        run: { entry: see('in'), invoke: { src: 'work', id: 't', onDone: 'fine' } },
        fine: {},
      },
    },
    { actors: { work: job('work') } },
  )

  it('runs the task again, as a new effect', async () => {
    let h = open([flaky])
    await start(h, 'flaky/a')
    const first = await theTask(h, 'flaky/a')
    const { token } = await h.run(worker(h).start(first.taskId))
    await h.run(worker(h).fail(first.taskId, token, 'permanent', 'disk on fire'))
    expect((await get(h, 'flaky/a')).parked).toMatchObject({ error: { message: 'disk on fire' } })
    expect(await code(h, worker(h).start(first.taskId))).toBe('task-gone')
    h = restart(h, [flaky])
    await h.run(h.client.resume('flaky/a'))
    const second = await theTask(h, 'flaky/a')
    expect(second.taskId).not.toBe(first.taskId)
    expect(second).toMatchObject({ state: 'queued', attempt: 0 })
    expect((await get(h, 'flaky/a')).parked).toBeUndefined()
    const attempt = await h.run(worker(h).start(second.taskId))
    await h.run(worker(h).done(second.taskId, attempt.token))
    expect((await get(h, 'flaky/a')).value).toBe('fine')
  })

  it('a plain resume of a paused actor enters nothing again', async () => {
    const h = open([flaky])
    await start(h, 'flaky/a')
    const before = await theTask(h, 'flaky/a')
    await h.run(h.client.pause('flaky/a'))
    await h.run(h.client.resume('flaky/a'))
    const view = await get(h, 'flaky/a')
    expect(view.context).toMatchObject({ seen: ['in'] })
    expect(view.tasks).toMatchObject([{ taskId: before.taskId }])
  })

  it('--retry enters the present states again in any case', async () => {
    const h = open([plant])
    await start(h, 'plant/x')
    const before = await tasksOf(h, 'plant/x')
    await h.run(h.client.resume('plant/x', { retry: true }))
    const after = await tasksOf(h, 'plant/x')
    expect((await get(h, 'plant/x')).value).toEqual({ work: { a: 'a1', b: 'b1' } })
    expect(after['watch']).toBe(before['watch'])
    expect(after['ta']).not.toBe(before['ta'])
    expect(after['tb']).not.toBe(before['tb'])
    expect((await get(h, 'plant/x')).timers).toHaveLength(1)
  })

  it('a failed task of the root is started again with everything below it', async () => {
    const h = open([plant])
    await start(h, 'plant/x')
    await send(h, 'plant/x', 'NEXT')
    const { watch = '' } = await tasksOf(h, 'plant/x')
    const { token } = await h.run(worker(h).start(watch))
    await h.run(worker(h).fail(watch, token, 'permanent'))
    await h.run(h.client.resume('plant/x'))
    expect((await get(h, 'plant/x')).value).toEqual({ work: { a: 'a2', b: 'b1' } })
    const after = (await tasksOf(h, 'plant/x'))['watch']
    expect(after).toBeDefined()
    expect(after).not.toBe(watch)
  })

  it('an actor that was parked by an event goes on where it was', async () => {
    const h = open([counter])
    await start(h, 'counter/a')
    await send(h, 'counter/a', 'ADD', { by: 1 })
    expect(await code(h, h.client.send('counter/a', { type: 'BOOM' }))).toBe('parked')
    expect(await send(h, 'counter/a', 'ADD', { by: 5 })).toMatchObject({ kept: 1 })
    await h.run(h.client.resume('counter/a'))
    expect(await get(h, 'counter/a')).toMatchObject({ value: 'on', context: { n: 6 } })
  })
})

describe('versions', () => {
  const v = (version: number, states: object, options: object = {}) =>
    host('v', { initial: 'a', states }, { actors: { work: job('work') } }, {
      version,
      ...options,
    } as never)
  const one = v(1, {
    a: { on: { GO: 'old' } },
    old: { invoke: { src: 'work', id: 't' }, after: { 1000: 'a' } },
  })

  it('a migration leads to the new states and contexts', async () => {
    let h = open([one])
    await start(h, 'v/x')
    await send(h, 'v/x', 'GO')
    const two = v(
      2,
      { a: {}, b: { on: { ON: 'a' } } },
      {
        migrations: {
          1: ({ context }: { context: object }) => ({ value: 'b', context: { ...context, n: 7 } }),
        },
      },
    )
    h = restart(h, [two])
    expect(await get(h, 'v/x')).toMatchObject({ value: 'b', version: 2, context: { n: 7 } })
    await send(h, 'v/x', 'ON')
    h = restart(h, [two])
    expect(await get(h, 'v/x')).toMatchObject({ value: 'a', version: 2, context: { n: 7 } })
  })

  it('without a path it is parked with the reason, and can be resumed at a state', async () => {
    let h = open([one])
    await start(h, 'v/x')
    await send(h, 'v/x', 'GO')
    const two = v(2, { a: {}, b: { on: { ON: 'a' } } })
    h = restart(h, [two])
    await h.advance(5_000)
    const view = await get(h, 'v/x')
    expect(view.parked?.error).toMatchObject({
      code: 'version-unknown',
      message: expect.stringContaining('no migration'),
    })
    expect(view.value).toBe('old')
    expect(await send(h, 'v/x', 'ON')).toMatchObject({ kept: 2 })
    expect(await code(h, h.client.resume('v/x'))).toBe('version-unknown')
    await h.run(h.client.resume('v/x', { state: 'b' }))
    h = restart(h, [two])
    await h.advance(0)
    expect(await get(h, 'v/x')).toMatchObject({
      value: 'a',
      version: 2,
      kept: 0,
      tasks: [],
      timers: [],
    })
    expect((await get(h, 'v/x')).parked).toBeUndefined()
  })

  it('a state that is gone within the same version parks as well; nothing is lost when it comes back', async () => {
    let h = open([one])
    await start(h, 'v/x')
    await send(h, 'v/x', 'GO')
    h = restart(h, [v(1, { a: {} })])
    expect((await get(h, 'v/x')).parked?.error.message).toContain('no state "old"')
    h = restart(h, [one])
    expect((await get(h, 'v/x')).parked).toBeUndefined()
    expect(await theTask(h, 'v/x')).toMatchObject({ state: 'queued' })
  })

  it('an actor of a newer version is left alone', async () => {
    let h = open([v(2, { a: { on: { GO: 'b' } }, b: {} })])
    await start(h, 'v/x')
    h = restart(h, [one])
    expect((await get(h, 'v/x')).parked?.error.message).toContain('version 2')
    expect(await send(h, 'v/x', 'GO')).toMatchObject({ kept: 1 })
  })

  it('an actor of a newer version can be read and ended, and nothing else', async () => {
    const states = { a: { on: { GO: 'b' } }, b: {} }
    const twice = { 1: () => ({ value: 'a', context: { n: 0, seen: ['migrated again'] } }) }
    const two = v(2, states, { migrations: twice })
    let h = open([two])
    await start(h, 'v/x')
    h = restart(h, [v(1, states)])
    const before = await get(h, 'v/x')
    const refused = [
      () => h.client.resume('v/x', { state: 'b' }),
      () => h.client.resume('v/x', { retry: true }),
      () => h.client.resume('v/x'),
      () => h.client.patch('v/x', { n: 5 }),
      () => h.client.dryRun('v/x', { op: 'resume', state: 'b' }),
      () => h.client.dryRun('v/x', { op: 'patch', merge: { n: 5 } }),
    ]
    for (const ask of refused) {
      const error = await failure(h, ask())
      expect(error.code).toBe('version-unknown')
      expect(error.message).toContain('written by version 2 of v; this node knows version 1')
      expect(error.message).toContain('run version 2')
    }
    expect(await get(h, 'v/x')).toEqual(before)
    await h.run(h.client.pause('v/x'))
    h = restart(h, [two])
    expect(await get(h, 'v/x')).toMatchObject({ version: 2, context: { seen: [] }, paused: {} })
    await h.run(h.client.resume('v/x'))
    await send(h, 'v/x', 'GO')
    expect(await get(h, 'v/x')).toMatchObject({ version: 2, value: 'b' })
    h = restart(h, [v(1, states)])
    expect(await h.run(h.client.cancel('v/x'))).toMatchObject({ status: 'stopped' })
    expect(await code(h, h.client.resume('v/x', { state: 'a' }))).toBe('version-unknown')
    expect(await get(h, 'v/x')).toMatchObject({ version: 2, status: 'stopped' })
    await h.run(h.client.delete('v/x'))
    expect(await code(h, h.client.get('v/x'))).toBe('unknown-actor')
  })

  it('an index that cannot read the context of an older version does not stop the shard', async () => {
    let h = open([one])
    await start(h, 'v/x')
    const two = v(
      2,
      { a: {} },
      {
        migrations: {
          1: ({ value }: { value: string }) => ({ value, context: { items: [1, 2] } }),
        },
        index: (context: { items: number[] }) => ({ count: context.items.length }),
      },
    )
    h = restart(h, [two])
    expect((await get(h, 'v/x')).index).toEqual({ count: 2 })
    expect((await h.run(h.client.list({ filter: { machine: 'v' } }))).rows).toHaveLength(1)
    expect(h.stops).toEqual([])
  })

  it('children follow the version of their root without its migrations', async () => {
    const kid = host('kid', { on: { X: {} } }).machine
    const parent = (version: number) =>
      host('p', { invoke: { src: 'kid', id: 'k' } }, { actors: { kid } }, {
        version,
        migrations:
          version === 2 ? { 1: () => ({ value: {}, context: { n: 0, seen: ['migrated'] } }) } : {},
      } as never)
    let h = open([parent(1)])
    await start(h, 'p/x')
    h = restart(h, [parent(2)])
    expect((await get(h, 'p/x')).context).toMatchObject({ seen: ['migrated'] })
    expect(await get(h, 'p/x/k')).toMatchObject({ context: { seen: [] } })
    expect((await get(h, 'p/x/k')).parked).toBeUndefined()
  })
})
