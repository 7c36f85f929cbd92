/** A server that is cut off from its cluster takes clients as ever: they have to look for another one. */
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { askApi, readInfo } from '../../../src/adapters/nats/api.ts'
import { NatsRegistry } from '../../../src/adapters/nats/index.ts'
import type { RegistryReadOutcome } from '../../../src/ports/index.ts'
import {
  missingNatsServer,
  type NatsCluster,
  type NatsServer,
  startNatsCluster,
} from '../../nats-server.ts'
import { until } from '../../waiting.ts'
import { clock, connectorTo, connectTo, LineLog } from './connections.ts'
import { JournalParty, recordIn } from './journals.ts'

const SILENCE_MS = 1_000
const SOON = { timeoutMs: 60_000 }

describe.skipIf(missingNatsServer)('a server without its peers', () => {
  let servers: NatsCluster
  let cut: NatsServer | undefined
  beforeAll(async () => {
    servers = await startNatsCluster({ isCuttable: true })
  })
  afterAll(() => servers.close())
  afterEach(async () => {
    if (cut) servers.heal(cut)
    cut = undefined
    await servers.ready()
  })

  const cutOff = (server: NatsServer) => {
    cut = server
    servers.cutOff(server)
  }

  /** A leader that is cut off goes on answering until it has noticed: that is not what these tests are about. */
  const leadElsewhere = (stream: string, { url, name }: NatsServer) =>
    letLead(stream, url, (leader) => leader !== name)

  const letLead = async (stream: string, url: string, isWanted: (leader: string) => boolean) => {
    const connection = await connectTo(url)
    const isLed = async () => {
      const leader = (await readInfo(connection, stream, 2_000))?.cluster?.leader
      if (leader && isWanted(leader)) return true
      await askApi(connection, `STREAM.LEADER.STEPDOWN.${stream}`, {}, 2_000)
      return false
    }
    await until(isLed, { ...SOON, every: 200 }, `another leader of ${stream}`)
    await connection.close()
  }

  const followers = async (): Promise<NatsServer[]> => {
    const leads = await Promise.all(servers.servers.map((server) => server.leadsWholeCluster()))
    return servers.servers.filter((_, at) => !leads[at])
  }

  it('is left by the journal, also where it is the only one that was named', async () => {
    const [near] = await followers()
    const party = new JournalParty({
      ...{ servers: [near!.url], cluster: 'lines', replicas: 3 },
      ...{ timeoutMs: 500, silenceMs: SILENCE_MS },
    })
    onTestFinished(() => party.close())
    await party.fill(1, 3)
    await leadElsewhere('TROUPE_lines_JOURNAL_1', near!)
    cutOff(near!)
    expect(await party.append(1)).toMatchObject({ slot: 4 })
    const left = party.log.said('does not answer through this NATS server')
    expect(left?.fields).toMatchObject({ serverName: near!.name })
    expect(await recordIn(party, 1, 3)).toBe('record of slot 3')
  })

  it('does not tell where a journal ends once another leader may have gone on with it', async () => {
    const [near] = await followers()
    const party = new JournalParty({
      ...{ servers: [near!.url], cluster: 'stale', replicas: 3, timeoutMs: 500 },
    })
    onTestFinished(() => party.close())
    await party.fill(1, 3)
    await letLead('TROUPE_stale_JOURNAL_1', near!.url, (leader) => leader === near!.name)
    expect(await party.end(1)).toMatchObject({ lastSlot: 3 })
    cutOff(near!)
    const isDoubted = async () => {
      const outcome = await party.tryEnd(1)
      return outcome.kind === 'unknown' && outcome.why.includes('may be cut off')
    }
    await until(isDoubted, SOON, 'a leader that is doubted')
  })

  it('is left by the connection that reconnects, with what was asked and heard there', async () => {
    const [one, other] = await followers()
    const log = new LineLog()
    const options = { servers: [one!.url, other!.url], pingMs: 500 }
    const connection = await connectorTo(options, log, SILENCE_MS).open({ reconnect: true })
    onTestFinished(() => connection.close())
    const registry = await NatsRegistry.open({
      ...{ connection, cluster: 'registry', replicas: 3, clock, log },
    })
    await new Promise((resolve) => registry.put('a', Buffer.from('1'), resolve))
    const near = servers.server(connection.nats.info!.server_name)
    await leadElsewhere('KV_TROUPE_registry_REGISTRY', near)
    let heard = 0
    connection.nats.subscribe('news', { callback: () => heard++ })
    cutOff(near)
    const outcome = await until(() => found(registry, 'a'), SOON, 'an answer of the registry')
    expect(Buffer.from(outcome.value).toString()).toBe('1')
    expect(connection.nats.info!.server_name).not.toBe(near.name)
    expect(log.lines.filter(({ message }) => message.includes('is lost'))).toHaveLength(1)
    connection.nats.publish('news')
    await until(() => heard === 1, SOON, 'the news')
  })

  it('is not left while the others answer, whatever one stream does', async () => {
    const log = new LineLog()
    const connector = connectorTo({ servers: servers.urls, pingMs: 500 }, log, 100)
    const connection = await connector.open({ reconnect: true })
    onTestFinished(() => connection.close())
    let losses = 0
    connection.listen({ lost: () => losses++ })
    // Asked where nobody listens: no stream would have answered either.
    for (let asked = 0; asked < 10; asked++) {
      await expect(askApi(connection, 'NOBODY', {}, 100)).rejects.toThrow()
    }
    expect(losses).toBe(0)
  })
})

async function found(registry: NatsRegistry, key: string) {
  const outcome = await new Promise<RegistryReadOutcome>((resolve) => registry.get(key, resolve))
  return outcome.kind === 'found' ? outcome : undefined
}
