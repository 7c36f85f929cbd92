/** A daemon whose threads live on a node of a cluster: they are there when it is gone, and it takes them up. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseWorkerConfig } from '../../../../machines/sealing/daemon/config.ts'
import { Daemon } from '../../../../machines/sealing/daemon/index.ts'
import { Fleet } from '../../../../machines/sealing/fleet/index.ts'
import { workers } from '../../../../machines/workers/index.ts'
import { createNode, openLog, systemClock, type TroupeNode } from '../../../../src/index.ts'
import { missingNatsServer, type NatsServer, startNatsServer } from '../../../nats-server.ts'
import { until } from '../../../waiting.ts'
import { FakeManager } from './fake-manager.ts'
import { sealingApps } from './sealing-apps.ts'

const PATIENCE = { timeoutMs: 60_000, every: 50 }
const apps = [...sealingApps, workers]

describe.skipIf(missingNatsServer)('in a cluster', () => {
  let directory: string
  let manager: FakeManager
  let server: NatsServer
  let node: TroupeNode
  let daemon: Daemon | undefined

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'troupe-daemon-cluster-'))
    mkdirSync(join(directory, 'long'))
    manager = await FakeManager.start()
    server = await startNatsServer({})
    const nats = { servers: [server.url] }
    const dataDirectory = join(directory, 'n1')
    node = await createNode({ ...{ apps, nats, dataDirectory, name: 'n1' }, shardCount: 4 })
  }, 120_000)

  afterAll(async () => {
    await daemon?.stop()
    await node.stop()
    await server.close()
    await manager.stop()
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 })
  })

  async function begin(cluster = 'troupe', signal?: AbortSignal): Promise<void> {
    const text = `
[worker]
name = "10.0.0.1"
rpc_server.port = 0
[sector_manager]
rpc_client.addr = "${manager.url}"
[sealing]
seal_interval = "100ms"
recover_interval = "100ms"
rpc_polling_interval = "100ms"
[[attached]]
name = "long"
location = "${join(directory, 'long')}"
[[sealing_thread]]
location = "${join(directory, 'a')}"
name = "a"
[processors.limitation.concurrent]
pc1 = 1
[troupe]
data = "${join(directory, 'data')}"
nats = "${server.url}"
cluster = "${cluster}"
`
    const config = parseWorkerConfig(text, join(directory, 'worker.toml'))
    daemon = await Daemon.of(config, { apps, log: openLog({ level: 'silent' }) })
    await daemon.start(signal)
  }

  it('waits for its cluster no longer than somebody wants it', async () => {
    const startedAt = performance.now()
    await begin('elsewhere', AbortSignal.abort())
    await daemon?.stop()
    expect(performance.now() - startedAt).toBeLessThan(25_000)
  }, 60_000)

  it('seals, is gone, and goes on', async () => {
    manager.sectors = 1
    await begin()
    const health = () => JSON.stringify(daemon?.health())
    await until(() => manager.count('ReportFinalized') === 1, PATIENCE, health)
    await daemon?.stop()
    const fleet = new Fleet({ client: node.client, clock: systemClock() })
    const filter = { worker: '10.0.0.1' }
    expect(await fleet.threads(filter)).toMatchObject([{ thread: '10.0.0.1~a', index: 0 }])
    manager.sectors = 1
    await begin()
    await until(() => manager.count('ReportFinalized') === 2, PATIENCE, health)
    expect((await fleet.story('s-t01000-2')).sector).toBe('s-t01000-2')
    const pause = { action: 'pause', thread: '10.0.0.1~a' } as const
    expect(await fleet.control(pause, 'tests')).toMatchObject({ ok: true })
  }, 180_000)
})
