/**
 * Where the microseconds of one transition go at 1,024 in flight and alone: self time of the main thread by
 * part, scaled to what a transition costs without the profiler, and the CPU of the other threads.
 */
import { join } from 'node:path'
import {
  allocationsOf,
  CpuProfile,
  type ProfileShare,
  sharesOf,
  type ThreadTime,
  threadTimes,
} from '../cpu-profile.ts'
import { closedLoop, type Load } from '../measure.ts'
import { openNode, startOrders } from '../nodes.ts'
import { type Bench, folderOf, runPart } from '../parts.ts'
import { partOfFrame } from '../profile-parts.ts'
import { type Breakdown, figureOf, number, type Report } from '../report.ts'

const ACTORS = 10_000
const IN_FLIGHT = [1_024, 1]
const FUNCTIONS_SHOWN = 40

interface Params {
  data: string
  roundMs: number
  inFlight: number
}

interface Result {
  plain: Load[]
  profiled: Load
  /** µs of CPU per transition without the profiler. */
  mainUs: number
  otherUs: number
  others: ThreadTime[]
  parts: ProfileShare[]
  functions: ProfileShare[]
  /** Bytes per transition. */
  allocatedParts: ProfileShare[]
  allocatedFunctions: ProfileShare[]
  operations: number
}

export async function profilePart({ data, roundMs, inFlight }: Params): Promise<Result> {
  const node = await openNode({ directory: join(data, 'node') })
  await startOrders(node, ACTORS)
  let next = 0
  const send = () => node.client.send(`order/${next++ % ACTORS}`, { type: 'NEXT', by: 'bench' })
  await closedLoop(inFlight, roundMs, send)
  const before = threadTimes()
  const sentBefore = next
  const plain = [
    await closedLoop(inFlight, roundMs, send),
    await closedLoop(inFlight, roundMs, send),
    await closedLoop(inFlight, roundMs, send),
  ]
  const operations = next - sentBefore
  const threads = since(before)
  const profile = new CpuProfile()
  await profile.start()
  const profiledFrom = next
  const profiled = await closedLoop(inFlight, roundMs, send)
  const { parts, functions } = sharesOf(await profile.stop(), partOfFrame)
  const profiledCount = next - profiledFrom
  const allocatedFrom = next
  const load = () => closedLoop(inFlight, roundMs / 2, send)
  const allocated = await allocationsOf(load, partOfFrame)
  const allocatedCount = next - allocatedFrom
  await node.stop()
  const perTransition = (shares: ProfileShare[], count: number) =>
    shares.map(({ name, amount }) => ({ name, amount: amount / count }))
  const [main, ...others] = threads
  return {
    plain,
    profiled,
    mainUs: (main?.us ?? 0) / operations,
    otherUs: others.reduce((sum, { us }) => sum + us, 0) / operations,
    others: others.map((one) => ({ ...one, us: one.us / operations })),
    parts: perTransition(parts, profiledCount),
    functions: perTransition(functions, profiledCount).slice(0, FUNCTIONS_SHOWN),
    allocatedParts: perTransition(allocated.parts, allocatedCount),
    allocatedFunctions: perTransition(allocated.functions, allocatedCount).slice(
      0,
      FUNCTIONS_SHOWN,
    ),
    operations,
  }
}

/** The main thread first; the others by what they used. */
function since(before: ThreadTime[]): ThreadTime[] {
  const used = threadTimes().map((now) => {
    const was = before.find(({ thread }) => thread === now.thread)
    return { ...now, us: now.us - (was?.us ?? 0) }
  })
  const main = used.filter(({ thread }) => thread === process.pid)
  return [...main, ...used.filter((one) => !main.includes(one)).sort((a, b) => b.us - a.us)]
}

export async function profile(bench: Bench): Promise<Report> {
  const report: Report = {
    scenario: 'profile: the CPU of a transition',
    figures: [],
    demands: [],
    breakdowns: [],
    notes: ['main thread: self time of a sampled profile, scaled to the CPU measured without it'],
  }
  for (const inFlight of IN_FLIGHT) {
    const data = folderOf(bench, `profile-${inFlight}`)
    const params: Params = { data, roundMs: bench.quick ? 400 : 3_000, inFlight }
    const result = await runPart<Result>(bench, 'profile', params)
    report.figures.push(
      figureOf(`${inFlight} in flight, without the profiler`, result.plain),
      figureOf(`${inFlight} in flight, with it`, [result.profiled]),
    )
    report.breakdowns?.push(...breakdownsOf(result, inFlight))
  }
  return report
}

function breakdownsOf(result: Result, inFlight: number): Breakdown[] {
  const { mainUs, otherUs } = result
  const busy = result.parts.filter(({ name }) => name !== 'idle')
  const sum = (shares: ProfileShare[]) => shares.reduce((all, { amount }) => all + amount, 0)
  // The profiler itself costs; what it sees is taken as shares.
  const scale = mainUs / sum(busy)
  const share = (us: number) => `${number((100 * us) / (mainUs + otherUs), 1)} %`
  const bytes = new Map(result.allocatedParts.map(({ name, amount }) => [name, amount]))
  const row = (name: string, us: number, allocated?: number) => [
    name,
    number(us, 1),
    share(us),
    allocated === undefined ? '' : number(allocated, 0),
  ]
  return [
    {
      title: `where the CPU of one transition goes, ${inFlight} in flight`,
      columns: ['part', 'µs', 'share', 'bytes allocated'],
      rows: [
        ...busy.map(({ name, amount }) => row(name, amount * scale, bytes.get(name))),
        row('main thread together', mainUs, sum(result.allocatedParts)),
        ...result.others
          .filter(({ us }) => us >= 0.1)
          .map(({ name, us }) => row(`thread ${name}`, us)),
        row('other threads together', otherUs),
      ],
    },
    functionsOf(`µs by function, ${inFlight} in flight`, result.functions, scale),
    functionsOf(`heap bytes by function, ${inFlight} in flight`, result.allocatedFunctions, 1),
  ]
}

function functionsOf(title: string, functions: ProfileShare[], scale: number): Breakdown {
  return {
    title,
    columns: ['function', ''],
    rows: functions
      .filter(({ name }) => !name.startsWith('(idle)'))
      .map(({ name, amount }) => [name, number(amount * scale, 2)]),
  }
}
