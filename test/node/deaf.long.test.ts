/**
 * A node of a real cluster whose rights to hear are taken away while it runs, by a reload of the server: its
 * shards go to others, `/ready` says why, and it goes on by itself once its rights are back.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { SystemClock, SystemRandom, silentLog } from '../../src/adapters/system/index.ts'
import type { TroupeNode } from '../../src/node/index.ts'
import { joinCluster } from '../../src/node/join.ts'
import { openNatsPorts } from '../../src/node/nats-ports.ts'
import { missingNatsServer, startNatsServer } from '../nats-server.ts'
import { until } from '../waiting.ts'
import { SHARDS } from './cluster-rig.ts'
import { counters } from './counters.ts'

const PATIENCE = { timeoutMs: 60_000 }
const NAMES = ['a', 'b', 'c'] as const
const TIME_MS = 200_000

/** Each node has a user of its own. */
function users(deaf: readonly string[]): string {
  const lines = NAMES.map((name) => {
    const deny = deaf.includes(name) ? '"troupe.>"' : ''
    const subscribe = `{ allow: ">", deny: [${deny}] }`
    return `{ user: ${name}, password: p, permissions { publish: ">", subscribe: ${subscribe} } }`
  })
  return `authorization { users: [ ${lines.join('\n')} ] }`
}

async function start(name: string, url: string, directory: string): Promise<TroupeNode> {
  const ports = await openNatsPorts({
    options: { servers: [url], user: name, password: 'p' },
    ...{ replicas: 1, name, cluster: 'c', messageBytesMax: 1_024, signal: undefined },
    ...{ clock: new SystemClock(), random: new SystemRandom(), log: silentLog },
    shardCount: SHARDS,
  })
  const dataDirectory = join(directory, name)
  const own = { name, cluster: 'c', dataDirectory, apps: [counters], shardCount: SHARDS }
  return joinCluster({ ...own, worker: false }, ports)
}

/** Who serves what, as one of them has it; undefined while that is not settled. */
function servedBy(node: TroupeNode): Set<string> | undefined {
  const { shards } = node.membership!.status()
  const isServed = shards.every(({ owner, servedBy }) => owner && servedBy.join() === owner)
  return isServed ? new Set(shards.map(({ owner }) => owner!)) : undefined
}

describe.skipIf(missingNatsServer)('a node that NATS does not let hear any more', () => {
  it.each(['who leads', 'who follows'])(
    'gives its shards to others, and takes them again: %s',
    async (which) => {
      const directory = mkdtempSync(join(tmpdir(), 'troupe-deaf-'))
      const server = await startNatsServer({ config: users([]) })
      const nodes = await Promise.all(NAMES.map((name) => start(name, server.url, directory)))
      onTestFinished(async () => {
        await server.reload(users([]))
        await Promise.all(nodes.map((node) => node.stop()))
        await server.close()
        rmSync(directory, { recursive: true, force: true })
      }, TIME_MS)
      const [first] = nodes
      await until(() => servedBy(first!)?.size === 3, PATIENCE, 'each has a part')
      const leader = first!.membership!.status().leader!.name
      const isDeaf = ({ name }: TroupeNode) => (name === leader) === (which === 'who leads')
      const deaf = nodes.find(isDeaf)!
      const other = nodes.find((node) => node !== deaf)!

      await server.reload(users([deaf.name]))
      const areOthers = () => {
        const names = servedBy(other)
        return names?.size === 2 && !names.has(deaf.name)
      }
      const isRid = async () => areOthers() && (await deaf.ready()).shards.length === 0
      await until(isRid, PATIENCE, () => JSON.stringify(other.membership!.status()))
      const { ready, reasons } = await deaf.ready()
      expect(ready).toBe(false)
      expect(reasons.join('\n')).toMatch(/does not allow our user to hear troupe\.c\..*users\.conf/)
      await Promise.all(
        Array.from({ length: 20 }, (_, n) => other.client.start(`counter/${which}-${n}`)),
      )

      await server.reload(users([]))
      await until(
        async () => servedBy(other)?.size === 3 && (await deaf.ready()).ready,
        PATIENCE,
        async () => JSON.stringify(await deaf.ready()),
      )
      expect((await deaf.client.get(`counter/${which}-1`)).turn).toBe(1)
    },
    TIME_MS,
  )
})
