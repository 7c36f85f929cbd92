/** What is found out about a server, and what is refused with a word on what to change. */
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  type Capabilities,
  judge,
  NatsConnector,
  type ProbeNeeds,
  probe,
  type ServerFacts,
} from '../../../src/adapters/nats/index.ts'
import { serverVariables } from '../../../src/adapters/nats/server-variables.ts'
import type { Clock } from '../../../src/ports/index.ts'
import {
  missingNatsServer,
  type NatsServerOptions,
  startNatsCluster,
  startNatsServer,
} from '../../nats-server.ts'
import { until } from '../../waiting.ts'
import { clock, LineLog, random } from './connections.ts'

const NEEDS: ProbeNeeds = {
  replicas: 1,
  messageBytesMax: 1_000 * 1024,
  streams: 66,
  retentionMs: 600_000,
}
const NEIGHBOUR = { server: 'n2', version: '2.12.4', staleMs: 60_000 }
const FACTS: ServerFacts = {
  serverName: 'n1',
  version: '2.12.4',
  apiLevel: 2,
  serverCluster: 'C',
  payloadBytesMax: 1024 * 1024,
  streamsMax: -1,
  servers: [NEIGHBOUR],
}

describe('what is made of what a server tells', () => {
  it('takes a current server, with its own way to remove', () => {
    const { capabilities, notes } = judge(FACTS, { ...NEEDS, replicas: 3 })
    expect(capabilities).toMatchObject({ version: '2.12.4', apiLevel: 2, removal: 'purge' })
    expect(notes).toEqual([])
  })

  it.each<[string, Partial<ServerFacts>, Partial<ProbeNeeds>, string]>([
    ['too old', { version: '2.8.4' }, {}, '2.8.4 is too old: 2.9 or newer'],
    ['of no version', { version: 'dev' }, {}, 'dev is too old'],
    ['with small messages', { payloadBytesMax: 65_536 }, {}, 'max_payload of the server is 65536'],
    ['for two replicas', {}, { replicas: 2 }, 'use 1, 3 or 5'],
    ['alone for three', { serverCluster: undefined }, { replicas: 3 }, 'stands alone: use 1'],
    ['with few streams', { streamsMax: 10 }, {}, 'may have 10 streams; 66 are needed'],
  ])('refuses a server %s', (_, facts, needs, why) => {
    expect(() => judge({ ...FACTS, ...facts }, { ...NEEDS, ...needs })).toThrow(why)
  })

  it.each<[string, number, string, string[]]>([
    ['2.9.10', 3, 'one by one', ['one by one', 'before 2.10']],
    ['2.9.10', 1, 'purge', ['one replica', 'before 2.10']],
    ['2.9.18', 3, 'purge', ['before 2.10']],
    ['2.10.0', 3, 'purge', []],
    ['2.10.19', 3, 'purge', []],
    ['2.10.20', 3, 'purge', ['can delete a stream']],
    ['2.10.22', 3, 'purge', ['can delete a stream']],
    ['2.10.23-RC.1', 3, 'purge', []],
    ['2.14.5', 3, 'purge', []],
  ])('knows of %s with %d replicas', (version, replicas, removal, words) => {
    const judged = judge({ ...FACTS, version }, { ...NEEDS, replicas })
    expect(judged.capabilities.removal).toBe(removal)
    expect(judged.notes).toHaveLength(words.length)
    for (const [index, word] of words.entries()) expect(judged.notes[index]?.note).toContain(word)
  })
})

describe('what is made of what all servers tell', () => {
  const notesOf = (servers: ServerFacts['servers'], replicas = 3) =>
    judge({ ...FACTS, servers }, { ...NEEDS, replicas }).notes

  it('warns of one that is patient with silent clients for as long as slots are kept', () => {
    expect(notesOf([NEIGHBOUR, { ...NEIGHBOUR, staleMs: 599_999 }])).toEqual([])
    const [note, ...more] = notesOf([NEIGHBOUR, { ...NEIGHBOUR, server: 'n3', staleMs: 600_000 }])
    expect(more).toEqual([])
    expect(note).toMatchObject({ level: 'warn' })
    expect(note?.note).toContain('n3 gives up a silent client after 600 s')
  })

  it('warns of one that is older than the one at hand, where that matters', () => {
    const old = { ...NEIGHBOUR, version: '2.9.10' }
    expect(notesOf([old])).toMatchObject([{ level: 'warn' }])
    expect(notesOf([old])[0]?.note).toContain('n2 has version 2.9.10')
    expect(
      notesOf([old], 1)
        .map(({ note }) => note)
        .join(),
    ).not.toContain('2.9.10')
    expect(notesOf([{ ...old, version: '2.9.18' }])).toEqual([])
  })

  it('says that they do not tell', () => {
    expect(notesOf([])).toMatchObject([{ level: 'info' }])
    expect(notesOf([])[0]?.note).toContain('sooner than 600 s')
  })
})

describe.skipIf(missingNatsServer)('probing a server', () => {
  async function ask(
    url: string,
    needs: Partial<ProbeNeeds> = {},
    user: { user?: string; password?: string } = {},
  ): Promise<{ found: Capabilities; log: LineLog }> {
    const log = new LineLog()
    const options = { servers: [url], ...user }
    const connector = new NatsConnector({ options, name: 'probe', clock, random, log })
    const connection = await connector.open({ reconnect: true })
    onTestFinished(() => connection.close())
    const all = { ...NEEDS, ...needs }
    return { found: await probe({ connection, needs: all, clock, log, waitMs: 1_000 }), log }
  }

  async function start(options: NatsServerOptions = {}): Promise<string> {
    const server = await startNatsServer(options)
    onTestFinished(() => server.close())
    return server.url
  }

  it('says what it found, once', async () => {
    const { found, log } = await ask(await start())
    expect(found).toMatchObject({ serverName: 'n1', payloadBytesMax: 1024 * 1024 })
    expect(found.version).toMatch(/^2\.\d+\.\d+/)
    expect(found.serverCluster).toBeUndefined()
    expect(log.said('can do what is needed')?.fields).toEqual({ ...found })
  })

  it('asks all servers, where the system account lets it', async () => {
    const config = `ping_interval: "5m"
      accounts {
        S { exports: [{ service: "$SYS.REQ.SERVER.*.VARZ", response: stream }] }
        A {
          jetstream: enabled
          users: [{ user: u, password: p }]
          imports: [{ service: { account: S, subject: "$SYS.REQ.SERVER.*.VARZ" } }]
        }
      }
      system_account: S`
    const cluster = await startNatsCluster({ config, servers: 2, jetstream: false })
    onTestFinished(() => cluster.close())
    const options = { servers: cluster.urls, user: 'u', password: 'p' }
    const log = new LineLog()
    const connector = new NatsConnector({ options, name: 'probe', clock, random, log })
    const connection = await connector.open({ reconnect: true })
    onTestFinished(() => connection.close())
    const found = async () => {
      const servers = await serverVariables(connection)
      return servers.length === 2 ? servers : undefined
    }
    const servers = await until(found, { timeoutMs: 10_000 }, 'both servers')
    expect(servers.map(({ server }) => server).sort()).toEqual(['n1', 'n2'])
    for (const { version, staleMs } of servers) {
      expect(version).toBe(connection.nats.info!.version)
      expect(staleMs).toBe(900_000)
    }
  })

  it('refuses a server without JetStream, and an account without it', async () => {
    await expect(ask(await start({ jetstream: false }))).rejects.toThrow('JetStream is off on n1')
    const config = `accounts { A { users: [{ user: u, password: p }] } }`
    const asked = ask(await start({ config }), {}, { user: 'u', password: 'p' })
    await expect(asked).rejects.toThrow('turn it on for our account')
  })

  it('refuses a server that takes less than is needed', async () => {
    const config = `max_payload: 65536
      accounts { A { jetstream: { max_streams: 10 }, users: [{ user: u, password: p }] } }`
    const url = await start({ config })
    const user = { user: 'u', password: 'p' }
    await expect(ask(url, {}, user)).rejects.toThrow('max_payload')
    await expect(ask(url, { messageBytesMax: 1_000 }, user)).rejects.toThrow('10 streams')
    await expect(ask(url, { replicas: 3, messageBytesMax: 1 }, user)).rejects.toThrow('alone')
  })

  it('sees a cluster', async () => {
    const cluster = await startNatsCluster()
    onTestFinished(() => cluster.close())
    const { found } = await ask(cluster.urls[0]!, { replicas: 3 })
    expect(found.serverCluster).toBe('C')
  })

  it('waits for JetStream as long as it is told to, and no longer', async () => {
    const server = await startNatsServer()
    onTestFinished(() => server.close())
    const log = new LineLog()
    const options = { servers: [server.url] }
    const connector = new NatsConnector({ options, name: 'probe', clock, random, log })
    const connection = await connector.open({ reconnect: true })
    onTestFinished(() => connection.close())
    await server.freeze()
    const asked = { connection, needs: NEEDS, clock, log }
    await expect(probe({ ...asked, waitMs: 100 })).rejects.toMatchObject({ code: 'unavailable' })
    const stop = new AbortController()
    const stopped = probe({ ...asked, signal: stop.signal })
    stop.abort()
    await expect(stopped).rejects.toMatchObject({ code: 'unavailable' })
    let pauses = 0
    const counting: Clock = {
      now: () => clock.now(),
      monotonic: () => clock.monotonic(),
      defer: (call) => clock.defer(call),
      after: (delayMs, call) => {
        pauses += 1
        return clock.after(delayMs, call)
      },
    }
    const waiting = probe({ ...asked, clock: counting })
    await until(() => pauses > 0, { timeoutMs: 5_000 }, 'a try in vain')
    server.thaw()
    expect(await waiting).toMatchObject({ serverName: 'n1' })
  })
})
