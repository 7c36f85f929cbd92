/**
 * Deleting an object. Decides: that all units of its blobs are marked at once; and when a delete is done, as
 * seen by who reads. Leaves to others: the marks of units that could not be reached, and when the bytes go (upkeep).
 *
 * A mark counts where no other chunk of its unit is left: neither one that is filled to follow it, and has the shard
 * already, nor one that it has followed, where whoever has an older mapping may read. Where a unit that can be written
 * has nothing of a blob that others had, a put or a repair may be on its way: it is given a shard without bytes, and
 * that is marked.
 */
import { crc32 } from 'node:zlib'
import { type Log, TroupeError } from '../../../../src/index.ts'
import type { CodeMode } from '../codes/index.ts'
import type { BlobId } from './blob-id.ts'
import { type BlobPlace, blobsOf, shardWindowOf } from './blob-layout.ts'
import type { AccessLimits } from './limits.ts'
import { Mapping } from './mapping.ts'
import { inParallel } from './parallel.ts'
import type { CanRebuild, ErasurePort, ShardIo, UpkeepPort, VolumesPort } from './ports.ts'
import { allUnits, isReadable } from './quorum.ts'
import { verdictOf } from './read-plan.ts'
import { unitFailureOf } from './unit-answers.ts'

export interface DeleteDeps {
  shards: Pick<ShardIo, 'markDelete' | 'putShard'>
  volumes: Pick<VolumesPort, 'view' | 'settled'>
  upkeep: Pick<UpkeepPort, 'remove'>
  erasure: Pick<ErasurePort, 'canRebuild'>
  log: Log
  limits: AccessLimits
}

export type DeleteOutcome =
  /** No byte of it can be read any more. */
  | 'deleted'
  /** It is certain to go; units that could not be reached may give parts of it until then. */
  | 'accepted'
  /** There was nothing. */
  | 'absent'

/** @throws TroupeError when it could not even be promised for all blobs: to be asked for again */
export async function deleteObject(
  deps: DeleteDeps,
  id: BlobId,
  signal: AbortSignal,
): Promise<DeleteOutcome> {
  const seen = new Set<DeleteOutcome>()
  await inParallel(blobsOf(id), deps.limits.blobsPerDeleteMax, async (blob) => {
    if (signal.aborted) throw new TroupeError('no-answer', 'the client gave the delete up')
    seen.add(await deleteBlob(deps, id.mode, blob))
  })
  return (['accepted', 'deleted'] as const).find((outcome) => seen.has(outcome)) ?? 'absent'
}

/** `away`: it may have the shard, and give it some day: a disk that is broken may work after a restart. */
type MarkState = 'marked' | 'none' | 'away'

interface Marking {
  state: MarkState
  /** Of the chunk that was asked last. */
  vuid: bigint
}

const NO_BYTES = new Uint8Array(0)

/** What a read would have found there before. */
const KNOWN_AS = { marked: 'whole', none: 'none', away: 'unreachable' } as const

async function deleteBlob(
  deps: DeleteDeps,
  mode: CodeMode,
  blob: BlobPlace,
): Promise<DeleteOutcome> {
  const { vid, bid } = blob
  const view = await deps.volumes.view(vid)
  if (view.mode.id !== mode.id) return 'absent'
  const mapping = new Mapping(deps.volumes, view)
  const marks = await Promise.all(allUnits(mode).map((index) => mark(deps, mapping, index, bid)))
  const states = await settledStates(deps, vid, marks)
  const inState = (wanted: MarkState) =>
    states.flatMap((state, index) => (state === wanted ? [index] : []))
  const canRebuild: CanRebuild = (...asked) => deps.erasure.canRebuild(...asked)
  // What took a mark was there, wherever else a copy of it may be.
  const known = states.map((state, index) =>
    marks[index]?.state === 'marked' ? 'whole' : KNOWN_AS[state],
  )
  const isKnown = verdictOf(mode, known, canRebuild) !== 'absent'
  if (inState('marked').length > 0) {
    const forestalled = inState('none').map(async (index) => {
      states[index] = await forestall(deps, mapping, index, bid)
    })
    await Promise.all(forestalled)
  }
  const held = shardWindowOf(mode, blob.bytes, { from: 0, to: blob.bytes }).units
  const isStillReadable = isReadable(mode, held, inState('away'), canRebuild)
  if (!isKnown && !isStillReadable) return 'absent'
  const unitsMarked = inState('marked')
  const isMarked = unitsMarked.length === states.length
  await deps.upkeep.remove({ vid, bid, unitsMarked, isMarked, isLeftover: false })
  return isStillReadable ? 'accepted' : 'deleted'
}

/** Also of a unit that is said to be down: asking costs nothing, and what is marked is certain. */
async function mark(
  { shards }: DeleteDeps,
  mapping: Mapping,
  index: number,
  bid: bigint,
): Promise<Marking> {
  let { vuid } = mapping.unit(index)
  try {
    await mapping.at(index, (place) => {
      vuid = place.vuid
      return shards.markDelete(place, bid)
    })
    return { state: 'marked', vuid }
  } catch (thrown) {
    const failure = unitFailureOf(thrown)
    if (failure === 'deleted') return { state: 'marked', vuid }
    return { state: failure === 'none' ? 'none' : 'away', vuid }
  }
}

/** By index, behind all marks: what is copied from here on is copied with them. */
async function settledStates(
  { volumes, log }: DeleteDeps,
  vid: number,
  marks: readonly Marking[],
): Promise<MarkState[]> {
  const vuids = marks.map(({ vuid }) => vuid)
  const settled = await volumes.settled(vid, vuids).catch((thrown: unknown) => {
    if (!(thrown instanceof TroupeError)) throw thrown
    // Once for each blob, for as long as its volume cannot be read.
    log.debug(
      { vid, err: thrown },
      'whether units are moved is not known; a delete counts as begun',
    )
    return new Set<number>()
  })
  return marks.map(({ state }, index) => (settled.has(index) ? state : 'away'))
}

/** From here on the unit refuses the shard. One that takes none now may have begun to take it. */
async function forestall(
  { shards }: DeleteDeps,
  mapping: Mapping,
  index: number,
  bid: bigint,
): Promise<MarkState> {
  try {
    await mapping.at(index, async (place) => {
      await shards.putShard(place, bid, NO_BYTES, { crc: crc32(NO_BYTES) })
      await shards.markDelete(place, bid)
    })
    return 'marked'
  } catch (thrown) {
    return unitFailureOf(thrown) === 'deleted' ? 'marked' : 'away'
  }
}
