/** A node in this process on a real nats-server, with the users of config/nats; workers come as one of them. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { workers } from '../../../machines/workers/index.ts'
import type { NatsOptions } from '../../../src/adapters/nats/index.ts'
import { createWorker, type TroupeNode, type WorkerProcess } from '../../../src/index.ts'
import { joinCluster } from '../../../src/node/join.ts'
import { openNatsPorts } from '../../../src/node/nats-ports.ts'
import { DEFAULT_LIMITS } from '../../../src/protocol/index.ts'
import { clock, LineLog, random } from '../../adapters/nats/connections.ts'
import { type NatsServer, startNatsServer } from '../../nats-server.ts'
import { QUICK, SHARDS } from '../../node/cluster-rig.ts'
import { commands } from './commands.ts'

export const USERS = readFileSync(
  new URL('../../../config/nats/users.conf', import.meta.url),
  'utf8',
)
const variables = [...USERS.matchAll(/\$(TROUPE_\w+)/g)].map(([, name]) => name!)
const env = Object.fromEntries(variables.map((name) => [name, `p${name}`]))
const APPS = [commands, workers]
/** The streams of it stand in the configuration. */
export const CLUSTER = 'troupe'

export class NatsRig {
  readonly server: NatsServer
  readonly node: TroupeNode
  readonly directory: string

  private constructor(server: NatsServer, node: TroupeNode, directory: string) {
    this.server = server
    this.node = node
    this.directory = directory
  }

  static async create(config = USERS): Promise<NatsRig> {
    const server = await startNatsServer({ config, env })
    const directory = mkdtempSync(join(tmpdir(), 'troupe-nats-workers-'))
    const log = new LineLog()
    const ports = await openNatsPorts({
      ...{ name: 'n1', cluster: CLUSTER, clock, random, log, replicas: 1, signal: undefined },
      options: accessTo(server, 'node'),
      messageBytesMax: DEFAULT_LIMITS.batchBytesMax,
      shardCount: SHARDS,
      clusterLimits: QUICK,
    })
    const node = await joinCluster(
      {
        ...{ name: 'n1', cluster: CLUSTER, apps: APPS, log, shardCount: SHARDS },
        ...{ dataDirectory: join(directory, 'n1'), worker: { queues: ['own'] } },
        place: { limits: QUICK },
      },
      ports,
    )
    return new NatsRig(server, node, directory)
  }

  access(user: string): NatsOptions & { inboxPrefix: string } {
    return accessTo(this.server, user)
  }

  /** In this process, of group 2. */
  worker(name: string, log: LineLog, data = name): Promise<WorkerProcess> {
    return createWorker({
      ...{ nats: this.access('worker'), cluster: CLUSTER, group: '2', name, slots: 2, apps: APPS },
      ...{ dataDirectory: join(this.directory, data), log },
    })
  }

  /** The configuration of `troupe worker`, and its path. */
  workerFile(): string {
    const { servers, user, inboxPrefix, password } = this.access('worker')
    const passwordFile = join(this.directory, 'worker.password')
    writeFileSync(passwordFile, password ?? '')
    const path = join(this.directory, 'worker.yaml')
    const nats = { servers, user, inboxPrefix, passwordFile }
    writeFileSync(path, JSON.stringify({ cluster: CLUSTER, nats }))
    return path
  }

  async close(): Promise<void> {
    await this.node.stop()
    await this.server.close()
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 5 })
  }
}

function accessTo(server: NatsServer, user: string) {
  const password = `pTROUPE_${user.toUpperCase()}_PASSWORD`
  return { servers: [server.url], user, password, inboxPrefix: `_INBOX_${user}` }
}
