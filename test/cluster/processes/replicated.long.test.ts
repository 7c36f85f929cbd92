/** A whole cluster over three nats-servers, which keep three replicas of everything and end one by one. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it, onTestFinished } from 'vitest'
import { connectorTo } from '../../adapters/nats/connections.ts'
import { replicasOf, replicated } from '../../adapters/nats/replicas.ts'
import { missingNatsServer } from '../../nats-server.ts'
import { Processes } from './harness.ts'
import { DEFAULT_SETTINGS } from './node-settings.ts'

const TEST_MS = 400_000
/** So that slots are removed all the time. */
const SETTINGS = {
  limits: {
    ...DEFAULT_SETTINGS.limits,
    ...{
      checkpointLookMs: 500,
      checkpointSlots: 16,
      journalSlotsMin: 8,
      journalRetentionMs: 1_000,
    },
  },
}
const CLIENTS = { library: 3, json: 3 }
const NOTES = 60

let cluster: Processes | undefined

afterEach(() => cluster?.close())

/** Every replica of every journal, read by itself, is the same; some slots of it are removed. */
async function expectAlike({ nats, nodes, settings }: Processes): Promise<void> {
  // They go on removing slots.
  await Promise.all(nodes.map((node) => node.kill()))
  let removed = 0
  const connection = await connectorTo({ servers: nats.urls }).open({ reconnect: true })
  onTestFinished(() => connection.close())
  for (let shard = 0; shard < settings.shards; shard++) {
    const stream = `TROUPE_${settings.cluster}_JOURNAL_${shard}`
    await replicated(connection, stream)
    const [first, ...others] = Object.values(await replicasOf(nats, connection, stream))
    expect(others, stream).toEqual([first, first])
    const sequences = Object.keys(first!).map(Number)
    const [oldest = 1] = sequences
    expect(sequences, stream).toEqual(sequences.map((_, at) => oldest + at))
    removed += oldest - 1
  }
  expect(removed).toBeGreaterThan(0)
}

describe.skipIf(missingNatsServer)('nodes over three nats-servers', () => {
  it(
    'serve on while each of the servers is killed and comes back',
    async () => {
      cluster = await Processes.open({
        nodes: ['n1', 'n2', 'n3'],
        natsServers: 3,
        settings: SETTINGS,
      })
      await cluster.startAll()
      const notes = await cluster.notes(CLIENTS)
      await notes.more(NOTES)
      for (const server of cluster.nats.servers) {
        await server.kill()
        await notes.more(NOTES)
        await cluster.nats.start()
        await notes.more(NOTES)
      }
      await cluster.settled()
      await notes.everybody(5)
      expect(await notes.findings()).toEqual([])
      await expectAlike(cluster)
    },
    TEST_MS,
  )

  it(
    'lose nothing when a server comes back with an older copy of its disk',
    async () => {
      const directory = mkdtempSync(join(tmpdir(), 'troupe-store-'))
      onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
      cluster = await Processes.open({ nodes: ['n1', 'n2'], natsServers: 3, settings: SETTINGS })
      const { nats } = cluster
      await cluster.startAll()
      const notes = await cluster.notes(CLIENTS)
      await notes.more(NOTES)
      const [server] = nats.servers
      await server!.stop()
      const copy = join(directory, 'store')
      server!.copyStore(copy)
      await nats.start()
      await notes.more(NOTES)
      await server!.kill()
      await notes.more(NOTES)
      server!.replaceStore(copy)
      await nats.start()
      await notes.more(NOTES)
      await cluster.settled()
      await notes.everybody(5)
      expect(await notes.findings()).toEqual([])
      await expectAlike(cluster)
    },
    TEST_MS,
  )
})
