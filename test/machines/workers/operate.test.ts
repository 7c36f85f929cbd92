import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { holds, until } from '../../waiting.ts'
import { IDLE, WorkersRig } from './rig.ts'

const LOST_MS = 1_500

let rig: WorkersRig
let key: string

beforeEach(async () => {
  rig = await WorkersRig.create({ limits: { workerLostMs: LOST_MS } })
  key = await rig.addGroup('2')
})

afterEach(() => rig.close())

function shows(name: string, wanted: Record<string, unknown>): Promise<unknown> {
  return until(
    async () => {
      const view = await rig.workerView(name)
      expect(view).toMatchObject(wanted)
      return true
    },
    { timeoutMs: 10_000, every: 50 },
    async () =>
      `${name} as ${JSON.stringify(wanted)}; it is ${JSON.stringify(await rig.workerView(name))}`,
  )
}

/** The limits as they are by default. */
async function withDefaultLimits(): Promise<void> {
  await rig.close()
  rig = await WorkersRig.create()
  key = await rig.addGroup('2')
}

const stateOf = async (id: string) =>
  (await rig.node.client.get(`run/${id}`)).tasks[0]?.state ?? 'none'

/** A command that runs until the file is removed. */
async function runUntilRemoved(id: string): Promise<() => Promise<void>> {
  const file = join(rig.directory, `go-${id}`)
  await writeFile(file, '')
  await rig.run(id, `while [ -e '${file}' ]; do sleep 0.05; done`, 'job.group.2')
  await until(async () => (await stateOf(id)) === 'running', { timeoutMs: 10_000 }, `${id} runs`)
  return () => rm(file)
}

it('offline: nothing new from that moment, what runs goes on; online: new tasks again', async () => {
  await rig.inner(key)
  const end = await runUntilRemoved('before')
  const answer = await rig.call<{ status: string }>('POST', '/workers/w2/offline')
  expect(answer.status).toBe('offline')
  await rig.run('after', 'true', 'job.group.2')
  await holds(async () => (await stateOf('after')) === 'queued', { forMs: 500 }, 'it waits')
  expect(await stateOf('before')).toBe('running')
  await shows('w2', {
    status: 'offline',
    running: 1,
    refusals: [expect.stringContaining('by an operator')],
  })
  await end()
  expect(await rig.exitCodeOf('before')).toBe(0)
  await rig.call('POST', '/workers/w2/online')
  expect(await rig.exitCodeOf('after')).toBe(0)
  await shows('w2', { status: 'online', refusals: [] })
})

it('an operator may as well send the event to the actor', async () => {
  await rig.inner(key)
  await shows('w2', { status: 'online' })
  await rig.node.client.send('worker/w2', { type: 'OFFLINE' })
  await rig.run('a', 'true', 'job.group.2')
  await holds(async () => (await stateOf('a')) === 'queued', { forMs: 500 }, 'it waits')
})

it('drain: draining while something runs, then offline', async () => {
  // Where a sign of life is rare, so that only the end of the last task can tell.
  await withDefaultLimits()
  await rig.inner(key)
  const end = await runUntilRemoved('a')
  await rig.call('POST', '/workers/w2/drain')
  await shows('w2', { status: 'draining', running: 1 })
  // It has been told, and has said so: from here on nothing but the end of the task is news.
  const told = async () => {
    const { context } = await rig.node.client.get('worker/w2')
    return (context as { refusals: string[] }).refusals.some((one) => one.startsWith('draining'))
  }
  await until(told, { timeoutMs: 25_000, every: 50 }, 'the worker to say that it drains')
  await rig.run('b', 'true', 'job.group.2')
  await end()
  await shows('w2', { status: 'offline', running: 0 })
  expect(await stateOf('b')).toBe('queued')
})

it("the node's own worker is in the list, and obeys", async () => {
  const { name } = rig.node
  await shows(name, { status: 'online', group: '', address: 'local' })
  await rig.call('POST', `/workers/${name}/offline`)
  await rig.run('own', 'true', 'own')
  await holds(async () => (await stateOf('own')) === 'queued', { forMs: 500 }, 'it waits')
  await rig.call('POST', `/workers/${name}/online`)
  expect(await rig.exitCodeOf('own')).toBe(0)
})

it('a worker that is silent is lost, and is there again when it is heard', async () => {
  await rig.ask('report', { key, body: IDLE })
  await shows('w9', { status: 'online' })
  await rig.call('POST', '/workers/w9/offline')
  await shows('w9', { status: 'lost' })
  await rig.ask('report', { key, body: IDLE })
  // Whoever took it offline has not changed his mind.
  await shows('w9', { status: 'offline', address: '10.0.0.7:1', slots: 4 })
})

it('a worker that says goodbye is stopped, not lost', async () => {
  const worker = await rig.inner(key)
  await worker.stop()
  await shows('w2', { status: 'stopped' })
  await holds(
    async () => (await rig.workerView('w2'))?.status === 'stopped',
    { forMs: LOST_MS + 300, every: 100 },
    'it stays stopped',
  )
})

it('heartbeats that say nothing new are not committed', async () => {
  await withDefaultLimits()
  await rig.ask('report', { key, body: IDLE })
  const turn = async () => (await rig.node.client.get('worker/w9')).turn
  await rig.ask('report', { key, body: { ...IDLE, load: 1 } })
  const before = await turn()
  for (let i = 1; i <= 20; i++) {
    await rig.ask('report', { key, body: { ...IDLE, load: i, running: i % 3 } })
  }
  expect(await turn()).toBe(before)
  await shows('w9', { running: 2, load: 20 })
  await rig.ask('report', { key, body: { ...IDLE, slots: 5 } })
  expect(await turn()).toBe(before + 1)
})

it('takes nothing while its machine is too busy, says why, and goes on afterwards', async () => {
  const figures = { memory: 100 }
  await rig.inner(key, {
    acceptance: { memoryMinBytes: 200 * 1024 ** 2 },
    figures: () => ({ load: 0, memoryFreeBytes: figures.memory * 1024 ** 2 }),
  })
  await shows('w2', { refusals: [expect.stringContaining('memory: 100 MB available')] })
  await rig.run('a', 'true', 'job.group.2')
  await holds(async () => (await stateOf('a')) === 'queued', { forMs: 300 }, 'it waits')
  figures.memory = 300
  expect(await rig.exitCodeOf('a')).toBe(0)
  await shows('w2', { refusals: [] })
})

it('says that all its slots are taken', async () => {
  await rig.inner(key, { slots: 1 })
  const end = await runUntilRemoved('a')
  await shows('w2', { running: 1, refusals: ['count: 1 of 1 slots are taken'] })
  await end()
  await shows('w2', { running: 0, refusals: [] })
})
