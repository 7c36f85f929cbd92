import { MemoryTransport, VirtualClock } from '../../src/adapters/memory/index.ts'
import { SystemClock } from '../../src/adapters/system/index.ts'
import { realTime } from './support.ts'
import { transportSuite } from './transport.suite.ts'

transportSuite('memory, virtual time', async () => {
  const clock = new VirtualClock()
  const transport = new MemoryTransport({ clock })
  return {
    transport,
    connect: async () => transport,
    elapse: (ms) => clock.settle(ms),
    close: async () => transport.close(),
  }
})

transportSuite('memory, real time', async () => {
  const transport = new MemoryTransport({ clock: new SystemClock() })
  return {
    ...realTime,
    transport,
    connect: async () => transport,
    close: async () => transport.close(),
  }
})
