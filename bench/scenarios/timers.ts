/**
 * 20,000 timers due within one second among a million that are pending: how late their transitions
 * are, from the due time on record to the moment at which a watcher in the process sees the commit.
 */
import type { TroupeNode } from '../../src/index.ts'
import { cpuSince, each, pause, quantile, rssAnonMb, spreadOf } from '../measure.ts'
import { BULK_IN_FLIGHT, openNode } from '../nodes.ts'
import { type Bench, folderOf, runPart } from '../parts.ts'
import { type Figure, number, type Report, spread } from '../report.ts'

const ROUNDS = 3
const HOUR_MS = 3_600_000
/** The pending ones fall due in one to eleven hours. */
const SPREAD_MS = 10 * HOUR_MS
const BURST_MS = 1_000
/** Of the bulk's end and the burst, so that the making of the burst is over before it is due. */
const AHEAD_MS = 6_000
const PATIENCE_MS = 60_000

interface Params {
  data: string
  pending: number
  burst: number
}

interface Burst {
  lagP50Ms: number
  lagP99Ms: number
  lagMaxMs: number
  /** By the due time and the engine's own time of the transition. */
  early: number
  missing: number
  cpu: number
}

interface Result {
  createdPerSecond: number
  bursts: Burst[]
  rssAnonMb: number
}

export async function timersPart({ data, pending, burst }: Params): Promise<Result> {
  const node = await openNode({ directory: data })
  const createdMs = await each(pending, BULK_IN_FLIGHT, (n) => {
    const delayMs = HOUR_MS + Math.floor(((n * 7_919) % pending) * (SPREAD_MS / pending))
    return node.client.start(`reminder/p${n}`, { delayMs })
  })
  const bursts: Burst[] = []
  for (let round = 0; round < ROUNDS; round++) bursts.push(await runBurst(node, round, burst))
  const rss = rssAnonMb()
  await node.stop()
  return { createdPerSecond: (pending / createdMs) * 1_000, bursts, rssAnonMb: rss }
}

async function runBurst(node: TroupeNode, round: number, count: number): Promise<Burst> {
  const { client } = node
  const from = Date.now() + AHEAD_MS
  const addressOf = (n: number) => `reminder/b${round}-${n}`
  await each(count, BULK_IN_FLIGHT, (n) => {
    const dueAt = from + Math.floor((n * BURST_MS) / count)
    return client.start(addressOf(n), { delayMs: dueAt - Date.now() })
  })
  const dueAt = new Map<string, number>()
  await each(count, BULK_IN_FLIGHT, async (n) => {
    const { timers } = await client.get(addressOf(n))
    if (timers[0] !== undefined) dueAt.set(addressOf(n), timers[0].dueAt)
  })
  const cpu = process.cpuUsage()
  const watchedFrom = performance.now()
  const lags = await watchBurst(node, dueAt)
  const cpuShare = cpuSince(cpu) / 1_000 / (performance.now() - watchedFrom)
  let early = lags.filter((lag) => lag < 0).length
  await each(count, BULK_IN_FLIGHT, async (n) => {
    const { since, value } = await client.get(addressOf(n))
    if (value === 'rung' && since < (dueAt.get(addressOf(n)) ?? 0)) early += 1
  })
  return {
    lagP50Ms: quantile(lags, 0.5),
    lagP99Ms: quantile(lags, 0.99),
    lagMaxMs: quantile(lags, 1),
    early,
    missing: count - lags.length,
    cpu: cpuShare,
  }
}

/** The lags of those that rang before patience ran out. */
async function watchBurst(node: TroupeNode, dueAt: Map<string, number>): Promise<number[]> {
  const lags: number[] = []
  const stop = new AbortController()
  const end = pause(AHEAD_MS + BURST_MS + PATIENCE_MS).then(() => stop.abort())
  for await (const event of node.client.watch({ machine: 'reminder' }, stop.signal)) {
    const due = dueAt.get(event.address)
    if (event.kind !== 'transition' || event.to !== 'rung' || due === undefined) continue
    lags.push(Date.now() - due)
    if (lags.length === dueAt.size) break
  }
  if (!stop.signal.aborted) stop.abort()
  void end
  return lags
}

export async function timers(bench: Bench): Promise<Report> {
  const [pending, burst] = bench.quick ? [20_000, 2_000] : [1_000_000, 20_000]
  const params: Params = { data: folderOf(bench, 'timers'), pending, burst }
  const result = await runPart<Result>(bench, 'timers', params)
  const of = (field: keyof Burst) => spreadOf(result.bursts.map((one) => one[field]))
  const lag = of('lagP99Ms')
  const wrong = of('early').max + of('missing').max
  const figures: Figure[] = [
    { name: 'actors with a timer made', perSecond: spreadOf([result.createdPerSecond]) },
    {
      name: 'lag of a timer',
      p50Ms: of('lagP50Ms'),
      p99Ms: lag,
      cpu: of('cpu'),
      rssAnonMb: result.rssAnonMb,
    },
  ]
  return {
    scenario: `timers: ${number(burst, 0)} due within a second among ${number(pending, 0)} pending`,
    figures,
    demands: [
      {
        what: 'lag p99, due time to seen commit',
        measured: `${spread(lag)} ms`,
        limit: '',
        demanded: '<= 250 ms',
        pass: lag.median <= 250,
      },
      {
        what: 'timers early or missing',
        measured: number(wrong, 0),
        limit: '',
        demanded: '0',
        pass: wrong === 0,
      },
    ],
    notes: [`largest lag ${spread(of('lagMaxMs'))} ms`],
  }
}
