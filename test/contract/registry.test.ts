import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { MemoryRegistry, VirtualClock } from '../../src/adapters/memory/index.ts'
import { type Connection, NatsRegistry } from '../../src/adapters/nats/index.ts'
import { SystemClock } from '../../src/adapters/system/index.ts'
import type { ClaimOutcome } from '../../src/ports/index.ts'
import { connectTo, LineLog } from '../adapters/nats/connections.ts'
import { missingNatsServer, type NatsServer, startNatsServer } from '../nats-server.ts'
import { registrySuite } from './registry.suite.ts'
import { answer, bytes, realTime } from './support.ts'

registrySuite('memory', async () => {
  const clock = new VirtualClock()
  const registry = new MemoryRegistry({ clock })
  return {
    registry,
    connect: async () => registry,
    elapse: (ms) => clock.settle(ms),
    close: async () => {},
  }
})

it('memory registry: an unknown claim may or may not have been won', async () => {
  const clock = new VirtualClock()
  const registry = new MemoryRegistry({ clock })
  const claim = (value: string): Promise<ClaimOutcome> =>
    answer({ elapse: (ms) => clock.settle(ms) }, (done) => registry.claim('k', bytes(value), done))
  registry.failNext({ on: 'claim', happened: false })
  expect((await claim('a')).kind).toBe('unknown')
  registry.failNext({ on: 'claim', happened: true })
  expect((await claim('b')).kind).toBe('unknown')
  const last = await claim('c')
  expect(last.kind === 'lost' && Buffer.from(last.value).equals(bytes('b'))).toBe(true)
})

describe.skipIf(missingNatsServer)('with a nats-server', () => {
  let server: NatsServer
  let clusters = 0
  beforeAll(async () => {
    server = await startNatsServer()
  })
  afterAll(() => server.close())

  registrySuite('nats', async () => {
    const log = new LineLog()
    const cluster = `c${++clusters}`
    const connections: Connection[] = []
    const connect = async () => {
      const connection = await connectTo(server.url, log)
      connections.push(connection)
      return NatsRegistry.open({ connection, cluster, replicas: 1, clock: new SystemClock(), log })
    }
    return {
      ...realTime,
      registry: await connect(),
      connect,
      close: async () => {
        await Promise.all(connections.map((connection) => connection.close()))
      },
    }
  })
})
