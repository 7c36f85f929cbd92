/**
 * What `xstate/graph` says of the machine `job` happens in the engine, step by step, as callers, workers
 * and the clock bring it; and again with a crash and a restart around every step.
 */
import { describe, expect, it } from 'vitest'
import type { AnyMachineSnapshot } from 'xstate'
import { job } from '../../../machines/jobs/job.ts'
import { JOB_DEFAULTS, type JobInput } from '../../../machines/jobs/job-input.ts'
import { nodesOf } from '../../../src/machine/chart.ts'
import type { EventObject } from '../../../src/protocol/index.ts'
import type { Subject } from '../../paths/machines.ts'
import {
  type Path,
  type PathStep,
  pathsOf,
  transitionsAlong,
  transitionsOf,
} from '../../paths/paths.ts'
import type { Harness } from '../../shard/harness.ts'
import { get, open, restart, send, start, worker } from '../../shard/support.ts'

const JOB = 'job/7'
const PATHS_MAX = 40
const TEMPLATE = ['/bin/sh', '-c', '{content}']
const STARTED = 'troupe.started.actor.command'
const AFTER = nodesOf(job.machine.root).flatMap(({ after }) =>
  after.map(({ eventType }) => eventType),
)

const exitOf = (code: number) => ({
  type: 'xstate.done.actor.command',
  actorId: 'command',
  output: { code, signal: null, startedAt: 1, endedAt: 2, stdoutBytes: 0, stderrBytes: 0 },
})
const failureOf = (code: string) => ({
  type: 'xstate.error.actor.command',
  actorId: 'command',
  error: { class: 'temporary', code, message: code },
})

function subjectOf(given: Partial<JobInput>): Subject {
  const input: JobInput = {
    ...JOB_DEFAULTS,
    jobName: 'n',
    appName: 'a',
    jobType: 'shell',
    content: 'true',
    template: TEMPLATE,
    groupId: 1,
    submittedAt: 0,
    queueWaitMs: 3_600_000,
    // Otherwise the lease of a worker that nobody plays would end a run.
    onWorkerLost: 'wait',
    retries: { failed: 1, timedOut: 1, lost: 1 },
    ...given,
  }
  return {
    definition: job,
    machine: job.machine,
    input,
    events: [
      { type: STARTED, actorId: 'command', attempt: 1, worker: 'w1', at: 0 },
      exitOf(0),
      exitOf(1),
      failureOf('timed-out'),
      failureOf('worker-lost'),
      { type: 'KILL', by: 'ann' },
      { type: 'RERUN' },
      { type: 'REMOVE', by: 'ann' },
      { type: 'MODIFY', changes: { content: 'false' } },
      { type: 'LEARN_TYPE', jobType: 'shell', template: TEMPLATE },
      { type: 'EXPIRE' },
      ...AFTER.map((type) => ({ type })),
    ],
    timed: ['EXPIRE', ...AFTER],
    stateKey: (context) => {
      const { failures, begun, template } = context as unknown as Record<string, unknown>
      return [failures, begun, template === null]
    },
    simple: false,
  }
}

class Walk {
  #h: Harness
  readonly #crashes: boolean
  #token = ''

  constructor(crashes: boolean) {
    this.#h = open([job], { shardCount: 1 })
    this.#crashes = crashes
  }

  async run({ input }: Subject, { before, steps }: Path): Promise<void> {
    await start(this.#h, JOB, input)
    await this.#compare(before)
    for (const step of steps) {
      this.#crash()
      await this.#bring(step)
      this.#crash()
      await this.#compare(step.after)
    }
    expect(this.#h.stops).toEqual([])
  }

  #crash(): void {
    if (this.#crashes) this.#h = restart(this.#h, [job])
  }

  async #compare({ value, context, status }: AnyMachineSnapshot): Promise<void> {
    const view = await get(this.#h, JOB)
    const { callbackKey: _hidden, ...shown } = context as Record<string, unknown>
    expect({ value: view.value, status: view.status }).toEqual({ value, status })
    expect(view.context).toMatchObject(shown)
    expect(view.parked).toBeUndefined()
    const wanted = status === 'active' && typeof value === 'object' && 'active' in value
    expect(view.tasks.map(({ name }) => name)).toEqual(wanted ? ['job-command'] : [])
  }

  async #bring({ event, by }: PathStep): Promise<void> {
    const { type, ...fields } = event
    if (by === 'caller') await send(this.#h, JOB, type, fields)
    else if (by === 'clock') await this.#ring(type)
    else await this.#work(event)
  }

  /** Moves the clock to the very millisecond, and looks the one before. */
  async #ring(type: string): Promise<void> {
    const before = await get(this.#h, JOB)
    const [due] = before.timers.filter((timer) => timer.event === type)
    const leftMs = due!.dueAt - this.#h.clock.now()
    if (leftMs > 1) await this.#h.advance(leftMs - 1)
    expect((await get(this.#h, JOB)).turn).toBe(before.turn)
    await this.#h.advance(due!.dueAt - this.#h.clock.now())
  }

  async #work({ type, output, error }: EventObject): Promise<void> {
    const hand = worker(this.#h)
    const { taskId } = (await get(this.#h, JOB)).tasks[0]!
    if (type === STARTED) {
      this.#token = (await this.#h.run(hand.start(taskId))).token
    } else if (error === undefined) await this.#h.run(hand.done(taskId, this.#token, output))
    else {
      const failed = { op: 'task.failed', taskId, token: this.#token, failure: error }
      await this.#h.run(this.#h.client.execute(JOB, failed as never))
    }
  }
}

const READY = { active: 'ready' }
const RUNNING = { active: 'running' }

/** A worker has begun the command. */
async function begun(): Promise<{ h: Harness; taskId: string; token: string }> {
  const h = open([job], { shardCount: 1 })
  await start(h, JOB, subjectOf({}).input)
  const { taskId } = (await get(h, JOB)).tasks[0]!
  const { token } = await h.run(worker(h).start(taskId))
  return { h, taskId, token }
}

/** The transitions that only an operator leads to, of whom `xstate/graph` knows nothing. */
const HELD: Record<string, () => Promise<void>> = {
  'job.active.running: always → job.active.ready': async () => {
    const { h, taskId, token } = await begun()
    const failure = { class: 'permanent', code: 'unknown-end', message: 'nobody saw its end' }
    const failed = { op: 'task.failed', taskId, token, failure }
    await h.run(h.client.execute(JOB, failed as never))
    const { message } = failure
    expect(await get(h, JOB)).toMatchObject({ value: RUNNING, parked: { error: { message } } })
    await h.run(h.client.resume(JOB))
    expect(await get(h, JOB)).toMatchObject({ value: READY, context: { begun: false } })
  },
  [`job.active.running: ${STARTED} → here / noteStart, …`]: async () => {
    const { h } = await begun()
    await h.run(h.client.pause(JOB, { interrupt: true }))
    await h.run(h.client.resume(JOB))
    const [task] = (await get(h, JOB)).tasks
    await h.run(worker(h).start(task!.taskId))
    expect(await get(h, JOB)).toMatchObject({ value: RUNNING, context: { attempt: 2 } })
  },
}

it.each(Object.keys(HELD))('an operator leads to %s', (name) => HELD[name]?.())

describe.each([
  ['of a known type', subjectOf({}), true],
  ['of a type that nobody knows yet', subjectOf({ template: null }), false],
])('a job %s', (_name, subject, isKnown) => {
  const paths = pathsOf(subject, PATHS_MAX)

  it('has paths that take every transition that it can take', () => {
    const taken = new Set(paths.flatMap((path) => [...transitionsAlong(subject, path)]))
    const never = transitionsOf(subject).filter((name) => !taken.has(name))
    expect(paths.length).toBeGreaterThan(20)
    // A job of a known type need not learn it.
    const unseen = isKnown ? ['job.waiting.type: LEARN_TYPE → here / learnType'] : []
    expect(new Set(never)).toEqual(new Set([...Object.keys(HELD), ...unseen]))
  })

  it.each(paths.map((path) => [path.name, path] as const))('%s', async (_path, path) => {
    await new Walk(false).run(subject, path)
    await new Walk(true).run(subject, path)
  })
})
