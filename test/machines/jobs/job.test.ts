/** The machine `job` on a virtual clock: workers and callers are played by hand. */
import { describe, expect, it } from 'vitest'
import { job } from '../../../machines/jobs/job.ts'
import { JOB_DEFAULTS, type JobInput } from '../../../machines/jobs/job-input.ts'
import type { ActorView } from '../../../src/index.ts'
import type { Harness } from '../../shard/harness.ts'
import { code, get, open, restart, send, start, worker } from '../../shard/support.ts'

const JOB = 'job/7'
const DAY_MS = 24 * 3_600_000

function inputOf(given: Partial<JobInput> = {}): JobInput {
  return {
    ...JOB_DEFAULTS,
    jobName: 'n',
    appName: 'a',
    jobType: 'shell',
    content: 'true',
    template: ['/bin/sh', '-c', '{content}'],
    groupId: 1,
    submittedAt: 0,
    ...given,
  }
}

async function submitted(given: Partial<JobInput> = {}) {
  const h = open([job])
  h.consume('job.group.1')
  h.consume('job.callback')
  await start(h, JOB, inputOf(given))
  return h
}

async function stateOf(h: Harness): Promise<unknown> {
  return (await get(h, JOB)).value
}

function commandTask({ tasks }: ActorView) {
  return tasks.find(({ name }) => name === 'job-command')!
}

/** A worker begins the command; what it is given, and ways to end it. */
async function begin(h: Harness) {
  const { taskId } = commandTask(await get(h, JOB))
  const hand = worker(h)
  const { token, input } = await h.run(hand.start(taskId))
  const exit = { signal: null, startedAt: 1, endedAt: 2, stdoutBytes: 0, stderrBytes: 0 }
  return {
    taskId,
    token,
    input: input as { content: string; priority: number; groupId: number },
    exits: (exitCode: number) => h.run(hand.done(taskId, token, { ...exit, code: exitCode })),
    fails: (failure: object) =>
      h.run(h.client.execute(JOB, { op: 'task.failed', taskId, token, failure } as never)),
  }
}

const READY = { active: 'ready' }
const RUNNING = { active: 'running' }
const INTERVAL = { waiting: 'interval' }
const TIMED_OUT = { class: 'temporary', code: 'timed-out', message: 'took too long' }
const LOST = { class: 'temporary', code: 'worker-lost', message: 'w1 was silent' }

describe('its way', () => {
  it('is ready, running once a worker begins it, and ends by its exit code', async () => {
    const h = await submitted()
    expect(await stateOf(h)).toEqual(READY)
    const { exits } = await begin(h)
    expect(await get(h, JOB)).toMatchObject({ value: RUNNING, context: { attempt: 1 } })
    await exits(0)
    expect(await get(h, JOB)).toMatchObject({
      value: 'success',
      status: 'active',
      context: { exit: { code: 0 }, reason: 'exit code 0' },
    })
    const failing = await submitted()
    await (await begin(failing)).exits(3)
    expect(await get(failing, JOB)).toMatchObject({
      value: 'failed',
      context: { reason: 'exit code 3', failures: { failed: 1 } },
    })
  })

  it('is removed when it has been known for long enough, and then forgotten', async () => {
    const h = await submitted({ keepMs: DAY_MS })
    await (await begin(h)).exits(0)
    await h.advance(DAY_MS - 1)
    expect(await stateOf(h)).toBe('success')
    await h.advance(1)
    expect(await stateOf(h)).toBe('removed')
    await h.advance(3_600_000)
    expect(await code(h, h.client.get(JOB))).toBe('unknown-actor')
  })

  it('waits for its type, until somebody who knows it says so', async () => {
    const h = await submitted({ jobType: 'hive', template: null })
    expect(await get(h, JOB)).toMatchObject({ value: { waiting: 'type' }, tasks: [] })
    const template = ['/usr/bin/hive', '{content}']
    expect((await send(h, JOB, 'LEARN_TYPE', { jobType: 'pig', template })).handled).toBe(false)
    await send(h, JOB, 'LEARN_TYPE', { jobType: 'hive', template })
    expect(await get(h, JOB)).toMatchObject({ value: READY, context: { template } })
  })

  it('keeps its place in every state over a restart', async () => {
    let h = await submitted({ retries: { failed: 1, timedOut: 0, lost: 0 } })
    h = restart(h, [job])
    expect(await stateOf(h)).toEqual(READY)
    const first = await begin(h)
    h = restart(h, [job])
    expect(await stateOf(h)).toEqual(RUNNING)
    await h.run(worker(h).done(first.taskId, first.token, exitOf(1)))
    h = restart(h, [job])
    expect(await stateOf(h)).toEqual(INTERVAL)
    await h.advance(JOB_DEFAULTS.retryIntervalMs)
    expect(await stateOf(h)).toEqual(READY)
  })
})

function exitOf(exitCode: number) {
  return { code: exitCode, signal: null, startedAt: 1, endedAt: 2, stdoutBytes: 0, stderrBytes: 0 }
}

describe('attempts', () => {
  it.each([
    ['failed', 'exits with 1', (b: Begun) => b.exits(1), 'exit code 1'],
    ['timedOut', 'takes too long', (b: Begun) => b.fails(TIMED_OUT), 'took longer than 60 s'],
    ['lost', 'loses its worker', (b: Begun) => b.fails(LOST), 'w1 was silent'],
  ] as const)('are counted by class: %s', async (kind, _how, end, reason) => {
    const retries = { failed: 0, timedOut: 0, lost: 0, [kind]: 2 }
    const h = await submitted({ retries, retryIntervalMs: 5_000, runTimeoutMs: 60_000 })
    for (const attempt of [1, 2]) {
      await end(await begin(h))
      expect(await get(h, JOB)).toMatchObject({ value: INTERVAL, context: { attempt, reason } })
      await h.advance(4_999)
      expect(await stateOf(h)).toEqual(INTERVAL)
      await h.advance(1)
      expect(await stateOf(h)).toEqual(READY)
    }
    await end(await begin(h))
    expect(await get(h, JOB)).toMatchObject({
      value: 'failed',
      context: { attempt: 3, reason, failures: { [kind]: 3 } },
    })
  })

  it('of one class do not use up those of another', async () => {
    const h = await submitted({ retries: { failed: 1, timedOut: 0, lost: 1 }, retryIntervalMs: 0 })
    await (await begin(h)).fails(LOST)
    await h.advance(0)
    await (await begin(h)).exits(1)
    await h.advance(0)
    await (await begin(h)).exits(0)
    expect(await stateOf(h)).toBe('success')
  })

  it('end with the failure of a queue wait: no worker began it in time', async () => {
    const h = await submitted({ queueWaitMs: 600_000 })
    await h.advance(599_999)
    expect(await stateOf(h)).toEqual(READY)
    await h.advance(1)
    expect(await get(h, JOB)).toMatchObject({
      value: 'failed',
      context: { reason: 'expired: no worker of group 1 began it within 600 s' },
      tasks: [],
    })
  })

  it('are not expired once they run', async () => {
    const h = await submitted({ queueWaitMs: 600_000, onWorkerLost: 'wait' })
    const { exits } = await begin(h)
    expect((await get(h, JOB)).timers).toEqual([])
    await h.advance(601_000)
    expect(await stateOf(h)).toEqual(RUNNING)
    await exits(0)
    expect(await stateOf(h)).toBe('success')
  })
})

type Begun = Awaited<ReturnType<typeof begin>>

/** Ways into every state that is not the end of all. */
const WAYS: Record<string, () => Promise<Harness>> = {
  'waiting.type': () => submitted({ template: null }),
  'waiting.interval': async () => {
    const h = await submitted({ retries: { failed: 1, timedOut: 0, lost: 0 } })
    await (await begin(h)).exits(1)
    return h
  },
  'active.ready': () => submitted(),
  'active.running': async () => {
    const h = await submitted()
    await begin(h)
    return h
  },
  success: async () => {
    const h = await submitted()
    await (await begin(h)).exits(0)
    return h
  },
  failed: async () => {
    const h = await submitted()
    await (await begin(h)).exits(1)
    return h
  },
  killed: async () => {
    const h = await submitted()
    await send(h, JOB, 'KILL', { by: 'ann' })
    return h
  },
}

const ENDED = ['success', 'failed', 'killed']

describe.each(Object.keys(WAYS))('in %s', (state) => {
  const way = WAYS[state]!
  const isEnded = ENDED.includes(state)

  it('KILL ends it unless it has ended, and leaves no command behind', async () => {
    const h = await way()
    const { handled } = await send(h, JOB, 'KILL', { by: 'bob' })
    expect(handled).toBe(!isEnded)
    const view = await get(h, JOB)
    expect(view).toMatchObject({ value: isEnded ? state : 'killed', tasks: [] })
    if (!isEnded) expect(view.context).toMatchObject({ reason: 'killed by bob' })
  })

  it('RERUN begins anew if it has ended', async () => {
    const h = await way()
    const before = (await get(h, JOB)).context as { attempt: number }
    expect((await send(h, JOB, 'RERUN')).handled).toBe(isEnded)
    if (!isEnded) return
    const { attempt } = before
    expect(await get(h, JOB)).toMatchObject({
      value: READY,
      context: { attempt, exit: null, reason: '', failures: { failed: 0, timedOut: 0, lost: 0 } },
    })
    await (await begin(h)).exits(0)
    expect(await get(h, JOB)).toMatchObject({
      value: 'success',
      context: { attempt: attempt + 1 },
    })
  })

  it('REMOVE takes it away unless it runs', async () => {
    const h = await way()
    const runs = state === 'active.running'
    expect((await send(h, JOB, 'REMOVE', { by: 'bob' })).handled).toBe(!runs)
    if (!runs) expect(await get(h, JOB)).toMatchObject({ value: 'removed', status: 'done' })
  })

  it('MODIFY counts from the next attempt that begins', async () => {
    const h = await way()
    const template = ['x', '{content}']
    const changes = { content: 'echo new', priority: 9, groupId: 2, template }
    expect((await send(h, JOB, 'MODIFY', { changes })).handled).toBe(true)
    if (state === 'active.running') {
      expect(commandTask(await get(h, JOB)).queue).toBe('job.group.1')
      await send(h, JOB, 'KILL')
    }
    if (isEnded || state === 'active.running') await send(h, JOB, 'RERUN')
    if (state === 'waiting.interval') await h.advance(JOB_DEFAULTS.retryIntervalMs)
    expect(commandTask(await get(h, JOB)).queue).toBe('job.group.2')
    expect((await begin(h)).input).toMatchObject({ content: 'echo new', priority: 9, groupId: 2 })
  })
})

it('MODIFY of one class of attempts leaves the others as they are', async () => {
  const h = await submitted({ retries: { failed: 1, timedOut: 2, lost: 3 } })
  await send(h, JOB, 'MODIFY', { changes: { retries: { failed: 5 } } })
  await send(h, JOB, 'MODIFY', { changes: { retries: { lost: 0 } } })
  const retries = { failed: 5, timedOut: 2, lost: 0 }
  expect((await get(h, JOB)).context).toMatchObject({ retries })
})

describe('what is held', () => {
  const UNKNOWN_END = { class: 'permanent', code: 'unknown-end', message: 'nobody saw its end' }

  it('a stopped job is ready after its resume, with the changes that came meanwhile', async () => {
    const h = await submitted()
    await (await begin(h)).fails(UNKNOWN_END)
    expect((await get(h, JOB)).parked?.error.message).toBe('nobody saw its end')
    await send(h, JOB, 'MODIFY', { changes: { content: 'echo new' } })
    await h.run(h.client.resume(JOB))
    expect(await stateOf(h)).toEqual(READY)
    expect((await begin(h)).input.content).toBe('echo new')
    expect(await get(h, JOB)).toMatchObject({ value: RUNNING, context: { attempt: 2 } })
  })

  it('is killed by moving it there', async () => {
    const h = await submitted()
    await (await begin(h)).fails(UNKNOWN_END)
    await h.run(h.client.resume(JOB, { state: 'killed' }))
    expect(await get(h, JOB)).toMatchObject({ value: 'killed', tasks: [] })
    expect((await get(h, JOB)).context).toMatchObject({
      reason: 'killed while it was held; its history says by whom',
    })
  })

  it('a pause that interrupts it makes the next start another attempt', async () => {
    const h = await submitted()
    await begin(h)
    await h.run(h.client.pause(JOB, { interrupt: true }))
    await h.run(h.client.resume(JOB))
    await begin(h)
    expect(await get(h, JOB)).toMatchObject({ value: RUNNING, context: { attempt: 2 } })
  })
})

describe('callbacks', () => {
  const callbacks = ({ tasks }: ActorView) =>
    tasks.filter(({ name }) => name === 'job-callback').length

  it('tell the beginning and the end, each by a task of its own that outlives the state', async () => {
    const h = await submitted({ callbackUrl: 'http://receiver/', callbackKey: 'k' })
    expect(callbacks(await get(h, JOB))).toBe(0)
    const { exits } = await begin(h)
    expect(callbacks(await get(h, JOB))).toBe(1)
    await exits(0)
    await send(h, JOB, 'RERUN')
    await send(h, JOB, 'KILL')
    const view = await get(h, JOB)
    expect(callbacks(view)).toBe(3)
    const given = await Promise.all(
      view.tasks.map(async ({ taskId }) => (await h.run(worker(h).start(taskId))).input),
    )
    expect(given).toMatchObject([
      { status: 'running', sequence: 1, attempt: 1, url: 'http://receiver/', key: 'k' },
      { status: 'success', sequence: 2, attempt: 1, message: 'exit code 0' },
      { status: 'killed', sequence: 3, attempt: 1, message: 'killed by somebody' },
    ])
  })

  it('that cannot be told leave the job as it is', async () => {
    const h = await submitted({ callbackUrl: 'http://receiver/', callbackKey: 'k' })
    await begin(h)
    const { taskId } = (await get(h, JOB)).tasks.find(({ name }) => name === 'job-callback')!
    const hand = worker(h)
    const { token } = await h.run(hand.start(taskId))
    await h.run(hand.done(taskId, token, { told: false, message: 'it answers 500' }))
    expect(await get(h, JOB)).toMatchObject({ value: RUNNING, tasks: [{ name: 'job-command' }] })
  })
})
