import { afterAll, beforeAll, describe } from 'vitest'
import { MemoryTransport, VirtualClock } from '../../src/adapters/memory/index.ts'
import { NatsTransport } from '../../src/adapters/nats/index.ts'
import { SystemClock } from '../../src/adapters/system/index.ts'
import type { Clock } from '../../src/ports/index.ts'
import { connectTo, LineLog } from '../adapters/nats/connections.ts'
import { missingNatsServer, type NatsServer, startNatsServer } from '../nats-server.ts'
import { realTime } from './support.ts'
import { transportSuite } from './transport.suite.ts'

const PAYLOAD_BYTES_MAX = 64 * 1024

/** Keeps what deferred calls throw: else the process would end, as it should outside of tests. */
function catching(clock: Clock, thrown: unknown[]): Clock {
  return {
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    after: (delayMs, call) => clock.after(delayMs, call),
    defer: (call) =>
      clock.defer(() => {
        try {
          call()
        } catch (error) {
          thrown.push(error)
        }
      }),
  }
}

transportSuite('memory, virtual time', async () => {
  const clock = new VirtualClock()
  const thrown: unknown[] = []
  const transport = new MemoryTransport({
    clock: catching(clock, thrown),
    payloadBytesMax: PAYLOAD_BYTES_MAX,
  })
  return {
    transport,
    thrown,
    payloadBytesMax: PAYLOAD_BYTES_MAX,
    connect: async () => transport,
    elapse: (ms) => clock.settle(ms),
    close: async () => transport.close(),
  }
})

transportSuite('memory, real time', async () => {
  const thrown: unknown[] = []
  const transport = new MemoryTransport({
    clock: catching(new SystemClock(), thrown),
    payloadBytesMax: PAYLOAD_BYTES_MAX,
  })
  return {
    ...realTime,
    transport,
    thrown,
    payloadBytesMax: PAYLOAD_BYTES_MAX,
    connect: async () => transport,
    close: async () => transport.close(),
  }
})

describe.skipIf(missingNatsServer)('with a nats-server', () => {
  let server: NatsServer
  beforeAll(async () => {
    const config = `max_payload: ${PAYLOAD_BYTES_MAX}`
    server = await startNatsServer({ jetstream: false, config })
  })
  afterAll(() => server.close())

  transportSuite('nats', async () => {
    const thrown: unknown[] = []
    const log = new LineLog()
    const clock = catching(new SystemClock(), thrown)
    const parties: { transport: NatsTransport; end(): Promise<void>; flush(): Promise<void> }[] = []
    const connect = async () => {
      const connection = await connectTo(server.url, log)
      const transport = new NatsTransport({ connection, clock, log })
      parties.push({
        transport,
        end: () => connection.close(),
        flush: () => connection.nats.flush(),
      })
      return transport
    }
    return {
      transport: await connect(),
      thrown,
      payloadBytesMax: PAYLOAD_BYTES_MAX,
      connect,
      // Whatever was sent has reached the server then, however slow it is.
      elapse: async (ms) => {
        await Promise.all(parties.map(({ flush }) => flush()))
        await realTime.elapse(ms)
      },
      close: async () => {
        for (const { transport, end } of parties) {
          transport.close()
          await end()
        }
      },
    }
  })
})
