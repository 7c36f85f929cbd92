/**
 * A node goes away and comes back while jobs stand in every state. Decides: that it is a process of its
 * own, stopped as for a new version or killed, and what has to hold after it.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { endRuns } from '../../worker/process/runs.ts'
import { Fleet } from './fleet.ts'
import type { Scale } from './kinds.ts'
import { NodeChild } from './node-child.ts'
import { Receiver } from './receiver.ts'

export interface RestartOptions extends Scale {
  /** How the node goes away, each time. */
  signals: readonly ('SIGTERM' | 'SIGKILL')[]
  /** How much longer than the restart itself anything may be late: much falls due together. */
  slackMs: number
}

/** Two kinds of jobs run when the node goes away; callbacks and others need room beside them. */
const SLOTS_FREE = 8

/** No job is lost, none runs twice, and none is delayed by more than the restart. */
export async function restarted({ signals, slackMs, ...scale }: RestartOptions): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'troupe-jobs-restarts-'))
  const data = join(directory, 'data')
  const receiver = await Receiver.open()
  const node = new NodeChild(data, { worker: { slots: 2 * scale.count + SLOTS_FREE } })
  try {
    await node.start()
    const fleet = new Fleet(node, directory, receiver, scale)
    await fleet.submit()
    const awaySince = performance.now()
    for (const signal of signals) {
      await node.end(signal)
      await node.start()
    }
    const awayMs = performance.now() - awaySince
    const timeoutMs = (scale.intervalS + scale.runS) * 1_000 + 60_000
    const delays = await fleet.delays(timeoutMs)
    expect(delays.filter(({ ms }) => ms > awayMs + slackMs)).toEqual([])
    await fleet.judge(timeoutMs)
  } finally {
    await node.kill()
    await receiver.close()
    await endRuns(join(data, 'worker', 'attempts'))
    await rm(directory, { recursive: true, force: true, maxRetries: 5 })
  }
}
