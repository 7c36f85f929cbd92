/**
 * The tasks `shard-repair` and `shard-repair-again`: one try, on a node. Decides: that nothing is done while
 * repair is switched off; that blobs which lack more than one shard come first; how many a node has at work,
 * those that failed before apart from the others; and that whatever stands in the way is an outcome, which
 * the actor keeps and waits over. Leaves to others: the try (`repair-run.ts`).
 *
 * A mapping that was remembered may be an old one, and an old chunk answers as before for a while: so the
 * mapping is read again behind the repair.
 */
import { z } from 'zod'
import {
  nodeOf,
  type TaskAttempt,
  type TaskNode,
  TroupeError,
  task,
} from '../../../../src/index.ts'
import { viewOf } from '../actor-views.ts'
import { bidSchema } from '../codes/index.ts'
import { removalAddress, united } from './messages.ts'
import { portsOf, type UpkeepPorts } from './ports.ts'
import { type RepairOutcome, RepairRun } from './repair-run.ts'

/** Each holds the shards of a blob in memory: 7 MiB of them for 4 MiB in EC6P3. */
const AT_ONCE = 4
/** What failed fails again, often by a time-out: it keeps none waiting that is new. */
const AGAIN_AT_ONCE = 2
const RUNS_MAX = 3
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

export interface Repaired extends Omit<RepairOutcome, 'end'> {
  /** `held`: switched off, nothing was done. */
  end: RepairOutcome['end'] | 'held'
  isMoved: boolean
  /** Unix ms. */
  at: number
}

const common = {
  runsOn: 'node',
  input: repairInput,
  // The next that is lost may be the one that is missed.
  priority: ({ badIndexes }: RepairInput) => (badIndexes.length > 1 ? 1 : 0),
  retry: RETRY,
  run: repair,
} as const

export const shardRepairTask = task<RepairInput, Repaired>({
  ...{ ...common, name: 'shard-repair', queue: 'storage.shard-repair', concurrency: AT_ONCE },
})
export const shardRepairAgainTask = task<RepairInput, Repaired>({
  ...{ ...common, name: 'shard-repair-again', queue: 'storage.shard-repair.again' },
  concurrency: AGAIN_AT_ONCE,
})

async function repair(attempt: TaskAttempt<RepairInput>): Promise<Repaired> {
  const node = nodeOf(attempt)
  const { badIndexes, isMoved } = attempt.input
  const left = { repaired: [], badIndexes: [...badIndexes], inDoubt: doubtsOf(attempt) }
  try {
    const ports = portsOf(attempt)
    const isOn = await ports.isOn('shard_repair')
    const outcome = isOn
      ? await repairWhereItIs(attempt, ports, node)
      : { ...left, end: 'held' as const, why: 'shard_repair is switched off', isMoved }
    return { ...outcome, at: node.clock.now() }
  } catch (thrown) {
    attempt.signal.throwIfAborted()
    if (!(thrown instanceof TroupeError)) throw thrown
    const why = thrown.message
    return { ...left, end: 'failed', why, isMoved: true, at: node.clock.now() }
  }
}

type Outcome = RepairOutcome & { isMoved: boolean }

/** Once more where units have moved meanwhile: their new chunks may lack what the old ones have. */
async function repairWhereItIs(
  attempt: TaskAttempt<RepairInput>,
  ports: UpkeepPorts,
  { client }: TaskNode,
): Promise<Outcome> {
  const { vid, bid, badIndexes } = attempt.input
  let repaired: number[] = []
  let bad = badIndexes
  let doubts = doubtsOf(attempt)
  let { isMoved } = attempt.input
  for (let runs = 1; ; runs += 1) {
    const volume = await ports.volumes.view(vid, { fresh: isMoved })
    const run = new RepairRun(ports, volume, {
      ...{ bid, badIndexes: bad, inDoubt: doubts, signal: attempt.signal },
      isBeingDeleted: async () =>
        (await viewOf(client, removalAddress({ vid, bid }))) !== undefined,
    })
    const outcome = await run.run()
    repaired = united(repaired, outcome.repaired)
    const told = { ...outcome, repaired, isMoved: run.isMoved }
    if (outcome.end !== 'repaired' && outcome.end !== 'whole') return told
    const vuids = await ports.volumes.vuids(vid)
    const moved = volume.units.filter(({ index, vuid }) => vuids[index] !== vuid)
    if (moved.length === 0) return told
    bad = moved.map(({ index }) => index)
    if (runs === RUNS_MAX) {
      const why = `volume ${vid}: its units move again and again`
      return { ...told, end: 'failed', badIndexes: bad, why, isMoved: true }
    }
    ;[doubts, isMoved] = [[], true]
  }
}

/** An attempt before this one may have been cut off behind its put. */
function doubtsOf({ attempt, input }: TaskAttempt<RepairInput>): number[] {
  return attempt > 1 ? united(input.inDoubt, input.badIndexes) : [...input.inDoubt]
}
