/**
 * The part of the client: it drives an owner and an echo, each in a process of its own, in interleaved
 * rounds. Decides: what is measured when, and what of it belongs together.
 */
import { join } from 'node:path'
import type { ThreadsCpu } from '../cpu-profile.ts'
import { closedLoop, each, type Load, pause } from '../measure.ts'
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
import { BareClient, type ReferenceFigures, referenceSubject } from './reference.ts'

const ACTORS = 10_000
const STARTS_IN_FLIGHT = 2_048
const FULL = { rounds: 5, warmMs: 1_500, ms: 800, oneMs: 400, settleMs: 500 }
const QUICK = { rounds: 1, warmMs: 300, ms: 200, oneMs: 100, settleMs: 100 }
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
  /** And its single requests of a bare client, at 256. */
  jsonReference: Load[]
  jsonReferenceCosts: Costs[]
  /** Of the coalesced load. */
  profiles: { client: MemberProfile; owner: MemberProfile; transitions: number }
  /** Of a bare client's. */
  jsonProfile: { owner: MemberProfile; transitions: number }
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
  /** The same request to the owner without Troupe. */
  askReference: () => Promise<unknown>
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
  await closedLoop(256, times.warmMs / 2, rig.askReference)
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
    askReference: async () => requireDone(await bare.request(referenceSubject(next++))),
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
  const { bare, owner, reference, send, sent, sendJson, askReference } = rig
  const { data, pid: server } = rig.params
  const { ms, oneMs } = times
  const flushed = openBare(join(data, 'puts'))
  const value = Buffer.alloc(400, 7)
  const put = (n: number) => flushed.rows.put(Buffer.from(`order/${(n * 7_919) % ACTORS}`), value)
  await flushed.rows.batch(() => {
    for (let n = 0; n < ACTORS; n++) void put(n)
  })
  const rounds = { echo: {} as Rounds, transitions: {} as Rounds, json: {} as Rounds }
  const loads = { put: [] as Load[], reference: [] as Load[], jsonReference: [] as Load[] }
  const costs = {
    ...{ costs: [] as Costs[], jsonCosts: [] as Costs[] },
    ...{ referenceCosts: [] as Costs[], jsonReferenceCosts: [] as Costs[] },
  }
  const into = async (of: Rounds, inFlight: number, call: () => Promise<unknown>) => {
    const load = await closedLoop(inFlight, inFlight === 1 ? oneMs : ms, call)
    of[inFlight] = [...(of[inFlight] ?? []), load]
  }
  const ofOwner = { owner, server, sent }
  const ofReference = { owner: reference.owner, server, sent: () => reference.client.sent + sent() }
  for (let round = 0; round < times.rounds; round++) {
    // What the load of the round before left to be tidied up is its own.
    await pause(times.settleMs)
    await into(rounds.echo, 1, bare.echo)
    loads.put.push(await closedLoop(1, oneMs, put))
    await into(rounds.transitions, 1, send)
    await into(rounds.json, 1, sendJson)
    await into(rounds.echo, 64, bare.echo)
    await into(rounds.transitions, 64, send)
    await into(rounds.echo, 256, bare.echo)
    costs.jsonCosts.push(await costsOf(ofOwner, () => into(rounds.json, 256, sendJson)))
    costs.jsonReferenceCosts.push(
      await costsOf(ofReference, async () => {
        loads.jsonReference.push(await closedLoop(256, ms, askReference))
      }),
    )
    await into(rounds.echo, 1_024, bare.echo)
    costs.costs.push(await costsOf(ofOwner, () => into(rounds.transitions, 1_024, send)))
    costs.referenceCosts.push(
      await costsOf(ofReference, async () => {
        loads.reference.push(await reference.client.load(1_024, ms))
      }),
    )
  }
  const profiles = await profilesOf(rig)
  const jsonProfile = await jsonProfileOf(rig)
  await flushed.root.close()
  const { rssAnonMb: ownerRssMb } = await owner.ask<MemberFigures>('figures')
  return { ...rounds, ...loads, ...costs, profiles, jsonProfile, ownerRssMb }
}

interface Measured {
  /** It counts its slots. */
  owner: Peer
  /** The pid of the nats-server. */
  server: number
  /** Transitions that were asked for so far. */
  sent: () => number
}

/** What a load costs each of the three processes. */
async function costsOf(of: Measured, load: () => Promise<unknown>): Promise<Costs> {
  const { owner, sent } = of
  const slots = async () => (await owner.ask<ReferenceFigures>('figures')).slots
  const slotsBefore = await slots()
  const sentBefore = sent()
  const cpu = await cpuOf(of, load)
  return { ...cpu, transitions: sent() - sentBefore, slots: (await slots()) - slotsBefore }
}

async function cpuOf(
  { owner, server }: Measured,
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

/** What single requests cost the owner, with its way in and out. */
async function jsonProfileOf(rig: Rig): Promise<ClusterResult['jsonProfile']> {
  const { owner, sendJson, sent, params } = rig
  await owner.ask('profile')
  const sentBefore = sent()
  await closedLoop(256, params.quick ? QUICK.ms : PROFILE_MS, sendJson)
  const transitions = sent() - sentBefore
  return { owner: await owner.ask<MemberProfile>('profiled'), transitions }
}
