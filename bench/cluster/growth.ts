/** One, two and three nodes under the same load, all on this machine. Decides: what each of them cost. */
import { join } from 'node:path'
import { closedLoop, each, type Load, pause } from '../measure.ts'
import { type MemberFigures, openClient, SHARDS, startMember } from './members.ts'
import { cpuUsOf, type Peer } from './peers.ts'

const ACTORS = 10_000
const STARTS_IN_FLIGHT = 1_024
const NODES = 3
const WHOLE_MS = 60_000
const FULL = { warmMs: 1_500, rounds: 3, ms: 2_000 }
const QUICK = { warmMs: 300, rounds: 1, ms: 300 }

export interface GrowthParams {
  data: string
  url: string
  /** Of the nats-server. */
  pid: number
  quick: boolean
}

/** With so many nodes. */
export interface GrowthResult {
  nodes: number
  loads: Load[]
  transitions: number
  slots: number
  nodesUs: number
  serverUs: number
  rssAnonMb: number[]
}

export async function growthPart({ data, url, pid, quick }: GrowthParams): Promise<GrowthResult[]> {
  const times = quick ? QUICK : FULL
  const peers: Peer[] = []
  const results: GrowthResult[] = []
  const { client, close } = await openClient(url)
  let sent = 0
  const send = () => client.send(`order/${sent++ % ACTORS}`, { type: 'NEXT', by: 'bench' })
  for (let nodes = 1; nodes <= NODES; nodes++) {
    const name = `n${nodes}`
    peers.push(await startMember({ url, name, directory: join(data, name) }))
    await untilShared(peers)
    if (nodes === 1) {
      await each(ACTORS, STARTS_IN_FLIGHT, (n) => client.ensure(`order/${n}`, { n }))
    }
    await closedLoop(1_024, times.warmMs, send)
    const before = await sumsOf(peers, pid)
    const sentBefore = sent
    const loads: Load[] = []
    for (let round = 0; round < times.rounds; round++) {
      loads.push(await closedLoop(1_024, times.ms, send))
    }
    const after = await sumsOf(peers, pid)
    results.push({
      ...{ nodes, loads },
      transitions: sent - sentBefore,
      slots: after.slots - before.slots,
      nodesUs: after.nodesUs - before.nodesUs,
      serverUs: after.serverUs - before.serverUs,
      rssAnonMb: after.rssAnonMb,
    })
  }
  await close()
  await Promise.all(peers.map((peer) => peer.stop()))
  return results
}

/** Each has its part of the shards. */
async function untilShared(peers: readonly Peer[]): Promise<void> {
  const endMs = performance.now() + WHOLE_MS
  const least = Math.floor(SHARDS / peers.length)
  for (;;) {
    const serves = (await figuresOf(peers)).map((one) => one.serves)
    if (serves.every((count) => count >= least)) return
    if (performance.now() >= endMs) throw new Error(`shards are not shared: ${serves.join(' ')}`)
    await pause(50)
  }
}

function figuresOf(peers: readonly Peer[]): Promise<MemberFigures[]> {
  return Promise.all(peers.map((peer) => peer.ask<MemberFigures>('figures')))
}

async function sumsOf(peers: readonly Peer[], pid: number) {
  const figures = await figuresOf(peers)
  const sum = (of: (one: MemberFigures) => number) => figures.reduce((all, one) => all + of(one), 0)
  return {
    slots: sum(({ slots }) => slots),
    nodesUs: sum(({ mainUs, otherUs }) => mainUs + otherUs),
    serverUs: cpuUsOf(pid),
    rssAnonMb: figures.map(({ rssAnonMb }) => rssAnonMb),
  }
}
