/**
 * The steps of a move on its volume: it is claimed, locked, given a new chunk, and swapped. Decides: what each
 * refusal means for the move (reference sheet, section 5.2). Each step can be cut off anywhere and run again:
 * what it asks for is the same the second time. Leaves to others: when, and what follows (`move-rules.ts`).
 */
import { z } from 'zod'
import { type Clock, nodeOf, type TaskAttempt, TroupeError, task } from '../../../../src/index.ts'
import { viewOf } from '../../plane/actor-views.ts'
import { StorageRefusal, vuidOf, vuidParts } from '../../plane/codes/index.ts'
import {
  type ClaimedBefore,
  MoveClaims,
  type VolumeRecord,
  volumeAddress,
} from '../../plane/volumes/index.ts'
import { isMoveOver } from './live-moves.ts'
import { MOVE_TYPES } from './move-id.ts'
import { type Unit, unitSchema } from './move-record.ts'
import { type MovePorts, portsOf } from './ports.ts'
import type { Prepared, StepOutput } from './step-output.ts'

/** Of all moves of a node: they wait for volumes, and cost a node little. */
const AT_ONCE = 16
/** What fails for the platform's own reasons is tried a few times; then the move waits, and says why. */
const RETRY = { attemptsMax: 4, initialMs: 300, backoffMaxMs: 3_000 }
const common = { runsOn: 'node', concurrency: AT_ONCE, retry: RETRY } as const

/** As the reference has it. */
export const AGAIN_MS = 10_000
/** Room comes with other disks, or with chunks that go. */
const NO_PLACE_MS = 60_000
/** The volume is making a chunk of another unit: that takes a call or two. */
const BUSY_MS = 2_000

/** The reference's words, for who reads `finish_advance_reason`. */
const MIGRATED = 'volume has migrated'
const NOT_LOCKED = 'lock volume fail'
/** Ours: the reference repairs disks only, and no single chunks. */
const USABLE_AGAIN = 'its old chunk can be used again'
const NOT_ITS_OWN = 'its unit is not its own to move any more'

const mover = z.object({
  type: z.enum(MOVE_TYPES),
  sourceVuid: z.bigint(),
  /** Of its volume, in the turn that it has now. */
  claim: z.object({ mover: z.string(), turn: z.int() }),
})
type Mover = z.output<typeof mover>

const allocation = mover.extend({ sourceIdc: z.string(), excludes: z.array(z.int()) })
type Allocation = z.output<typeof allocation>

export const swap = mover.extend({ sourceDiskId: z.int(), destination: unitSchema })
export type Swap = z.output<typeof swap>

export const claimTask = task<Mover, StepOutput>({
  ...{ name: 'move-claim', queue: 'storage.moves.claim', ...common },
  input: mover,
  run: (attempt) => told(attempt, claim),
})

export const lockTask = task<Mover, StepOutput>({
  ...{ name: 'move-lock', queue: 'storage.moves.lock', ...common },
  input: mover,
  run: (attempt) => told(attempt, lock),
})

export const allocTask = task<Allocation, StepOutput | Prepared>({
  ...{ name: 'move-alloc', queue: 'storage.moves.alloc', ...common },
  input: allocation,
  run: (attempt) => told(attempt, alloc),
})

export const updateTask = task<Swap, StepOutput>({
  ...{ name: 'move-update', queue: 'storage.moves.update', ...common },
  input: swap,
  run: (attempt) => told(attempt, update),
})

export const withdrawTask = task<Swap, StepOutput>({
  ...{ name: 'move-withdraw', queue: 'storage.moves.withdraw', ...common },
  input: swap,
  run: (attempt) => told(attempt, withdraw),
})

/** How a step ended, without its time. */
type Untimed<T> = T extends { at: number } ? Omit<T, 'at'> : never
export type Ended = Untimed<StepOutput>

const DONE = { end: 'done' } as const

/** With the time, and with refusals that any step may meet as ends. */
export async function told<TInput, TEnd extends { end: string }>(
  attempt: TaskAttempt<TInput>,
  step: (attempt: TaskAttempt<TInput>, ports: MovePorts) => Promise<TEnd | Ended>,
): Promise<(TEnd | Ended) & { at: number }> {
  const { clock }: { clock: Clock } = nodeOf(attempt)
  const ended = await step(attempt, portsOf(attempt)).catch((thrown: unknown): Ended => {
    attempt.signal.throwIfAborted()
    const end = endOf(thrown)
    if (end === undefined) throw thrown
    return end
  })
  return { ...ended, at: clock.now() }
}

/** Undefined: no refusal, or one that says nothing of the move. */
function endOf(thrown: unknown): Ended | undefined {
  if (!(thrown instanceof TroupeError)) return undefined
  const why = thrown.message
  if (!(thrown instanceof StorageRefusal)) return undefined
  switch (thrown.status) {
    case 918:
      return { end: 'over', reason: MIGRATED, why }
    case 904:
      // It is paused, or was removed by hand: both are a person's to undo.
      return { end: 'back', why, waitMs: NO_PLACE_MS }
    case 601:
    case 929:
      // Its turn with the volume is over, or the unit is another's: the next claim says which.
      return { end: 'back', why, waitMs: AGAIN_MS }
    case 911:
    case 916:
    case 924:
      return { end: 'stuck', why }
    default:
      return { end: 'again', why, waitMs: AGAIN_MS }
  }
}

/** Whoever stands in the way and is gone does so no more. */
async function claim(attempt: TaskAttempt<Mover>, { views }: MovePorts): Promise<Ended> {
  const { client, clock } = nodeOf(attempt)
  const { claim: own, sourceVuid } = attempt.input
  const { vid, index, epoch } = vuidParts(sourceVuid)
  const claims = new MoveClaims(client, clock)
  let other: ClaimedBefore | null
  try {
    other = await claims.claim(sourceVuid, own)
    if (other !== null && (await isMoveOver(client, other, clock.now()))) {
      await claims.end(vid, other.mover)
      other = await claims.claim(sourceVuid, own)
    }
  } catch (thrown) {
    if (!isRefused(thrown, 929)) throw thrown
    const { message: why } = thrown
    const { moves } = await views.record(vid, { fresh: true })
    // Its turn is over, as for an attempt that its move has outlived: the next one claims anew.
    if (moves[index]?.mover === own.mover) return { end: 'back', why, waitMs: AGAIN_MS }
    // It began so late that nobody believed in it any more.
    return { end: 'over', reason: NOT_ITS_OWN, why }
  }
  if (other?.isSameUnit === true) return { end: 'over', reason: other.why, why: other.why }
  if (other !== null) return { end: 'back', why: other.why, waitMs: AGAIN_MS }
  const unit = (await views.record(vid, { fresh: true })).units[index]
  if (unit?.epoch === epoch) return DONE
  const now = unit === undefined ? 'none' : `epoch ${unit.epoch} on disk ${unit.diskId}`
  const why = `volume ${vid} has ${now} as its unit ${index}, not epoch ${epoch}`
  return { end: 'over', reason: MIGRATED, why }
}

/** Who empties a disk waits until nobody writes to the volume; others find something else to do. */
async function lock(attempt: TaskAttempt<Mover>, { calls, views }: MovePorts): Promise<Ended> {
  const { claim, type, sourceVuid } = attempt.input
  const { vid } = vuidParts(sourceVuid)
  try {
    await calls.lock(vid, { claim })
    return DONE
  } catch (thrown) {
    if (!isRefused(thrown, 902)) throw thrown
    const { message: why } = thrown
    const { standing, isWantedBack } = await views.record(vid, { fresh: true })
    // Whoever writes to it was asked to give it back. Its chunks may be being unlocked instead: that ends by itself, but
    // not before a blobnode that is away comes back, so that nobody waits for it in others' way.
    const isWrittenTo = standing === 'active' && isWantedBack
    if (type !== 'disk_drop' && isWrittenTo) return { end: 'over', reason: NOT_LOCKED, why }
    return { end: 'back', why, waitMs: AGAIN_MS }
  }
}

async function alloc(
  attempt: TaskAttempt<Allocation>,
  { calls, views, table, openQueue }: MovePorts,
): Promise<Ended | Omit<Prepared, 'at'>> {
  const { claim, sourceVuid, sourceIdc, excludes } = attempt.input
  const { vid } = vuidParts(sourceVuid)
  try {
    const place = await calls.allocUnit(sourceVuid, { excludes, claim })
    const [record, disks] = await Promise.all([
      views.record(vid, { fresh: true }),
      table.all({ fresh: true }),
    ])
    const addressOf = (diskId: number) => disks.get(diskId)?.address ?? ''
    await openQueue(nodeOf(attempt).client, sourceIdc)
    const { vuid, address: host, diskId } = place
    return {
      ...{ end: 'done', destination: { vuid, host, diskId } },
      ...{ sources: unitsOf(record, addressOf), codeMode: record.mode },
    }
  } catch (thrown) {
    if (isRefused(thrown, 914)) {
      return { end: 'again', why: thrown.message, waitMs: BUSY_MS }
    }
    if (!isRefused(thrown, 917)) throw thrown
    return { end: 'back', why: thrown.message, waitMs: NO_PLACE_MS, isNoPlace: true }
  }
}

function unitsOf({ vid, units }: VolumeRecord, addressOf: (diskId: number) => string): Unit[] {
  return units.map(({ index, epoch, diskId }) => ({
    ...{ vuid: vuidOf({ vid, index, epoch }), host: addressOf(diskId), diskId },
  }))
}

/** Told again, it is done again: a lost answer costs nothing. */
async function update(attempt: TaskAttempt<Swap>, { calls }: MovePorts): Promise<Ended> {
  const { claim, sourceVuid: oldVuid, destination, type } = attempt.input
  const { vuid: newVuid, diskId: newDiskId } = destination
  try {
    await calls.updateUnit({ newVuid, oldVuid, newDiskId, claim })
    return DONE
  } catch (thrown) {
    if (!(thrown instanceof StorageRefusal)) throw thrown
    const { status, message: why } = thrown
    // Its chunk went meanwhile, or cannot be seen.
    if (status === 919 || status === 920) return { end: 'redo', why }
    if (status === 927) return { end: 'redo', why, isPlaceBad: true }
    // It was made anew without a lock, since nobody could write to it: now somebody can, and need not be moved.
    if (status === 926 && type === 'disk_repair') return { end: 'over', reason: USABLE_AGAIN, why }
    // It is unlocked. What was written since is copied under the next lock, in another turn: what this one asked for,
    // and comes late, is refused from then on.
    if (status === 926) return { end: 'back', why, waitMs: AGAIN_MS }
    // It is paused, and may have the swap before it: of that there is no way back.
    if (status === 904 && (await isVolumeThere(attempt))) {
      return { end: 'again', why, waitMs: AGAIN_MS }
    }
    throw thrown
  }
}

/**
 * An operator wished its end while it may have been swapped: an earlier call may be on its way still. Once the new
 * chunk is released none of them can be granted any more; where one was, there is nothing to take back.
 */
async function withdraw(attempt: TaskAttempt<Swap>, { calls }: MovePorts): Promise<Ended> {
  const { vuid, diskId } = attempt.input.destination
  try {
    await calls.releaseUnit(vuid, diskId)
    return DONE
  } catch (thrown) {
    if (isRefused(thrown, 918)) return { end: 'late' }
    if (!isRefused(thrown, 904)) throw thrown
    // What was told to a volume that is gone is never done.
    if (!(await isVolumeThere(attempt))) return DONE
    // It is paused: who knows what it was told before.
    return { end: 'again', why: thrown.message, waitMs: AGAIN_MS }
  }
}

/** One that is paused or parked is, and says no more than one that was removed by hand. */
export async function isVolumeThere(attempt: TaskAttempt<Swap>): Promise<boolean> {
  const { vid } = vuidParts(attempt.input.sourceVuid)
  const view = await viewOf(nodeOf(attempt).client, volumeAddress(vid))
  return view?.status === 'active'
}

function isRefused(thrown: unknown, ...statuses: number[]): thrown is StorageRefusal {
  return thrown instanceof StorageRefusal && statuses.includes(thrown.status)
}
