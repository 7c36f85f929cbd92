/**
 * Streams with three replicas from which something was removed, after every server was killed in turn:
 * a purge with options leaves replicas empty then, where servers have bug #4212 (before 2.9.18).
 */
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { askApi } from '../../../src/adapters/nats/api.ts'
import {
  type Connection,
  NatsBlobs,
  NatsCheckpoints,
  NatsRegistry,
} from '../../../src/adapters/nats/index.ts'
import { missingNatsServer, type NatsCluster, startNatsCluster } from '../../nats-server.ts'
import { clock, connectorTo, LineLog, random } from './connections.ts'
import { JournalParty } from './journals.ts'
import { type Held, replicasOf, replicated } from './replicas.ts'

const TIMEOUT_MS = 240_000
const SLOTS = 120
const GONE = 100
const SHARDS = [1, 2, 3, 4]
const VALUE = Buffer.alloc(300_000, 'x')

describe.skipIf(missingNatsServer)('three replicas after kill -9 of each server', () => {
  let servers: NatsCluster
  let connection: Connection
  const log = new LineLog()
  beforeAll(async () => {
    servers = await startNatsCluster()
    const connector = connectorTo({ servers: servers.urls, pingMs: 500 }, log)
    connection = await connector.open({ reconnect: true })
  })
  afterAll(async () => {
    await connection.close()
    await servers.close()
  })

  const killEachInTurn = async (...streams: string[]) => {
    for (const server of servers.servers) {
      await server.kill()
      await servers.start()
      for (const stream of streams) await replicated(connection, stream)
    }
  }

  const partyOf = (cluster: string): JournalParty => {
    const party = new JournalParty({ servers: servers.urls, replicas: 3, cluster })
    onTestFinished(() => party.close())
    return party
  }

  const expectAlike = async (stream: string): Promise<Held> => {
    const replicas = await replicasOf(servers, connection, stream)
    const [first, ...others] = Object.values(replicas)
    expect(others).toEqual([first, first])
    return first!
  }

  // Several, as not every one of them loses something where the rule is broken.
  it(
    'have every slot that was not removed',
    async () => {
      const party = partyOf('slots')
      await Promise.all(SHARDS.map((shard) => party.fill(shard, SLOTS)))
      for (const shard of SHARDS) expect(await party.remove(shard, GONE)).toBe('removed')
      await killEachInTurn(...SHARDS.map((shard) => `TROUPE_slots_JOURNAL_${shard}`))
      const slots = Array.from({ length: SLOTS - GONE }, (_, index) => GONE + 1 + index)
      for (const shard of SHARDS) {
        const held = await expectAlike(`TROUPE_slots_JOURNAL_${shard}`)
        const subjects = Object.values(held).map((one) => one.split(' ')[0])
        expect(subjects).toEqual(slots.map((slot) => `troupe.slots.journal.${shard}.${slot}`))
        expect(await party.append(shard)).toMatchObject({ slot: SLOTS + 1 })
      }
    },
    TIMEOUT_MS,
  )

  it(
    'have every checkpoint, value and key that was not removed',
    async () => {
      const shared = { connection, cluster: 'rest', replicas: 3, clock, random, log }
      const checkpoints = new NatsCheckpoints(shared)
      const registry = await NatsRegistry.open(shared)
      const blobs = new NatsBlobs(shared)
      for (const slot of [10, 20, 30]) {
        const name = { shard: 1, slot, attempt: `a${slot}` }
        for (let index = 0; index < 3; index++) {
          const chunk = { ...name, index }
          expect(await told((done) => checkpoints.write(chunk, VALUE, done))).toBe('written')
        }
        const value = Buffer.from(name.attempt)
        expect(await told((done) => checkpoints.record(1, slot, value, done))).toEqual({
          kind: 'won',
        })
        expect(await told((done) => registry.put(`key.${slot}`, value, done))).toBe('put')
      }
      expect(await told((done) => checkpoints.removeBelow(1, 20, done))).toBe('removed')
      const given = { shard: 1, slot: 30, attempt: 'given up' }
      await told((done) => checkpoints.write({ ...given, index: 0 }, VALUE, done))
      expect(await told((done) => checkpoints.discard(given, done))).toBe('removed')
      expect(await told((done) => registry.remove('key.10', done))).toBe('removed')
      for (const name of ['replaced', 'deleted', 'replaced', 'kept']) await blobs.put(name, VALUE)
      await blobs.delete('deleted')
      const counts: Record<string, number> = {
        TROUPE_rest_CHECKPOINTS: 2 * 3 + 2,
        KV_TROUPE_rest_REGISTRY: 2,
        TROUPE_rest_BLOBS: 2 * (1 + Math.ceil(VALUE.length / (256 * 1024))),
      }
      await killEachInTurn(...Object.keys(counts))
      for (const [stream, count] of Object.entries(counts)) {
        expect(Object.keys(await expectAlike(stream)), stream).toHaveLength(count)
      }
      const listed = await told((done: (outcome: unknown) => void) => checkpoints.list(1, done))
      expect(listed).toMatchObject({ kind: 'listed', records: [{ slot: 20 }, { slot: 30 }] })
      expect(await blobs.list('')).toEqual(['kept', 'replaced'])
      expect(Buffer.compare((await blobs.get('replaced'))!, VALUE)).toBe(0)
    },
    TIMEOUT_MS,
  )

  /** So that the tests above are known to be able to fail. */
  it(
    'have lost slots after a purge, where the server has the bug',
    async () => {
      const version = connection.nats.info!.version
      if (!/^2\.9\.(\d|1[0-7])$/.test(version)) return
      const party = partyOf('purged')
      await Promise.all(SHARDS.map((shard) => party.fill(shard, SLOTS)))
      const streams = SHARDS.map((shard) => `TROUPE_purged_JOURNAL_${shard}`)
      for (const stream of streams) {
        await askApi(connection, `STREAM.PURGE.${stream}`, { seq: GONE + 1 }, 5_000)
      }
      await killEachInTurn(...streams)
      const counts: number[] = []
      for (const stream of streams) {
        const replicas = Object.values(await replicasOf(servers, connection, stream))
        counts.push(...replicas.map((held) => Object.keys(held).length))
      }
      expect(Math.min(...counts), `${counts}`).toBeLessThan(SLOTS - GONE)
    },
    TIMEOUT_MS,
  )
})

function told<T>(ask: (done: (outcome: T) => void) => void): Promise<T> {
  return new Promise(ask)
}
