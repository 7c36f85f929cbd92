/**
 * Deleting an object. Decides: that all units of its blobs are marked at once; and when a delete is done, as
 * seen by who reads. Leaves to others: the marks of units that could not be reached, or had nothing to mark, where
 * a put that is on its way must find one; and when the bytes go (upkeep).
 */
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
  shards: Pick<ShardIo, 'markDelete'>
  volumes: Pick<VolumesPort, 'view'>
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
  const states = await Promise.all(allUnits(mode).map((index) => mark(deps, mapping, index, bid)))
  const inState = (...wanted: MarkState[]) =>
    states.flatMap((state, index) => (wanted.includes(state) ? [index] : []))
  const held = shardWindowOf(mode, blob.bytes, { from: 0, to: blob.bytes }).units
  const canRebuild: CanRebuild = (...asked) => deps.erasure.canRebuild(...asked)
  const isStillReadable = isReadable(mode, held, inState('away'), canRebuild)
  const known = states.map((state) => KNOWN_AS[state])
  const isKnown = verdictOf(mode, known, canRebuild) !== 'absent'
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
): Promise<MarkState> {
  try {
    await mapping.at(index, (place) => shards.markDelete(place, bid))
    return 'marked'
  } catch (thrown) {
    const failure = unitFailureOf(thrown)
    if (failure === 'deleted') return 'marked'
    return failure === 'none' ? 'none' : 'away'
  }
}
