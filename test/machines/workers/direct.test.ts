/** Workers that take from the queues of a cluster themselves, seen and led from any of its nodes. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import type { Subscription } from '../../../src/ports/index.ts'
import { shardOf } from '../../../src/protocol/index.ts'
import { type RigNode, SHARDS } from '../../node/cluster-rig.ts'
import { holds, until } from '../../waiting.ts'
import { DirectRig, SOON } from './direct-rig.ts'

let rig: DirectRig
let nodes: RigNode[]

beforeAll(async () => {
  rig = await DirectRig.create('a', 'b')
  nodes = rig.up
})

afterEach(() => rig.stopWorkers())
afterAll(() => rig.close())

it('they run tasks, every node shows them, and what their commands write', async () => {
  await rig.worker('w1')
  await rig.worker('w2')
  const end = await rig.runUntilRemoved('1')
  const runner = await until(
    async () => {
      const views = await Promise.all(['w1', 'w2'].map((name) => rig.viewAt(nodes[0]!, name)))
      return views.find((view) => view?.running === 1)?.name
    },
    SOON,
    'one of them runs it',
  )
  for (const node of nodes) {
    await rig.shows(node, runner, { status: 'online', group: '2', running: 1, slots: 2 })
    await until(async () => (await rig.output(node, 'run/1')) === 'begun\n', SOON, 'it is read')
  }
  end()
  expect(await rig.codeOf('1')).toBe(0)
  for (const node of nodes) expect(await rig.output(node, 'run/1')).toBe('begun\nended\n')
})

it('a command that is killed as soon as it has written leaves what it wrote', async () => {
  await rig.worker('w1')
  const mark = join(rig.directory, 'mark')
  await rig.run('killed', `echo begun; touch ${mark}; sleep 60`)
  await until(() => existsSync(mark), SOON, 'it has written')
  await nodes[0]!.node.client.send('run/killed', { type: 'KILL' })
  const isThere = async () => (await rig.output(nodes[1]!, 'run/killed')) === 'begun\n'
  await until(isThere, SOON, 'what it wrote')
})

it('offline and online, said at a node that does not hear the worker, count at once', async () => {
  await rig.worker('w1')
  const { node } = (await rig.viewAt(nodes[0]!, 'w1'))!
  const other = nodes.find(({ name }) => name !== node)!
  const end = await rig.runUntilRemoved('before')
  await rig.call(other, 'POST', '/workers/w1/offline')
  const refusals = [expect.stringContaining('by an operator')]
  // In far less time than it takes to its next regular report.
  await until(
    async () => {
      expect(await rig.viewAt(other, 'w1')).toMatchObject({ status: 'offline', refusals })
      return true
    },
    { timeoutMs: 5_000 },
    'it is offline',
  )
  await rig.run('after', 'true')
  await holds(async () => (await rig.stateOf('after')) === 'queued', { forMs: 300 }, 'it waits')
  expect(await rig.stateOf('before')).toBe('running')
  end()
  expect(await rig.codeOf('before')).toBe(0)
  await rig.call(other, 'POST', '/workers/w1/online')
  expect(await rig.codeOf('after')).toBe(0)
})

it('one that stops says so; a name is one process at a time, and never that of a node', async () => {
  const first = await rig.worker('w1')
  const dataDirectory = join(rig.directory, 'elsewhere')
  await expect(rig.worker('w1', { dataDirectory })).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringContaining('--name'),
  })
  await expect(rig.worker('b')).rejects.toMatchObject({ code: 'conflict' })
  await first.stop()
  for (const node of nodes) await rig.shows(node, 'w1', { status: 'stopped' })
  await rig.worker('w1', { dataDirectory })
  for (const node of nodes) await rig.shows(node, 'w1', { status: 'online' })
})

it('one that was away until its name had gone on is lost: it ends what it runs, and takes nothing', async () => {
  const listening: Subscription[] = []
  const first = await rig.worker(
    'w6',
    {},
    {
      request: rig.transport.request.bind(rig.transport),
      subscribe: (...how) => {
        const subscription = rig.transport.subscribe(...how)
        listening.push(subscription)
        return subscription
      },
    },
  )
  const end = await rig.runUntilRemoved('mine')
  // So that it has something to say when that has ended.
  await rig.shows(nodes[0]!, 'w6', { running: 1 })
  for (const subscription of listening) subscription.unsubscribe()
  const second = await rig.worker('w6', { dataDirectory: join(rig.directory, 'second') })
  end()
  expect(await rig.codeOf('mine')).toBe(0)
  expect(await first.lost).toMatchObject({ code: 'conflict' })
  expect(first.status().refusals).toEqual([expect.stringContaining('another worker w6')])
  await rig.call(nodes[0]!, 'POST', '/workers/w6/offline')
  await until(() => second.status().refusals.length > 0, SOON, 'the second is offline')
  await rig.run('w6-after', 'true')
  await holds(async () => (await rig.stateOf('w6-after')) === 'queued', { forMs: 300 }, 'it waits')
  await first.drain(SOON.timeoutMs)
  await rig.call(nodes[0]!, 'POST', '/workers/w6/online')
  expect(await rig.codeOf('w6-after')).toBe(0)
})

it('a group that is disabled takes none; one that nobody added has the queue of its jobs', async () => {
  const { client } = nodes[0]!.node
  const record = { keyHash: '0'.repeat(64), queues: ['mail'], createdAt: 1, keyedAt: 1 }
  for (const group of ['3', '5']) await client.start(`workergroup/${group}`, record)
  await client.send('workergroup/5', { type: 'DISABLE' })
  const worker = await rig.worker('w3', { group: '3' })
  expect(worker.status().queues).toEqual(['mail'])
  expect((await rig.worker('w4', { group: '4' })).status().queues).toEqual(['job.group.4'])
  await expect(rig.worker('w5', { group: '5' })).rejects.toMatchObject({ code: 'forbidden' })
})

it('a worker speaks of tasks and for itself only', async () => {
  await rig.run('5', 'true')
  const { client } = nodes[0]!.node
  const { tasks } = await client.get('run/5')
  const work = rig.subjects.work(shardOf('run/5', SHARDS), 'w9')
  const taskId = tasks[0]!.taskId
  const ticket = await rig.ticketOf(taskId)
  const kill = { op: 'send', address: 'run/5', id: `${Date.now()}-a`, event: { type: 'KILL' } }
  const guess = { op: 'task.start', address: 'run/5', id: `${Date.now()}-g`, taskId, worker: 'w1' }
  const start = { ...guess, id: `${Date.now()}-b`, ticket, when: { state: 'killed' } }
  const asked = [kill, { op: 'get', address: 'run/5' }, guess, start]
  const answers = (await rig.ask(work, asked)) as { error?: { code: string }; ok?: object }[]
  expect(answers.map(({ error, ok }) => error?.code ?? ok)).toEqual([
    'forbidden',
    'forbidden',
    // The id of a task can be guessed; what its message carries goes to who takes from its queue.
    'task-stale',
    expect.objectContaining({ attempt: 1 }),
  ])
  expect((await client.get('run/5')).tasks[0]).toMatchObject({ worker: 'w9', state: 'running' })
  for (const name of ['w 9', 'w'.repeat(65)]) {
    const [refused] = (await rig.ask(rig.subjects.work(shardOf('run/5', SHARDS), name), [
      start,
    ])) as [{ error?: { code: string } }]
    expect(refused.error?.code, 'no worker has that name').toBe('malformed')
  }
})
