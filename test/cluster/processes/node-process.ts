/**
 * A node of a cluster in a process of its own, to be frozen, killed and cut off by tests. Its argument: what
 * it is started with (`NodeSettings`), as JSON; prints the URL of its gateway. It ends by itself when its
 * node does, as `troupe start` does.
 */
import { appendFileSync } from 'node:fs'
import { SystemClock, SystemRandom } from '../../../src/adapters/system/index.ts'
import { createGateway } from '../../../src/gateway/index.ts'
import { openLog } from '../../../src/index.ts'
import { joinCluster } from '../../../src/node/join.ts'
import { openNatsPorts } from '../../../src/node/nats-ports.ts'
import { DEFAULT_LIMITS } from '../../../src/protocol/index.ts'
import { checkedApp } from './machines.ts'
import type { NodeSettings } from './node-settings.ts'
import { NodeRecorder } from './recorder.ts'

/** What `troupe start` ends with when its node has stopped by itself. */
const STOPPED_BY_ITSELF = 1

const settings = JSON.parse(process.argv[2]!) as NodeSettings
const { name, cluster, dataDirectory, servers, replicas, shards, limits, taskSlots } = settings
const recorder = new NodeRecorder({ name, file: settings.eventFile, cluster, shards })
const log = recorder.log(
  openLog({ destination: { write: (line) => appendFileSync(settings.logFile, line) } }),
)
const clock = new SystemClock()
const random = new SystemRandom()
recorder.watchStores()
recorder.watchCallbacks()
const ports = await openNatsPorts({
  ...{ name, cluster, clock, random, log, replicas, signal: undefined },
  options: { servers, pingMs: 500 },
  messageBytesMax: DEFAULT_LIMITS.batchBytesMax,
})
const node = await joinCluster(
  {
    ...{ name, cluster, dataDirectory, log, clock, random, shardCount: shards },
    apps: [checkedApp],
    worker: { slots: taskSlots },
    place: { limits, answerMs: 1_000 },
  },
  recorder.ports(ports),
)
const gateway = await createGateway({ node, port: 0, log })
process.stdout.write(`${gateway.url}\n`)

let isLeaving = false
process.once('SIGTERM', async () => {
  isLeaving = true
  await gateway.close()
  await node.stop()
  process.exit(0)
})
void node.stopped.then((why) => {
  if (isLeaving) return
  recorder.add({ kind: 'node-down', node: name, why })
  process.exit(STOPPED_BY_ITSELF)
})
