/**
 * What more nodes cost where there is nothing more for them: all processes share this machine, so the
 * figure per transition counts, not the transitions per second.
 */
import { startNatsServer } from '../../test/nats-server.ts'
import type { GrowthParams, GrowthResult } from '../cluster/growth.ts'
import { type Bench, folderOf, runPart } from '../parts.ts'
import { figureOf, number, type Report } from '../report.ts'

export async function growth(bench: Bench): Promise<Report> {
  const server = await startNatsServer()
  try {
    const data = folderOf(bench, 'growth')
    const params: GrowthParams = { data, url: server.url, pid: server.pid, quick: bench.quick }
    return reportOf(await runPart<GrowthResult[]>(bench, 'growth', params))
  } finally {
    await server.close()
  }
}

function reportOf(results: readonly GrowthResult[]): Report {
  const per = ({ nodesUs, serverUs, transitions }: GrowthResult) => ({
    nodes: nodesUs / transitions,
    server: serverUs / transitions,
  })
  return {
    scenario: 'growth: one, two and three nodes on this machine, 1,024 in flight',
    figures: results.map(({ nodes, loads }) => figureOf(`${nodes} nodes`, loads)),
    demands: [],
    breakdowns: [
      {
        title: 'what a transition costs',
        columns: ['nodes', 'nodes, µs', 'nats-server, µs', 'transitions in a slot', 'MB of each'],
        rows: results.map((result) => [
          String(result.nodes),
          number(per(result).nodes, 1),
          number(per(result).server, 1),
          number(result.transitions / result.slots, 1),
          result.rssAnonMb.map((mb) => number(mb, 0)).join(' '),
        ]),
      },
    ],
    notes: [
      'CPU of the figures is the client alone; from two nodes on each slot is also read and applied by a standby',
      'the cores of this machine bound all of them: here more nodes only add work',
    ],
  }
}
