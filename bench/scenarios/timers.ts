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
/** The making of the burst has to be over before it is due. */
const AHEAD_MS = 8_000
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
  /** By the engine's own time of the transition. */
  firedP99Ms: number
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
  const addressOf = (n: number) => `reminder/b${round}-${n}`
  const rungs = new Rungs(node, `reminder/b${round}-`, count)
  const from = Date.now() + AHEAD_MS
  await each(count, BULK_IN_FLIGHT, (n) => {
    const due = from + Math.floor((n * BURST_MS) / count)
    return client.start(addressOf(n), { delayMs: due - Date.now() })
  })
  const aheadMs = from - Date.now()
  if (aheadMs < 0) throw new Error(`making ${count} actors took ${-aheadMs} ms too long`)
  await pause(aheadMs)
  const cpu = process.cpuUsage()
  const watchedFrom = performance.now()
  await rungs.all()
  const cpuShare = cpuSince(cpu) / 1_000 / (performance.now() - watchedFrom)
  return { ...(await lagsOf(node, addressOf, count, rungs)), cpu: cpuShare }
}

/** A timer is set by the batch that makes its actor: it is due so long after `createdAt`. */
async function lagsOf(
  node: TroupeNode,
  addressOf: (n: number) => string,
  count: number,
  rungs: Rungs,
): Promise<Omit<Burst, 'cpu'>> {
  const seen: number[] = []
  const fired: number[] = []
  await each(count, BULK_IN_FLIGHT, async (n) => {
    const view = await node.client.get(addressOf(n))
    const dueAt = view.createdAt + (view.context as { delayMs: number }).delayMs
    const seenAt = rungs.seenAt.get(view.address)
    if (view.value !== 'rung' || seenAt === undefined) return
    seen.push(seenAt - dueAt)
    fired.push(view.since - dueAt)
  })
  return {
    lagP50Ms: quantile(seen, 0.5),
    lagP99Ms: quantile(seen, 0.99),
    lagMaxMs: quantile(seen, 1),
    firedP99Ms: quantile(fired, 0.99),
    early: fired.filter((lag) => lag < 0).length,
    missing: count - seen.length,
  }
}

/** When a program that watches has seen each of them ring. */
class Rungs {
  readonly seenAt = new Map<string, number>()
  readonly #stop = new AbortController()
  readonly #done: Promise<void>

  constructor(node: TroupeNode, prefix: string, count: number) {
    this.#done = this.#watch(node, prefix, count)
  }

  /** Waits for all, or until patience has run out. */
  async all(): Promise<void> {
    await Promise.race([this.#done, pause(BURST_MS + PATIENCE_MS)])
    this.#stop.abort()
  }

  async #watch(node: TroupeNode, prefix: string, count: number): Promise<void> {
    for await (const event of node.client.watch({ machine: 'reminder' }, this.#stop.signal)) {
      if (event.kind !== 'transition' || event.to !== 'rung') continue
      if (!event.address.startsWith(prefix)) continue
      this.seenAt.set(event.address, Date.now())
      if (this.seenAt.size === count) return
    }
  }
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
    notes: [
      `largest lag ${spread(of('lagMaxMs'))} ms; p99 of the time on the transition itself ${spread(of('firedP99Ms'))} ms`,
    ],
  }
}
