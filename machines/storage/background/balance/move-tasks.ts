/**
 * The tasks `balance-place`, `balance-start` and `balance-release`: a chunk is made for each unit that was chosen,
 * then its move is started. Decides: that a chunk is made where the planner wants it before the move begins, which
 * finds it there and takes it; that whatever stands in the way of one keeps no other back; that a chunk of a unit
 * which somebody moves by now is left to them. Each can be cut off anywhere and run again. Leaves to others: the
 * choice, and the move.
 */
import { z } from 'zod'
import { type Client, nodeOf, type TaskAttempt, TroupeError, task } from '../../../../src/index.ts'
import { vuidParts } from '../../plane/codes/index.ts'
import { isRefusedMove, ownMove } from '../disk-jobs/index.ts'
import { isMoveOver } from '../moves/index.ts'
import {
  chosenUnit,
  type LiveMove,
  type PlacedUnit,
  placedUnit,
  type SpareChunk,
  spareChunk,
} from './planner-record.ts'
import type { Placed, Released, Started } from './planner-rules.ts'
import { type BalancePorts, portsOf } from './ports.ts'

const RETRY = { attemptsMax: 5, initialMs: 500, backoffMaxMs: 5_000 }
const QUEUE = 'storage.balance'
const common = { runsOn: 'node', retry: RETRY } as const

const placeInput = z.object({ chosen: z.array(chosenUnit) })
const startInput = z.object({ placed: z.array(placedUnit) })
const releaseInput = z.object({ spare: z.array(spareChunk) })

export const placeTask = task<z.output<typeof placeInput>, Placed>({
  ...{ name: 'balance-place', queue: `${QUEUE}.place`, ...common },
  input: placeInput,
  run: place,
})

export const startTask = task<z.output<typeof startInput>, Started>({
  ...{ name: 'balance-start', queue: `${QUEUE}.start`, ...common },
  input: startInput,
  run: start,
})

/** Where it fails, the volume releases the chunk in time by itself. */
export const releaseTask = task<z.output<typeof releaseInput>, Released>({
  ...{ name: 'balance-release', queue: `${QUEUE}.release`, ...common },
  input: releaseInput,
  run: release,
})

async function place(attempt: TaskAttempt<z.output<typeof placeInput>>): Promise<Placed> {
  const { clock } = nodeOf(attempt)
  const { calls } = portsOf(attempt)
  const placed: PlacedUnit[] = []
  const spare: SpareChunk[] = []
  let why: string | null = null
  for (const { excludes, destinations, ...unit } of attempt.input.chosen) {
    attempt.signal.throwIfAborted()
    try {
      const { vuid: newVuid, diskId } = await calls.allocUnit(unit.vuid, { excludes })
      if (destinations.includes(diskId)) {
        placed.push({ ...unit, newVuid, destinationDiskId: diskId })
        continue
      }
      spare.push({ vuid: newVuid, diskId })
      why ??= `disk ${diskId} is no better place for unit ${unit.vuid}`
    } catch (thrown) {
      if (!(thrown instanceof TroupeError)) throw thrown
      why ??= thrown.message
    }
  }
  return { at: clock.now(), placed, spare, why }
}

async function start(attempt: TaskAttempt<z.output<typeof startInput>>): Promise<Started> {
  const { client, clock } = nodeOf(attempt)
  const ports = portsOf(attempt)
  const started: LiveMove[] = []
  let why: string | null = null
  for (const unit of attempt.input.placed) {
    attempt.signal.throwIfAborted()
    try {
      const taskId = await startedAs(ports, client, unit, attempt.address)
      started.push({ ...unit, taskId, isStill: false })
    } catch (thrown) {
      // Whoever moves that unit instead takes the chunk that was made for it, too.
      if (!isRefusedMove(thrown)) throw thrown
      why ??= thrown.message
    }
  }
  return { at: clock.now(), started, why }
}

/** @throws TroupeError where the unit is moved by somebody else, or cannot be */
async function startedAs(
  { moves, views }: BalancePorts,
  client: Client,
  { vuid, sourceDiskId, idc }: PlacedUnit,
  owner: string,
): Promise<string> {
  try {
    const added = await moves.add({
      ...{ type: 'balance', sourceVuid: vuid, sourceDiskId, sourceIdc: idc },
      ...{ forbiddenDirectDownload: false, priority: 0, owner },
    })
    return added.taskId
  } catch (thrown) {
    if (!isRefusedMove(thrown)) throw thrown
    // Started by an attempt before this one, which was cut off before it could say so.
    const own = await ownMove(client, views, { vuid, owner })
    if (own === undefined) throw thrown
    return own
  }
}

async function release(attempt: TaskAttempt<z.output<typeof releaseInput>>): Promise<Released> {
  const { calls } = portsOf(attempt)
  const { spare } = attempt.input
  for (const { vuid, diskId } of spare) {
    attempt.signal.throwIfAborted()
    try {
      // Its mover takes the chunk, or has another one made: then this one goes by itself.
      if (!(await isMoved(attempt, vuid))) await calls.releaseUnit(vuid, diskId)
    } catch (thrown) {
      if (!(thrown instanceof TroupeError)) throw thrown
      attempt.log(
        { vuid: vuid.toString(), disk: diskId, why: thrown.message },
        'a chunk was not released yet',
      )
    }
  }
  return { released: spare.map(({ vuid }) => vuid) }
}

/** By whomever; one that has ended may not have told the volume yet. */
async function isMoved(attempt: TaskAttempt<unknown>, vuid: bigint): Promise<boolean> {
  const { client, clock } = nodeOf(attempt)
  const { vid, index } = vuidParts(vuid)
  const { moves } = await portsOf(attempt).views.record(vid, { fresh: true })
  const move = moves[index]
  return move !== undefined && !(await isMoveOver(client, move, clock.now()))
}
