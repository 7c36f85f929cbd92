/** What a node asks NATS for before it joins is what it is configured with. */
import { expect, it, onTestFinished } from 'vitest'
import { openNatsPorts } from '../../src/node/nats-ports.ts'
import { clock, LineLog, random } from '../adapters/nats/connections.ts'
import { missingNatsServer, startNatsServer } from '../nats-server.ts'

it.skipIf(missingNatsServer)(
  'as many streams as it has shards, for as long as it keeps slots',
  async () => {
    const config = `accounts { A { jetstream: { max_streams: 10 }, users: [{ user: u, password: p }] } }`
    const server = await startNatsServer({ config })
    onTestFinished(() => server.close())
    const open = async (more: object) => {
      const log = new LineLog()
      const ports = await openNatsPorts({
        ...{ name: 'n1', cluster: 'c', clock, random, log, replicas: 1, signal: undefined },
        options: { servers: [server.url], user: 'u', password: 'p' },
        messageBytesMax: 1_000,
        ...more,
      })
      await ports.close()
      return log
    }
    await expect(open({})).rejects.toThrow('67 are needed')
    await expect(open({ shardCount: 8 })).rejects.toThrow('11 are needed')
    const log = await open({ shardCount: 7, clusterLimits: { journalRetentionMs: 77_000 } })
    expect(log.said('it has to be sooner than 77 s')).toBeDefined()
  },
)
