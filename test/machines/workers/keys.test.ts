import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openLog } from '../../../src/index.ts'
import { type LinkAnswer, WORKER_FORM } from '../../../src/ports/index.ts'
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

/** What the queue of group 2 gives with a task to a worker that asks for some. */
async function ticketOf(id: string): Promise<string> {
  const consumers = [{ id: 1, queue: 'job.group.2', slots: 4 }]
  const body = {
    form: WORKER_FORM,
    session: 's',
    instance: 'by-hand',
    version: 1,
    consumers,
    after: 0,
  }
  const { answer } = await rig.ask('poll', { key, body })
  const taskId = await taskOf(id)
  const { deliveries } = answer as LinkAnswer
  return deliveries.find(({ message }) => message.taskId === taskId)?.message.ticket ?? ''
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

it('a worker that waited while its key was changed is given nothing', async () => {
  const consumers = [{ id: 1, queue: 'job.group.2', slots: 1 }]
  const body = { form: WORKER_FORM, session: 's', instance: 'i', version: 1, consumers, after: 0 }
  const waiting = rig.ask('poll', { key, body })
  const { after: _, ...state } = body
  const hasAsked = async () =>
    (await rig.ask('tell', { key, body: { ...state, settled: [] } })).status === 200
  await until(hasAsked, { timeoutMs: 5_000 }, 'it to wait')
  const { key: next } = await rig.call<{ key: string }>('POST', '/workers/groups/2/rotate')
  await rig.run('a', 'true', 'job.group.2')
  const { status, answer } = await waiting
  expect([status, codeOf(answer)]).toEqual([401, 'unauthorized'])
  await rig.inner(next)
  expect(await rig.exitCodeOf('a')).toBe(0)
})

it('no key is ever in a log, of the node or of a worker', async () => {
  await rig.close()
  let lines = ''
  const log = openLog({ level: 'debug', destination: { write: (line: string) => (lines += line) } })
  rig = await WorkersRig.create({ log, limits: { workerLostMs: 3_000 } })
  key = await rig.addGroup('2')
  let known = key
  await rig.inner('', { key: () => known, log })
  const wrong = 'f'.repeat(32)
  await rig.ask('report', { key: wrong, body: IDLE })
  await rig.ask('commands', { key: wrong, body: 'no list' })
  await rig.ask('poll', { key, body: {} })
  const { key: next } = await rig.call<{ key: string }>('POST', '/workers/groups/2/rotate')
  await rig.run('a', 'true', 'job.group.2')
  await until(() => lines.includes('unauthorized'), { timeoutMs: 15_000 }, 'a refusal in the log')
  known = next
  expect(await rig.exitCodeOf('a')).toBe(0)
  for (const secret of [key, next, wrong]) expect(lines).not.toContain(secret)
})

it.each(['', 'two words', 'a\nb'])(
  'a key that is no word is refused, and told so: %j',
  async (bad) => {
    await expect(rig.inner(bad)).rejects.toMatchObject({
      code: 'unauthorized',
      message: 'the key of the group is empty, or no single word',
    })
  },
)

it('a disabled group admits nobody within two seconds, also who was let in a moment ago', async () => {
  const statusOf = async () => (await rig.ask('report', { key, body: IDLE })).status
  expect(await statusOf()).toBe(200)
  for (const [type, status] of [
    ['DISABLE', 401],
    ['ENABLE', 200],
  ] as const) {
    await rig.node.client.send('workergroup/2', { type })
    const asWanted = async () => (await statusOf()) === status
    await until(asWanted, { timeoutMs: 4_000, every: 50 }, `an answer of ${status}`)
  }
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
  const body = { form: WORKER_FORM, session: 's', instance: 'i', version: 1, consumers, after: 0 }
  const { status, answer } = await rig.ask('poll', { key, body })
  expect([status, codeOf(answer)]).toEqual([403, 'forbidden'])
})

it('a key does not admit to tasks of other queues, nor to anything but tasks', async () => {
  await rig.run('other', 'true', 'job.group.3')
  await rig.run('mine', 'sleep 5', 'job.group.2')
  const mine = await ticketOf('mine')
  const start = async (id: string, ticket?: string) =>
    command({
      op: 'task.start',
      address: `run/${id}`,
      taskId: await taskOf(id),
      worker: 'somebody-else',
      id: `${Date.now()}-${id}${ticket}`,
      ticket,
    })
  for (const guess of [undefined, '', mine])
    expect((await start('other', guess)).error).toMatchObject({ code: 'task-stale' })
  expect((await rig.node.client.get('run/other')).tasks[0]?.state).toBe('queued')
  const send = { op: 'send', address: 'run/mine', event: { type: 'KILL' }, id: `${Date.now()}-k` }
  expect((await command(send)).error).toMatchObject({ code: 'forbidden' })
  expect((await start('mine', mine)).error).toBeUndefined()
  // It speaks for itself, whatever name it gives.
  expect((await rig.node.client.get('run/mine')).tasks[0]).toMatchObject({
    state: 'running',
    worker: 'w9',
  })
})

describe('a session', () => {
  const consumers = [{ id: 1, queue: 'job.group.2', slots: 1 }]
  const state = { form: WORKER_FORM, session: 's', instance: 'i', version: 1, consumers }
  const tell = (fields: object = {}) =>
    rig.ask('tell', { key, body: { ...state, settled: [], ...fields } })

  /** It waits for tasks, as a worker does. */
  async function opens(): Promise<void> {
    // It is cut off when the rig is closed.
    rig.ask('poll', { key, body: { ...state, after: 0 } }).catch(() => {})
    await until(async () => (await tell()).status === 200, { timeoutMs: 5_000 }, 'it to wait')
  }

  it('may not take from queues of others later either', async () => {
    await opens()
    const foreign = [{ id: 2, queue: 'job.group.3', slots: 1 }]
    expect((await tell({ version: 2, consumers: foreign })).status).toBe(403)
  })

  it('is that of one directory, and is ended by itself only', async () => {
    await opens()
    const other = { ...state, session: 't', instance: 'j', after: 0 }
    const second = await rig.ask('poll', { key, body: other })
    expect([second.status, codeOf(second.answer)]).toEqual([409, 'conflict'])
    expect((await tell({ session: 't' })).status).toBe(503)
    await rig.ask('leave', { key, body: 't' })
    expect((await tell()).status).toBe(200)
    await rig.ask('leave', { key, body: 's' })
    expect((await tell()).status).toBe(503)
  })
})

it('a worker attaches in its own name, whatever name it gives', async () => {
  await rig.run('mine', 'sleep 5', 'job.group.2')
  const taskId = await taskOf('mine')
  const ticket = await ticketOf('mine')
  const common = { address: 'run/mine', taskId, worker: 'w9' }
  const started = await command({ ...common, op: 'task.start', id: `${Date.now()}-s`, ticket })
  const { token } = started.ok as { token: string }
  const worker = 'somebody-else'
  const attach = { ...common, op: 'task.attach', token, worker, id: `${Date.now()}-a` }
  expect((await command(attach)).error).toBeUndefined()
  expect((await rig.node.client.get('run/mine')).tasks[0]).toMatchObject({ worker: 'w9' })
})

it('what a worker sends is checked, whoever it is', async () => {
  for (const [name, body] of [
    ['poll', { form: WORKER_FORM, session: 's' }],
    [
      'tell',
      { form: WORKER_FORM, session: 's', instance: 'i', version: -1, consumers: [], settled: [] },
    ],
    ['report', { ...IDLE, slots: 'many' }],
    ['commands', 'no list'],
  ] as const) {
    const { status, answer } = await rig.ask(name, { key, body })
    expect([name, status, codeOf(answer)]).toEqual([name, 400, 'malformed'])
  }
  const { error } = await command({ op: 'task.start', address: 'run/a' })
  expect(error).toMatchObject({ code: 'malformed' })
})

it('a worker of another form is told which side is to be updated, and is given nothing', async () => {
  const consumers = [{ id: 1, queue: 'job.group.2', slots: 1 }]
  const state = { session: 's', instance: 'i', version: 1, consumers }
  for (const [form, side] of [
    [undefined, 'worker'],
    [WORKER_FORM - 1, 'worker'],
    [WORKER_FORM + 1, 'node'],
  ] as const) {
    const asked = { poll: { ...state, after: 0 }, tell: { ...state, settled: [] }, report: IDLE }
    for (const [name, body] of Object.entries(asked)) {
      const { status, answer } = await rig.ask(name, { key, body: { ...body, form } })
      expect([name, status, codeOf(answer)]).toEqual([name, 409, 'conflict'])
      expect(JSON.stringify(answer)).toContain(`update the ${side}`)
    }
  }
  expect(await rig.workerView('w9')).toBeUndefined()
})

it('a name is one worker at a time, and never that of the node', async () => {
  await rig.inner(key)
  const second = rig.inner(key, { dataDirectory: `${rig.directory}/b` })
  await expect(second).rejects.toMatchObject({ code: 'conflict' })
  const own = await rig.ask('report', { key, body: IDLE, worker: rig.node.name })
  expect([own.status, codeOf(own.answer)]).toEqual([409, 'conflict'])
})
