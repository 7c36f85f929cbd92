/**
 * Sealing threads among the figures of a node. Decides: that the node that leads tells of all of them, so
 * that a sum over nodes is right. Leaves to others: figures of steps, which workers have.
 */
import type { AppContext, AppMetric } from '../../../src/index.ts'
import { CONDITIONS } from '../thread/index.ts'
import { Fleet } from './fleet.ts'

export function threadMetrics(
  context: Pick<AppContext, 'client' | 'clock' | 'leader' | 'node'>,
): AppMetric[] {
  const fleet = new Fleet(context)
  const collect = async () => {
    if (context.leader.name() !== context.node) return []
    const threads = await fleet.threads({})
    return CONDITIONS.map((condition) => ({
      labels: { condition },
      value: threads.filter((thread) => thread.condition === condition).length,
    }))
  }
  return [
    {
      name: 'sealing_threads',
      help: 'sealing threads of all workers that live here, by condition; told by the node that leads',
      labels: ['condition'],
      collect,
    },
  ]
}
