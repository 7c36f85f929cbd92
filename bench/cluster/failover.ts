/**
 * Three nodes under a steady stream at 30 % of what they can do: how long shards pause when they are handed
 * over, when a node is killed, when one is stopped and started again, and when the leader dies that owns
 * nothing. Decides: when a cluster is whole again, and what is measured in between.
 *
 * A planned handover is one between nodes that run: an operator drains a node and takes that back. Only the
 * shards that moved count, each with its longest pause: the others would flatter. A restart is measured apart: in
 * it a process starts beside all others on the same two cores, which takes more of them than the handovers do.
 */
import { join } from 'node:path'
import type { SeatReport } from '../../src/node/index.ts'
import { closedLoop, each, pause, quantile } from '../measure.ts'
import { type MemberFigures, openClient, SHARDS, startMember } from './members.ts'
import type { Peer } from './peers.ts'
import { Stream, usualOf } from './stream.ts'

const ACTORS = 10_000
const STARTS_IN_FLIGHT = 1_024
const NAMES = ['n1', 'n2', 'n3']
/** Of saturation. */
const SHARE = 0.3
const WHOLE_MS = 60_000
const FAILOVER_MS = 20_000
/** So few come in between under this load. */
const NEAR_SLOTS = 100
const LEADER_MS = 8_000
const FULL = {
  ...{ drains: 3, kills: 20, restarts: 3 },
  ...{ saturationMs: 3_000, quietMs: 3_000, settleMs: 1_500 },
}
const QUICK = {
  ...{ drains: 1, kills: 2, restarts: 1 },
  ...{ saturationMs: 500, quietMs: 1_000, settleMs: 500 },
}

export interface FailoverParams {
  data: string
  url: string
  quick: boolean
}

export interface FailoverResult {
  saturation: number
  /** Of a shard that nothing disturbs. */
  usualMs: number
  /** Between nodes that run. */
  planned: Handovers
  /** Until the last shard has acknowledged what was sent after the kill, for each kill. */
  failoversMs: number[]
  /** As a node is stopped and started again. */
  restarts: Handovers
  /** Longer than usual, of each shard. */
  leaderMs: number[]
  failures: string[]
}

export interface Handovers {
  /** Longer than usual, of each shard that moved, as the client sees it. */
  pausesMs: number[]
  /** As the next owner sees it: from when it is named until it serves. */
  takesMs: number[]
}

export async function failoverPart(params: FailoverParams): Promise<FailoverResult> {
  const times = params.quick ? QUICK : FULL
  const cluster = new Members(params)
  for (const name of NAMES) await cluster.start(name)
  await cluster.isWhole()
  const { client, close } = await openClient(params.url)
  await each(ACTORS, STARTS_IN_FLIGHT, (n) => client.ensure(`order/${n}`, { n }))
  let next = 0
  const send = () => client.send(`order/${next++ % ACTORS}`, { type: 'NEXT', by: 'bench' })
  await closedLoop(1_024, times.saturationMs, send)
  const { perSecond } = await closedLoop(1_024, times.saturationMs, send)
  const stream = new Stream(client, ACTORS, perSecond * SHARE)
  stream.start()
  await pause(times.settleMs)
  stream.begin()
  await pause(times.quietMs)
  const usualMs = usualOf(stream.pauses())
  const watch = new Watch(cluster, stream, { usualMs, settleMs: times.settleMs })
  const planned: Handovers = { pausesMs: [], takesMs: [] }
  for (const name of NAMES.slice(0, times.drains)) {
    await watch.moves(planned, () => cluster.drain(name))
    await watch.moves(planned, () => cluster.undrain(name))
  }
  const failoversMs: number[] = []
  for (let kill = 0; kill < times.kills; kill++) {
    failoversMs.push(await cluster.killed(NAMES[kill % NAMES.length]!, stream))
    await pause(times.settleMs)
  }
  const restarts: Handovers = { pausesMs: [], takesMs: [] }
  for (const name of NAMES.slice(0, times.restarts)) {
    await watch.moves(restarts, () => cluster.restart(name))
  }
  const leaderMs = (await cluster.leaderLost(stream)).map((ms) => Math.max(0, ms - usualMs))
  await stream.stop()
  await close()
  await cluster.stop()
  const { failures } = stream
  return {
    ...{ usualMs, planned, failoversMs, restarts, leaderMs },
    saturation: perSecond,
    failures: [...failures],
  }
}

/** Looks at the shards while something moves them. */
class Watch {
  readonly #cluster: Members
  readonly #stream: Stream
  readonly #times: { usualMs: number; settleMs: number }

  constructor(cluster: Members, stream: Stream, times: { usualMs: number; settleMs: number }) {
    this.#cluster = cluster
    this.#stream = stream
    this.#times = times
  }

  /** Adds what became of the shards that another node took, for good or on their way back. */
  async moves({ pausesMs, takesMs }: Handovers, move: () => Promise<void>): Promise<void> {
    const { usualMs, settleMs } = this.#times
    const before = await this.#cluster.seats()
    this.#stream.begin()
    await move()
    await pause(settleMs)
    const pauses = this.#stream.pauses()
    const moved = new Set<number>()
    for (const [seat, { shard, pauseMs, handovers, takeovers }] of await this.#cluster.seats()) {
      const was = before.get(seat) ?? { handovers: 0, takeovers: 0 }
      if (handovers > was.handovers) takesMs.push(pauseMs ?? Number.NaN)
      if (handovers + takeovers > was.handovers + was.takeovers) moved.add(shard)
    }
    for (const shard of moved) pausesMs.push(Math.max(0, pauses[shard]! - usualMs))
  }
}

class Members {
  readonly #params: FailoverParams
  readonly #peers = new Map<string, Peer>()

  constructor(params: FailoverParams) {
    this.#params = params
  }

  async start(name: string): Promise<void> {
    const { url, data } = this.#params
    this.#peers.set(name, await startMember({ url, name, directory: join(data, name) }))
  }

  /** Every node serves its part: nothing moves any more. */
  async isWhole(): Promise<void> {
    const least = Math.floor(SHARDS / NAMES.length)
    await waitFor('the cluster is whole', WHOLE_MS, async () => {
      const figures = [...this.#peers.values()].map((peer) => peer.ask<MemberFigures>('figures'))
      const serves = (await Promise.all(figures)).map((one) => one.serves)
      return serves.reduce((a, b) => a + b, 0) === SHARDS && Math.min(...serves) >= least
    })
  }

  /** Until all shards serve again, in ms; then the node is started again and has its part. */
  async killed(name: string, stream: Stream): Promise<number> {
    const victim = this.#peer(name)
    stream.begin()
    const dead = victim.kill()
    await waitFor('all shards serve again', FAILOVER_MS, () => stream.firsts() !== undefined)
    const failoverMs = quantile(stream.firsts() ?? [], 1)
    await dead
    await this.start(name)
    await this.isWhole()
    return failoverMs
  }

  /** Of each shard on each process. */
  async seats(): Promise<Map<string, SeatReport>> {
    const seats = new Map<string, SeatReport>()
    for (const peer of this.#peers.values()) {
      const own = await peer.ask<SeatReport[]>('seats')
      for (const seat of own) seats.set(`${peer.pid}/${seat.shard}`, seat)
    }
    return seats
  }

  /** Until others have its shards. */
  async drain(name: string): Promise<void> {
    const peer = this.#peer(name)
    await peer.ask('drain', name)
    await waitFor('the node owns nothing', WHOLE_MS, async () => {
      return (await peer.ask<MemberFigures>('figures')).serves === 0
    })
  }

  /** Until it has its part again. */
  async undrain(name: string): Promise<void> {
    await this.#peer(name).ask('undrain', name)
    await this.isWhole()
  }

  async restart(name: string): Promise<void> {
    await this.#peer(name).stop()
    await this.start(name)
    await this.isWhole()
  }

  /**
   * Its shards go to others first, and those have standbys that are near: what is seen then is the loss of a
   * leader and of nothing else.
   */
  async leaderLost(stream: Stream): Promise<number[]> {
    const any = this.#peer(NAMES[0]!)
    const leader = await any.ask<string>('leader')
    await this.drain(leader)
    const others = [...this.#peers].flatMap(([name, peer]) => (name === leader ? [] : [peer]))
    await waitFor('all shards have a standby that is near', WHOLE_MS, async () => {
      const seats = await Promise.all(others.map((peer) => peer.ask<SeatReport[]>('seats')))
      const near = seats.flat().filter(({ role, lag }) => role === 'standby' && isNear(lag))
      return near.length === SHARDS
    })
    await pause(1_000)
    stream.begin()
    await this.#peer(leader).kill()
    this.#peers.delete(leader)
    await pause(LEADER_MS)
    return stream.pauses()
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#peers.values()].map((peer) => peer.stop()))
  }

  #peer(name: string): Peer {
    const peer = this.#peers.get(name)
    if (!peer) throw new Error(`there is no node ${name}`)
    return peer
  }
}

function isNear(lag: number | null): boolean {
  return lag !== null && lag < NEAR_SLOTS
}

async function waitFor(
  what: string,
  timeoutMs: number,
  condition: () => boolean | Promise<boolean>,
): Promise<void> {
  const endMs = performance.now() + timeoutMs
  while (!(await condition())) {
    if (performance.now() >= endMs) throw new Error(`waited ${timeoutMs} ms in vain: ${what}`)
    await pause(20)
  }
}
