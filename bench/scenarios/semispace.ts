/**
 * Whether a larger young generation is worth its memory: the same load under several sizes of V8's
 * semi-space, in turns. Not part of a usual run.
 */
import { closedLoop, type Load, rssAnonMb, spreadOf } from '../measure.ts'
import { openNode, startOrders } from '../nodes.ts'
import { type Bench, folderOf, runPart } from '../parts.ts'
import { figureOf, type Report } from '../report.ts'

const ACTORS = 10_000
const SIZES_MB = [16, 32, 64, 128]
const ROUNDS = 4

interface Result {
  load: Load
  rssAnonMb: number
}

export async function semispacePart(params: { data: string; roundMs: number }): Promise<Result> {
  const node = await openNode({ directory: params.data })
  await startOrders(node, ACTORS)
  let next = 0
  const send = () => node.client.send(`order/${next++ % ACTORS}`, { type: 'NEXT', by: 'bench' })
  await closedLoop(1_024, params.roundMs, send)
  const load = await closedLoop(1_024, params.roundMs * 2, send)
  const rss = rssAnonMb()
  await node.stop()
  return { load, rssAnonMb: rss }
}

export async function semispace(bench: Bench): Promise<Report> {
  const rounds = new Map<number, Result[]>(SIZES_MB.map((size) => [size, []]))
  for (let round = 0; round < ROUNDS; round++) {
    for (const size of SIZES_MB) {
      const data = folderOf(bench, `semispace-${size}-${round}`)
      const params = { data, roundMs: bench.quick ? 200 : 1_500 }
      // Of two of a name the last counts.
      const flags = [...bench.nodeFlags, `--max-semi-space-size=${size}`]
      rounds.get(size)?.push(await runPart<Result>(bench, 'semispace', params, flags))
    }
  }
  return {
    scenario: 'semispace: 1,024 in flight under sizes of the young generation, in turns',
    figures: [...rounds].map(([size, results]) =>
      figureOf(
        `${size} MB${size === 16 ? " (Node's default)" : ''}`,
        results.map(({ load }) => load),
        spreadOf(results.map((one) => one.rssAnonMb)).median,
      ),
    ),
    demands: [],
    notes: [],
  }
}
