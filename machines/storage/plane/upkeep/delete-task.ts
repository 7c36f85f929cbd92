/**
 * The tasks `blob-delete` and `blob-delete-again`: one try, on a node. Decides: that nothing is done while
 * deletion is switched off; that a blob is marked at once, and its bytes go when they may; how many a node
 * has at work, those that failed before apart from the others; and that whatever stands in the way is an
 * outcome, which the actor keeps and waits over. Leaves to others: the two phases (`delete-run.ts`).
 *
 * A mapping that was remembered may be an old one, and an old chunk answers as before for a while: so the
 * mapping is read again behind the deletion, and units that moved meanwhile are done where they are.
 */
import { z } from 'zod'
import { nodeOf, type TaskAttempt, TroupeError, task } from '../../../../src/index.ts'
import { bidSchema } from '../codes/index.ts'
import { DeleteRun } from './delete-run.ts'
import { portsOf, type UpkeepPorts, type UpkeepVolume } from './ports.ts'
import { type Stage, stageSchema } from './stages.ts'

/** They wait for disks more than they compute. */
const AT_ONCE = 6
/** What failed fails again, often by a time-out: it keeps none waiting that is new. */
const AGAIN_AT_ONCE = 2
/** A node that is killed in the middle of it is an attempt. */
const RETRY = { attemptsMax: 10, initialMs: 500, backoffMaxMs: 30_000 }
const RUNS_MAX = 3

const deleteInput = z.object({
  vid: z.int(),
  bid: bidSchema,
  stages: z.array(stageSchema),
  /** Unix ms: before that bytes stay. */
  dueAt: z.number(),
  /** What it was told by a node for which it came too early. */
  turnAt: z.number().nullable(),
  isMoved: z.boolean(),
})
type DeleteInput = z.output<typeof deleteInput>

export interface Deleted {
  end:
    | 'deleted'
    /** All units; its bytes are not due. */
    | 'marked'
    /** Switched off: nothing was done. */
    | 'held'
    /** Not at this hour, or others are before it. */
    | 'early'
    /** A disk of the volume is broken: what is on it would outlive the rest. */
    | 'postponed'
    | 'failed'
  stages: Stage[]
  /** All units are; null: it was not looked. */
  isMarked: boolean | null
  /** But for `deleted` and `marked`. */
  why: string | null
  /** Of `early`: unix ms. */
  until: number | null
  isMoved: boolean
  /** Unix ms. */
  at: number
}

const common = {
  runsOn: 'node',
  input: deleteInput,
  retry: RETRY,
  run: remove,
} as const

export const blobDeleteTask = task<DeleteInput, Deleted>({
  ...{ ...common, name: 'blob-delete', queue: 'storage.blob-delete', concurrency: AT_ONCE },
})
export const blobDeleteAgainTask = task<DeleteInput, Deleted>({
  ...{ ...common, name: 'blob-delete-again', queue: 'storage.blob-delete.again' },
  concurrency: AGAIN_AT_ONCE,
})

type Outcome = Omit<Deleted, 'at'>

async function remove(attempt: TaskAttempt<DeleteInput>): Promise<Deleted> {
  const { clock } = nodeOf(attempt)
  const { stages } = attempt.input
  try {
    const outcome = await tryOnce(attempt, portsOf(attempt), clock.now())
    return { ...outcome, at: clock.now() }
  } catch (thrown) {
    attempt.signal.throwIfAborted()
    if (!(thrown instanceof TroupeError)) throw thrown
    const told = { stages, isMarked: null, why: thrown.message, until: null, isMoved: true }
    return { ...told, end: 'failed', at: clock.now() }
  }
}

async function tryOnce(
  { input, signal }: TaskAttempt<DeleteInput>,
  ports: UpkeepPorts,
  now: number,
): Promise<Outcome> {
  const { vid, bid, stages, isMoved, dueAt, turnAt } = input
  const told = { stages, isMarked: null, isMoved, why: null, until: null }
  if (!(await ports.isOn('blob_delete')))
    return { ...told, end: 'held', why: 'blob_delete is switched off' }
  const volume = await ports.volumes.view(vid, { fresh: isMoved })
  const run = new DeleteRun(ports, volume, bid, stages)
  const isMarked = await run.mark()
  signal.throwIfAborted()
  const isDue = dueAt <= now
  const marked = { ...told, stages: run.stages, isMarked, isMoved: run.isMoved }
  if (isMarked && !isDue) return { ...marked, end: 'marked' }
  const broken = await brokenUnit(ports, volume)
  // Who looks again looks where its shards are being made up.
  if (broken) return { ...marked, end: 'postponed', why: broken, isMoved: true }
  if (!isMarked) return { ...marked, end: 'failed', why: run.why }
  const turn = ports.deletes.ask(turnAt)
  if (turn.until !== null) return { ...marked, end: 'early', ...turn }
  return deleteAll(ports, { vid, bid, volume, run }, signal)
}

interface Work {
  vid: number
  bid: bigint
  volume: UpkeepVolume
  /** Of which all units are marked. */
  run: DeleteRun
}

async function deleteAll(
  ports: UpkeepPorts,
  { vid, bid, volume, run }: Work,
  signal: AbortSignal,
): Promise<Outcome> {
  let [view, at] = [volume, run]
  for (let runs = 1; runs <= RUNS_MAX; runs += 1) {
    const isDone = (runs === 1 || (await at.mark())) && (await at.delete())
    signal.throwIfAborted()
    const { stages, isMoved, why } = at
    const isMarked = stages.every((stage) => stage >= 1)
    if (!isDone) return { end: 'failed', stages, isMarked, why, until: null, isMoved }
    const vuids = await ports.volumes.vuids(vid)
    const hasMoved = (index: number) => vuids[index] !== view.units[index]?.vuid
    if (!stages.some((_, index) => hasMoved(index)))
      return { end: 'deleted', stages, isMarked, why: null, until: null, isMoved: false }
    const left = stages.map((stage, index): Stage => (hasMoved(index) ? 0 : stage))
    view = await ports.volumes.view(vid, { fresh: true })
    at = new DeleteRun(ports, view, bid, left)
  }
  const why = `volume ${vid}: its units move again and again`
  return { end: 'failed', stages: at.stages, isMarked: false, why, until: null, isMoved: true }
}

async function brokenUnit(
  ports: UpkeepPorts,
  { units }: UpkeepVolume,
): Promise<string | undefined> {
  const broken = await ports.brokenDisks()
  const unit = units.find(({ diskId }) => broken.has(diskId))
  return unit && `unit ${unit.index} on disk ${unit.diskId}: disk is broken`
}
