/**
 * A client, one owner and a nats-server, each a process of its own on this machine: durable transitions
 * through the client library and as JSON requests of a bare client, against echo requests over the same
 * server and flushed puts; and where the time goes.
 */
import { startNatsServer } from '../../test/nats-server.ts'
import type { ClusterParams, ClusterResult, Costs, Rounds } from '../cluster/load.ts'
import type { ProfileShare } from '../cpu-profile.ts'
import { type Load, spreadOf } from '../measure.ts'
import { type Bench, folderOf, runPart } from '../parts.ts'
import {
  type Breakdown,
  type Demand,
  figureOf,
  number,
  type Report,
  ratiosOf,
  spread,
} from '../report.ts'

export async function cluster(bench: Bench): Promise<Report> {
  const server = await startNatsServer()
  try {
    const data = folderOf(bench, 'cluster')
    const params: ClusterParams = { data, url: server.url, pid: server.pid, quick: bench.quick }
    return reportOf(await runPart<ClusterResult>(bench, 'cluster', params))
  } finally {
    await server.close()
  }
}

function reportOf(result: ClusterResult): Report {
  const { echo, transitions, json, reference, jsonReference, put, ownerRssMb } = result
  const figures = (what: string, rounds: Rounds) =>
    Object.entries(rounds).map(([inFlight, loads]) =>
      figureOf(`${what}, ${inFlight} in flight`, loads),
    )
  return {
    scenario: 'cluster: a client, one owner and a nats-server, each in its process',
    figures: [
      ...figures('bare NATS echo', echo),
      ...figures('transitions', transitions),
      ...figures('as JSON by a bare client', json),
      figureOf('the same work without Troupe, 1024 in flight', reference),
      figureOf('the same as JSON without Troupe, 256 in flight', jsonReference),
      figureOf('limit: one flushed put', put),
    ],
    demands: demandsOf(result),
    breakdowns: breakdownsOf(result),
    notes: [
      'CPU of the figures is the client alone; the table below has all processes',
      `the owner has ${number(ownerRssMb)} MB of memory of its own`,
    ],
  }
}

function demandsOf(result: ClusterResult): Demand[] {
  const { echo, transitions, json, reference, jsonReference, put } = result
  return [
    throughput('transitions/s at 1,024 in flight', transitions, echo, 1_024, 1),
    besideReference(
      'the same without Troupe: its ratio to echo',
      reference,
      echo[1_024] ?? [],
      'bare echo',
    ),
    besideReference(
      'transitions/s at 1,024 beside that',
      transitions[1_024] ?? [],
      reference,
      'the same work without Troupe',
    ),
    throughput('JSON requests/s at 256 in flight', json, echo, 256, 0.4),
    besideReference(
      'the same JSON without Troupe: its ratio to echo',
      jsonReference,
      echo[256] ?? [],
      'bare echo',
    ),
    besideReference(
      'JSON requests/s beside that',
      json[256] ?? [],
      jsonReference,
      'the same work without Troupe',
    ),
    latency('p50 at 1 in flight', transitions[1] ?? [], echo[1] ?? [], put),
  ]
}

function throughput(
  what: string,
  measured: Rounds,
  echo: Rounds,
  inFlight: number,
  demanded: number,
): Demand {
  const own = (measured[inFlight] ?? []).map(({ perSecond }) => perSecond)
  const limits = (echo[inFlight] ?? []).map(({ perSecond }) => perSecond)
  const ratio = ratiosOf(own, limits)
  return {
    ...{ what, ratio },
    measured: `${spread(spreadOf(own))} /s`,
    limit: `${spread(spreadOf(limits))} /s (bare echo)`,
    demanded: `>= ${demanded}`,
    pass: ratio.median >= demanded,
  }
}

/** Nothing is demanded of it: it says what a demand asks for. */
function besideReference(
  what: string,
  measured: readonly Load[],
  limit: readonly Load[],
  name: string,
): Demand {
  const own = measured.map(({ perSecond }) => perSecond)
  const limits = limit.map(({ perSecond }) => perSecond)
  return {
    ...{ what, ratio: ratiosOf(own, limits) },
    measured: `${spread(spreadOf(own))} /s`,
    limit: `${spread(spreadOf(limits))} /s (${name})`,
    demanded: 'none',
    pass: true,
  }
}

/** Four times across the server, and once to the disk. */
function latency(
  what: string,
  own: readonly Load[],
  echo: readonly Load[],
  put: readonly Load[],
): Demand {
  const limits = echo.map(({ p50Ms }, round) => 4 * p50Ms + (put[round]?.p50Ms ?? Number.NaN))
  const measured = own.map(({ p50Ms }) => p50Ms)
  const ratio = ratiosOf(measured, limits)
  return {
    ...{ what, ratio },
    measured: `${spread(spreadOf(measured))} ms`,
    limit: `${spread(spreadOf(limits))} ms (4 x echo + one flushed put)`,
    demanded: '<= 1',
    pass: ratio.median <= 1,
  }
}

const FUNCTIONS_SHOWN = 45

function breakdownsOf(result: ClusterResult): Breakdown[] {
  const { costs, jsonCosts, referenceCosts, jsonReferenceCosts } = result
  const { profiles, jsonProfile, transitions } = result
  const p50 = (transitions[1_024] ?? []).map((one) => one.p50Ms)
  return [
    cpuOf('where the CPU of one transition goes, 1,024 in flight', costs),
    cpuOf('the same work without Troupe', referenceCosts),
    cpuOf('one JSON request of a bare client, 256 in flight', jsonCosts),
    cpuOf('the same JSON request without Troupe', jsonReferenceCosts),
    {
      title: 'p50 of a transition, 1,024 in flight',
      columns: ['', 'ms'],
      rows: [['from the call to its answer', spread(spreadOf(p50))]],
    },
    ...(['client', 'owner'] as const).flatMap((who) => [
      partsOf(`main thread of the ${who} by part`, profiles[who].parts, profiles.transitions),
      partsOf(`by function, ${who}`, profiles[who].functions, profiles.transitions),
    ]),
    partsOf(
      'main thread of the owner by part, one JSON request',
      jsonProfile.owner.parts,
      jsonProfile.transitions,
    ),
    partsOf(
      'by function, owner, one JSON request',
      jsonProfile.owner.functions,
      jsonProfile.transitions,
    ),
  ]
}

function cpuOf(title: string, costs: readonly Costs[]): Breakdown {
  const of = (figure: (one: Costs) => number) => spread(spreadOf(costs.map(figure)))
  const process = (name: string, us: (one: Costs) => number) => [
    name,
    of((one) => us(one) / one.transitions),
    of((one) => us(one) / 1e6 / one.seconds),
  ]
  return {
    title,
    columns: ['process', 'µs per transition', 'CPU s/s'],
    rows: [
      process('client', ({ clientUs }) => clientUs),
      process('owner: main thread', ({ ownerMainUs }) => ownerMainUs),
      process('owner: other threads', ({ ownerOtherUs }) => ownerOtherUs),
      process('nats-server', ({ serverUs }) => serverUs),
      process(
        'together',
        (one) => one.clientUs + one.ownerMainUs + one.ownerOtherUs + one.serverUs,
      ),
      ['transitions in a slot', of((one) => one.transitions / one.slots), ''],
      ['slots/s', of(({ slots, seconds }) => slots / seconds), ''],
    ],
  }
}

/** Self time as sampled; the profiler makes everything dearer, so its shares count. */
function partsOf(title: string, all: readonly ProfileShare[], transitions: number): Breakdown {
  const busy = all.filter(({ name }) => !name.startsWith('idle') && !name.startsWith('(idle)'))
  const sum = busy.reduce((us, { amount }) => us + amount, 0)
  return {
    title,
    columns: ['', 'µs per transition', 'share'],
    rows: busy
      .slice(0, FUNCTIONS_SHOWN)
      .map(({ name, amount }) => [
        name,
        number(amount / transitions, 2),
        `${number((100 * amount) / sum, 1)} %`,
      ]),
  }
}
