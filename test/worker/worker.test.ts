import { readdirSync, rmSync, writeFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { type TaskAttempt, TaskError } from '../../src/machine/index.ts'
import { holds, until } from '../waiting.ts'
import { first, refused, WorkerRig } from './rig.ts'

let rig: WorkerRig

beforeEach(async () => {
  rig = await WorkerRig.create()
})

afterEach(() => rig.close())

const SOON = { timeoutMs: 5_000 }
const id = (name: string) => `thing/${name}#1:1:0`

/** A task whose attempts end when the test says so, or are aborted. */
class Held {
  readonly attempts: TaskAttempt<unknown>[] = []
  readonly aborted: string[] = []
  #ends: ((output: unknown) => void)[] = []

  readonly run = (attempt: TaskAttempt<unknown>): Promise<unknown> => {
    this.attempts.push(attempt)
    return new Promise((resolve, reject) => {
      this.#ends.push(resolve)
      attempt.signal.addEventListener('abort', () => {
        this.aborted.push((attempt.signal.reason as Error).message)
        reject(attempt.signal.reason as Error)
      })
    })
  }

  end(output?: unknown): void {
    this.#ends.shift()?.(output)
  }
}

describe('starting', () => {
  it('runs what is granted, reports the output, and leaves nothing behind', async () => {
    rig.task({ name: 'double', run: async ({ input }) => (input as number) * 2 })
    await rig.worker()
    rig.publish({ taskId: id('a'), name: 'double', input: 21 })
    await until(() => rig.asked('task.done').length === 1, SOON, 'a result')
    expect(rig.asked('task.start')).toMatchObject([
      { address: 'thing/a', taskId: id('a'), worker: 'w1', ticket: 't' },
    ])
    expect(rig.asked('task.done')).toMatchObject([
      { taskId: id('a'), token: 'token-1', output: 42 },
    ])
    await until(async () => (await left()).length === 0, SOON, 'the files to go')
    expect(rig.taskQueue.depth('q')).toBe(0)
  })

  it.each(['task-gone', 'task-held'] as const)(
    'forgets a task that is refused as %s',
    async (code) => {
      rig.task({ name: 'never', run: () => Promise.reject(new Error('ran')) })
      rig.script = refused(code)
      await rig.worker()
      rig.publish({ taskId: id('a'), name: 'never' })
      await until(() => rig.asked('task.start').length === 1, SOON, 'a start')
      await holds(() => rig.commands.length === 1, { forMs: 300 }, 'no other command')
      expect(await left()).toEqual([])
    },
  )

  it('asks again, under the same id, an owner that does not answer', async () => {
    rig.task({ name: 'once', run: async () => 'ran' })
    rig.script = first(2, 'task.start', 'silence')
    await rig.worker()
    rig.publish({ taskId: id('a'), name: 'once' })
    await until(() => rig.asked('task.done').length === 1, SOON, 'a result')
    const ids = rig.asked('task.start').map((command) => command.id)
    expect(ids.length).toBeGreaterThanOrEqual(3)
    expect(new Set(ids).size).toBe(1)
  })

  it('leaves a task that it lacks to a worker that has it, before an attempt is begun', async () => {
    await rig.worker({ name: 'w1', directory: join(rig.directory, 'w1') })
    rig.publish({ taskId: id('a'), name: 'special' })
    await holds(() => rig.commands.length === 0, { forMs: 300 }, 'nothing is asked')
    expect(rig.taskQueue.depth('q')).toBe(1)
    const tasks = new Map([['special', { name: 'special', run: async () => 'ran' }]])
    await rig.worker({ name: 'w2', directory: join(rig.directory, 'w2'), tasks })
    await until(() => rig.asked('task.done').length === 1, SOON, 'a result')
    expect(rig.asked('task.start').map(({ worker }) => worker)).toEqual(['w2'])
    expect(rig.asked('task.failed')).toEqual([])
  })

  it('gives back a task without a name in its message that it does not have', async () => {
    await rig.worker()
    rig.grant({ taskId: id('a'), name: 'foreign' })
    const message = {
      queue: 'q',
      priority: 0,
      messageId: 'm',
      taskId: id('a'),
      name: '',
      ticket: 't',
    }
    rig.taskQueue.publish(message, () => {})
    await until(() => rig.asked('task.failed').length === 1, SOON, 'a report')
    expect(rig.asked('task.failed')[0]?.failure).toMatchObject({
      class: 'temporary',
      code: 'unknown-task',
    })
  })

  it('runs no more than its slots, and no more of a task than it allows', async () => {
    const wide = new Held()
    const narrow = new Held()
    rig.task({ name: 'wide', run: wide.run })
    rig.task({ name: 'narrow', concurrency: 1, run: narrow.run })
    await rig.worker({ slots: 3 })
    for (let i = 0; i < 5; i++) rig.publish({ taskId: id(`w${i}`), name: 'wide' })
    await until(() => wide.attempts.length === 3, SOON, 'three attempts')
    await holds(() => wide.attempts.length === 3, { forMs: 100 }, 'no fourth')
    // Others find in the queue what this worker has no room for.
    expect(rig.taskQueue.depth('q')).toBe(2)
    for (let i = 0; i < 5; i++) {
      wide.end()
      await until(() => rig.asked('task.done').length === i + 1, SOON, 'one more result')
    }
    for (let i = 0; i < 2; i++) rig.publish({ taskId: id(`n${i}`), name: 'narrow' })
    await until(() => rig.asked('task.start').length === 7, SOON, 'both to be started')
    await holds(() => narrow.attempts.length === 1, { forMs: 100 }, 'one at a time')
    narrow.end()
    await until(() => narrow.attempts.length === 2, SOON, 'the second')
  })

  it('lets a long row of one task wait in its queue, and keeps its slots for others', async () => {
    const wide = new Held()
    const narrow = new Held()
    rig.task({ name: 'wide', run: wide.run })
    rig.task({ name: 'narrow', concurrency: 2, run: narrow.run })
    await rig.worker({ slots: 6, queues: ['q', 'other'] })
    for (let i = 0; i < 20; i++) rig.publish({ taskId: id(`n${i}`), name: 'narrow' })
    // Two run, and one waits.
    await until(() => rig.asked('task.start').length === 3, SOON, 'three to be started')
    await holds(() => rig.asked('task.start').length === 3, { forMs: 100 }, 'no more')
    expect([narrow.attempts.length, rig.taskQueue.depth('q')]).toEqual([2, 17])
    for (let i = 0; i < 3; i++) rig.publish({ taskId: id(`w${i}`), name: 'wide', queue: 'other' })
    await until(() => wide.attempts.length === 3, SOON, 'the others, beside them')
    for (let i = 0; i < 20; i++) {
      narrow.end()
      await until(() => rig.asked('task.done').length === i + 1, SOON, 'one more result')
    }
    expect(rig.taskQueue.depth('q')).toBe(0)
  })

  it('asks a queue again when what it took from it does not begin after all', async () => {
    const narrow = new Held()
    rig.task({ name: 'narrow', concurrency: 1, run: narrow.run })
    const unwanted = new Set(['n0', 'n1', 'n2'].map(id))
    rig.script = (one) => (unwanted.has(one.taskId) ? refused('task-gone')(one) : undefined)
    await rig.worker({ slots: 6 })
    for (let i = 0; i < 5; i++) rig.publish({ taskId: id(`n${i}`), name: 'narrow' })
    await until(() => narrow.attempts.length === 1, SOON, 'the fourth')
    narrow.end()
    await until(() => narrow.attempts.length === 2, SOON, 'the fifth')
  })
})

describe('the directory of an attempt', () => {
  it('is made when its path is first read, and a copy of the attempt has it too', async () => {
    const seen: unknown[] = []
    const directories = () => readdirSync(join(rig.directory, 'attempts'))
    rig.task({
      name: 'spread',
      run: async (attempt) => {
        seen.push(directories().length)
        const copy = { ...attempt }
        seen.push(copy.directory === attempt.directory, directories().length)
        writeFileSync(join(copy.directory, 'note'), 'kept')
      },
    })
    await rig.worker()
    rig.publish({ taskId: id('a'), name: 'spread' })
    await until(() => rig.asked('task.done').length === 1, SOON, 'a result')
    expect(seen).toEqual([0, true, 1])
  })

  it('that cannot be made fails the attempt, which may go right the next time', async () => {
    rig.task({ name: 'writes', run: async ({ directory }) => directory })
    await rig.worker()
    rmSync(join(rig.directory, 'attempts'), { recursive: true })
    writeFileSync(join(rig.directory, 'attempts'), '')
    rig.publish({ taskId: id('a'), name: 'writes' })
    await until(() => rig.asked('task.failed').length === 1, SOON, 'a report')
    const { failure } = rig.asked('task.failed')[0] ?? {}
    expect(failure?.class).toBe('temporary')
    expect(failure?.message).toContain('the worker cannot make a directory of an attempt')
    await until(() => rig.live().length === 0, SOON, 'the end')
  })
})

describe('what an end counts as', () => {
  it.each([
    [
      'a TaskError',
      () =>
        Promise.reject(
          new TaskError('aborted', 'no such order', { code: 'gone', detail: { n: 1 } }),
        ),
      { class: 'aborted', message: 'no such order', code: 'gone', detail: { n: 1 } },
    ],
    [
      'any other error',
      () => Promise.reject(new TypeError('oops')),
      { class: 'temporary', message: 'oops' },
    ],
    [
      'a text that is thrown',
      () => Promise.reject('why' as unknown as Error),
      { class: 'temporary', message: 'why' },
    ],
    [
      'an output that is too large',
      async () => 'x'.repeat(600_000),
      { class: 'permanent', code: 'too-large' },
    ],
    [
      'an output that cannot be stored',
      async () => ({ f: () => {} }),
      { class: 'permanent', code: 'invalid-output' },
    ],
  ])('reports %s', async (_what, run, failure) => {
    rig.task({ name: 'odd', run })
    await rig.worker()
    rig.publish({ taskId: id('a'), name: 'odd' })
    await until(() => rig.asked('task.failed').length === 1, SOON, 'a report')
    expect(rig.asked('task.failed')[0]?.failure).toMatchObject(failure)
  })

  it('checks input and output by their schemas, and hands on what they make of them', async () => {
    rig.task({
      name: 'checked',
      input: z.object({ n: z.coerce.number() }),
      output: z.number().max(9),
      run: async ({ input }) => (input as { n: number }).n,
    })
    await rig.worker()
    rig.publish({ taskId: id('good'), name: 'checked', input: { n: '7' } })
    rig.publish({ taskId: id('badInput'), name: 'checked', input: { m: 7 } })
    rig.publish({ taskId: id('badOutput'), name: 'checked', input: { n: 10 } })
    await until(
      () => rig.asked('task.failed').length === 2 && rig.asked('task.done').length === 1,
      SOON,
      'three reports',
    )
    expect(rig.asked('task.done')[0]?.output).toBe(7)
    expect(rig.asked('task.failed', id('badInput'))[0]?.failure).toMatchObject({
      class: 'permanent',
      code: 'invalid-input',
    })
    expect(rig.asked('task.failed', id('badOutput'))[0]?.failure).toMatchObject({
      class: 'permanent',
      code: 'invalid-output',
    })
  })

  it('aborts what takes too long', async () => {
    const held = new Held()
    rig.task({ name: 'slow', timeoutMs: 50, run: held.run })
    await rig.worker()
    rig.publish({ taskId: id('a'), name: 'slow' })
    await until(() => rig.asked('task.failed').length === 1, SOON, 'a report')
    expect(rig.asked('task.failed')[0]?.failure).toMatchObject({
      class: 'temporary',
      code: 'timed-out',
    })
    expect(held.aborted).toEqual(['task slow took longer than 50 ms'])
  })

  it('takes the time limit from the input, and refuses one that is none', async () => {
    const held = new Held()
    const timeoutMs = (input: unknown) => input as number | undefined
    rig.task({ name: 'limited', timeoutMs, run: held.run })
    await rig.worker()
    rig.publish({ taskId: id('a'), name: 'limited', input: 50 })
    rig.publish({ taskId: id('b'), name: 'limited', input: 0.5 })
    await until(() => rig.asked('task.failed').length === 2, SOON, 'two reports')
    expect(rig.asked('task.failed', id('a'))[0]?.failure).toMatchObject({ code: 'timed-out' })
    expect(rig.asked('task.failed', id('b'))[0]?.failure).toMatchObject({
      class: 'permanent',
      message: 'timeoutMs of task limited is 0.5: no whole number from 1',
    })
    expect(held.aborted).toEqual(['task limited took longer than 50 ms'])
  })

  it('does not wait for ever for code that does not listen to its signal', async () => {
    rig.task({ name: 'deaf', timeoutMs: 30, run: () => new Promise(() => {}) })
    await rig.worker({}, { abortWaitMs: 50 })
    rig.publish({ taskId: id('a'), name: 'deaf' })
    await until(() => rig.asked('task.failed').length === 1, SOON, 'a report')
  })
})

describe('heartbeats', () => {
  it('go together for all attempts, with what has changed of their progress', async () => {
    const held = new Held()
    rig.task({ name: 'held', run: held.run })
    await rig.worker()
    for (const name of ['a', 'b', 'c'])
      rig.publish({ taskId: id(name), name: 'held', leaseMs: 600, onWorkerLost: 'park' })
    await until(() => held.attempts.length === 3, SOON, 'three attempts')
    held.attempts[0]?.progress({ percent: 50 })
    await until(() => rig.asked('task.beat').length >= 6, SOON, 'two rounds')
    const rounds = rig.requests.filter((commands) => commands.some(({ op }) => op === 'task.beat'))
    expect(rounds.map((commands) => commands.length).slice(0, 2)).toEqual([3, 3])
    const told = rig.asked('task.beat').filter((command) => command.progress !== undefined)
    expect(told.map(({ progress }) => progress)).toEqual([{ percent: 50 }])
  })

  it.each(['task-gone', 'task-stale'] as const)(
    'end an attempt whose owner says %s',
    async (code) => {
      const held = new Held()
      rig.task({ name: 'held', run: held.run })
      rig.script = (command) => (command.op === 'task.beat' ? refused(code)(command) : undefined)
      await rig.worker()
      rig.publish({ taskId: id('a'), name: 'held', leaseMs: 150 })
      await until(() => held.aborted.length === 1, SOON, 'an abort')
      await holds(
        () => rig.asked('task.failed').length + rig.asked('task.done').length === 0,
        { forMs: 100 },
        'no report',
      )
    },
  )

  it('that do not get through end an attempt under rerun before its lease, and no other', async () => {
    const held = new Held()
    rig.task({ name: 'held', run: held.run })
    rig.script = (command) => (command.op === 'task.beat' ? 'silence' : undefined)
    await rig.worker()
    const since = performance.now()
    for (const onWorkerLost of ['rerun', 'wait', 'park'] as const) {
      rig.publish({ taskId: id(onWorkerLost), name: 'held', leaseMs: 900, onWorkerLost })
    }
    await until(() => held.aborted.length === 1, SOON, 'an abort')
    expect(performance.now() - since).toBeLessThan(900)
    expect(held.aborted[0]).toContain('no heartbeat got through')
    await holds(() => held.aborted.length === 1, { forMs: 600 }, 'the others to go on')
    // On a slow machine a report is sent again before its answer is seen.
    const failed = rig.asked('task.failed').map(({ taskId, failure }) => [taskId, failure.code])
    expect(new Set(failed.map(String))).toEqual(new Set([`${id('rerun')},lease-lost`]))
  })
})

it('a cancel aborts the attempt, and nothing is reported', async () => {
  const held = new Held()
  rig.task({ name: 'held', run: held.run })
  const worker = await rig.worker()
  rig.publish({ taskId: id('a'), name: 'held' })
  rig.publish({ taskId: id('b'), name: 'held' })
  await until(() => held.attempts.length === 2, SOON, 'two attempts')
  rig.cancel(id('a'))
  await until(() => held.aborted.length === 1, SOON, 'an abort')
  await until(() => worker.status().running.length === 1, SOON, 'a free slot')
  expect(worker.status().running.map(({ taskId }) => taskId)).toEqual([id('b')])
  expect(rig.asked('task.failed')).toEqual([])
})

it('a result is sent until it is answered, each time under the same id', async () => {
  rig.task({ name: 'once', run: async () => 'ran' })
  rig.script = first(3, 'task.done', 'silence')
  const worker = await rig.worker()
  rig.publish({ taskId: id('a'), name: 'once' })
  await until(() => rig.asked('task.done').length >= 4, SOON, 'the fourth try')
  expect(new Set(rig.asked('task.done').map((command) => command.id)).size).toBe(1)
  await until(() => worker.status().reporting === 0, SOON, 'the answer')
})

it('a result whose id is forgotten is sent under another, and a refused one becomes a failure', async () => {
  rig.task({ name: 'once', run: async () => 'ran' })
  rig.script = first(1, 'task.done', refused('expired'))
  await rig.worker()
  rig.publish({ taskId: id('a'), name: 'once' })
  await until(() => rig.asked('task.done', id('a')).length === 2, SOON, 'the second id')
  expect(new Set(rig.asked('task.done').map((command) => command.id)).size).toBe(2)
  rig.script = first(1, 'task.done', refused('too-large'))
  rig.publish({ taskId: id('b'), name: 'once' })
  await until(() => rig.asked('task.failed', id('b')).length === 1, SOON, 'a failure')
  expect(rig.asked('task.failed')[0]?.failure).toMatchObject({
    class: 'permanent',
    code: 'too-large',
  })
})

describe('stopping', () => {
  it('lets code end, then aborts and reports it; what can go on is left', async () => {
    const quick = new Held()
    const slow = new Held()
    const lasting = new Held()
    rig.task({ name: 'quick', run: quick.run })
    rig.task({ name: 'slow', run: slow.run })
    rig.task({ name: 'lasting', reattach: true, run: lasting.run })
    const worker = await rig.worker()
    for (const name of ['quick', 'slow', 'lasting']) rig.publish({ taskId: id(name), name })
    await until(() => worker.status().running.length === 3, SOON, 'three attempts')
    const stopped = worker.stop()
    quick.end('in time')
    await stopped
    expect(rig.asked('task.done').map(({ taskId }) => taskId)).toEqual([id('quick')])
    expect(rig.asked('task.failed').map(({ taskId, failure }) => [taskId, failure.code])).toEqual([
      [id('slow'), 'worker-stopped'],
    ])
    expect(lasting.aborted).toEqual([])
    expect(worker.status()).toMatchObject({ state: 'stopped', running: [] })
    rig.publish({ taskId: id('late'), name: 'quick' })
    await holds(
      () => rig.asked('task.start', id('late')).length === 0,
      { forMs: 100 },
      'no new work',
    )
  })

  it('a drain waits for all of it', async () => {
    const held = new Held()
    rig.task({ name: 'held', run: held.run })
    const worker = await rig.worker()
    rig.publish({ taskId: id('a'), name: 'held' })
    await until(() => held.attempts.length === 1, SOON, 'an attempt')
    let drained = false
    const draining = worker.drain().then(() => {
      drained = true
    })
    await holds(() => !drained, { forMs: 300 }, 'the drain to wait')
    held.end('done')
    await draining
    expect(rig.asked('task.done')).toHaveLength(1)
  })
})

async function left(): Promise<string[]> {
  const found = await Promise.all(
    ['attempts', 'by-address'].map((name) => readdir(join(rig.directory, name))),
  )
  return [...rig.live(), ...found.flat()]
}
