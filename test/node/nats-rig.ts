/**
 * Nodes whose transport is a real nats-server with the users of config/nats, and whose journal, registry and
 * queue are memory twins: what clients and the command see of a cluster, without the time that one takes
 * to begin.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  MemoryCheckpoints,
  MemoryJournal,
  MemoryJournalServer,
  MemoryRegistry,
  MemoryTaskQueue,
} from '../../src/adapters/memory/index.ts'
import { NatsConnector, type NatsOptions, NatsTransport } from '../../src/adapters/nats/index.ts'
import { SystemClock, SystemRandom, silentLog } from '../../src/adapters/system/index.ts'
import type { App, TroupeNode } from '../../src/node/index.ts'
import { type JoinOptions, joinCluster } from '../../src/node/join.ts'
import { type NatsServer, startNatsServer } from '../nats-server.ts'
import { QUICK, SHARDS } from './cluster-rig.ts'

export const USERS = ['node', 'program', 'worker', 'admin', 'operator', 'reader'] as const
export type User = (typeof USERS)[number]

/** As configurations of servers name them. */
export const PASSWORDS = Object.fromEntries(
  USERS.map((user) => [`TROUPE_${user.toUpperCase()}_PASSWORD`, JSON.stringify(`of ${user}`)]),
)

/** The server of config/nats, on ports of its own. */
export function startServerWithUsers(): Promise<NatsServer> {
  const file = new URL('../../config/nats/users.conf', import.meta.url)
  return startNatsServer({ config: readFileSync(file, 'utf8'), env: PASSWORDS })
}

export class NatsRig {
  readonly server: NatsServer
  readonly clock = new SystemClock()
  readonly directory = mkdtempSync(join(tmpdir(), 'troupe-nats-rig-'))
  readonly #journal = new MemoryJournalServer()
  readonly #registry = new MemoryRegistry({ clock: this.clock })
  readonly #taskQueue = new MemoryTaskQueue({ clock: this.clock, ackWaitMs: 1_000 })
  readonly #checkpoints = new MemoryCheckpoints({ clock: this.clock })
  readonly #nodes = new Set<TroupeNode>()

  constructor(server: NatsServer) {
    this.server = server
  }

  /** How a user signs in. */
  as(user: User): NatsOptions {
    const { url } = this.server
    return { servers: [url], user, password: `of ${user}`, inboxPrefix: `_INBOX_${user}` }
  }

  async start(name: string, apps: readonly App[], options: Partial<JoinOptions> = {}) {
    const { clock, directory } = this
    const access = this.as('node')
    const random = new SystemRandom()
    const log = silentLog
    const connector = new NatsConnector({ options: access, name, clock, random, log })
    const connection = await connector.open({ reconnect: true })
    const transport = new NatsTransport({ connection, clock, log, inboxPrefix: '_INBOX_node' })
    const ports = {
      transport,
      journal: new MemoryJournal({ clock, server: this.#journal }),
      registry: this.#registry,
      taskQueue: this.#taskQueue,
      checkpoints: this.#checkpoints.connect(clock),
      close: async () => {
        transport.close()
        await connection.close()
      },
    }
    const dataDirectory = join(directory, name)
    const place = { limits: QUICK, answerMs: 1_000 }
    const node = await joinCluster(
      { name, cluster: 'main', dataDirectory, apps, shardCount: SHARDS, place, ...options },
      ports,
    )
    this.#nodes.add(node)
    return node
  }

  async stop(node: TroupeNode): Promise<void> {
    this.#nodes.delete(node)
    await node.stop()
  }

  async close(): Promise<void> {
    for (const node of [...this.#nodes]) await this.stop(node)
    this.#taskQueue.close()
    await this.server.close()
    rmSync(this.directory, { recursive: true, force: true })
  }
}
