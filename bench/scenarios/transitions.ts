/**
 * Durable transitions per second: 10,000 actors of five states, through the client library in this
 * process, closed loop at 1, 64 and 1,024 in flight; and the limits that stepping and the disk set,
 * measured between the rounds.
 */
import { join } from 'node:path'
import type { TroupeNode } from '../../src/index.ts'
import { BareSteps } from '../bare-step.ts'
import { order } from '../machines.ts'
import { closedLoop, type Load, quantile, rssAnonMb, spreadOf } from '../measure.ts'
import { openNode, startOrders } from '../nodes.ts'
import { type Bench, folderOf, runPart } from '../parts.ts'
import {
  copyStore,
  openBare,
  Recorder,
  type Recording,
  replay,
  replayInPlace,
} from '../recorded.ts'
import { type Demand, figureOf, number, type Report, ratiosOf, spread } from '../report.ts'

const ACTORS = 10_000
const ROUNDS = 5
const FULL = { warmMs: 3_000, stepMs: 700, fullMs: 2_500, someMs: 1_500, oneMs: 400 }
const QUICK = { warmMs: 300, stepMs: 100, fullMs: 300, someMs: 200, oneMs: 100 }
/** Rounds of puts and transitions one at a time, in turns: a disk changes its mood within seconds. */
const ALTERNATIONS = 10

interface Params {
  data: string
  quick: boolean
}

interface Result {
  full: Load[]
  some: Load[]
  one: Load[]
  stepsPerSecond: number[]
  flushedPerSecond: number[]
  inPlacePerSecond: number[]
  put: Load[]
  sameRows: Load[]
  rssAnonMb: number
  perGroup: { transitions: number; batches: number; rows: number; bytes: number }
}

export async function transitionsPart({ data, quick }: Params): Promise<Result> {
  const times = quick ? QUICK : FULL
  const recorder = new Recorder()
  recorder.install()
  const node = await openNode({ directory: join(data, 'node') })
  await startOrders(node, ACTORS)
  const send = sender(node)
  const steps = new BareSteps(order, ACTORS)
  steps.run(times.stepMs)
  await closedLoop(1_024, times.warmMs, send)
  const result: Result = {
    full: [],
    some: [],
    one: [],
    stepsPerSecond: [],
    flushedPerSecond: [],
    inPlacePerSecond: [],
    put: [],
    sameRows: [],
    rssAnonMb: 0,
    perGroup: { transitions: 0, batches: 0, rows: 0, bytes: 0 },
  }
  for (let round = 0; round < ROUNDS; round++) {
    result.stepsPerSecond.push(steps.run(times.stepMs))
    const copies = [`bare-${round}`, `in-place-${round}`].map((name) => join(data, name))
    for (const copy of copies) copyStore(join(data, 'node', 'store'), copy)
    const recording = recorder.start()
    result.full.push(await closedLoop(1_024, times.fullMs, send))
    recorder.stop()
    await replayBoth(copies, recording, result)
    result.some.push(await closedLoop(64, times.someMs, send))
  }
  result.rssAnonMb = rssAnonMb()
  await oneAtATime(recorder, send, data, times.oneMs, result)
  await node.stop()
  return result
}

/** Walks through the actors, so that calls under way are for different ones. */
function sender(node: TroupeNode): (n: number) => Promise<unknown> {
  let next = 0
  return () => node.client.send(`order/${next++ % ACTORS}`, { type: 'NEXT', by: 'bench' })
}

async function replayBoth(copies: string[], recording: Recording, result: Result): Promise<void> {
  const { groups, transitions, batches, rows, bytes } = recording
  const [bare, inPlace] = copies.map(openBare)
  if (bare === undefined || inPlace === undefined) throw new Error('two copies were made')
  result.flushedPerSecond.push((transitions / (await replay(bare, groups))) * 1_000)
  result.inPlacePerSecond.push((transitions / replayInPlace(inPlace, groups)) * 1_000)
  await bare.root.close()
  await inPlace.root.close()
  const count = groups.length
  result.perGroup = {
    transitions: transitions / count,
    batches: batches / count,
    rows: rows / count,
    bytes: bytes / count,
  }
}

/** One transition at a time against one flushed put at a time. */
async function oneAtATime(
  recorder: Recorder,
  send: (n: number) => Promise<unknown>,
  data: string,
  durationMs: number,
  result: Result,
): Promise<void> {
  const bare = openBare(join(data, 'puts'))
  const value = Buffer.alloc(400, 7)
  const put = (n: number) => bare.rows.put(Buffer.from(`order/${n % ACTORS}`), value)
  await bare.rows.batch(() => {
    for (let n = 0; n < ACTORS; n++) void put(n)
  })
  await closedLoop(1, durationMs, put)
  await closedLoop(1, durationMs, send)
  for (let turn = 0; turn < ALTERNATIONS; turn++) {
    result.put.push(await closedLoop(1, durationMs, (n) => put(n * 7_919)))
    result.one.push(await closedLoop(1, durationMs, send))
  }
  await bare.root.close()
  await sameRows(recorder, send, data, durationMs, result)
}

/** What of one transition is its rows: those of some, written again one transition at a time. */
async function sameRows(
  recorder: Recorder,
  send: (n: number) => Promise<unknown>,
  data: string,
  durationMs: number,
  result: Result,
): Promise<void> {
  const copy = join(data, 'same-rows')
  copyStore(join(data, 'node', 'store'), copy)
  const { groups } = recorder.start()
  await closedLoop(1, durationMs, send)
  recorder.stop()
  const bare = openBare(copy)
  let next = 0
  result.sameRows.push(
    await closedLoop(1, durationMs, () => replay(bare, [groups[next++ % groups.length]!])),
  )
  await bare.root.close()
}

export async function transitions(bench: Bench): Promise<Report> {
  const params: Params = { data: folderOf(bench, 'transitions'), quick: bench.quick }
  const result = await runPart<Result>(bench, 'transitions', params)
  const { perGroup } = result
  const bare = ({ perSecond }: { perSecond: number[] }) => ({ perSecond: spreadOf(perSecond) })
  return {
    scenario: 'transitions: 10,000 actors, 5 states, closed loop through the client library',
    figures: [
      figureOf('1,024 in flight', result.full, result.rssAnonMb),
      figureOf('64 in flight', result.some),
      figureOf('1 in flight', result.one),
      { name: 'limit: bare step + pack', ...bare({ perSecond: result.stepsPerSecond }) },
      { name: 'limit: bare puts + flush', ...bare({ perSecond: result.flushedPerSecond }) },
      { name: 'same, on one thread', ...bare({ perSecond: result.inPlacePerSecond }) },
      figureOf('limit: one flushed put', result.put),
      figureOf('the rows of one transition', result.sameRows),
    ],
    demands: demandsOf(result),
    notes: [
      `a group commit at 1,024 in flight holds ${number(perGroup.transitions)} transitions of ${number(perGroup.batches)} shards, ${number(perGroup.rows)} rows, ${number(perGroup.bytes / 1_024)} KB`,
    ],
  }
}

/** No demand, but what is aimed at. */
function aimOf(usPerOp: number[]): Demand {
  const perSecond = 1e6 / quantile(usPerOp, 0.5)
  return {
    what: 'aim: 40,000 transitions/s on one core',
    measured: `${number(perSecond)} /s per core of CPU`,
    limit: '',
    demanded: '>= 40,000',
    pass: perSecond >= 40_000,
  }
}

function demandsOf(result: Result): Demand[] {
  const { full, some, one, stepsPerSecond, flushedPerSecond, inPlacePerSecond } = result
  const disk = flushedPerSecond.map((value, at) => Math.max(value, inPlacePerSecond[at] ?? 0))
  const limits = stepsPerSecond.map((value, at) => Math.min(value, disk[at] ?? value))
  const isDisk = spreadOf(disk).median < spreadOf(stepsPerSecond).median
  const throughput = ratiosOf(
    full.map((round) => round.perSecond),
    limits,
  )
  const putP50Ms = result.put.map((round) => round.p50Ms)
  const latency = ratiosOf(
    one.map((round) => round.p50Ms),
    putP50Ms,
  )
  const tail = spreadOf(some.map((round) => round.p99Ms / round.p50Ms))
  const median = (figures: number[], unit: string) => `${spread(spreadOf(figures))} ${unit}`
  return [
    {
      what: 'transitions/s at 1,024 in flight',
      measured: median(
        full.map((round) => round.perSecond),
        '/s',
      ),
      limit: `${spread(spreadOf(limits))} /s (${isDisk ? 'bare puts + flush' : 'bare step + pack'})`,
      ratio: throughput,
      demanded: '>= 0.5',
      pass: throughput.median >= 0.5,
    },
    {
      what: 'p50 at 1 in flight',
      measured: median(
        one.map((round) => round.p50Ms),
        'ms',
      ),
      limit: `${spread(spreadOf(putP50Ms))} ms (one flushed put)`,
      ratio: latency,
      demanded: '<= 2',
      pass: latency.median <= 2,
    },
    {
      what: 'p99 at 64 in flight',
      measured: median(
        some.map((round) => round.p99Ms),
        'ms',
      ),
      limit: `${spread(spreadOf(some.map((round) => round.p50Ms)))} ms (its p50)`,
      ratio: tail,
      demanded: '<= 10',
      pass: tail.median <= 10,
    },
    aimOf(full.map((round) => round.usPerOp)),
  ]
}
