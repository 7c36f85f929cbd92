import { MemoryTaskQueue, VirtualClock } from '../../src/adapters/memory/index.ts'
import { SystemClock } from '../../src/adapters/system/index.ts'
import { realTime } from './support.ts'
import { taskQueueSuite } from './task-queue.suite.ts'

taskQueueSuite('memory, virtual time', async () => {
  const clock = new VirtualClock()
  const ackWaitMs = 1_000
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

taskQueueSuite('memory, real time', async () => {
  const clock = new SystemClock()
  const ackWaitMs = 200
  const queue = new MemoryTaskQueue({ clock, ackWaitMs })
  return {
    ...realTime,
    queue,
    ackWaitMs,
    exact: true,
    now: () => clock.now(),
    close: async () => queue.close(),
  }
})
