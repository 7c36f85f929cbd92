/**
 * Double activation, provoked: an owner stands still past its lease, others take what it had, and it goes on
 * as if no time had passed, with commands in its sockets that were sent to it meanwhile.
 */

import { PATIENCE_MS, type Processes } from './harness.ts'
import type { ClusterNodeProcess } from './node.ts'

/** Shards that are served by others than `node` now, of those that it served. */
async function takenFrom(cluster: Processes, node: string, shards: readonly number[]) {
  const other = cluster.up.find(({ name }) => name !== node)!
  const report = await other.report()
  return shards.filter((shard) => {
    const { servedBy } = report.shards[shard]!
    return servedBy.length > 0 && !servedBy.includes(node)
  })
}

/** Freezes it until everything that it served is served by others. Whoever asks thaws it. */
export async function freezePastItsLease(
  cluster: Processes,
  node: ClusterNodeProcess,
): Promise<readonly number[]> {
  const { shards } = await node.report()
  const served = shards.filter(({ servedBy }) => servedBy.includes(node.name))
  const numbers = served.map(({ shard }) => shard)
  await node.freeze()
  const areTaken = async () =>
    (await takenFrom(cluster, node.name, numbers)).length === numbers.length
  await cluster.until(areTaken, `others serve what ${node.name} had: ${numbers}`, PATIENCE_MS)
  return numbers
}

const ELSEWHERE: ReadonlySet<string> = new Set(['unavailable', 'moved'])

/** What it did since it was thawed last. */
export function sinceThaw(node: ClusterNodeProcess) {
  const { events } = node
  const thawedAt = events.findLastIndex(({ kind }) => kind === 'thawed')
  const since = events.slice(thawedAt + 1)
  return {
    /** Shards in which it wrote and was told that the slot is somebody else's. */
    refused: since.flatMap((event) => (event.kind === 'refused' ? [event.shard] : [])),
    /** Commands whose callers it told to ask again, elsewhere: by then it may have seen the newer view. */
    unavailable: since.filter((event) => event.kind === 'released' && ELSEWHERE.has(event.code))
      .length,
    letGo: since.flatMap((event) =>
      event.kind === 'stopped' && event.how === 'lost' ? [event.shard] : [],
    ),
  }
}
