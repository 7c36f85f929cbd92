/**
 * The tasks that hold a new chunk against the other units of its volume: before it takes its place, and when
 * the old one is gone. Decides: what is done about each shard that should not be there, or is lacking. Each can
 * be cut off anywhere and run again. Leaves to others: which those are (`settling.ts`).
 *
 * Before the swap nobody but workers knows the new chunk: what is deleted goes from it at once. Behind it a
 * deletion may be under way, which is somebody's already: it is told of the new chunk. The old chunk has to be
 * gone by then, or a deletion with an older mapping could still end there, and never come to the new one.
 *
 * What the new chunk lacks shows by what the others say: one whose disk is up is asked again, for a while, when it did
 * not answer. One that hangs for longer holds no other disk up.
 */
import { z } from 'zod'
import { nodeOf, type TaskAttempt, TroupeError, task } from '../../../../src/index.ts'
import { viewOf } from '../../plane/actor-views.ts'
import {
  codeModeOf,
  nothingIsThere,
  StorageRefusal,
  vuidOf,
  vuidParts,
} from '../../plane/codes/index.ts'
import { removalAddress } from '../../plane/upkeep/index.ts'
import { type UnitPlace, type VolumeRecord, volumeAddress } from '../../plane/volumes/index.ts'
import { whyOf } from '../../plane/why.ts'
import type { Unit } from './move-record.ts'
import { AGAIN_MS, type Ended, isVolumeThere, swap, told } from './move-tasks.ts'
import type { MovePorts } from './ports.ts'
import { type Verdict, verdictOf } from './settling.ts'
import { sideBySide } from './shard-lists.ts'
import type { StepOutput } from './step-output.ts'

/** Each holds a page of each unit's list in memory. */
const AT_ONCE = 4
const RETRY = { attemptsMax: 4, initialMs: 500, backoffMaxMs: 5_000 }
const common = { runsOn: 'node', concurrency: AT_ONCE, retry: RETRY } as const
/** What a worker could not copy the second time either is asked for by repair; this many at most. */
const LACKING_MAX = 1_000
/** A blobnode releases a chunk at once; one that is slow is asked again by its volume. */
const RELEASE_MS = 15_000

/**
 * So often all lists are read again for units that are up and do not answer: that is a minute, and what the calls take;
 * once before the swap, and once more behind it.
 */
const PATIENCE_TRIES = 6

/** Clients go first at every disk. */
const MIGRATE = { io: 'migrate' } as const

const chunk = swap.extend({
  codeMode: z.int(),
  /** How often units that are up did not answer it. */
  unheardTries: z.int(),
})
const comparison = chunk.extend({ redoCount: z.int() })
type Comparison = z.output<typeof comparison>
type Chunk = z.output<typeof chunk>

export const compareTask = task<Comparison, StepOutput>({
  ...{ name: 'move-compare', queue: 'storage.moves.compare', ...common },
  input: comparison,
  run: (attempt) => told(attempt, compare),
})

export const settleTask = task<Chunk, StepOutput>({
  ...{ name: 'move-settle', queue: 'storage.moves.settle', ...common },
  input: chunk,
  run: (attempt) => told(attempt, settle),
})

async function compare(attempt: TaskAttempt<Comparison>, ports: MovePorts): Promise<Ended> {
  const { sourceVuid, destination, redoCount, type } = attempt.input
  const { vid, index } = vuidParts(sourceVuid)
  const own = placeOf(destination)
  const lacking: bigint[] = []
  const unheard: string[] = []
  let lackingCount = 0
  try {
    for await (const { bid, verdict } of verdicts(attempt, ports, unheard)) {
      if (verdict === 'lacking') {
        lackingCount += 1
        if (lacking.length === 0) lacking.push(bid)
      } else if (verdict !== 'well') await deleteFrom(ports, own, bid)
    }
  } catch (thrown) {
    if (!nothingIsThere(thrown) && (await isUp(ports, destination))) throw thrown
    const why = `the new chunk of unit ${index} of volume ${vid}: ${whyOf(thrown)}`
    return { end: 'redo', why, isPlaceBad: true }
  }
  // Of a volume that is written to meanwhile some are always on their way.
  const isPatient = type === 'disk_repair' || redoCount > 0
  if (lackingCount <= (isPatient ? LACKING_MAX : 0)) return heard(attempt.input, unheard)
  const which = `${lackingCount} shards that the others have, ${lacking[0]} among them`
  return { end: 'redo', why: `the copy of unit ${index} of volume ${vid} lacks ${which}` }
}

async function settle(attempt: TaskAttempt<Chunk>, ports: MovePorts): Promise<Ended> {
  const { sourceVuid, destination } = attempt.input
  const { vid, index } = vuidParts(sourceVuid)
  // Of a volume that was removed by hand nothing is read or written any more.
  if (!(await isVolumeThere(attempt))) return { end: 'done' }
  const left = await sourceLeft(attempt, ports)
  if (left !== null) return { end: 'again', why: left, waitMs: AGAIN_MS }
  const own = placeOf(destination)
  const { upkeep } = ports
  const unheard: string[] = []
  try {
    for await (const { bid, verdict } of verdicts(attempt, ports, unheard)) {
      if (verdict === 'lacking') {
        const reason = 'it was not copied when its unit was moved'
        await upkeep.repair({ vid, bid, badIndexes: [index], reason })
      } else if (verdict === 'deleted') await deleteFrom(ports, own, bid)
      else if (verdict === 'deleting') {
        // Told first: what is marked looks as if it had been told.
        await upkeep.remove({ vid, bid, unitsMarked: [], isMarked: false, isLeftover: false })
        await ports.shards.markDelete(own, bid, MIGRATE).catch(unlessGone)
      }
    }
  } catch (thrown) {
    // It is a unit of a broken disk by now: whoever repairs that looks after it.
    if (!nothingIsThere(thrown)) throw thrown
  }
  return heard(attempt.input, unheard)
}

function heard({ unheardTries }: Chunk, unheard: readonly string[]): Ended {
  if (unheard.length === 0 || unheardTries >= PATIENCE_TRIES) return { end: 'done' }
  return {
    end: 'again',
    why: `their disks are up, and they do not answer: ${unheard.join(', ')}`,
    waitMs: AGAIN_MS,
    isUnheard: true,
  }
}

/** Why the old chunk may still be marked and read, or null. */
async function sourceLeft(attempt: TaskAttempt<Chunk>, ports: MovePorts): Promise<string | null> {
  const { sourceVuid, sourceDiskId } = attempt.input
  const { vid, index, epoch } = vuidParts(sourceVuid)
  const isGone = (record: VolumeRecord) =>
    !record.retired.some((one) => one.index === index && one.epoch === epoch)
  try {
    await nodeOf(attempt).client.waitFor(
      volumeAddress(vid),
      ({ context }) => isGone(context as VolumeRecord),
      { timeoutMs: RELEASE_MS, signal: attempt.signal },
    )
    return null
  } catch (thrown) {
    attempt.signal.throwIfAborted()
    if (!(thrown instanceof TroupeError) || thrown.code !== 'no-answer') throw thrown
    // Nobody reaches it there, so nobody can end a deletion there either.
    if (!(await isUp(ports, { diskId: sourceDiskId }))) return null
    return `the old chunk of unit ${index} of volume ${vid} is still on disk ${sourceDiskId}`
  }
}

async function isUp({ table }: MovePorts, { diskId }: { diskId: number }): Promise<boolean> {
  return (await table.all({ fresh: true })).get(diskId)?.isUp ?? false
}

/** In two steps, as every shard is deleted. */
async function deleteFrom({ shards }: MovePorts, at: UnitPlace, bid: bigint): Promise<void> {
  await shards.markDelete(at, bid, MIGRATE).catch(unlessGone)
  await shards.deleteShard(at, bid, MIGRATE).catch(unlessGone)
}

/** It is not there, or is marked: who was cut off comes here again. */
const GONE: ReadonlySet<number> = new Set([651, 654])

function unlessGone(thrown: unknown): void {
  if (!(thrown instanceof StorageRefusal) || !GONE.has(thrown.status)) throw thrown
}

function placeOf({ vuid, host: address, diskId }: Unit): UnitPlace {
  return { vuid, address, diskId }
}

/** Of all shards that the new chunk or another unit has. @param unheard units that are up and did not answer */
async function* verdicts(
  attempt: TaskAttempt<Chunk>,
  { shards, views, table }: MovePorts,
  unheard: string[],
): AsyncGenerator<{ bid: bigint; verdict: Verdict }, void, void> {
  const { signal } = attempt
  const { sourceVuid, destination, codeMode } = attempt.input
  const { vid } = vuidParts(sourceVuid)
  const [{ units }, disks] = await Promise.all([
    views.record(vid, { fresh: true }),
    table.all({ fresh: true }),
  ])
  const addressOf = (diskId: number) => disks.get(diskId)?.address ?? ''
  const isNew = (vuid: bigint) => vuid === destination.vuid
  const others = units
    .map(({ index: at, epoch, diskId }) => ({
      index: at,
      place: { vuid: vuidOf({ vid, index: at, epoch }), address: addressOf(diskId), diskId },
    }))
    .filter(({ place }) => !isNew(place.vuid))
  const places = [placeOf(destination), ...others.map(({ place }) => place)]
  const mode = codeModeOf(codeMode)
  const silent = new Set<number>()
  const listing = { shards, places, needed: [0], signal, unheard: silent }
  for await (const { bid, said } of sideBySide(listing)) {
    const [own = 'nothing', ...rest] = said
    const voices = others.map((one, at) => ({ index: one.index, said: rest[at] ?? 'nothing' }))
    yield { bid, verdict: await proven(attempt, { vid, bid }, verdictOf(mode, own, voices)) }
  }
  for (const { place, index } of others.filter((_, at) => silent.has(at + 1))) {
    if (!disks.get(place.diskId)?.isUp) continue
    unheard.push(`unit ${index} of volume ${vid} on disk ${place.diskId}`)
  }
}

/** What nobody has marked is left alone, unless its removal is known: its actor stays for a while behind it. */
async function proven(
  attempt: TaskAttempt<unknown>,
  blob: { vid: number; bid: bigint },
  verdict: Verdict,
): Promise<Verdict> {
  if (verdict !== 'vanishing' && verdict !== 'vanished') return verdict
  const removal = await viewOf(nodeOf(attempt).client, removalAddress(blob))
  if (removal === undefined) return 'well'
  return verdict === 'vanished' ? 'deleted' : 'deleting'
}
