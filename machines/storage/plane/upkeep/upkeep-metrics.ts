/**
 * Upkeep among the figures of a node. Decides: that the node that leads tells of all of it, so that a sum
 * over nodes is right.
 */
import type { AppContext, AppMetric } from '../../../../src/index.ts'
import type { UpkeepCounters } from './counters.ts'
import { countersAddress, KINDS, UPKEEP_KINDS, type UpkeepKind } from './kinds.ts'

type Rows = Awaited<ReturnType<AppMetric['collect']>>

export function upkeepMetrics({
  client,
  leader,
  node,
}: Pick<AppContext, 'client' | 'leader' | 'node'>): AppMetric[] {
  const ofAll = (rowsOf: (kind: UpkeepKind) => Promise<Rows>) => async () => {
    if (leader.name() !== node) return []
    return (await Promise.all(UPKEEP_KINDS.map(rowsOf))).flat()
  }
  return [
    {
      name: 'storage_upkeep_messages',
      help: 'blobs with shards to repair, and blobs to delete, by state and condition; told by the node that leads',
      labels: ['machine', 'state', 'condition'],
      collect: ofAll(async (kind) => {
        const { machine } = KINDS[kind]
        const counts = await client.count({ machine })
        return counts.map(({ state, condition, count }) => ({
          labels: { machine, state, condition },
          value: count,
        }))
      }),
    },
    {
      name: 'storage_upkeep_tries_total',
      help: 'how tries to repair and to delete blobs ended, since the store was installed; told by the node that leads',
      labels: ['machine', 'end'],
      collect: ofAll(async (kind) => {
        const { machine } = KINDS[kind]
        const { context } = await client.get(countersAddress(kind))
        const { successCount, errorCount } = context as UpkeepCounters
        return [
          { labels: { machine, end: 'succeeded' }, value: successCount },
          { labels: { machine, end: 'failed' }, value: errorCount },
        ]
      }),
    },
  ]
}
