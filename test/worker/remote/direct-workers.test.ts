/** Workers that speak to owners themselves, and the nodes that hear them. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { MemoryRegistry, MemoryTransport } from '../../../src/adapters/memory/index.ts'
import { SystemClock, SystemRandom } from '../../../src/adapters/system/index.ts'
import { Client } from '../../../src/client/index.ts'
import { type Clock, type Transport, WORKER_FORM } from '../../../src/ports/index.ts'
import {
  errorRecord,
  pack,
  resolveLimits,
  subjectsOf,
  TroupeError,
  unpack,
} from '../../../src/protocol/index.ts'
import {
  DirectWorkers,
  NodeCaller,
  UploadedRuns,
  type WorkerCondition,
  type WorkerReport,
} from '../../../src/worker/index.ts'
import { until } from '../../waiting.ts'
import { silentLog } from '../process/real-time.ts'

const SOON = { timeoutMs: 5_000 }
const clock = new SystemClock()
const subjects = subjectsOf('c')
const CONDITION: WorkerCondition = {
  ...{ address: '', version: '1', slots: 1, queues: [], running: 0, load: 0 },
  ...{ memoryFreeBytes: 0, refusals: [], state: 'serving' },
}

let directory: string
let transport: MemoryTransport
/** What all nodes share. */
let registry: MemoryRegistry
/** How far the nodes' clocks are ahead. */
let laterMs: number
const realTime: Clock = {
  now: () => clock.now(),
  monotonic: () => clock.monotonic(),
  after: (delayMs, call) => clock.after(delayMs, call),
  defer: (call) => clock.defer(call),
}
/** Of all nodes, in their order. */
let heard: WorkerReport[]
let nodes: DirectWorkers[]

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'troupe-direct-'))
  transport = new MemoryTransport({ clock })
  registry = new MemoryRegistry({ clock })
  heard = []
  nodes = []
  laterMs = 0
})

afterEach(async () => {
  for (const node of nodes) node.stop()
  transport.close()
  await rm(directory, { recursive: true, force: true })
})

type Asks = Pick<Transport, 'request'>

/** Those that are asked on this subject stand still: they are there, and say nothing. */
const silentOn = (subject: string): Asks => ({
  request: (request, done) => {
    if (request.subject === subject) clock.defer(() => done({ kind: 'timeout' }))
    else transport.request(request, done)
  },
})

function node(name: string, { request }: Asks = transport): DirectWorkers {
  const base = { clock, random: new SystemRandom(), transport, subjects, limits: resolveLimits() }
  const runs = new UploadedRuns({ directory: join(directory, name), clock, log: silentLog })
  runs.open()
  const workers = new DirectWorkers({
    ...{ node: name, cluster: 'c', shardCount: 1, nodes: () => ['n1', 'n2'], subjects, registry },
    transport: {
      request: request.bind(transport),
      publish: (...told) => transport.publish(...told),
      subscribe: (...told) => transport.subscribe(...told),
    },
    ...{ client: new Client({ ...base, shardCount: 1 }), runs, log: silentLog },
    clock: { ...realTime, monotonic: () => clock.monotonic() + laterMs },
    registrar: {
      queuesOf: async (group) => {
        if (group === 'none') throw new TroupeError('forbidden', 'it takes none')
        return [`job.${group}`]
      },
      heard: async (report) => {
        heard.push(report)
        return { admitted: true }
      },
    },
  })
  workers.start()
  nodes.push(workers)
  return workers
}

const caller = (worker: string, session = 's', through: Asks = transport) =>
  new NodeCaller({ transport: through, subjects, worker, group: '2', session })

/** A process of that name that says that it is there. */
const appears = (worker: string, session: string) =>
  transport.subscribe(subjects.order(worker, session), {}, ({ reply }) => reply?.(pack(true)))

/** The owner of every task; it knows one token. */
function owner(token: string): void {
  transport.subscribe(subjects.shard(0), {}, ({ payload, reply }) => {
    const [{ token: given }] = unpack(payload) as [{ token: string }]
    const ok = { ok: {}, durability: 'flushed' }
    reply?.(pack([given === token ? ok : { error: errorRecord('task-gone', 'gone') }]))
  })
}

const upload = (token: string, offset = 0, text = '') => ({
  ...{ run: 'r1', number: 1, address: 'run/1', taskId: 'run/1#1:1:0', token, startedAt: 1 },
  parts: [{ stream: 'stdout' as const, offset, bytes: Buffer.from(text) }],
})

it('a worker stays with the node that answered, and goes to another when that one is gone', async () => {
  const all = { n1: node('n1'), n2: node('n2') }
  const worker = caller('w1')
  for (let n = 0; n < 4; n++) await worker.report(CONDITION)
  const first = heard[0]!.node as keyof typeof all
  expect(heard.map((one) => one.node)).toEqual([first, first, first, first])
  all[first].stop()
  expect(await worker.report(CONDITION)).toMatchObject({ queues: ['job.2'], shardCount: 1 })
  expect(heard.at(-1)!.node).not.toBe(first)
  for (const one of nodes) one.stop()
  await expect(worker.report(CONDITION)).rejects.toMatchObject({ code: 'unavailable', retry: true })
})

it('nor does it stay with one that says nothing', async () => {
  node('n1')
  const worker = caller('w1', 's', silentOn(subjects.workerQuestion('w1', 'report', 'n1')))
  await worker.report(CONDITION)
  await expect(worker.report(CONDITION)).rejects.toMatchObject({ code: 'no-answer', retry: true })
  await worker.report(CONDITION)
  expect(heard).toHaveLength(2)
})

it('what another node has lost is brought there again from its beginning', async () => {
  owner('t')
  const one = node('n1')
  const worker = caller('w1')
  expect(await worker.bring(upload('t', 0, 'abc'))).toEqual({ stdout: 3, stderr: 0 })
  one.stop()
  node('n2')
  expect(await worker.bring(upload('t', 3, 'def'))).toEqual({ stdout: 0, stderr: 0 })
  expect(await worker.bring(upload('t', 0, 'abcdef'))).toEqual({ stdout: 6, stderr: 0 })
})

it('the first of a run proves itself by its token; nobody goes on with the run of another', async () => {
  owner('t')
  node('n1')
  await expect(caller('w1').bring(upload('x'))).rejects.toMatchObject({ code: 'task-gone' })
  await caller('w1').bring(upload('t', 0, 'abc'))
  // The task may be gone by now.
  await caller('w1').bring(upload('x', 3, 'def'))
  await expect(caller('w2').bring(upload('t'))).rejects.toMatchObject({ code: 'forbidden' })
})

it('a name is one process at a time: the one that is there says so', async () => {
  node('n1')
  const present = appears('w1', 'a')
  await caller('w1', 'a').report(CONDITION)
  await expect(caller('w1', 'b').report(CONDITION)).rejects.toMatchObject({ code: 'conflict' })
  present.unsubscribe()
  await caller('w1', 'b').report(CONDITION)
  expect(heard).toHaveLength(2)
  await expect(caller('n2').report(CONDITION)).rejects.toMatchObject({ code: 'conflict' })
})

it('of two that come in the same moment one is let in, and stays', async () => {
  for (const name of ['n1', 'n2']) node(name)
  for (const worker of ['w1', 'w2', 'w3']) {
    const sessions = ['a', 'b', 'c', 'd']
    for (const session of sessions) appears(worker, session)
    const callers = sessions.map((session) => caller(worker, session))
    const ends = await Promise.allSettled(callers.map((one) => one.report(CONDITION)))
    const winner = ends.findIndex(({ status }) => status === 'fulfilled')
    const refused = ends.filter((_, index) => index !== winner)
    for (const end of refused) expect(end).toMatchObject({ reason: { code: 'conflict' } })
    await callers[winner]!.report(CONDITION)
  }
})

it('a name that goes on is not taken back by a list that is older than that', async () => {
  node('n1')
  await caller('w1', 'first').report(CONDITION)
  await caller('w1', 'second').report(CONDITION)
  const present = appears('w1', 'second')
  // What the list had was removed before it was read.
  const list = registry.list.bind(registry)
  registry.list = (_prefix, done) => {
    registry.list = list
    clock.defer(() => done({ kind: 'listed', entries: [] }))
  }
  await expect(caller('w1', 'third').report(CONDITION)).rejects.toMatchObject({ code: 'conflict' })
  await caller('w1', 'second').report(CONDITION)
  present.unsubscribe()
  await caller('w1', 'third').report(CONDITION)
})

it('while the registry does not answer nobody new is let in, and may ask again', async () => {
  node('n1')
  registry.failNext({ on: 'list', happened: false })
  const asked = caller('w1').report(CONDITION)
  await expect(asked).rejects.toMatchObject({ code: 'unavailable', retry: true })
  registry.failNext({ on: 'claim', happened: true })
  await expect(caller('w1').report(CONDITION)).rejects.toMatchObject({ code: 'unavailable' })
  await caller('w1').report(CONDITION)
})

it('one that holds the name and says nothing may go yet: that is worth asking again', async () => {
  node('n1', silentOn(subjects.order('w1', 'a')))
  await caller('w1', 'a').report(CONDITION)
  const asked = caller('w1', 'b').report(CONDITION)
  await expect(asked).rejects.toMatchObject({ code: 'unavailable', retry: true })
  laterMs = 29_000
  await expect(caller('w1', 'b').report(CONDITION)).rejects.toMatchObject({ code: 'unavailable' })
  laterMs = 31_000
  await caller('w1', 'b').report(CONDITION)
  // The first was only away.
  appears('w1', 'b')
  await expect(caller('w1', 'a').report(CONDITION)).rejects.toMatchObject({ code: 'conflict' })
})

it('one that another has been heard of since is still known to have been heard', async () => {
  node('n1', silentOn(subjects.order('w1', 'a')))
  laterMs = 10_000
  await caller('w1', 'a').report(CONDITION)
  laterMs = 39_000
  await caller('w2', 'c').report(CONDITION)
  await expect(caller('w1', 'b').report(CONDITION)).rejects.toMatchObject({ code: 'unavailable' })
  laterMs = 41_000
  await caller('w2', 'c').report(CONDITION)
  await caller('w1', 'b').report(CONDITION)
})

it('a worker of another form is not let in', async () => {
  node('n1')
  for (const form of [undefined, 1, WORKER_FORM + 1]) {
    const body = { ...CONDITION, group: '2', session: 's', ...(form && { form }) }
    const payload = pack(body)
    const subject = subjects.workerQuestion('w1', 'report')
    const answer = await new Promise<unknown>((resolve) =>
      transport.request({ subject, payload, timeoutMs: 5_000 }, (outcome) =>
        resolve(outcome.kind === 'reply' ? unpack(outcome.payload) : outcome.kind),
      ),
    )
    expect(answer).toMatchObject({ error: { code: 'conflict' } })
  }
  expect(heard).toEqual([])
})

it('the next process on its data directory has the name at once', async () => {
  node('n1', silentOn(subjects.order('w1', 'd:a')))
  await caller('w1', 'd:a').report(CONDITION)
  await expect(caller('w1', 'e:b').report(CONDITION)).rejects.toMatchObject({ retry: true })
  await caller('w1', 'd:b').report(CONDITION)
})

it('one that has said that it ends is not asked any more', async () => {
  node('n1', silentOn(subjects.order('w1', 'a')))
  await caller('w1', 'a').report(CONDITION)
  await caller('w1', 'a').report({ ...CONDITION, state: 'stopped' })
  await caller('w1', 'b').report(CONDITION)
})

it('an order is told by the node that hears the worker', async () => {
  const orders: unknown[] = []
  const one = node('n1')
  await caller('w1').report(CONDITION)
  const subject = subjects.order('w1', 's')
  transport.subscribe(subject, {}, ({ payload }) => orders.push(unpack(payload)))
  one.admit('w2', { admitted: true })
  one.admit('w1', { admitted: false, reason: 'lunch' })
  one.forget('w1')
  one.admit('w1', { admitted: true })
  transport.publish(subject, pack('last'))
  await until(() => orders.includes('last'), SOON, 'the last message')
  expect(orders).toEqual([{ admitted: false, reason: 'lunch' }, 'last'])
})

it('what is no report, no name and no question is refused, and the rest goes on', async () => {
  node('n1')
  const ask = (subject: string, payload: Uint8Array) =>
    new Promise<unknown>((resolve) =>
      transport.request({ subject, payload, timeoutMs: 5_000 }, (outcome) =>
        resolve(outcome.kind === 'reply' ? unpack(outcome.payload) : outcome.kind),
      ),
    )
  const malformed = { node: 'n1', error: expect.objectContaining({ code: 'malformed' }) }
  const report = subjects.workerQuestion('w1', 'report')
  expect(await ask(report, pack({ form: WORKER_FORM, group: '2' }))).toEqual(malformed)
  expect(await ask(report, pack('none'))).toEqual(malformed)
  expect(await ask(report, Buffer.from('not msgpack'))).toEqual(malformed)
  expect(await ask(subjects.workerQuestion('-w', 'report'), pack({}))).toEqual(malformed)
  expect(await ask(subjects.workerQuestion('w1', 'shells', 'n1'), pack({}))).toEqual(malformed)
  const none = new NodeCaller({ transport, subjects, worker: 'w1', group: 'none', session: 's' })
  await expect(none.report(CONDITION)).rejects.toMatchObject({ code: 'forbidden' })
  await caller('w1').report(CONDITION)
})

it('what is no answer of a node is refused by the worker', async () => {
  const answers: unknown[] = [null, 'ok', { ok: {} }, { node: 'n1', ok: { admitted: 'yes' } }]
  answers.push({ node: 'n1', ok: { admitted: true, cluster: 'c', queues: 'all', shardCount: 1 } })
  for (const answer of answers) {
    const questions = subjects.workerQuestions('report')
    const stranger = transport.subscribe(questions, {}, ({ reply }) => reply?.(pack(answer)))
    await expect(caller('w1').report(CONDITION)).rejects.toMatchObject({ code: 'malformed' })
    stranger.unsubscribe()
  }
})
