/**
 * The task `shard-repair`: one try, on a node. Decides: how many a node has at work, and that whatever stands
 * in the way is an outcome, which the actor keeps and waits over. Leaves to others: the try (`repair-run.ts`).
 */
import { z } from 'zod'
import {
  nodeOf,
  type TaskAttempt,
  type TaskNode,
  TroupeError,
  task,
} from '../../../../src/index.ts'
import { bidSchema } from '../codes/index.ts'
import { removalAddress } from './messages.ts'
import { portsOf } from './ports.ts'
import { type RepairOutcome, RepairRun } from './repair-run.ts'

/** Each holds the shards of a blob in memory: 7 MiB of them for 4 MiB in EC6P3. */
const AT_ONCE = 4
/** A node that is killed in the middle of it is an attempt. */
const RETRY = { attemptsMax: 10, initialMs: 500, backoffMaxMs: 30_000 }

const repairInput = z.object({
  vid: z.int(),
  bid: bidSchema,
  badIndexes: z.array(z.int()),
  inDoubt: z.array(z.int()),
  isMoved: z.boolean(),
})
type RepairInput = z.output<typeof repairInput>

export interface Repaired extends RepairOutcome {
  isMoved: boolean
  /** Unix ms. */
  at: number
}

export const shardRepairTask = task<RepairInput, Repaired>({
  name: 'shard-repair',
  queue: 'storage.shard-repair',
  runsOn: 'node',
  concurrency: AT_ONCE,
  input: repairInput,
  retry: RETRY,
  run: repair,
})

async function repair(attempt: TaskAttempt<RepairInput>): Promise<Repaired> {
  const node = nodeOf(attempt)
  try {
    return { ...(await repairOnce(attempt, node)), at: node.clock.now() }
  } catch (thrown) {
    attempt.signal.throwIfAborted()
    if (!(thrown instanceof TroupeError)) throw thrown
    const { badIndexes, inDoubt } = attempt.input
    return {
      ...{ end: 'failed', repaired: [], badIndexes: [...badIndexes], inDoubt: [...inDoubt] },
      ...{ why: thrown.message, isMoved: true, at: node.clock.now() },
    }
  }
}

async function repairOnce(
  attempt: TaskAttempt<RepairInput>,
  { client }: TaskNode,
): Promise<RepairOutcome & { isMoved: boolean }> {
  const { vid, bid, badIndexes, inDoubt, isMoved } = attempt.input
  const ports = portsOf(attempt)
  const volume = await ports.volumes.view(vid, { fresh: isMoved })
  const run = new RepairRun(ports, volume, {
    ...{ bid, badIndexes, signal: attempt.signal },
    // An attempt before this one may have been cut off behind its put.
    inDoubt: attempt.attempt > 1 ? [...inDoubt, ...badIndexes] : inDoubt,
    isBeingDeleted: () => isThere(client, removalAddress({ vid, bid })),
  })
  const outcome = await run.run()
  return { ...outcome, isMoved: run.isMoved }
}

async function isThere(client: TaskNode['client'], address: string): Promise<boolean> {
  try {
    await client.get(address)
    return true
  } catch (thrown) {
    if (thrown instanceof TroupeError && thrown.code === 'unknown-actor') return false
    throw thrown
  }
}
