/**
 * The part of the client: it drives an owner and an echo, each in a process of its own, in interleaved
 * rounds. Decides: what is measured when, and what of it belongs together.
 */
import { join } from 'node:path'
import type { ThreadsCpu } from '../cpu-profile.ts'
import { closedLoop, each, type Load } from '../measure.ts'
import { openBare } from '../recorded.ts'
import { type BareNats, openBareNats } from './echo.ts'
import {
  CLUSTER,
  type MemberFigures,
  type MemberProfile,
  type NatsClient,
  openClient,
  profilerOf,
  startMember,
} from './members.ts'
import { cpuUsOf, Peer } from './peers.ts'
import { BareClient } from './reference.ts'

const ACTORS = 10_000
const STARTS_IN_FLIGHT = 2_048
const FULL = { rounds: 5, warmMs: 1_500, ms: 800, oneMs: 400 }
const QUICK = { rounds: 1, warmMs: 300, ms: 200, oneMs: 100 }
const PROFILE_MS = 2_000

export interface ClusterParams {
  data: string
  url: string
  /** Of the nats-server. */
  pid: number
  quick: boolean
}

/** Rounds by how many are in flight. */
export type Rounds = Record<number, Load[]>

export interface ClusterResult {
  echo: Rounds
  transitions: Rounds
  json: Rounds
  put: Load[]
  /** Of the rounds at 1,024 in flight, coalesced: per process, and what the owner made of them. */
  costs: Costs[]
  /** Of those of a bare client at 256. */
  jsonCosts: Costs[]
  /** The same work without Troupe, at 1,024 in flight. */
  reference: Load[]
  referenceCosts: Costs[]
  profiles: { client: MemberProfile; owner: MemberProfile; transitions: number }
  ownerRssMb: number
}

export interface Costs {
  transitions: number
  seconds: number
  clientUs: number
  ownerMainUs: number
  ownerOtherUs: number
  serverUs: number
  slots: number
}

interface Rig {
  bare: BareNats
  reference: Reference
  troupe: NatsClient
  owner: Peer
  params: ClusterParams
  send: () => Promise<unknown>
  /** Sent so far, in any way. */
  sent: () => number
  sendJson: () => Promise<unknown>
}

interface Reference {
  client: BareClient
  owner: Peer
  close(): Promise<void>
}

export async function clusterPart(params: ClusterParams): Promise<ClusterResult> {
  const { url, data, quick } = params
  const times = quick ? QUICK : FULL
  const responder = await Peer.start('cluster-echo', { url })
  const owner = await startMember({ url, name: 'n1', directory: join(data, 'n1') })
  const rig = await rigOf(params, owner)
  const { troupe, bare, send } = rig
  await each(ACTORS, STARTS_IN_FLIGHT, (n) =>
    troupe.client.start(`order/${n}`, { n }, { id: idOf(n) }),
  )
  await closedLoop(1_024, times.warmMs, send)
  await closedLoop(256, times.warmMs / 2, bare.echo)
  await closedLoop(256, times.warmMs / 2, rig.sendJson)
  await rig.reference.client.load(1_024, times.warmMs)
  const result = await roundsOf(rig, times)
  await troupe.close()
  await bare.close()
  await rig.reference.close()
  await owner.stop()
  await responder.stop()
  return result
}

async function rigOf(params: ClusterParams, owner: Peer): Promise<Rig> {
  const bare = await openBareNats(params.url)
  const troupe = await openClient(params.url)
  const reference = await openReference(params)
  let next = 0
  const subjectOf = (n: number) => `troupe.${CLUSTER}.actor.order.${n % ACTORS}`
  return {
    ...{ bare, troupe, owner, params, reference },
    send: () => troupe.client.send(`order/${next++ % ACTORS}`, { type: 'NEXT', by: 'bench' }),
    sent: () => next,
    sendJson: async () => requireDone(await bare.request(subjectOf(next++))),
  }
}

async function openReference({ url, data }: ClusterParams): Promise<Reference> {
  const owner = await Peer.start('cluster-reference', { url, directory: join(data, 'reference') })
  const client = await BareClient.open(url)
  const close = async () => {
    await client.close()
    await owner.stop()
  }
  return { client, owner, close }
}

const startedAtMs = Date.now()

/** A repeat of a start that nobody answered in time is the same start. */
function idOf(n: number): string {
  return `${startedAtMs}-bench${n}`
}

function requireDone(answer: Uint8Array): void {
  // Every answer begins so, or with {"error"
  if (answer[2] !== 'o'.charCodeAt(0)) throw new Error(Buffer.from(answer).toString())
}

async function roundsOf(rig: Rig, times: typeof FULL): Promise<ClusterResult> {
  const { bare, owner, send, sendJson, params } = rig
  const { ms, oneMs } = times
  const flushed = openBare(join(params.data, 'puts'))
  const value = Buffer.alloc(400, 7)
  const put = (n: number) => flushed.rows.put(Buffer.from(`order/${(n * 7_919) % ACTORS}`), value)
  await flushed.rows.batch(() => {
    for (let n = 0; n < ACTORS; n++) void put(n)
  })
  const echo: Rounds = {}
  const transitions: Rounds = {}
  const json: Rounds = {}
  const puts: Load[] = []
  const costs: Costs[] = []
  const jsonCosts: Costs[] = []
  const reference: Load[] = []
  const referenceCosts: Costs[] = []
  const into = async (rounds: Rounds, inFlight: number, call: () => Promise<unknown>) => {
    const load = await closedLoop(inFlight, inFlight === 1 ? oneMs : ms, call)
    rounds[inFlight] = [...(rounds[inFlight] ?? []), load]
  }
  for (let round = 0; round < times.rounds; round++) {
    await into(echo, 1, bare.echo)
    puts.push(await closedLoop(1, oneMs, put))
    await into(transitions, 1, send)
    await into(json, 1, sendJson)
    await into(echo, 64, bare.echo)
    await into(transitions, 64, send)
    await into(echo, 256, bare.echo)
    jsonCosts.push(await costsOf(rig, () => into(json, 256, sendJson)))
    await into(echo, 1_024, bare.echo)
    costs.push(await costsOf(rig, () => into(transitions, 1_024, send)))
    referenceCosts.push(
      await referenceCostsOf(rig, async () => {
        reference.push(await rig.reference.client.load(1_024, ms))
      }),
    )
  }
  const profiles = await profilesOf(rig)
  await flushed.root.close()
  const { rssAnonMb: ownerRssMb } = await owner.ask<MemberFigures>('figures')
  const all = { costs, jsonCosts, reference, referenceCosts }
  return { echo, transitions, json, put: puts, ...all, profiles, ownerRssMb }
}

/** What a load costs each of the three processes. */
async function costsOf({ owner, params, sent }: Rig, load: () => Promise<unknown>): Promise<Costs> {
  const slots = async () => (await owner.ask<MemberFigures>('figures')).slots
  const slotsBefore = await slots()
  const sentBefore = sent()
  const cpu = await cpuOf({ owner, server: params.pid }, load)
  return { ...cpu, transitions: sent() - sentBefore, slots: (await slots()) - slotsBefore }
}

async function referenceCostsOf(
  { reference, params }: Rig,
  load: () => Promise<unknown>,
): Promise<Costs> {
  const { client, owner } = reference
  const before = client.sent
  const cpu = await cpuOf({ owner, server: params.pid }, load)
  const { transitions, slots } = client.sent
  return { ...cpu, transitions: transitions - before.transitions, slots: slots - before.slots }
}

async function cpuOf(
  { owner, server }: { owner: Peer; server: number },
  load: () => Promise<unknown>,
): Promise<Omit<Costs, 'transitions' | 'slots'>> {
  const before = await owner.ask<ThreadsCpu>('figures')
  const serverBefore = cpuUsOf(server)
  const client = process.cpuUsage()
  const start = performance.now()
  await load()
  const seconds = (performance.now() - start) / 1_000
  const { user, system } = process.cpuUsage(client)
  const serverUs = cpuUsOf(server) - serverBefore
  const after = await owner.ask<ThreadsCpu>('figures')
  return {
    ...{ seconds, serverUs, clientUs: user + system },
    ownerMainUs: after.mainUs - before.mainUs,
    ownerOtherUs: after.otherUs - before.otherUs,
  }
}

/** Of client and owner at the same time: both are slower meanwhile, what counts are their parts. */
async function profilesOf({ owner, send, sent, params }: Rig): Promise<ClusterResult['profiles']> {
  const own = profilerOf()
  await owner.ask('profile')
  await own.profile()
  const sentBefore = sent()
  await closedLoop(1_024, params.quick ? QUICK.ms : PROFILE_MS, send)
  const transitions = sent() - sentBefore
  const client = await own.profiled()
  return { client, owner: await owner.ask<MemberProfile>('profiled'), transitions }
}
