/**
 * A node of a cluster in a process of its own, to be stopped and killed by tests. Its argument: what it is
 * started with, as JSON; prints its URL. Its times are a fraction of the defaults.
 */
import { appendFileSync } from 'node:fs'
import { SystemClock, SystemRandom } from '../../src/adapters/system/index.ts'
import { createGateway } from '../../src/gateway/index.ts'
import { openLog } from '../../src/index.ts'
import { joinCluster } from '../../src/node/join.ts'
import { openNatsPorts } from '../../src/node/nats-ports.ts'
import { DEFAULT_LIMITS } from '../../src/protocol/index.ts'
import { LIMITS, SHARDS } from './cluster-rig.ts'
import { counters } from './counters.ts'
import type { MemberOptions } from './members.ts'

const { name, dataDirectory, servers, logFile } = JSON.parse(process.argv[2]!) as MemberOptions
const log = openLog({ destination: { write: (line) => appendFileSync(logFile, line) } })
const clock = new SystemClock()
const random = new SystemRandom()
const cluster = 'test'
const ports = await openNatsPorts({
  ...{ name, cluster, clock, random, log, replicas: 1, signal: undefined },
  options: { servers, pingMs: 500 },
  messageBytesMax: DEFAULT_LIMITS.batchBytesMax,
})
const node = await joinCluster(
  {
    ...{ name, cluster, dataDirectory, log, clock, random, shardCount: SHARDS },
    apps: [counters],
    place: {
      limits: { ...LIMITS, leaderSilenceMs: 1_500, memberSilenceMs: 1_500 },
      answerMs: 1_000,
    },
  },
  ports,
)
const gateway = await createGateway({ node, port: 0, log })
process.stdout.write(`${gateway.url}\n`)
process.once('SIGTERM', async () => {
  await gateway.close()
  await node.stop()
  process.exit(0)
})
