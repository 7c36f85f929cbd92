/**
 * A million actors that nobody talks to: what they cost to make, on disk, at a start, and when one of
 * them is wanted. Made, opened and tidied in processes of their own.
 *
 * Their command ids are a few minutes old, which a caller may choose: so the remembered replies of the
 * creation can be forgotten without waiting for the window to pass.
 */
import { join } from 'node:path'
import { formatCommandId, type TroupeNode } from '../../src/index.ts'
import { type DiskUse, diskUse } from '../disk-use.ts'
import { closedLoop, each, type Load, rssAnonMb, spreadOf } from '../measure.ts'
import { openNode, startOrders } from '../nodes.ts'
import { type Bench, folderOf, runPart } from '../parts.ts'
import { type Demand, type Figure, figureOf, number, type Report, spread } from '../report.ts'

const SHARDS = 64
const OPENINGS = 3
const ISSUED_AGO_MS = 180_000
/** As long as the ids that the client library makes. */
const UNIQUE_LENGTH = 22
const WAKE_MS = 1_000
/** Allowed by the relations between limits; everything older than a minute is forgotten. */
const FORGETFUL = { clockSkewMaxMs: 1_000, requestTimeoutMs: 5_000, dedupeWindowMs: 5_100 }
const FORGET_ROUNDS_MAX = 60

interface Params {
  data: string
  actors: number
}

interface Created {
  elapsedMs: number
  cpuUs: number
  rssAnonMb: number
}

export async function passiveCreate({ data, actors }: Params): Promise<Created> {
  const node = await openNode({ directory: data })
  const cpu = process.cpuUsage()
  const elapsedMs = await startOrders(node, actors, (n) =>
    formatCommandId(Date.now() - ISSUED_AGO_MS, n.toString(36).padStart(UNIQUE_LENGTH, '0')),
  )
  const { user, system } = process.cpuUsage(cpu)
  await node.stop()
  return { elapsedMs, cpuUs: user + system, rssAnonMb: rssAnonMb() }
}

interface Opened {
  firstAnswerMs: number
  nodeMs: number
  rssAnonMb: number
  wake: Load
  warm: Load
  wakeSend: Load
}

/** Times count from the start of the process: Node and our modules are part of a start. */
export async function passiveOpen({ data, actors }: Params): Promise<Opened> {
  const beforeNode = performance.now()
  const node = await openNode({ directory: data })
  await node.client.get('order/0')
  const firstAnswerMs = performance.now()
  const rss = rssAnonMb()
  // Steps through all of them: none is met twice.
  const cold = (n: number) => `order/${(1 + n * 7_919) % actors}`
  const wake = await closedLoop(1, WAKE_MS, (n) => node.client.get(cold(n)))
  const warm = await closedLoop(1, WAKE_MS / 2, (n) => node.client.get(cold(n % 100)))
  const wakeSend = await closedLoop(1, WAKE_MS / 2, (n) =>
    node.client.send(cold(actors - 1 - n), { type: 'NEXT', by: 'bench' }),
  )
  await node.stop()
  return { firstAnswerMs, nodeMs: firstAnswerMs - beforeNode, rssAnonMb: rss, wake, warm, wakeSend }
}

/** Lets every shard forget what it may: some rows go with each batch. */
export async function passiveEvict({ data }: Params): Promise<void> {
  const node = await openNode({ directory: data, limits: FORGETFUL })
  let rowsBefore = -1
  for (let round = 0; round < FORGET_ROUNDS_MAX; round++) {
    await each(SHARDS * 8, SHARDS * 8, (n) => node.client.get(`order/${n}`))
    const slots = await slotsOf(node)
    // A batch that only reads takes no slot: nothing was left to forget.
    if (slots === rowsBefore) break
    rowsBefore = slots
  }
  await node.stop()
}

async function slotsOf(node: TroupeNode): Promise<number> {
  const { shards } = await node.ready()
  return shards.reduce((sum, { slot }) => sum + slot, 0)
}

export async function passive(bench: Bench): Promise<Report> {
  const actors = bench.quick ? 20_000 : 1_000_000
  const data = folderOf(bench, 'passive')
  const params: Params = { data, actors }
  const created = await runPart<Created>(bench, 'passive-create', params)
  const fresh = await diskUse(join(data, 'store'), SHARDS)
  const opened: Opened[] = []
  for (let n = 0; n < OPENINGS; n++) {
    opened.push(await runPart<Opened>(bench, 'passive-open', params))
  }
  await runPart(bench, 'passive-evict', params)
  const tidy = await diskUse(join(data, 'store'), SHARDS)
  return {
    scenario: `passive: ${number(actors, 0)} actors at rest`,
    figures: figuresOf(actors, created, opened),
    demands: demandsOf(actors, opened, tidy),
    notes: [
      `disk, pages in use by rows: ${perActor(fresh, actors)} with ${number(fresh.rememberedRows, 0)} remembered replies of the creation, ${perActor(tidy, actors)} with ${number(tidy.rememberedRows, 0)}`,
      `file: ${number(fresh.fileBytes / actors)} bytes per actor after the creation, ${number(tidy.fileBytes / actors)} at the end (it never shrinks, freed pages are used again)`,
      `of the start, ${number(spreadOf(opened.map((one) => one.nodeMs)).median, 0)} ms are the node's, the rest is Node and modules; pages of the file are in the system's cache`,
    ],
  }
}

function perActor({ pageBytes, rows }: DiskUse, actors: number): string {
  return `${number(pageBytes / actors)} bytes (${number(rows / actors, 2)} rows) per actor`
}

function figuresOf(actors: number, created: Created, opened: Opened[]): Figure[] {
  const { elapsedMs, cpuUs } = created
  const once = (value: number) => spreadOf([value])
  return [
    {
      name: 'creation in bulk',
      perSecond: once((actors / elapsedMs) * 1_000),
      cpu: once(cpuUs / 1_000 / elapsedMs),
      usPerOp: once(cpuUs / actors),
      rssAnonMb: created.rssAnonMb,
    },
    figureOf(
      'get of a cold actor',
      opened.map((one) => one.wake),
      opened[0]?.rssAnonMb,
    ),
    figureOf(
      'get of a warm actor',
      opened.map((one) => one.warm),
    ),
    figureOf(
      'event for a cold actor',
      opened.map((one) => one.wakeSend),
    ),
  ]
}

function demandsOf(actors: number, opened: Opened[], tidy: DiskUse): Demand[] {
  const first = spreadOf(opened.map((one) => one.firstAnswerMs))
  const rss = spreadOf(opened.map((one) => one.rssAnonMb))
  const wake = spreadOf(opened.map((one) => one.wake.p50Ms))
  const bytes = tidy.pageBytes / actors
  return [
    {
      what: 'start of the process to first answer',
      measured: `${spread(first)} ms`,
      limit: '',
      demanded: '<= 2,000 ms',
      pass: first.median <= 2_000,
    },
    {
      what: 'RssAnon after the first answer',
      measured: `${spread(rss)} MB`,
      limit: '',
      demanded: '<= 300 MB',
      pass: rss.median <= 300,
    },
    {
      what: 'disk per actor, pages in use',
      measured: `${number(bytes)} bytes`,
      limit: '',
      demanded: '<= 600 bytes',
      pass: bytes <= 600,
    },
    {
      what: 'wake-up p50 (get, no commit)',
      measured: `${spread(wake, 3)} ms`,
      limit: '',
      demanded: '<= 0.2 ms',
      pass: wake.median <= 0.2,
    },
  ]
}
