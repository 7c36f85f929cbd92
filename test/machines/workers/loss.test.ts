/** Silence between a worker and its node, and what each side does about it. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { until } from '../../waiting.ts'
import { WorkersRig } from './rig.ts'

const LOST_MS = 3_000
const QUEUE = 'job.group.2'

let rig: WorkersRig
let key: string

beforeEach(async () => {
  rig = await WorkersRig.create({ limits: { workerLostMs: LOST_MS } })
  key = await rig.addGroup('2')
})

afterEach(() => rig.close())

const witness = (id: string) => join(rig.directory, `witness-${id}`)
const said = (id: string) => readFile(witness(id), 'utf8').catch(() => '')

/** Says when it begins, every 100 ms that it lives, and when it is asked to end. */
function telling(id: string, lives = 600): string {
  const file = witness(id)
  return `trap 'echo asked >>"${file}"; exit 1' TERM; echo began >>'${file}'; for i in $(seq ${lives}); do echo $i >>'${file}'; sleep 0.1; done; echo ended >>'${file}'`
}

const begins = (id: string) =>
  until(async () => (await said(id)).startsWith('began'), { timeoutMs: 10_000 }, `${id} to begin`)

it('a worker that is gone: `park` stops its actor with the reason, `rerun` goes elsewhere, `wait` waits', async () => {
  const worker = await rig.worker('a', ['--group', '2', '--name', 'w2'], key)
  for (const policy of ['park', 'rerun', 'wait']) {
    await rig.run(policy, telling(policy), QUEUE, policy)
    await begins(policy)
  }
  await worker.signal('SIGKILL')
  await rig.inner(key, { name: 'w3', dataDirectory: join(rig.directory, 'b') })
  await until(
    async () => (await said('rerun')).split('began').length === 3,
    { timeoutMs: 15_000 },
    async () => `a second run: ${await said('rerun')}`,
  )
  // The first one had come to its end by then.
  const [, first = ''] = (await said('rerun')).split('began')
  expect(first).toMatch(/asked\n$/)
  const parked = await rig.node.client.waitFor('run/park', ({ parked }) => parked !== undefined)
  expect(parked.parked?.error.message).toContain(`silent for ${LOST_MS} ms`)
  const { tasks } = await rig.node.client.get('run/wait')
  expect(tasks[0]).toMatchObject({ state: 'running', worker: 'w2', attempt: 1 })
  expect(await rig.workerView('w2')).toMatchObject({ status: 'lost' })
}, 60_000)

it('a worker that lost its node: `rerun` is ended before another may begin, the others go on and are told', async () => {
  await rig.inner(key, { slots: 3 })
  for (const policy of ['park', 'rerun', 'wait']) {
    await rig.run(policy, telling(policy, policy === 'rerun' ? 600 : 60), QUEUE, policy)
    await begins(policy)
  }
  await rig.stop()
  await until(
    async () => (await said('rerun')).endsWith('asked\n'),
    { timeoutMs: LOST_MS },
    async () => `the end of what may run elsewhere: ${await said('rerun')}`,
  )
  await until(
    async () =>
      (await said('park')).endsWith('ended\n') && (await said('wait')).endsWith('ended\n'),
    { timeoutMs: 15_000 },
    'what runs nowhere else to go on to its end',
  )
  await rig.start()
  expect(await rig.exitCodeOf('park')).toBe(0)
  expect(await rig.exitCodeOf('wait')).toBe(0)
  expect((await said('park')).split('began')).toHaveLength(2)
}, 60_000)

it('what outlives its worker is not given up by the shorter lease of code', async () => {
  await rig.close()
  rig = await WorkersRig.create({ limits: { leaseMs: 300, workerLostMs: 60_000 } })
  key = await rig.addGroup('2')
  const worker = await rig.worker('a', ['--group', '2', '--name', 'w2'], key)
  await rig.run('a', telling('a', 20), QUEUE)
  await begins('a')
  await worker.signal('SIGKILL')
  await rig.worker('a', ['--group', '2', '--name', 'w2'], key)
  expect(await rig.exitCodeOf('a')).toBe(0)
  expect((await said('a')).split('began')).toHaveLength(2)
}, 60_000)
