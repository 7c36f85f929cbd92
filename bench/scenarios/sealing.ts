/**
 * Sealing: what the runtime adds to a step of a sector, the memory of thousands of threads that wait, and
 * the list of hundreds of workers. Decides: what is demanded of each, and how it is shown. Each is measured
 * in a process of its own (`bench/sealing/`).
 */
import type { ProfileShare } from '../cpu-profile.ts'
import { spreadOf } from '../measure.ts'
import { type Bench, folderOf, runPart } from '../parts.ts'
import {
  type Breakdown,
  type Demand,
  type Figure,
  number,
  type Report,
  ratiosOf,
  spread,
} from '../report.ts'
import type { Crowd, CrowdParams, Memory } from '../sealing/crowd.ts'
import type { ListParams, ListTimes } from '../sealing/list.ts'
import {
  SPANS,
  type StepRound,
  type StepsParams,
  type StepsResult,
  type Times,
} from '../sealing/steps.ts'

const STEP_MS_MAX = 5
const RSS_MB_MAX = 400
const LIST_MS_MAX = 300
/** As many as the worker of the soak has. */
const MANY = 12

export async function sealing(bench: Bench): Promise<Report> {
  const roundMs = bench.quick ? 500 : 3_000
  const data = (name: string) => folderOf(bench, `sealing-${name}`)
  const steps = (threads: number) => {
    const params: StepsParams = { data: data(`steps-${threads}`), roundMs, threads }
    return runPart<StepsResult>(bench, 'sealing-steps', params)
  }
  const one = await steps(1)
  const many = await steps(MANY)
  // As a node of such a farm is configured, and as nodes are by default.
  const crowd = await measureCrowd(bench, data('crowd'), 'small')
  const fast = bench.quick ? null : await measureCrowd(bench, data('crowd-fast'), 'fast')
  const listParams: ListParams = {
    ...{ data: data('list'), workers: bench.quick ? 50 : 500 },
  }
  const list = await runPart<ListTimes>(bench, 'sealing-list', listParams)
  return {
    scenario: 'sealing: steps with a child that does nothing, threads at rest, lists',
    figures: [
      ...stepFigures('1 thread', one.rounds),
      ...stepFigures(`${MANY} threads`, many.rounds),
      ...limitFigures(one.rounds),
      ...listFigures(list),
    ],
    demands: [
      ...stepDemands(one.rounds),
      memoryDemand(crowd),
      ...listDemands(list, listParams.workers),
    ],
    breakdowns: [
      statesOf('1 thread', one),
      profileOf('1 thread', one.parts),
      profileOf(`${MANY} threads`, many.parts),
      profileOf(`${MANY} threads, by function`, many.functions),
      memoryOf('heap: small', crowd),
      ...(fast === null ? [] : [memoryOf('heap: fast', fast)]),
    ],
    notes: [
      ...cpuNotes('1 thread', one.rounds),
      ...cpuNotes(`${MANY} threads`, many.rounds),
      'a step is the time from one committed transition of a sector to the next; CPU is that of the worker process, its children have their own',
    ],
  }
}

interface Measured {
  threads: number
  nobody: Memory
  crowd: Crowd
  opened: Memory
}

async function measureCrowd(bench: Bench, data: string, heap: 'fast' | 'small'): Promise<Measured> {
  const params: CrowdParams = { data, threads: bench.quick ? 200 : 2_000, heap }
  return {
    threads: params.threads,
    nobody: await runPart<Memory>(bench, 'sealing-nobody', params),
    crowd: await runPart<Crowd>(bench, 'sealing-crowd', params),
    opened: await runPart<Memory>(bench, 'sealing-crowd-opened', params),
  }
}

function stepFigures(who: string, rounds: readonly StepRound[]): Figure[] {
  return [
    {
      ...{ name: `${who}: all steps` },
      perSecond: spreadOf(rounds.map((round) => round.perSecond)),
      usPerOp: spreadOf(rounds.map(({ mainUs, otherUs }) => mainUs + otherUs)),
    },
    timesFigure(`${who}: steps with a child`, rounds, ({ child }) => child),
    timesFigure(`${who}: steps without one`, rounds, ({ other }) => other),
    timesFigure(`${who}: the runtime of those with a child`, rounds, (one) => one.childRuntime),
    timesFigure(`${who}: the runtime of those without`, rounds, (one) => one.otherRuntime),
  ]
}

function limitFigures(rounds: readonly StepRound[]): Figure[] {
  return [
    timesFigure('limit: bare round trip to the child', rounds, ({ bare }) => bare),
    timesFigure("the same by the worker's processors", rounds, ({ inner }) => inner),
    timesFigure('one flushed write of a page', rounds, ({ flush }) => flush),
  ]
}

function timesFigure(
  name: string,
  rounds: readonly StepRound[],
  of: (round: StepRound) => Times,
): Figure {
  return {
    name,
    p50Ms: spreadOf(rounds.map((round) => of(round).p50Ms)),
    p99Ms: spreadOf(rounds.map((round) => of(round).p99Ms)),
  }
}

function listFigures({ route, verb, command, help, bareNode }: ListTimes): Figure[] {
  const figure = (name: string, times: number[]): Figure => ({ name, p50Ms: spreadOf(times) })
  return [
    figure('list: the route', route),
    figure('list: the route and the table', verb),
    figure('list: the whole command', command),
    figure('the command with --help: Node.js and modules', help),
    figure('node -e 0', bareNode),
  ]
}

/** Round by round, without the steps' own work (their child, the files of their sectors). */
function stepDemands(rounds: readonly StepRound[]): Demand[] {
  const bare = spreadOf(rounds.map((round) => round.bare.p50Ms))
  const flush = spreadOf(rounds.map((round) => round.flush.p50Ms))
  const over = (quantile: 'p50Ms' | 'p99Ms') =>
    spreadOf(rounds.map((round) => round.childRuntime[quantile]))
  const whole = spreadOf(rounds.map((round) => round.child.p50Ms))
  const other = spreadOf(rounds.map((round) => round.otherRuntime.p50Ms))
  const demanded = `p50 <= ${STEP_MS_MAX} ms`
  return [
    {
      what: 'runtime per step with a child',
      measured: `p50 ${spread(over('p50Ms'))} ms, p99 ${spread(over('p99Ms'))} ms; the whole step p50 ${spread(whole)} ms`,
      limit: `${spread(bare)} ms (bare round trip)`,
      ratio: ratiosOf(
        rounds.map((round) => round.childRuntime.p50Ms),
        rounds.map((round) => round.bare.p50Ms),
      ),
      demanded,
      pass: over('p50Ms').median <= STEP_MS_MAX,
    },
    {
      what: 'runtime per step without one',
      measured: `p50 ${spread(other)} ms`,
      limit: `${spread(flush)} ms (flushed write)`,
      ratio: ratiosOf(
        rounds.map((round) => round.otherRuntime.p50Ms),
        rounds.map((round) => round.flush.p50Ms),
      ),
      demanded,
      pass: other.median <= STEP_MS_MAX,
    },
  ]
}

function memoryDemand({ threads, nobody, crowd }: Measured): Demand {
  const { rssMb, rssAnonMb } = crowd.loaded
  return {
    what: `RSS with ${number(threads, 0)} threads at rest, right after their steps (heap: small)`,
    measured: `${number(rssMb, 0)} MB (RssAnon ${number(rssAnonMb, 0)} MB)`,
    limit: `${number(nobody.rssMb, 0)} MB (the node without threads)`,
    ratio: spreadOf([rssMb / nobody.rssMb]),
    demanded: `<= ${RSS_MB_MAX} MB`,
    pass: rssMb <= RSS_MB_MAX,
  }
}

function listDemands({ verb, command, bareNode, route }: ListTimes, workers: number): Demand[] {
  const demand = (what: string, times: number[], limit: string, limits: number[]): Demand => {
    const spreadMs = spreadOf(times)
    return {
      ...{
        what: `util worker list, ${workers} workers: ${what}`,
        measured: `${spread(spreadMs)} ms`,
      },
      limit: `${spread(spreadOf(limits))} ms (${limit})`,
      ratio: ratiosOf(times, limits),
      demanded: `<= ${LIST_MS_MAX} ms`,
      pass: spreadMs.median <= LIST_MS_MAX,
    }
  }
  return [
    demand('route and table', verb, 'the route alone', route),
    demand('from the shell', command, 'node -e 0', bareNode),
  ]
}

function cpuNotes(who: string, rounds: readonly StepRound[]): string[] {
  const of = (field: 'mainUs' | 'otherUs' | 'turnsPerStep', digits: number) =>
    spread(spreadOf(rounds.map((round) => round[field])), digits)
  return [
    `${who}, CPU per step: main thread ${of('mainUs', 0)} µs, other threads ${of('otherUs', 0)} µs; ${of('turnsPerStep', 2)} durable turns of the thread per step`,
  ]
}

function statesOf(who: string, { states }: StepsResult): Breakdown {
  return {
    title: `${who}: p50 of the step of each state, in ms: until it has its place, until it runs, until its end is committed; of that its own work`,
    columns: ['state', 'whole', ...SPANS, 'own', 'steps'],
    rows: states.map(({ state, p50Ms, ownMs, spans, count }) => [
      ...[state, number(p50Ms, 2), ...SPANS.map((span) => number(spans[span], 2))],
      number(ownMs, 2),
      number(count, 0),
    ]),
  }
}

function profileOf(who: string, shares: readonly ProfileShare[]): Breakdown {
  return {
    title: `${who}: µs of the main thread per step (libraries and Node.js count for their caller)`,
    columns: ['', 'µs'],
    rows: shares
      .filter(({ name }) => !name.startsWith('(idle)'))
      .map(({ name, amount }) => [name, number(amount, 0)]),
  }
}

function memoryOf(heap: string, { threads, nobody, crowd, opened }: Measured): Breakdown {
  const { loaded, quiet, peakRssMb, contextBytes, entries, conditions, steps, cpuUs } = crowd
  const row = (what: string, { rssMb, rssAnonMb }: Memory) => [
    what,
    number(rssMb, 0),
    number(rssAnonMb, 0),
  ]
  const states = Object.entries(conditions).map(([name, count]) => `${count} ${name}`)
  return {
    title: `memory of ${number(threads, 0)} threads, ${heap} (${states.join(', ')}; a context of ${number(contextBytes, 0)} bytes as JSON with ${entries} entries; ${number(steps, 0)} steps at ${number(cpuUs / steps, 0)} µs of CPU before)`,
    columns: ['', 'RSS MB', 'RssAnon MB'],
    rows: [
      row('the node without threads', nobody),
      row('right after their steps', loaded),
      row('5 s later', quiet),
      ['the most that it ever was', number(peakRssMb, 0), ''],
      row('after a restart, all of them read once', opened),
    ],
  }
}
