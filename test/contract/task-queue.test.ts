import { afterAll, beforeAll, describe } from 'vitest'
import { MemoryTaskQueue, VirtualClock } from '../../src/adapters/memory/index.ts'
import { NatsTaskQueue } from '../../src/adapters/nats/index.ts'
import { SystemClock } from '../../src/adapters/system/index.ts'
import { connectTo, LineLog } from '../adapters/nats/connections.ts'
import { missingNatsServer, type NatsServer, startNatsServer } from '../nats-server.ts'
import { realTime } from './support.ts'
import { QUEUE_NAMES, type TaskQueueHarness, taskQueueSuite } from './task-queue.suite.ts'
import { linkedNode } from './worker-link.ts'

taskQueueSuite('memory, virtual time', async (ackWaitMs = 1_000) => {
  const clock = new VirtualClock()
  const queue = new MemoryTaskQueue({ clock, ackWaitMs })
  return {
    queue,
    ackWaitMs,
    exact: true,
    now: () => clock.now(),
    elapse: (ms) => clock.settle(ms),
    close: async () => queue.close(),
  }
})

/** Most of it on real time is waiting: the suites run beside each other, the tests of each one by one. */
describe.concurrent('on real time', () => {
  const apart = (name: string, create: (ackWaitMs?: number) => Promise<TaskQueueHarness>) =>
    describe(name, () => {
      describe.sequential('one by one', () => taskQueueSuite(name, create))
    })

  const clock = new SystemClock()
  const timed = { ...realTime, exact: true, now: () => clock.now() }

  apart('memory, real time', async (ackWaitMs = 500) => {
    const queue = new MemoryTaskQueue({ clock, ackWaitMs })
    return { ...timed, queue, ackWaitMs, close: async () => queue.close() }
  })

  /** A worker consumes over HTTP what its node publishes. */
  apart('a worker on its node over HTTP', async (ackWaitMs = 500) => {
    const queue = new MemoryTaskQueue({ clock, ackWaitMs })
    const node = await linkedNode(queue, QUEUE_NAMES)
    const link = node.link()
    return {
      ...timed,
      queue: {
        publish: (message, done) => queue.publish(message, done),
        consume: (options, deliver) => link.consume(options, deliver),
        depth: (name) => queue.depth(name),
      },
      ackWaitMs,
      close: async () => {
        await node.close()
        queue.close()
      },
    }
  })

  describe.skipIf(missingNatsServer)('with a nats-server', () => {
    let server: NatsServer
    let clusters = 0
    beforeAll(async () => {
      server = await startNatsServer()
    })
    afterAll(() => server.close())

    apart('nats', async (ackWaitMs = 500) => {
      const log = new LineLog()
      const connection = await connectTo(server.url, log)
      clusters += 1
      const cluster = `c${clusters}`
      const options = { connection, cluster, replicas: 1, clock, log, ackWaitMs }
      const queue = await NatsTaskQueue.open(options)
      return {
        ...timed,
        queue,
        ackWaitMs,
        close: async () => {
          await queue.close()
          await connection.close()
        },
      }
    })
  })
})
