/**
 * How long shards pause at 30 % of saturation: they are handed over, an owner is killed, a node is restarted,
 * the leader is lost. Decides: what is demanded of that. A limit is set for handovers between nodes that
 * run; of a restart, in which a process starts on the same cores, it is only reported.
 */
import { startNatsServer } from '../../test/nats-server.ts'
import type { FailoverParams, FailoverResult, Handovers } from '../cluster/failover.ts'
import { quantile, spreadOf } from '../measure.ts'
import { type Bench, folderOf, runPart } from '../parts.ts'
import { type Demand, number, type Report, spread } from '../report.ts'

const FAILURES_SHOWN = 5

export async function failover(bench: Bench): Promise<Report> {
  const server = await startNatsServer()
  try {
    const data = folderOf(bench, 'failover')
    const params: FailoverParams = { data, url: server.url, quick: bench.quick }
    return reportOf(await runPart<FailoverResult>(bench, 'failover', params))
  } finally {
    await server.close()
  }
}

function reportOf(result: FailoverResult): Report {
  const { saturation, usualMs, planned, failoversMs, restarts, leaderMs, failures } = result
  const some = failures.slice(0, FAILURES_SHOWN)
  return {
    scenario: 'failover: three nodes under a steady stream at 30 % of saturation',
    figures: [],
    demands: [
      limit('failover after kill -9, p50', failoversMs, 0.5, 1_200),
      limit('failover after kill -9, p99', failoversMs, 0.99, 2_000),
      limit('pause of a shard in a planned handover, p99', planned.pausesMs, 0.99, 200),
      reported('pause of a shard that moved in a restart, p99', restarts.pausesMs, 0.99),
      limit('pause of a shard as the leader is lost', leaderMs, 1, 100),
    ],
    notes: [
      `saturation is ${number(saturation)} transitions/s with three nodes, a client and a nats-server on this machine`,
      `a shard that nothing disturbs acknowledges at least every ${number(usualMs)} ms (p99 of the shards); pauses are without that`,
      `planned: ${takesOf(planned)}`,
      `in restarts: ${takesOf(restarts)}`,
      `failovers in ms: ${failoversMs.map((ms) => number(ms, 0)).join(' ')}`,
      `${failures.length} commands failed${some.map((one) => `\n    ${one}`).join('')}`,
    ],
  }
}

/** Shards that did not move are not among them. */
function takesOf({ takesMs }: Handovers): string {
  const [p50, p99] = [0.5, 0.99].map((share) => number(quantile(takesMs, share), 0))
  return `${takesMs.length} shards were handed over; from when the next owner was named until it served: p50 ${p50}, p99 ${p99} ms`
}

function reported(what: string, times: readonly number[], share: number): Demand {
  return { ...limit(what, times, share, Number.POSITIVE_INFINITY), demanded: 'none' }
}

function limit(what: string, times: readonly number[], share: number, demandedMs: number): Demand {
  const measured = quantile(times, share)
  return {
    what,
    measured: `${number(measured, 0)} ms of ${times.length}`,
    limit: `all: ${spread(spreadOf(times), 0)} ms`,
    demanded: `<= ${number(demandedMs)} ms`,
    pass: measured <= demandedMs,
  }
}
