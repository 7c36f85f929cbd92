import { afterEach, beforeEach, expect, it } from 'vitest'
import { until } from '../../waiting.ts'
import { IDLE, WorkersRig } from './rig.ts'

let rig: WorkersRig
let key: string

beforeEach(async () => {
  rig = await WorkersRig.create()
  key = await rig.addGroup('2')
})

afterEach(() => rig.close())

const codeOf = (answer: unknown) => (answer as { error?: { code: string } }).error?.code

/** One command, as a worker sends it; its outcome. */
async function command(fields: Record<string, unknown>) {
  const { status, answer } = await rig.ask('commands', { key, body: [fields] })
  expect(status).toBe(200)
  const [outcome] = answer as { ok?: unknown; error?: { code: string; message: string } }[]
  return outcome ?? {}
}

async function taskOf(id: string): Promise<string> {
  const { tasks } = await rig.node.client.get(`run/${id}`)
  return tasks[0]?.taskId ?? ''
}

it('a wrong key, a missing one and a group that does not exist are answered alike', async () => {
  const body = IDLE
  const answers = await Promise.all([
    rig.ask('report', { key: '0'.repeat(32), body }),
    rig.ask('report', { body }),
    rig.ask('report', { key, body, group: '3' }),
    rig.ask('poll', { key: `${key}0`, body: {} }),
    rig.ask('commands', { key: 'x', body: [] }),
  ])
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([401]))
  expect(new Set(answers.map(({ answer }) => JSON.stringify(answer))).size).toBe(1)
  expect(await rig.workerView('w9')).toBeUndefined()
})

it('troupe worker with a wrong key ends at once and says why', async () => {
  const started = rig.spawn('a', ['--group', '2', '--name', 'w2'], 'wrong')
  expect(await started.ended).toBe(1)
  expect(started.output()).toContain('this key does not open this group')
})

it('a new key shuts the old one out; a worker that can look it up goes on', async () => {
  let known = key
  await rig.inner('', { key: () => known })
  const rotated = await rig.call<{ key: string }>('POST', '/workers/groups/2/rotate')
  known = rotated.key
  await until(
    async () => (await rig.ask('report', { key, body: IDLE })).status === 401,
    { timeoutMs: 5_000, every: 50 },
    'the old key to be refused',
  )
  await rig.run('a', 'true', 'job.group.2')
  expect(await rig.exitCodeOf('a')).toBe(0)
})

it('a disabled group admits nobody', async () => {
  await rig.node.client.send('workergroup/2', { type: 'DISABLE' })
  expect((await rig.ask('report', { key, body: IDLE })).status).toBe(401)
})

it('the key is shown once and kept nowhere', async () => {
  const { context } = await rig.node.client.get('workergroup/2')
  expect(JSON.stringify(context)).not.toContain(key)
  const groups = await rig.call<unknown>('GET', '/workers/groups')
  expect(groups).toEqual({
    groups: [expect.objectContaining({ group: '2', queues: ['job.group.2'] })],
  })
  expect(JSON.stringify(groups)).not.toContain(key)
  expect(JSON.stringify(groups)).not.toContain('keyHash')
})

it('a key does not admit to the queues of another group', async () => {
  const consumers = [{ id: 1, queue: 'job.group.3', slots: 1 }]
  const body = { session: 's', instance: 'i', version: 1, consumers, after: 0 }
  const { status, answer } = await rig.ask('poll', { key, body })
  expect([status, codeOf(answer)]).toEqual([403, 'forbidden'])
})

it('a key does not admit to tasks of other queues, nor to anything but tasks', async () => {
  await rig.run('other', 'true', 'job.group.3')
  await rig.run('mine', 'sleep 5', 'job.group.2')
  const start = async (id: string) =>
    command({
      op: 'task.start',
      address: `run/${id}`,
      taskId: await taskOf(id),
      worker: 'somebody-else',
      id: `${Date.now()}-${id}`,
    })
  expect((await start('other')).error).toMatchObject({ code: 'forbidden' })
  expect((await rig.node.client.get('run/other')).tasks[0]?.state).toBe('queued')
  const send = { op: 'send', address: 'run/mine', event: { type: 'KILL' }, id: `${Date.now()}-k` }
  expect((await command(send)).error).toMatchObject({ code: 'forbidden' })
  expect((await start('mine')).error).toBeUndefined()
  // It speaks for itself, whatever name it gives.
  expect((await rig.node.client.get('run/mine')).tasks[0]).toMatchObject({
    state: 'running',
    worker: 'w9',
  })
})

it('what a worker sends is checked, whoever it is', async () => {
  for (const [name, body] of [
    ['poll', { session: 's' }],
    ['tell', { session: 's', instance: 'i', version: -1, consumers: [], settled: [] }],
    ['report', { ...IDLE, slots: 'many' }],
    ['commands', 'no list'],
  ] as const) {
    const { status, answer } = await rig.ask(name, { key, body })
    expect([name, status, codeOf(answer)]).toEqual([name, 400, 'malformed'])
  }
  const { error } = await command({ op: 'task.start', address: 'run/a' })
  expect(error).toMatchObject({ code: 'malformed' })
})

it('a name is one worker at a time, and never that of the node', async () => {
  await rig.inner(key)
  const second = rig.inner(key, { dataDirectory: `${rig.directory}/b` })
  await expect(second).rejects.toMatchObject({ code: 'conflict' })
  const own = await rig.ask('report', { key, body: IDLE, worker: rig.node.name })
  expect([own.status, codeOf(own.answer)]).toEqual([409, 'conflict'])
})
