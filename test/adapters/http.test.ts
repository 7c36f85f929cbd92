import { createServer, type Socket } from 'node:net'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { HttpCaller, HttpLink } from '../../src/adapters/http/index.ts'
import { MemoryTaskQueue } from '../../src/adapters/memory/index.ts'
import { SystemClock, SystemRandom } from '../../src/adapters/system/index.ts'
import type { TransportOutcome } from '../../src/ports/index.ts'
import { pack, subjectsOf, unpack } from '../../src/protocol/index.ts'
import { KEY, type LinkedNode, linkedNode } from '../contract/worker-link.ts'
import { until } from '../waiting.ts'
import { silentLog } from '../worker/process/real-time.ts'

const clock = new SystemClock()
let queue: MemoryTaskQueue
let node: LinkedNode

beforeEach(async () => {
  queue = new MemoryTaskQueue({ clock })
  node = await linkedNode(queue, ['q'])
})

afterEach(async () => {
  await node.close()
  queue.close()
})

const payload = pack([{ op: 'get', address: 'a/1' }])

function request(link: HttpLink, timeoutMs = 5_000): Promise<TransportOutcome> {
  return new Promise((resolve) => {
    link.request({ subject: 'any', payload, timeoutMs }, resolve)
  })
}

function linkTo(url: string): HttpLink {
  const caller = new HttpCaller({ url, group: '1', worker: 'w1', key: () => KEY })
  return new HttpLink({ caller, instance: 'i', clock, random: new SystemRandom(), log: silentLog })
}

it('brings commands to the node, and each outcome back', async () => {
  const outcome = await request(node.link())
  expect(outcome.kind).toBe('reply')
  const bytes = outcome.kind === 'reply' ? outcome.payload : new Uint8Array()
  expect(unpack(bytes)).toMatchObject([{ error: { code: 'forbidden' } }])
})

it('tells that nobody was there from that nobody answered', async () => {
  const silent = createServer((socket) => socket.on('error', () => {}))
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  const { port } = silent.address() as { port: number }
  const link = linkTo(`http://127.0.0.1:${port}`)
  const cut = request(link)
  const socket = await new Promise<Socket>((resolve) => silent.once('connection', resolve))
  socket.destroy()
  expect(await cut).toEqual({ kind: 'timeout' })
  await new Promise((resolve) => silent.close(resolve))
  expect(await request(link)).toEqual({ kind: 'no-responders' })
})

it('what the node hears on a subject of the worker reaches it', async () => {
  const seen: unknown[] = []
  const subject = subjectsOf('test').cancel('w1')
  const link = node.link('w1')
  link.subscribe(subject, {}, (message) => seen.push(unpack(message.payload)))
  await until(() => node.transport.hears(subject), { timeoutMs: 5_000 }, 'the node to listen')
  node.transport.publish(subject, pack('t1'))
  node.transport.publish(subjectsOf('test').cancel('w2'), pack('not mine'))
  node.transport.publish(subject, pack('t2'))
  await until(() => seen.length === 2, { timeoutMs: 5_000 }, 'two messages')
  expect(seen).toEqual(['t1', 't2'])
})

it('what comes for a consumer that was stopped meanwhile is for others at once', async () => {
  const link = node.link('w1')
  const got: string[] = []
  const consumer = link.consume({ queue: 'q', slots: 1 }, (delivery) => {
    got.push(delivery.message.taskId)
    delivery.ack()
  })
  const publish = (taskId: string) =>
    queue.publish(
      { queue: 'q', priority: 0, messageId: taskId, taskId, name: 'n', ticket: 't' },
      () => {},
    )
  for (const taskId of ['a', 'b']) {
    publish(taskId)
    await until(() => got.includes(taskId), { timeoutMs: 5_000 }, `${taskId} to come`)
  }
  // The node hears of the stop after it has answered.
  publish('c')
  consumer.stop()
  const others: string[] = []
  queue.consume({ queue: 'q', slots: 5 }, ({ message }) => others.push(message.taskId))
  await until(() => others.includes('c'), { timeoutMs: 5_000 }, 'it to be given to somebody else')
  expect(got).toEqual(['a', 'b'])
})

it('a worker that says goodbye leaves nothing behind', async () => {
  const link = node.link('w1')
  const got: string[] = []
  link.consume({ queue: 'q', slots: 1 }, ({ message }) => got.push(message.taskId))
  const publish = (taskId: string) =>
    queue.publish(
      { queue: 'q', priority: 0, messageId: taskId, taskId, name: 'n', ticket: 't' },
      () => {},
    )
  publish('a')
  await until(() => got.length === 1, { timeoutMs: 5_000 }, 'a delivery')
  await link.close()
  const others: string[] = []
  queue.consume({ queue: 'q', slots: 5 }, ({ message }) => others.push(message.taskId))
  await until(() => others.length === 1, { timeoutMs: 5_000 }, 'it to be given to somebody else')
  expect(others).toEqual(['a'])
})

it('refuses a URL that is none', () => {
  expect(() => linkTo('ftp://there')).toThrow('is not a URL')
})
