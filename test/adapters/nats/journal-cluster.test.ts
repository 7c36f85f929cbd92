/** The journal over three nats-servers: streams with three replicas, and with one that is somewhere. */
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import {
  missingNatsServer,
  type NatsCluster,
  type NatsServer,
  startNatsCluster,
} from '../../nats-server.ts'
import { connectTo } from './connections.ts'
import { JournalParty, type JournalSetting, race, recordIn } from './journals.ts'

describe.skipIf(missingNatsServer)('the journal over three nats-servers', () => {
  let servers: NatsCluster
  beforeAll(async () => {
    servers = await startNatsCluster()
  })
  afterAll(() => servers.close())

  const partyOf = (setting: Partial<JournalSetting> & { cluster: string }): JournalParty => {
    const party = new JournalParty({ servers: servers.urls, replicas: 3, ...setting })
    onTestFinished(() => party.close())
    return party
  }

  /** Any that runs answers. */
  const leaderOf = async (stream: string): Promise<NatsServer> => {
    const running = servers.servers.find(({ isRunning }) => isRunning)!
    const connection = await connectTo(running.url)
    try {
      const { cluster } = await (await connection.nats.jetstreamManager()).streams.info(stream)
      return servers.server(cluster!.leader!)
    } finally {
      await connection.close()
    }
  }

  it('lets one of twelve racing writers win each slot of three replicas', async () => {
    const at = (index: number) => [servers.urls[index % 3]!]
    const parties = Array.from({ length: 12 }, (_, index) =>
      partyOf({ cluster: 'race', servers: at(index) }),
    )
    await parties[0]!.append(1)
    const { winners, seen } = await race(parties, 1, 30)
    expect(winners).toEqual(seen)
    expect(seen).not.toContain('empty')
  })

  it('removes slots of three replicas without a purge where a purge is not safe', async () => {
    const party = partyOf({ cluster: 'old' })
    await party.fill(1, 8)
    const watcher = await connectTo(servers.urls[0]!)
    onTestFinished(() => watcher.close())
    const asked: string[] = []
    watcher.nats.subscribe('$JS.API.STREAM.>', {
      callback: (_, { subject }) => void asked.push(subject.split('.')[3]!),
    })
    await watcher.nats.flush()
    expect(await party.remove(1, 6)).toBe('removed')
    expect(await party.end(1)).toMatchObject({ firstSlot: 7, lastSlot: 8 })
    expect(asked).not.toContain('PURGE')
  })

  it('writes a single replica on a line to the server that holds it, and knows the lives of that one', async () => {
    const shards: number[] = []
    const holders: NatsServer[] = []
    // A server mostly keeps what it is asked to create.
    while (shards.length < 6 || new Set(holders).size < 3) {
      const shard = shards.length
      expect(shard, 'shards that are kept by two servers only').toBeLessThan(60)
      const asked = [servers.urls[shard % 3]!]
      await partyOf({ cluster: 'one', replicas: 1, servers: asked }).fill(shard, 2)
      holders.push(await leaderOf(`TROUPE_one_JOURNAL_${shard}`))
      shards.push(shard)
    }
    const several = partyOf({ cluster: 'several' })
    const replicated = await several.fill(1, 2)
    const party = partyOf({ cluster: 'one', replicas: 1, servers: [servers.urls[1]!] })
    const before = await Promise.all(shards.map((shard) => party.end(shard)))
    const killed = holders[0]!
    await killed.kill()
    for (const shard of shards) {
      const outcome = await party.write(shard, 3, 2)
      const isThere = holders[shard] !== killed
      expect(outcome.kind, `shard ${shard}`).toBe(isThere ? 'written' : 'unknown')
    }
    await servers.start()
    for (const shard of shards) {
      const { serverId, lastSlot } = await party.end(shard)
      const isThere = holders[shard] !== killed
      expect(serverId === before[shard]!.serverId, `shard ${shard}`).toBe(isThere)
      expect(lastSlot).toBe(isThere ? 3 : 2)
      expect(await party.append(shard)).toMatchObject({ slot: lastSlot + 1 })
    }
    expect((await several.end(1)).serverId).toBe(replicated.serverId)
  })

  it('goes on as the same copy when the server that leads three replicas is killed', async () => {
    const party = partyOf({ cluster: 'lead' })
    const { serverId } = await party.fill(1, 5)
    const leader = await leaderOf('TROUPE_lead_JOURNAL_1')
    await leader.kill()
    expect(await party.append(1)).toMatchObject({ slot: 6 })
    expect((await party.end(1)).serverId).toBe(serverId)
    expect(await recordIn(party, 1, 6)).toBe('record of slot 6')
  })
})
