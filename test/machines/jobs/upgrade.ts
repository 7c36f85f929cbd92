/** The node is stopped and started, as for a new version, while jobs stand in every state. */
import { Fleet, type FleetOptions } from './fleet.ts'
import { JobsNode } from './rig.ts'

export interface Upgrade {
  /** How much longer than the restart itself the next attempt of a job was delayed, at most. */
  delayMs: number
}

export async function upgraded(options: FleetOptions): Promise<Upgrade> {
  const node = await JobsNode.create({ worker: { slots: options.count + 2 } })
  try {
    const fleet = new Fleet(node, node.directory, options)
    await fleet.submit()
    const stoppedAt = performance.now()
    await node.stop()
    await node.start()
    const restartMs = performance.now() - stoppedAt
    await fleet.judge((options.intervalS + options.runS) * 1_000 + 60_000)
    const longestMs = await fleet.longestIntervalMs()
    return { delayMs: longestMs - options.intervalS * 1_000 - restartMs }
  } finally {
    await node.close()
  }
}
