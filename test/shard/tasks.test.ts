/** P6: who may run an attempt, by lease and token; retries; redelivery; restarts. */
import { describe, expect, it } from 'vitest'
import type { TaskOptions } from '../../src/machine/index.ts'
import { pack } from '../../src/protocol/index.ts'
import {
  code,
  failure,
  get,
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

const workedBy = (options: Partial<TaskOptions<unknown, unknown>> = {}, more: object = {}) =>
  host(
    'm',
    {
      initial: 'run',
      states: {
        run: {
          invoke: {
            src: 'work',
            id: 't',
            input: { what: 1 },
            onDone: { target: 'fine', actions: see(({ event }) => String(event.output)) },
          },
          on: { LEAVE: 'out' },
        },
        fine: {},
        out: { on: { BACK: 'run' } },
      },
    },
    { actors: { work: job('work', options) } },
    more,
  )
const plain = workedBy()

async function begun(machine = plain, limits = {}) {
  const h = open([machine], { limits })
  h.consume('default')
  await start(h, 'm/x')
  const { taskId } = await theTask(h, 'm/x')
  return { h, taskId }
}

describe('an attempt', () => {
  it('is published after the commit, started, and its result comes once', async () => {
    const { h, taskId } = await begun()
    expect(h.deliveries.map(({ message }) => message.taskId)).toEqual([taskId])
    const id = `${h.clock.now()}-start`
    const started = await h.run(
      h.client.execute('m/x', { op: 'task.start', taskId, worker: 'w1' }, { id }),
    )
    expect(started).toMatchObject({
      taskId,
      address: 'm/x',
      name: 'work',
      input: new Uint8Array(pack({ what: 1 })),
      attempt: 1,
      leaseMs: 30_000,
      onWorkerLost: 'rerun',
    })
    expect(
      await h.run(h.client.execute('m/x', { op: 'task.start', taskId, worker: 'w1' }, { id })),
    ).toEqual(started)
    expect(await theTask(h, 'm/x')).toMatchObject({ state: 'running', worker: 'w1', attempt: 1 })
    const { token } = started as { token: string }
    const done = `${h.clock.now()}-done`
    const finish = () =>
      h.run(h.client.execute('m/x', { op: 'task.done', taskId, token, output: 'ok' }, { id: done }))
    await finish()
    await finish()
    expect(await get(h, 'm/x')).toMatchObject({
      value: 'fine',
      tasks: [],
      timers: [],
      context: { seen: ['ok'] },
    })
    expect(await code(h, worker(h).done(taskId, token))).toBe('task-gone')
  })

  it('is held while it runs, also for a redelivery', async () => {
    const { h, taskId } = await begun()
    await h.run(worker(h).start(taskId))
    expect(await code(h, worker(h, 'w2').start(taskId))).toBe('task-held')
    await h.advance(40_000 - 15_000)
    expect(await code(h, worker(h, 'w1').start(taskId))).toBe('task-held')
  })

  it('is refused by a stale token, and gone when its state was left', async () => {
    const { h, taskId } = await begun()
    const { token } = await h.run(worker(h).start(taskId))
    for (const call of [worker(h).done, worker(h).beat, worker(h).attach])
      expect(await code(h, call(taskId, `${token}x`))).toBe('task-stale')
    expect(await code(h, worker(h).fail(taskId, 'x', 'permanent'))).toBe('task-stale')
    expect((await get(h, 'm/x')).parked).toBeUndefined()
    const cancelled: unknown[] = []
    h.transport.subscribe('troupe.test.cancel.w1', {}, () => void cancelled.push(1))
    await send(h, 'm/x', 'LEAVE')
    await h.advance(0)
    expect(cancelled).toHaveLength(1)
    expect(await code(h, worker(h).beat(taskId, token))).toBe('task-gone')
    await send(h, 'm/x', 'BACK')
    const again = await theTask(h, 'm/x')
    expect(again.taskId).not.toBe(taskId)
    expect(await code(h, worker(h).done(taskId, token))).toBe('task-gone')
  })

  it('can be attached again by its worker after a restart of both', async () => {
    let { h, taskId } = await begun()
    const { token } = await h.run(worker(h).start(taskId))
    h = restart(h, [plain])
    expect(await h.run(worker(h, 'w1b').attach(taskId, token))).toMatchObject({
      attempt: 1,
      token,
      input: { what: 1 },
    })
    expect(await theTask(h, 'm/x')).toMatchObject({ worker: 'w1b', attempt: 1, state: 'running' })
    await h.run(worker(h, 'w1b').done(taskId, token, 'late'))
    expect((await get(h, 'm/x')).value).toBe('fine')
  })

  it('shows its progress', async () => {
    const { h, taskId } = await begun()
    const { token } = await h.run(worker(h).start(taskId))
    await h.run(worker(h).beat(taskId, token, { percent: 40 }))
    await h.run(worker(h).beat(taskId, token))
    expect(await theTask(h, 'm/x')).toMatchObject({ progress: { percent: 40 } })
  })
})

describe('a worker that falls silent', () => {
  it('keeps its lease as long as it beats', async () => {
    const { h, taskId } = await begun()
    const { token } = await h.run(worker(h).start(taskId))
    for (let n = 0; n < 10; n++) {
      await h.advance(20_000)
      await h.run(worker(h).beat(taskId, token))
    }
    expect(await theTask(h, 'm/x')).toMatchObject({ state: 'running', attempt: 1 })
    await h.advance(29_000)
    expect(await theTask(h, 'm/x')).toMatchObject({ state: 'running' })
    await h.advance(3_000)
    expect(await theTask(h, 'm/x')).not.toMatchObject({ state: 'running' })
  })

  it.each([
    ['rerun', 'queued'],
    ['wait', 'running'],
    ['park', 'waiting'],
  ] as const)('policy %s', async (onWorkerLost, state) => {
    const machine = workedBy({ onWorkerLost, retry: { initialMs: 100, jitter: 0 } })
    const { h, taskId } = await begun(machine)
    const { token } = await h.run(worker(h).start(taskId))
    await h.advance(100_000)
    const view = await get(h, 'm/x')
    expect(view.tasks).toMatchObject([{ state, taskId }])
    expect(view.parked !== undefined).toBe(onWorkerLost === 'park')
    const late = worker(h).done(taskId, token, 'late')
    if (onWorkerLost === 'wait') {
      await h.run(late)
      expect((await get(h, 'm/x')).value).toBe('fine')
    } else expect(await code(h, late)).toBe('task-stale')
    if (onWorkerLost === 'park') {
      expect(await code(h, worker(h).start(taskId))).toBe('task-held')
      await h.run(h.client.resume('m/x'))
      const again = await theTask(h, 'm/x')
      expect(again.taskId).not.toBe(taskId)
      await h.run(worker(h).start(again.taskId))
    }
  })

  it('a new owner grants a full lease first', async () => {
    let { h, taskId } = await begun()
    const { token } = await h.run(worker(h).start(taskId))
    await h.advance(25_000)
    h = restart(h, [plain])
    await h.advance(25_000)
    expect(await theTask(h, 'm/x')).toMatchObject({ state: 'running' })
    await h.run(worker(h).beat(taskId, token))
    await h.advance(25_000)
    expect(await theTask(h, 'm/x')).toMatchObject({ state: 'running' })
    await h.advance(10_000)
    expect(await theTask(h, 'm/x')).not.toMatchObject({ state: 'running' })
  })

  it('uses up an attempt with every lease', async () => {
    const machine = workedBy({ retry: { attemptsMax: 2, initialMs: 100, jitter: 0 } })
    const { h, taskId } = await begun(machine)
    await h.run(worker(h).start(taskId))
    await h.advance(31_000)
    expect(await h.run(worker(h).start(taskId))).toMatchObject({ attempt: 2 })
    await h.advance(31_000)
    expect((await get(h, 'm/x')).parked?.error.message).toContain('silent')
  })
})

describe('another attempt', () => {
  it('waits longer every time, over a restart', async () => {
    const machine = workedBy({
      retry: { attemptsMax: 9, initialMs: 1_000, factor: 3, backoffMaxMs: 5_000, jitter: 0 },
    })
    let { h, taskId } = await begun(machine)
    for (const waitMs of [1_000, 3_000, 5_000, 5_000]) {
      const { token } = await h.run(worker(h).start(taskId))
      const at = h.clock.now()
      await h.run(worker(h).fail(taskId, token, 'temporary', 'again'))
      const waiting = await theTask(h, 'm/x')
      expect(waiting).toMatchObject({ state: 'waiting', lastFailure: 'again' })
      expect(waiting.notBefore! - at).toBe(waitMs)
      h = restart(h, [machine])
      h.consume('default')
      await h.advance(waitMs - 200)
      expect(await code(h, worker(h).start(taskId))).toBe('task-held')
      expect(h.deliveries).toEqual([])
      await h.advance(300)
      expect(h.deliveries.map(({ message }) => message.taskId)).toEqual([taskId])
    }
    expect(await theTask(h, 'm/x')).toMatchObject({ state: 'queued', attempt: 4 })
  })

  it('the policy of the task is laid over that of the machine', async () => {
    const machine = workedBy({ retry: { initialMs: 50 } }, {
      retry: { attemptsMax: 2, initialMs: 9_000, jitter: 0 },
    } as never)
    const { h, taskId } = await begun(machine)
    const first = await h.run(worker(h).start(taskId))
    await h.run(worker(h).fail(taskId, first.token, 'temporary'))
    await h.advance(60)
    const second = await h.run(worker(h).start(taskId))
    await h.run(worker(h).fail(taskId, second.token, 'temporary'))
    expect((await get(h, 'm/x')).parked).toBeDefined()
  })

  it('is published again when nobody takes it, and after a restart', async () => {
    let { h, taskId } = await begun()
    h.deliveries[0]!.ack()
    await h.advance(h.limits.taskRepublishMs * 2)
    expect(h.deliveries.length).toBeGreaterThanOrEqual(2)
    h = restart(h, [plain])
    h.consume('default')
    await h.advance(0)
    expect(h.deliveries.map(({ message }) => message.taskId)).toEqual([taskId])
    const ids = h.deliveries.map(({ message }) => message.messageId)
    expect(new Set(ids).size).toBe(ids.length)
  })

  it('is begun with the ticket of its newest message only, also after a restart', async () => {
    let { h, taskId } = await begun()
    const newest = () => h.deliveries.at(-1)!.message.ticket
    const startedWith = (ticket: string) => code(h, worker(h).start(taskId, ticket))
    const first = newest()
    for (const guessed of ['', `${first}x`, taskId])
      expect(await startedWith(guessed)).toBe('task-stale')
    expect(await theTask(h, 'm/x')).toMatchObject({ state: 'queued', attempt: 0 })
    h = restart(h, [plain])
    h.consume('default')
    await h.advance(0)
    expect(newest()).toBe(first)
    const { token } = await h.run(worker(h).start(taskId, first))
    expect(token).not.toBe(first)
    expect(await code(h, worker(h).done(taskId, first))).toBe('task-stale')
    expect(await startedWith(first)).toBe('task-held')
    await h.run(worker(h).fail(taskId, token, 'temporary'))
    await h.advance(10_000)
    expect(await startedWith('')).toBe('task-stale')
    expect(await startedWith(first)).toBe('task-stale')
    expect(await startedWith(token)).toBe('task-stale')
    expect(await h.run(worker(h).start(taskId, newest()))).toMatchObject({ attempt: 2 })
  })

  it('is not published again once it runs', async () => {
    const { h, taskId } = await begun()
    h.deliveries[0]!.ack()
    const { token } = await h.run(worker(h).start(taskId))
    for (let n = 0; n < 10; n++) {
      await h.advance(20_000)
      await h.run(worker(h).beat(taskId, token))
    }
    expect(h.deliveries).toHaveLength(1)
  })

  it('goes to the queue and with the priority that the task names', async () => {
    const machine = workedBy({
      queue: (input) => `q${(input as { what: number }).what}`,
      priority: () => 7,
    })
    const h = open([machine])
    h.consume('q1')
    await start(h, 'm/x')
    await h.advance(0)
    expect(h.deliveries.map(({ message }) => [message.queue, message.priority])).toEqual([
      ['q1', 7],
    ])
  })
})

describe('what a task says of where it waits', () => {
  const odd = (options: object) => {
    const m = host(
      'm',
      { initial: 'a', states: { a: { on: { GO: 'b' } }, b: { invoke: { src: 't' } } } },
      { actors: { t: job('t', options) } },
    )
    return open([m])
  }

  it.each<[string, object, string]>([
    ['no text', { queue: () => 5 }, '"queue" is 5'],
    ['an empty text', { queue: () => '' }, '"queue"'],
    ['a control character', { queue: () => 'a\nb' }, '"queue"'],
    ['half a character', { queue: () => '\ud800' }, '"queue"'],
    ['a text that is too long', { queue: () => 'q'.repeat(257) }, '"queue"'],
    ['an object', { queue: () => Object.create(null) }, '"queue" is an object'],
    ['not a number', { priority: () => Number.NaN }, '"priority" is NaN'],
    ['no end', { priority: () => Number.POSITIVE_INFINITY }, '"priority"'],
    ['a text as a number', { priority: () => '1' }, '"priority"'],
    ['no policy', { onWorkerLost: () => 'whatever' }, '"onWorkerLost" is whatever'],
  ])('is refused, and names the task: %s', async (_name, options, why) => {
    const h = odd(options)
    await start(h, 'm/1')
    const error = await failure(h, h.client.send('m/1', { type: 'GO' }))
    expect([error.code, error.message]).toEqual(['conflict', expect.stringContaining(why)])
    expect(error.message).toContain('task t')
    expect(await get(h, 'm/1')).toMatchObject({ value: 'a', turn: 1, tasks: [] })
    expect(h.stops).toEqual([])
  })

  it('nothing is the default', async () => {
    const h = odd({ queue: () => undefined, priority: () => null, onWorkerLost: () => undefined })
    await start(h, 'm/1')
    await send(h, 'm/1', 'GO')
    expect(await theTask(h, 'm/1')).toMatchObject({ queue: 'default', state: 'queued' })
  })
})
