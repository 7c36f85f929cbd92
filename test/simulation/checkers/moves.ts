/**
 * Moves of the store (`moves/`): in the end every one of them has ended or says why a person has to look; each unit
 * of each volume is in one chunk, the one that its volume names, whole; nothing else lies on any disk or stands in
 * any ledger; lanes have counted what there was, and queues hold nothing. On the way no chunk had the id of
 * another, and whoever's lease was over was refused.
 */
import type { LaneRecord, QueueRecord } from '../../../machines/storage/background/lanes/index.ts'
import type { MoveRecord } from '../../../machines/storage/background/moves/index.ts'
import { vuidOf, vuidParts } from '../../../machines/storage/plane/codes/index.ts'
import type { DiskRecord } from '../../../machines/storage/plane/disks/index.ts'
import type { Chunk, VolumeRecord } from '../../../machines/storage/plane/volumes/index.ts'
import type { ActorFact, ChunkLeft, SimEvent, Violation } from '../events.ts'
import { finalChains, finalMirror, type Mirror } from '../mirror.ts'

export function movesAreSettled(events: readonly SimEvent[]): Violation[] {
  const left = events.findLast((event) => event.kind === 'chunks-left')
  if (!left) return []
  const found = unsettled(finalMirror(events), left.chunks, left.blobs)
  return found.map((what) => ({ checker: 'moves-are-settled', what, seq: left.seq }))
}

/** What keeps the store from being at rest, and then what is wrong with it. */
export function unsettled(mirror: Mirror, left: readonly ChunkLeft[], blobs: number): string[] {
  const actors = [...mirror.all()]
  const of = (machine: string) => actors.filter(({ address }) => address.startsWith(`${machine}/`))
  const moves = of('migrate-task')
  const volumes = of('volume')
  const known = volumes.flatMap((actor) => chunksOf(actor.context as unknown as VolumeRecord))
  return [
    ...moves.flatMap(wrongOfMove),
    ...volumes.flatMap((actor) => wrongOfVolume(actor, moves)),
    ...volumes.flatMap((actor) => wrongOfEnds(actor, moves)),
    ...wrongOfChunks(known, left, volumes, blobs),
    ...wrongOfLedgers(known, of('disk')),
    ...of('move-lane').flatMap((lane) => wrongOfLane(lane, moves)),
    ...of('worker-queue').flatMap(wrongOfQueue),
    ...of('owner').flatMap((owner) => wrongOfOwner(owner, moves)),
  ]
}

const moveOf = ({ context }: ActorFact) => context as unknown as MoveRecord
const isParked = ({ state }: ActorFact) => state === 'parked'

function wrongOfMove(actor: ActorFact): string[] {
  const { address, status, state } = actor
  const { wait } = moveOf(actor)
  if (status === 'done') return []
  if (isParked(actor) && wait?.why) return []
  return [`${address} is ${state}: ${wait?.why ?? 'and does not say why'}`]
}

/** A chunk may wait for one that a person has to look at. */
function wrongOfVolume({ address, context }: ActorFact, moves: readonly ActorFact[]): string[] {
  const { standing, mover, moves: planned, fittings, retired } = context as unknown as VolumeRecord
  const parked = new Set(moves.filter(isParked).map((move) => moveOf(move).taskId))
  const others = Object.values(planned).filter((one) => !parked.has(one.mover))
  const found: string[] = []
  if (standing !== 'idle') found.push(`${address} is ${standing}`)
  if (mover !== null) found.push(`${address} is ${mover}'s`)
  if (others.length > 0) found.push(`${address} has a unit that ${others[0]?.mover} is to move`)
  if (retired.length > 0) found.push(`${address} has ${retired.length} chunks to release`)
  if (Object.keys(fittings).length > parked.size) found.push(`${address} has chunks for nobody`)
  return found
}

/** Who has finished has moved its unit, and nobody else who has ended; others may have moved it on since. */
function wrongOfEnds({ context }: ActorFact, moves: readonly ActorFact[]): string[] {
  const { vid, units } = context as unknown as VolumeRecord
  return moves
    .filter(({ status }) => status === 'done')
    .flatMap((move) => {
      const { taskId, destination } = moveOf(move)
      const { vid: of, index, epoch } = vuidParts(destination.vuid)
      if (of !== vid) return []
      const now = units[index]?.epoch ?? 0
      const isFinished = move.state === 'finished'
      if (isFinished ? now >= epoch : now !== epoch) return []
      const unit = `unit ${index} of volume ${vid} has ${isFinished ? 'not ' : ''}moved`
      return [`${taskId} is ${move.state}, and ${unit}`]
    })
}

/** One that is only wanted has no disk yet. */
function chunksOf({ vid, units, fittings, retired }: VolumeRecord): string[] {
  const made = Object.entries(fittings)
    .filter(([, { step }]) => step !== 'wanted')
    .map(([index, one]) => ({ ...one, index: Number(index) }))
  return [...units, ...made, ...retired].map((chunk) => keyOf(vid, chunk))
}

function keyOf(vid: number, { index, epoch, diskId }: Chunk): string {
  return `${diskId}/${vuidOf({ vid, index, epoch })}`
}

function wrongOfChunks(
  known: readonly string[],
  left: readonly ChunkLeft[],
  volumes: readonly ActorFact[],
  blobs: number,
): string[] {
  const found: string[] = []
  const there = new Map(left.map((one) => [one.chunk, one]))
  for (const chunk of there.keys()) {
    if (!known.includes(chunk)) found.push(`the chunk ${chunk} is nobody’s`)
  }
  for (const { context } of volumes) {
    const { vid, units } = context as unknown as VolumeRecord
    for (const unit of units) {
      const chunk = there.get(keyOf(vid, unit))
      const name = `unit ${unit.index} of volume ${vid}`
      if (!chunk) found.push(`${name} is not on disk ${unit.diskId}`)
      else if (chunk.bids.length !== blobs) {
        found.push(`${name} has ${chunk.bids.length} of ${blobs} blobs`)
      } else if (chunk.mode !== 'normal') found.push(`${name} is read-only`)
    }
  }
  return found
}

function wrongOfLedgers(known: readonly string[], disks: readonly ActorFact[]): string[] {
  const lines = disks.flatMap(({ context }) => {
    const { diskId, units } = context as unknown as DiskRecord
    return Object.keys(units).map((vuid) => `${diskId}/${vuid}`)
  })
  const found = lines
    .filter((line) => !known.includes(line))
    .map((line) => `the ledger has ${line}, which is nobody’s`)
  const lacking = known.filter((chunk) => !lines.includes(chunk))
  return [...found, ...lacking.map((chunk) => `the ledger lacks ${chunk}`)]
}

function wrongOfLane({ address, context }: ActorFact, moves: readonly ActorFact[]): string[] {
  const { type, counts, inHand, totals } = context as unknown as LaneRecord
  const own = moves.filter((move) => moveOf(move).type === type)
  const live = own.filter((move) => move.status !== 'done' && !isParked(move))
  const at = (state: number) => live.filter((move) => moveOf(move).state === state).length
  const ended = (state: string) => own.filter((move) => move.state === state).length
  const said = {
    ...{
      preparing: counts.preparing,
      workerDoing: counts.workerDoing,
      finishing: counts.finishing,
    },
    ...{ finished: totals.finished, finishedInAdvance: totals.finishedInAdvance },
  }
  const wanted = {
    ...{ preparing: at(1), workerDoing: at(2), finishing: at(3) },
    ...{ finished: ended('finished'), finishedInAdvance: ended('finished_in_advance') },
  }
  const [says, is] = [said, wanted].map((counted) => JSON.stringify(counted))
  const found = says === is ? [] : [`${address} has counted ${says}; there are ${is}`]
  const liveIds = new Set(live.map((move) => moveOf(move).taskId))
  const held = Object.keys(inHand).filter((taskId) => !liveIds.has(taskId))
  return [...found, ...held.map((taskId) => `${address} keeps a place for ${taskId}`)]
}

function wrongOfQueue({ address, context }: ActorFact): string[] {
  const { offers } = context as unknown as QueueRecord
  return Object.keys(offers).map((taskId) => `${address} still offers ${taskId}`)
}

function wrongOfOwner({ context }: ActorFact, moves: readonly ActorFact[]): string[] {
  const { seen } = context as { seen?: string[] }
  const ended = moves.filter(({ status }) => status === 'done')
  const told = [...(seen ?? [])].sort()
  const wanted = ended.map((move) => `${moveOf(move).taskId} ${move.state}`).sort()
  if (JSON.stringify(told) === JSON.stringify(wanted)) return []
  return [`the owner was told of ${told.length} ends, [${told}]; there are [${wanted}]`]
}

/** An epoch of a unit is one chunk on one disk, for ever. */
export function chunksAreGivenOnce(events: readonly SimEvent[]): Violation[] {
  const places = new Map<string, string>()
  const found: Violation[] = []
  for (const event of events) {
    if (event.kind !== 'chunk-call' || event.verb !== 'create') continue
    const [disk = '', vuid = ''] = event.chunk.split('/')
    const before = places.get(vuid) ?? disk
    places.set(vuid, before)
    if (before === disk) continue
    const what = `the chunk ${vuid} was made on disk ${before} and on disk ${disk}`
    found.push({ checker: 'chunks-are-given-once', what, seq: event.seq })
  }
  return found
}

interface Lease {
  taskId: string
  /** Of the slot by which it is over. */
  goneSeq: number | undefined
  /** How its worker ended it: the same again is answered as the first time. */
  endedBy: string | undefined
}

/** By token, as the journal tells of the leases of all queues. */
function leasesIn(events: readonly SimEvent[]): ReadonlyMap<number, Lease> {
  const leases = new Map<number, Lease>()
  for (const chain of finalChains(events).values()) {
    for (const { fact, seq } of chain) {
      if (fact.kind !== 'batch') continue
      for (const { address, context } of fact.actors) {
        if (address.startsWith('worker-queue/')) see(leases, context as unknown as QueueRecord, seq)
      }
    }
  }
  return leases
}

function see(leases: Map<number, Lease>, { offers, ended }: QueueRecord, seq: number): void {
  const held = new Set<number>()
  for (const [taskId, { lease }] of Object.entries(offers)) {
    if (lease === null) continue
    held.add(lease.token)
    if (leases.has(lease.token)) continue
    leases.set(lease.token, { taskId, goneSeq: undefined, endedBy: undefined })
  }
  for (const [token, lease] of leases) {
    if (held.has(token) || lease.goneSeq !== undefined) continue
    lease.goneSeq = seq
    lease.endedBy = ended.find((one) => one.token === token)?.by
  }
}

type MoveCall = Extract<SimEvent, { kind: 'move-call' }>

/** What was said behind the end of its lease. */
export function lateCalls(events: readonly SimEvent[]): { call: MoveCall; isRepeated: boolean }[] {
  const calls = events.filter((event) => event.kind === 'move-call')
  const leases = calls.length > 0 ? leasesIn(events) : new Map<number, Lease>()
  const late: { call: MoveCall; isRepeated: boolean }[] = []
  for (const call of calls) {
    const lease = leases.get(call.token)
    if (lease?.goneSeq === undefined || call.since <= lease.goneSeq) continue
    late.push({ call, isRepeated: lease.endedBy === call.call })
  }
  return late
}

export function lateWorkersAreRefused(events: readonly SimEvent[]): Violation[] {
  return lateCalls(events)
    .filter(({ call, isRepeated }) => call.answer === 'ok' && !isRepeated)
    .map(({ call: { worker, call, taskId, token, seq } }) => ({
      checker: 'late-workers-are-refused',
      what: `${call} of ${worker} counts for ${taskId}, although its lease ${token} was over`,
      ...{ seq, address: `migrate-task/${taskId}` },
    }))
}
