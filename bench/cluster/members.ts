/**
 * Nodes of a cluster as processes, and a client library over NATS. Decides: what a node tells of itself
 * while it is measured.
 */
import { NatsConnector, NatsJournal, NatsTransport } from '../../src/adapters/nats/index.ts'
import { SystemClock, SystemRandom, silentLog } from '../../src/adapters/system/index.ts'
import { Client } from '../../src/client/index.ts'
import { serveSubjects } from '../../src/gateway/index.ts'
import { createNode } from '../../src/index.ts'
import type { SeatReport } from '../../src/node/index.ts'
import { DEFAULT_LIMITS, subjectsOf } from '../../src/protocol/index.ts'
import { RowFold } from '../../src/shard/row-fold.ts'
import {
  CpuProfile,
  cpuOfThreads,
  type ProfileShare,
  sharesOf,
  type ThreadsCpu,
} from '../cpu-profile.ts'
import { benchApp } from '../machines.ts'
import { rssAnonMb } from '../measure.ts'
import { partOfFrame } from '../profile-parts.ts'
import { Recorder, type Recording } from '../recorded.ts'
import { answerAsks, Peer } from './peers.ts'

export const CLUSTER = 'bench'
export const SHARDS = 64

export interface MemberOptions {
  url: string
  name: string
  directory: string
  /** Keeps what it writes from its start on, as far as that is kept. */
  records?: boolean
}

/** Of one process, since it started. */
export interface MemberFigures extends ThreadsCpu {
  /** Slots that its shards have reached together. */
  slots: number
  serves: number
  rssAnonMb: number
}

/** The main thread's time by part and by function, in µs. */
export interface MemberProfile {
  parts: ProfileShare[]
  functions: ProfileShare[]
}

export function startMember(options: MemberOptions): Promise<Peer> {
  return Peer.start('cluster-member', options)
}

/** The process of a node. */
export async function clusterMember(options: MemberOptions): Promise<void> {
  const { url, name, directory, records = false } = options
  const recorder = new Recorder()
  if (records) recorder.install()
  const recording = recorder.start()
  const reads = firstRead()
  const folds = foldedRows()
  const node = await createNode({
    ...{ name, cluster: CLUSTER, dataDirectory: directory, apps: [benchApp], worker: false },
    nats: { servers: [url] },
  })
  const requests = serveSubjects({ node })
  const profiler = profilerOf()
  await answerAsks({
    ...profiler,
    recorded: (): Recovered => ({ recording, readAt: reads.at, rowsRead: folds.rows }),
    leader: () => node.membership?.status().leader?.name,
    drain: (of) => node.membership?.order({ kind: 'drain', node: String(of), by: 'bench' }),
    undrain: (of) => node.membership?.order({ kind: 'undrain', node: String(of), by: 'bench' }),
    seats: (): SeatReport[] => node.membership?.seats() ?? [],
    figures: async (): Promise<MemberFigures> => {
      const { shards } = await node.ready()
      return {
        ...cpuOfThreads(),
        slots: shards.reduce((sum, { slot }) => sum + slot, 0),
        serves: shards.filter(({ state }) => state === 'serving').length,
        rssAnonMb: rssAnonMb(),
      }
    },
  })
  await requests.close()
  await node.stop()
}

/** What a node has written, and when it began to read for that. */
export interface Recovered {
  recording: Recording
  readAt: number
  /** Rows in the slots that it read, of each key all changes. */
  rowsRead: number
}

/** Counts what this process folds before it is written. */
function foldedRows(): { rows: number } {
  const folds = { rows: 0 }
  const { prototype } = RowFold
  const { add } = prototype
  prototype.add = function (run) {
    folds.rows += run.count
    add.call(this, run)
  }
  return folds
}

/** When this process first reads a slot, on the monotonic clock. */
function firstRead(): { at: number } {
  const reads = { at: 0 }
  const { prototype } = NatsJournal
  const { read } = prototype
  prototype.read = function (shard, slot, done) {
    reads.at = performance.now()
    prototype.read = read
    read.call(this, shard, slot, done)
  }
  return reads
}

/** A profile of this process: `profile` begins it, `profiled` ends it. */
export function profilerOf(): {
  profile: () => Promise<void>
  profiled: () => Promise<MemberProfile>
} {
  let profile = new CpuProfile()
  return {
    profile: () => {
      profile = new CpuProfile()
      return profile.start()
    },
    profiled: async () => sharesOf(await profile.stop(), partOfFrame),
  }
}

export interface NatsClient {
  client: Client
  close(): Promise<void>
}

/** As a program far from the nodes has it. */
export async function openClient(url: string): Promise<NatsClient> {
  const clock = new SystemClock()
  const random = new SystemRandom()
  const log = silentLog
  const connector = new NatsConnector({
    options: { servers: [url] },
    name: 'bench',
    clock,
    random,
    log,
  })
  const connection = await connector.open({ reconnect: true })
  const transport = new NatsTransport({ connection, clock, log })
  const client = new Client({
    ...{ transport, clock, random, limits: DEFAULT_LIMITS, shardCount: SHARDS, answerMs: 1_000 },
    subjects: subjectsOf(CLUSTER),
  })
  return {
    client,
    close: async () => {
      client.close()
      transport.close()
      await connection.close()
    },
  }
}
