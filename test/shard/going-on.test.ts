/** A worker that ends a task with room to spare goes on with what the actor wants next, in the same commit. */
import { describe, expect, it, vi } from 'vitest'
import { tell } from '../../src/machine/index.ts'
import { taskOperationOf } from '../../src/protocol/index.ts'
import type { StartedAttempt } from '../../src/worker/attempt-files.ts'
import type { Harness, HarnessOptions } from './harness.ts'
import {
  code,
  commandId,
  get,
  history,
  host,
  job,
  open,
  restart,
  see,
  start,
  theTask,
  worker,
} from './support.ts'

const STARTED = 'troupe.started.actor.t'
const work = job('work')

/** One task behind the other; `second` is what the first state leads to. */
function chainOf(second: object, actors: object = {}) {
  return host(
    'm',
    {
      initial: 'one',
      states: {
        one: { invoke: { src: 'work', id: 'first', onDone: 'two' } },
        two: second,
        fine: {},
      },
    },
    { actors: { work, ...actors }, actions: { see: see('begun') } },
  )
}

const chain = chainOf({
  invoke: { src: 'work', id: 't', onDone: 'fine' },
  on: { [STARTED]: { actions: 'see' } },
})

async function begun(machines = [chain], options: Partial<HarnessOptions> = {}) {
  const h = open(machines, { shardCount: 1, ...options })
  h.consume('default')
  h.consume('elsewhere')
  await start(h, 'm/x')
  const { taskId } = await theTask(h, 'm/x')
  const { token } = await h.run(worker(h).start(taskId))
  return { h, taskId, token }
}

type Begun = Awaited<ReturnType<typeof begun>>

function end({ h, taskId, token }: Begun, id = commandId(h), next: string | undefined = 'w1') {
  const operation = { op: 'task.done', taskId, token, output: 1 } as const
  const asked = h.client.execute('m/x', next === undefined ? operation : { ...operation, next }, {
    id,
  })
  return h.run(asked) as Promise<StartedAttempt | null>
}

/** What the actor wants now waits in its queue for whoever takes it. */
async function waits(h: Harness, deliveries = 2) {
  expect(await theTask(h, 'm/x')).toMatchObject({ state: 'queued', attempt: 0 })
  expect(h.deliveries).toHaveLength(deliveries)
}

describe('the end of a task, told by a worker with room', () => {
  it('begins the next one in its own commit, and no queue carries that', async () => {
    const the = await begun()
    const commits = vi.spyOn(the.h.store, 'write')
    const next = await end(the)
    expect(commits).toHaveBeenCalledTimes(1)
    const { taskId } = await theTask(the.h, 'm/x')
    expect(next).toMatchObject({ taskId, address: 'm/x', name: 'work', attempt: 1 })
    expect(the.h.deliveries).toHaveLength(1)
    const view = await get(the.h, 'm/x')
    expect(view).toMatchObject({ value: 'two', context: { seen: ['begun'] } })
    expect(view.tasks).toMatchObject([{ state: 'running', worker: 'w1' }])
    const causes = (await history(the.h, 'm/x')).map(({ cause }) => cause)
    expect(causes.slice(-2)).toEqual(['xstate.done.actor.first', STARTED])
    const again = restart(the.h, [chain])
    await again.run(worker(again).done(taskId, next?.token ?? '', 2))
    expect(await get(again, 'm/x')).toMatchObject({ value: 'fine', tasks: [] })
  })

  it('is answered the same when it is told again, for as long as that task is wanted', async () => {
    const the = await begun()
    const id = commandId(the.h)
    const first = await end(the, id)
    expect(await end(the, id)).toEqual(first)
    const again = { ...the, h: restart(the.h, [chain]) }
    expect(await end(again, id)).toEqual(first)
    const { taskId = '', token = '' } = first ?? {}
    await again.h.run(worker(again.h).done(taskId, token, 2))
    expect(await end(again, id)).toBeNull()
    await again.h.run(again.h.client.delete('m/x'))
    expect(await end(again, id)).toBeNull()
  })

  it('stays told when the attempt that it began was given up meanwhile: only nothing is gone on with', async () => {
    const the = await begun()
    const id = commandId(the.h)
    const first = await end(the, id)
    await the.h.run(the.h.client.pause('m/x', { interrupt: true }))
    await the.h.run(the.h.client.resume('m/x'))
    const { taskId = '' } = first ?? {}
    const start = { op: 'task.start', taskId, worker: 'w2' } as const
    const startId = commandId(the.h)
    const asked = () => the.h.client.execute('m/x', { ...start }, { id: startId })
    await the.h.run(asked())
    expect(await end(the, id)).toBeNull()
    await the.h.run(the.h.client.pause('m/x', { interrupt: true }))
    // A start that is repeated has done nothing else: whoever asks must not begin it.
    expect(await code(the.h, asked())).toBe('task-stale')
  })

  it('begins also what another actor of the shard has to give leave for', async () => {
    const asking = chainOf({
      initial: 'asking',
      states: {
        asking: {
          entry: tell(() => [{ to: 'pool/p', event: { type: 'ASK' } }]),
          on: { LEAVE: 'working' },
        },
        working: { invoke: { src: 'work', id: 't' } },
      },
    })
    const leave = tell(() => [{ to: 'm/x', event: { type: 'LEAVE' } }])
    const pool = host('pool', { on: { ASK: { actions: leave } } })
    const the = await begun([asking, pool])
    await start(the.h, 'pool/p')
    expect(await end(the)).toMatchObject({ name: 'work', attempt: 1 })
    expect((await get(the.h, 'm/x')).value).toEqual({ two: 'working' })
  })
})

describe('what waits in its queue all the same', () => {
  it('is what follows for a worker without room', async () => {
    const the = await begun()
    const operation = { op: 'task.done', taskId: the.taskId, token: the.token } as const
    expect(await the.h.run(the.h.client.execute('m/x', operation))).toBeNull()
    await waits(the.h)
  })

  it('is what follows for a sender who speaks for itself only: it does not name a worker', () => {
    const named = { op: 'task.done', taskId: 'm/x#1', token: 't', output: 1, next: 'w2' } as const
    const operation = taskOperationOf({ ...named, address: 'm/x' }, 'w1')
    expect(operation).toEqual({ op: 'task.done', taskId: 'm/x#1', token: 't', output: 1 })
  })

  it('is what finds no room in the batch of that end', async () => {
    const the = await begun([chain], { limits: { stepsPerBatchMax: 1 } })
    expect(await end(the)).toBeNull()
    await waits(the.h)
  })

  it('is another task, which the worker may not have', async () => {
    const second = { invoke: { src: 'other', id: 't', onDone: 'fine' } }
    const the = await begun([chainOf(second, { other: job('other') })])
    expect(await end(the)).toBeNull()
    await waits(the.h)
  })

  it('is one of another queue, from which the worker may not take', async () => {
    const second = { invoke: { src: 'work', id: 't', input: 'elsewhere', onDone: 'fine' } }
    const queue = (input: unknown) => (input === 'elsewhere' ? input : 'default')
    const the = await begun([chainOf(second, { work: job('work', { queue }) })])
    expect(await end(the)).toBeNull()
    await waits(the.h)
  })

  it('is what an operator has paused: its end is kept, and nothing begins', async () => {
    const the = await begun()
    await the.h.run(the.h.client.pause('m/x'))
    expect(await end(the)).toBeNull()
    expect(await theTask(the.h, 'm/x')).toMatchObject({ state: 'result-kept' })
    await the.h.run(the.h.client.resume('m/x'))
    await waits(the.h)
  })

  it('is what waited there before: whoever takes its message has it', async () => {
    const beside = host(
      'm',
      {
        type: 'parallel',
        states: {
          left: {
            initial: 'on',
            states: { on: { invoke: { src: 'work', id: 'l', onDone: 'off' } }, off: {} },
          },
          right: { invoke: { src: 'work', id: 'r' } },
        },
      },
      { actors: { work } },
    )
    const h = open([beside])
    h.consume('default')
    await start(h, 'm/x')
    const [left, right] = (await get(h, 'm/x')).tasks
    const { token } = await h.run(worker(h).start(left?.taskId ?? ''))
    expect(await end({ h, taskId: left?.taskId ?? '', token })).toBeNull()
    expect(await theTask(h, 'm/x')).toMatchObject({ taskId: right?.taskId, state: 'queued' })
  })
})

it('a start that the chart refuses leaves the task to its queue, and tells nobody that it began', async () => {
  const broken = chainOf({
    invoke: { src: 'work', id: 't', onDone: 'fine' },
    on: {
      [STARTED]: {
        actions: see(() => {
          throw new Error('the assign broke')
        }),
      },
    },
  })
  const the = await begun([broken])
  expect(await end(the)).toBeNull()
  const view = await get(the.h, 'm/x')
  expect(view.parked?.error.message).toContain('the assign broke')
  expect(view.tasks).toMatchObject([{ state: 'queued' }])
})
