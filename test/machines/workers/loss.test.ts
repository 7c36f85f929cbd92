/** Silence between a worker and its node, and what each side does about it. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it, type TestContext } from 'vitest'
import type { Limits } from '../../../src/index.ts'
import { until } from '../../waiting.ts'
import { WorkersRig } from './rig.ts'

const LOST_MS = 3_000
const QUEUE = 'job.group.2'

/** Most of each test is waiting for silence to have lasted, so they run beside each other, each on a node of its own. */
class Loss {
  readonly rig: WorkersRig
  readonly key: string

  private constructor(rig: WorkersRig, key: string) {
    this.rig = rig
    this.key = key
  }

  static async on({ onTestFinished }: TestContext, limits: Partial<Limits>): Promise<Loss> {
    const rig = await WorkersRig.create({ limits })
    onTestFinished(() => rig.close())
    return new Loss(rig, await rig.addGroup('2'))
  }

  #witness(id: string): string {
    return join(this.rig.directory, `witness-${id}`)
  }

  said(id: string): Promise<string> {
    return readFile(this.#witness(id), 'utf8').catch(() => '')
  }

  /** Says when it begins, every 100 ms that it lives, and when it is asked to end. */
  telling(id: string, lives = 600): string {
    const file = this.#witness(id)
    return `trap 'echo asked >>"${file}"; exit 1' TERM; echo began >>'${file}'; for i in $(seq ${lives}); do echo $i >>'${file}'; sleep 0.1; done; echo ended >>'${file}'`
  }

  begins(id: string): Promise<unknown> {
    return until(
      async () => (await this.said(id)).startsWith('began'),
      { timeoutMs: 20_000 },
      `${id} to begin`,
    )
  }
}

it.concurrent('a worker that is gone: `park` stops its actor with the reason, `rerun` goes elsewhere, `wait` waits', async (context) => {
  const loss = await Loss.on(context, { workerLostMs: LOST_MS })
  const { rig, key } = loss
  const worker = await rig.worker('a', ['--group', '2', '--name', 'w2'], key)
  for (const policy of ['park', 'rerun', 'wait']) {
    await rig.run(policy, loss.telling(policy), QUEUE, policy)
    await loss.begins(policy)
  }
  await worker.signal('SIGKILL')
  await rig.inner(key, { name: 'w3', dataDirectory: join(rig.directory, 'b') })
  await until(
    async () => (await loss.said('rerun')).split('began').length === 3,
    { timeoutMs: 30_000 },
    async () => `a second run: ${await loss.said('rerun')}`,
  )
  // The first one had come to its end by then.
  const [, first = ''] = (await loss.said('rerun')).split('began')
  expect(first).toMatch(/asked\n$/)
  const parked = await rig.node.client.waitFor('run/park', ({ parked }) => parked !== undefined)
  expect(parked.parked?.error.message).toContain(`silent for ${LOST_MS} ms`)
  const { tasks } = await rig.node.client.get('run/wait')
  expect(tasks[0]).toMatchObject({ state: 'running', worker: 'w2', attempt: 1 })
  expect(await rig.workerView('w2')).toMatchObject({ status: 'lost' })
}, 60_000)

it.concurrent('a worker that lost its node: `rerun` is ended before another may begin, the others go on and are told', async (context) => {
  const loss = await Loss.on(context, { workerLostMs: LOST_MS })
  const { rig, key } = loss
  await rig.inner(key, { slots: 3 })
  for (const policy of ['park', 'rerun', 'wait']) {
    await rig.run(policy, loss.telling(policy, policy === 'rerun' ? 600 : 60), QUEUE, policy)
    await loss.begins(policy)
  }
  await rig.stop()
  await until(
    async () => (await loss.said('rerun')).endsWith('asked\n'),
    { timeoutMs: LOST_MS },
    async () => `the end of what may run elsewhere: ${await loss.said('rerun')}`,
  )
  await until(
    async () =>
      (await loss.said('park')).endsWith('ended\n') &&
      (await loss.said('wait')).endsWith('ended\n'),
    { timeoutMs: 30_000 },
    'what runs nowhere else to go on to its end',
  )
  await rig.start()
  expect(await rig.exitCodeOf('park')).toBe(0)
  expect(await rig.exitCodeOf('wait')).toBe(0)
  expect((await loss.said('park')).split('began')).toHaveLength(2)
}, 60_000)

it.concurrent('what outlives its worker is not given up by the shorter lease of code', async (context) => {
  const loss = await Loss.on(context, { leaseMs: 300, workerLostMs: 60_000 })
  const { rig, key } = loss
  const worker = await rig.worker('a', ['--group', '2', '--name', 'w2'], key)
  await rig.run('a', loss.telling('a', 20), QUEUE)
  await loss.begins('a')
  await worker.signal('SIGKILL')
  await rig.worker('a', ['--group', '2', '--name', 'w2'], key)
  expect(await rig.exitCodeOf('a')).toBe(0)
  expect((await loss.said('a')).split('began')).toHaveLength(2)
}, 60_000)
