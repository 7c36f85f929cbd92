/** The registry when servers go away, beside other tools, and on three replicas. */
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { type Connection, NatsRegistry } from '../../../src/adapters/nats/index.ts'
import type { ClaimOutcome, RegistryReadOutcome } from '../../../src/ports/index.ts'
import {
  missingNatsServer,
  type NatsServer,
  startNatsCluster,
  startNatsServer,
} from '../../nats-server.ts'
import { until } from '../../waiting.ts'
import { clock, connectorTo, connectTo, LineLog } from './connections.ts'

const SOON = { timeoutMs: 10_000 }

function claim(registry: NatsRegistry, key: string, value: string): Promise<ClaimOutcome> {
  return new Promise((resolve) => registry.claim(key, Buffer.from(value), resolve))
}

function put(registry: NatsRegistry, key: string, value: string): Promise<string> {
  return new Promise((resolve) => registry.put(key, Buffer.from(value), resolve))
}

function get(registry: NatsRegistry, key: string): Promise<RegistryReadOutcome> {
  return new Promise((resolve) => registry.get(key, resolve))
}

function list(registry: NatsRegistry): Promise<string[]> {
  return new Promise((resolve) =>
    registry.list('', (outcome) =>
      resolve(outcome.kind === 'listed' ? outcome.entries.map(({ key }) => key) : [outcome.why]),
    ),
  )
}

const lostTo = (value: string) => ({ kind: 'lost', value: Buffer.from(value) })

describe.skipIf(missingNatsServer)('the registry on one NATS server', () => {
  let server: NatsServer
  let connection: Connection
  let log: LineLog
  let clusters = 0
  beforeAll(async () => {
    server = await startNatsServer()
  })
  afterAll(() => server.close())
  beforeEach(async () => {
    if (!server.isRunning) await server.start()
    log = new LineLog()
    connection = await connectTo(server.url, log)
    onTestFinished(() => connection.close())
  })

  function open(cluster = `c${++clusters}`): Promise<NatsRegistry> {
    return NatsRegistry.open({ connection, cluster, replicas: 1, clock, log })
  }

  it('hints go on after the server was killed, with all that may have been missed', async () => {
    const registry = await open()
    await put(registry, 'view', '1')
    const seen: string[] = []
    registry.watch('', (key) => seen.push(key))
    await server.kill()
    await until(() => !connection.isConnected, SOON, 'the loss')
    await server.start()
    await until(() => seen.includes('view'), SOON, 'a hint of what was there')
    seen.length = 0
    expect(await put(registry, 'view', '2')).toBe('put')
    await until(() => seen.includes('view'), SOON, 'a hint of the change')
    const manager = await connection.nats.jetstreamManager()
    const stream = `KV_TROUPE_c${clusters}_REGISTRY`
    expect(await manager.consumers.list(stream).next()).toEqual([])
  })

  it('does not know what becomes of anything while there is no server', async () => {
    const registry = await open()
    await claim(registry, 'k', 'a')
    await server.kill()
    await until(() => !connection.isConnected, SOON, 'the loss')
    expect(await claim(registry, 'other', 'a')).toMatchObject({ kind: 'unknown' })
    expect(await put(registry, 'k', 'b')).toBe('unknown')
    expect(await get(registry, 'k')).toMatchObject({ kind: 'unknown' })
    await server.start()
    await until(() => connection.isConnected, SOON, 'the return')
    expect(await claim(registry, 'k', 'c')).toEqual(lostTo('a'))
    expect(await claim(registry, 'other', 'c')).toEqual({ kind: 'won' })
  })

  it('begins anew, loudly, when the server has lost its disk', async () => {
    const registry = await open()
    await claim(registry, 'k', 'a')
    await server.kill()
    server.wipe()
    await server.start()
    await until(() => connection.isConnected, SOON, 'the return')
    expect(await claim(registry, 'k', 'b')).toMatchObject({ kind: 'unknown' })
    expect(await claim(registry, 'k', 'b')).toEqual({ kind: 'won' })
    const created = log.lines.filter(({ message }) => message.includes('it is created anew'))
    expect(created).toMatchObject([{ level: 'error' }])
  })

  it('is a bucket to other tools, and understands how they remove', async () => {
    const registry = await open()
    const bucket = `TROUPE_c${clusters}_REGISTRY`
    const other = await connection.nats.jetstream().views.kv(bucket)
    await put(registry, 'a.1', 'ours')
    expect((await other.get('a.1'))?.string()).toBe('ours')
    const seen: string[] = []
    registry.watch('', (key) => seen.push(key))
    await other.put('a.2', 'theirs')
    expect(await get(registry, 'a.2')).toEqual({ kind: 'found', value: Buffer.from('theirs') })
    await other.delete('a.1')
    await until(() => seen.length === 2, SOON, 'both hints')
    expect(await list(registry)).toEqual(['a.2'])
    expect(await get(registry, 'a.1')).toEqual({ kind: 'absent' })
    expect(await claim(registry, 'a.1', 'again')).toEqual({ kind: 'won' })
    expect(await claim(registry, 'a.1', 'more')).toEqual(lostTo('again'))
  })

  it('refuses a bucket that is not what it needs', async () => {
    const cluster = `c${++clusters}`
    await connection.nats.jetstream().views.kv(`TROUPE_${cluster}_REGISTRY`, { history: 5 })
    await expect(open(cluster)).rejects.toMatchObject({ code: 'invalid-config' })
    await expect(open(cluster)).rejects.toThrow('max_msgs_per_subject is 5 instead of 1')
  })

  it.each(['', 'a b', 'a.*', '>', '.a', 'a.', 'a..b', 'ä'])('refuses the key %j', async (key) => {
    const registry = await open('keys')
    expect(() => registry.claim(key, Buffer.alloc(0), () => {})).toThrow(RangeError)
  })
})

describe.skipIf(missingNatsServer)('the registry on three NATS servers', () => {
  it('lets one of many win, and forgets no winner, while a server is killed and comes back', async () => {
    const servers = await startNatsCluster()
    onTestFinished(() => servers.close())
    const log = new LineLog()
    const parties: NatsRegistry[] = []
    for (const { url } of servers.servers) {
      const connector = connectorTo({ servers: [url, ...servers.urls], pingMs: 200 }, log)
      const connection = await connector.open({ reconnect: true })
      onTestFinished(() => connection.close())
      parties.push(await NatsRegistry.open({ connection, cluster: 'c', replicas: 3, clock, log }))
    }
    /** Each party asks until it knows. */
    const settled = (party: NatsRegistry, key: string, value: string) => {
      const known = async () => {
        const outcome = await claim(party, key, value)
        return outcome.kind === 'unknown' ? undefined : outcome
      }
      return until(known, { timeoutMs: 25_000, every: 50 }, `what became of ${key}`)
    }
    const winners = new Map<string, string>()
    const hinted = new Set<string>()
    parties[2]!.watch('leader.', (key) => hinted.add(key))
    const race = async (epoch: number) => {
      const key = `leader.${epoch}`
      const outcomes = await Promise.all(
        parties.flatMap((party, at) => [0, 1, 2, 3].map((n) => settled(party, key, `${at}.${n}`))),
      )
      // A claim that was asked twice may have lost to itself: the value decides.
      const values = outcomes.flatMap((o) => (o.kind === 'lost' ? [o.value.toString()] : []))
      expect(new Set(values).size).toBe(1)
      expect(outcomes.filter(({ kind }) => kind === 'won').length).toBeLessThanOrEqual(1)
      winners.set(key, values[0]!)
    }
    for (let epoch = 1; epoch <= 10; epoch++) await race(epoch)
    await until(() => hinted.size === 10, SOON, 'a hint of each claim')
    const victim = servers.servers[1]!
    await victim.kill()
    for (let epoch = 11; epoch <= 20; epoch++) await race(epoch)
    await servers.start()
    for (let epoch = 21; epoch <= 30; epoch++) await race(epoch)
    for (const party of parties) {
      for (const [key, value] of winners) {
        expect(await get(party, key)).toEqual({ kind: 'found', value: Buffer.from(value) })
      }
    }
  })
})
