/**
 * Upkeep among the figures of a node. Decides: that the node that leads tells of all of it, so that a sum
 * over nodes is right.
 */
import type { AppContext, AppMetric } from '../../../../src/index.ts'

const MACHINES = ['shard-repair', 'blob-delete'] as const

export function upkeepMetrics({
  client,
  leader,
  node,
}: Pick<AppContext, 'client' | 'leader' | 'node'>): AppMetric[] {
  const collect = async () => {
    if (leader.name() !== node) return []
    const rows = await Promise.all(
      MACHINES.map(async (machine) => {
        const counts = await client.count({ machine })
        return counts.map(({ state, condition, count }) => ({
          labels: { machine, state, condition },
          value: count,
        }))
      }),
    )
    return rows.flat()
  }
  return [
    {
      name: 'storage_upkeep_messages',
      help: 'blobs with shards to repair, and blobs to delete, by state and condition; told by the node that leads',
      labels: ['machine', 'state', 'condition'],
      collect,
    },
  ]
}
