/** How long shards pause at 30 % of saturation: an owner is killed, a node is restarted, the leader is lost. */
import { startNatsServer } from '../../test/nats-server.ts'
import type { FailoverParams, FailoverResult } from '../cluster/failover.ts'
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
  const { saturation, usualMs, failoversMs, handoffsMs, handoversMs, leaderMs, failures } = result
  const handovers = [0.5, 0.99]
    .map((share) => number(quantile(handoversMs, share), 0))
    .join(' and ')
  const some = failures.slice(0, FAILURES_SHOWN)
  return {
    scenario: 'failover: three nodes under a steady stream at 30 % of saturation',
    figures: [],
    demands: [
      limit('failover after kill -9, p50', failoversMs, 0.5, 1_200),
      limit('failover after kill -9, p99', failoversMs, 0.99, 2_000),
      limit('pause of a shard in a restart, p99', handoffsMs, 0.99, 200),
      limit('pause of a shard as the leader is lost', leaderMs, 1, 100),
    ],
    notes: [
      `saturation is ${number(saturation)} transitions/s with three nodes, a client and a nats-server on this machine`,
      `a shard that nothing disturbs acknowledges at least every ${number(usualMs)} ms (p99 of the shards); pauses are without that`,
      `${handoversMs.length} shards were handed over: p50 and p99 from when the next owner was named until it served: ${handovers} ms`,
      `failovers in ms: ${failoversMs.map((ms) => number(ms, 0)).join(' ')}`,
      `${failures.length} commands failed${some.map((one) => `\n    ${one}`).join('')}`,
    ],
  }
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
