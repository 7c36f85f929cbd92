/** Dry runs, patch, cancel, delete, purge, and the audit trail. */
import { describe, expect, it } from 'vitest'
import {
  chart,
  code,
  counter,
  failure,
  get,
  history,
  host,
  job,
  open,
  restart,
  rows,
  send,
  start,
  tablesWith,
  theTask,
  worker,
} from './support.ts'

const busy = host(
  'busy',
  {
    initial: 'run',
    invoke: { src: 'kid', id: 'kid' },
    states: {
      run: { invoke: { src: 'work', id: 't', onDone: 'fine' }, after: { 60000: 'late' } },
      fine: {},
      late: {},
    },
  },
  { actors: { work: job('work'), kid: chart('kid', {}) } },
)

describe('a dry run changes nothing', () => {
  it.each([
    ['start', { op: 'start' }, 'counter/new'],
    ['send', { op: 'send', event: { type: 'ADD', by: 1 } }, 'counter/a'],
    ['send of what would fail', { op: 'send', event: { type: 'BAD' } }, 'counter/a'],
    ['pause', { op: 'pause', interrupt: true }, 'busy/a'],
    ['resume', { op: 'resume' }, 'counter/paused'],
    ['resume --retry', { op: 'resume', retry: true }, 'busy/a'],
    ['resume --state', { op: 'resume', state: 'late' }, 'busy/a'],
    ['patch', { op: 'patch', merge: { n: 9 } }, 'counter/a'],
    ['cancel', { op: 'cancel' }, 'busy/a'],
    ['delete', { op: 'delete' }, 'busy/a'],
    ['task.start', { op: 'task.start', taskId: 'THE', worker: 'w9' }, 'busy/a'],
    ['task.done', { op: 'task.done', taskId: 'THE', token: 'TOKEN' }, 'busy/a'],
    [
      'task.failed',
      {
        op: 'task.failed',
        taskId: 'THE',
        token: 'TOKEN',
        failure: { class: 'permanent', message: 'x' },
      },
      'busy/a',
    ],
  ])('%s', async (_name, operation, address) => {
    const h = open([counter, busy])
    await start(h, 'counter/a')
    await start(h, 'counter/paused')
    await h.run(h.client.pause('counter/paused'))
    await send(h, 'counter/paused', 'ADD', { by: 3 })
    await start(h, 'busy/a')
    const { taskId } = await theTask(h, 'busy/a')
    const { token } = await h.run(worker(h).start(taskId))
    const text = JSON.stringify(operation).replace('THE', taskId).replace('TOKEN', token)
    const look = async () => {
      const addresses = ['counter/a', 'counter/paused', 'busy/a', 'busy/a/kid']
      const views = []
      for (const one of addresses) views.push(await get(h, one), await history(h, one))
      return { views, rows: rows(h), audit: await h.run(h.client.audit()) }
    }
    const before = await look()
    await h.run(h.client.dryRun(address, JSON.parse(text)).catch(() => {}))
    await h.advance(0)
    expect(await look()).toEqual(before)
  })

  it('says what would happen', async () => {
    const h = open([counter, busy])
    await start(h, 'counter/a')
    await start(h, 'busy/a')
    expect(
      await h.run(h.client.dryRun('counter/a', { op: 'send', event: { type: 'ADD', by: 2 } })),
    ).toMatchObject({
      dryRun: true,
      value: 'on',
      handled: true,
      contextDiff: [{ path: 'n', before: 0, after: 2 }],
    })
    expect(
      await h.run(h.client.dryRun('counter/a', { op: 'patch', merge: { n: 5, extra: 1 } })),
    ).toMatchObject({
      contextDiff: [
        { path: 'n', before: 0, after: 5 },
        { path: 'extra', before: undefined, after: 1 },
      ],
    })
    expect(await h.run(h.client.dryRun('busy/a', { op: 'resume', state: 'late' }))).toMatchObject({
      value: 'late',
      effects: expect.arrayContaining([expect.stringContaining('stop t')]),
    })
    expect(await h.run(h.client.dryRun('busy/new', { op: 'start' }))).toMatchObject({
      value: 'run',
      effects: expect.arrayContaining(['run task work as t', 'start child kid (kid)']),
    })
    const bad = await failure(h, h.client.dryRun('counter/a', { op: 'patch', merge: { n: 'x' } }))
    expect(bad.code).toBe('invalid-context')
  })
})

describe('patch', () => {
  it('merges, deletes with null, and stands in the history', async () => {
    let h = open([counter])
    await start(h, 'counter/a')
    await h.run(h.client.patch('counter/a', { n: 7, deep: { a: 1, b: 2 } }))
    await h.run(h.client.as('eve').patch('counter/a', { deep: { a: null, c: 3 } }))
    h = restart(h, [counter])
    expect(await get(h, 'counter/a')).toMatchObject({
      context: { n: 7, seen: [], deep: { b: 2, c: 3 } },
      index: { n: 7 },
      turn: 3,
    })
    expect((await history(h, 'counter/a')).map(({ cause, by }) => [cause, by])).toEqual([
      ['start', 'client'],
      ['patch', 'client'],
      ['patch', 'eve'],
    ])
    await send(h, 'counter/a', 'ADD', { by: 1 })
    expect((await get(h, 'counter/a')).context).toMatchObject({ n: 8 })
  })

  it.each([
    ['against the schema', { n: 'x' }, 'invalid-context'],
    ['deleting what the schema needs', { seen: null }, 'invalid-context'],
    ['a text in place of the context', 'text', 'invalid-context'],
    ['a list in place of the context', [1], 'invalid-context'],
    ['nothing', undefined, 'invalid-context'],
    ['more than fits', { blob: 'x'.repeat(500_000), more: 'x'.repeat(20_000), n: 1 }, 'too-large'],
  ])('refuses %s', async (_name, merge, expected) => {
    const h = open([counter])
    await start(h, 'counter/a')
    await send(h, 'counter/a', 'BIG', { by: 250_000 })
    const before = await get(h, 'counter/a')
    const patched = {
      ...(merge as object),
      ...(expected === 'too-large' ? { other: 'y'.repeat(1) } : {}),
    }
    const value = typeof merge === 'object' && !Array.isArray(merge) ? patched : merge
    const work = expected === 'too-large' ? grow(h) : h.client.patch('counter/a', value)
    expect(await code(h, work)).toBe(expected)
    const after = await get(h, 'counter/a')
    if (expected !== 'too-large') expect(after).toEqual(before)
  })

  async function grow(h: ReturnType<typeof open>): Promise<void> {
    for (const field of ['p', 'q', 'r'])
      await h.client.patch('counter/a', { [field]: 'x'.repeat(300_000) })
  }

  it('without a schema still wants an object', async () => {
    const h = open([busy])
    await start(h, 'busy/a')
    expect(await code(h, h.client.patch('busy/a', [1]))).toBe('invalid-context')
    expect(await code(h, h.client.patch('busy/a', null))).toBe('invalid-context')
  })
})

describe('cancel', () => {
  it('ends tasks, timers, children and the kept queue; the record stays until its purge', async () => {
    let h = open([busy])
    await start(h, 'busy/a')
    const { taskId } = await theTask(h, 'busy/a')
    const { token } = await h.run(worker(h).start(taskId))
    expect(await h.run(h.client.cancel('busy/a', { reason: 'enough' }))).toMatchObject({
      status: 'stopped',
    })
    h = restart(h, [busy])
    expect(await get(h, 'busy/a')).toMatchObject({
      status: 'stopped',
      value: 'run',
      tasks: [],
      timers: [],
      children: [],
    })
    expect(await code(h, worker(h).done(taskId, token))).toBe('task-gone')
    expect(await code(h, h.client.get('busy/a/kid'))).toBe('unknown-actor')
    expect(await code(h, h.client.cancel('busy/a'))).toBe('conflict')
    expect(await history(h, 'busy/a')).toMatchObject([
      { turn: 1, cause: 'start' },
      { turn: 2, cause: 'cancel', note: 'enough' },
    ])
    expect(await h.run(h.client.count({}))).toEqual([
      { machine: 'busy', state: 'run', condition: 'stopped', count: 1 },
    ])
    await h.advance(h.limits.finishedRetentionMs + 60_000)
    expect(await code(h, h.client.get('busy/a'))).toBe('unknown-actor')
    expect(tablesWith(h, 'busy/a')).toEqual([])
  })

  it('of a paused actor leaves no kept event', async () => {
    const h = open([counter])
    await start(h, 'counter/a')
    await h.run(h.client.pause('counter/a'))
    await send(h, 'counter/a', 'ADD', { by: 1 })
    await h.run(h.client.cancel('counter/a'))
    expect(await get(h, 'counter/a')).toMatchObject({ status: 'stopped', kept: 0 })
    expect(tablesWith(h, 'counter/a')).not.toContain(0x12)
  })
})

describe('delete', () => {
  it('leaves no row of the actor', async () => {
    let h = open([busy])
    await start(h, 'busy/a')
    const { taskId } = await theTask(h, 'busy/a')
    await h.run(worker(h).start(taskId))
    await h.run(h.client.pause('busy/a', { timers: 'freeze' }))
    for (let n = 0; n < 12; n++) await h.run(h.client.patch('busy/a', { n }))
    await h.run(h.client.delete('busy/a'))
    h = restart(h, [busy])
    await h.advance(120_000)
    expect(tablesWith(h, 'busy/a')).toEqual([])
    expect(await h.run(h.client.count({ children: true }))).toEqual([])
    expect(await code(h, h.client.delete('busy/a'))).toBe('unknown-actor')
  })

  it('of an actor with a kept queue, in the batch that started it, and before it starts again', async () => {
    const h = open([counter])
    await start(h, 'counter/a')
    await h.run(h.client.pause('counter/a'))
    await send(h, 'counter/a', 'ADD', { by: 1 })
    await h.run(Promise.all([h.client.delete('counter/a'), h.client.start('counter/a')]))
    expect(await get(h, 'counter/a')).toMatchObject({ turn: 1, kept: 0, context: { n: 0 } })
    expect(tablesWith(h, 'counter/a')).not.toContain(0x12)
    await h.run(
      Promise.all([
        h.client.delete('counter/a'),
        h.client.start('counter/a'),
        h.client.delete('counter/a'),
      ]),
    )
    expect(tablesWith(h, 'counter/a')).toEqual([])
    expect(await h.run(h.client.count({}))).toEqual([])
    expect(h.stops).toEqual([])
  })

  it('an actor that is made again does not repeat effect ids', async () => {
    const h = open([busy])
    await start(h, 'busy/a')
    const first = await theTask(h, 'busy/a')
    await h.run(Promise.all([h.client.delete('busy/a'), h.client.start('busy/a')]))
    const second = await theTask(h, 'busy/a')
    expect(second.taskId).not.toBe(first.taskId)
    expect(await code(h, worker(h).start(first.taskId))).toBe('task-gone')
    await h.run(worker(h).start(second.taskId))
  })
})

describe('purge', () => {
  it('follows the retention of the machine', async () => {
    const brief = host('brief', { initial: 'end', states: { end: { type: 'final' } } }, {}, {
      retention: { finishedMs: 5_000 },
    } as never)
    let h = open([brief])
    await start(h, 'brief/a')
    await h.advance(4_900)
    h = restart(h, [brief])
    expect((await get(h, 'brief/a')).status).toBe('done')
    await h.advance(200)
    expect(await code(h, h.client.get('brief/a'))).toBe('unknown-actor')
    expect(tablesWith(h, 'brief/a')).toEqual([])
  })

  it('at once, when nothing is to be kept', async () => {
    const gone = host('gone', { initial: 'end', states: { end: { type: 'final' } } }, {}, {
      retention: { finishedMs: 0 },
    } as never)
    const h = open([gone])
    expect(await start(h, 'gone/a')).toMatchObject({ status: 'done' })
    await h.advance(1)
    expect(await code(h, h.client.get('gone/a'))).toBe('unknown-actor')
  })
})

it('every operator command leaves a row in the audit trail, with author, detail and positions', async () => {
  let h = open([counter], { shardCount: 1 })
  const ops = h.client.as('ops')
  await start(h, 'counter/a')
  const steps: (() => Promise<unknown>)[] = [
    () => ops.pause('counter/a', { reason: 'why not' }),
    () => ops.resume('counter/a', { state: 'off' }),
    () => ops.patch('counter/a', { n: 2 }),
    () => ops.cancel('counter/a'),
    () => ops.delete('counter/a'),
  ]
  for (const step of steps) {
    await h.run(step())
    await h.advance(10)
  }
  await h.run(ops.pause('counter/none').catch(() => {}))
  h = restart(h, [counter])
  const trail = (await h.run(h.client.audit({ address: 'counter/a' }))).reverse()
  expect(
    trail.map(({ author, operation, before, after }) => [author, operation, before, after]),
  ).toEqual([
    ['ops', 'pause', 'on', 'on'],
    ['ops', 'resume', 'on', 'off'],
    ['ops', 'patch', 'off', 'off'],
    ['ops', 'cancel', 'off', 'off'],
    ['ops', 'delete', 'off', null],
  ])
  expect(trail[0]!.detail).toEqual({ reason: 'why not' })
  expect(trail[1]!.detail).toEqual({ state: 'off' })
  expect((await h.run(h.client.audit({ limit: 2 }))).map(({ operation }) => operation)).toEqual([
    'delete',
    'cancel',
  ])
})
