/**
 * Units whose chunk cannot be used at all, although its disk works: its file is gone, or cannot be read. No shard
 * of them can be repaired where it is, so they are made anew on another disk, as those of a broken disk are.
 *
 * Decides: that a chunk counts as unusable when its blobnode says so to this node, by the mapping as it stands now;
 * that its unit is moved as `disk_repair` then, under the switch and the limits of that; how often in a day that is
 * begun for one unit. It counts before it is begun: a crash between the two counts one too many, and never one too
 * few. Leaves to others: finding them (`inspect-run.ts`), the move (moves).
 */
import { type Client, type Clock, TroupeError } from '../../../../src/index.ts'
import { vuidParts } from '../../plane/codes/index.ts'
import type { DiskTable } from '../../plane/disks/index.ts'
import {
  isUnusable,
  type UnitPlace,
  type UnitView,
  type VolumeView,
} from '../../plane/volumes/index.ts'
import { clippedWhy, whyOf } from '../../plane/why.ts'
import { isRefusedMove } from '../disk-jobs/index.ts'
import type { MoveOrder, Moves } from '../moves/index.ts'
import { Remakes } from './remakes.ts'
import type { Remake } from './volume-inspection.ts'

export interface UnusableUnitsDeps {
  client: Client
  clock: Pick<Clock, 'now'>
  views: { view(vid: number, options: { fresh: boolean }): Promise<VolumeView> }
  table: Pick<DiskTable, 'all'>
  chunks: { statChunk(at: UnitPlace): Promise<unknown> }
  moves: Pick<Moves, 'add'>
}

export interface RemadeUnits {
  /** What was inspected is not how the volume stands: it has to be inspected again; null: it is. */
  changed: string | null
  /** For people. */
  troubles: string[]
}

/** `unknown`: nobody can say so now. */
type Proof =
  | { is: 'bad'; unit: UnitView; why: string }
  | { is: 'changed'; why: string }
  | { is: 'unknown' }

/** What goes bad thrice in a day goes bad the fourth time: then a person has to look. */
const REMAKES_PER_DAY_MAX = 3
const DAY_MS = 86_400_000

export class UnusableUnits {
  readonly #deps: UnusableUnitsDeps
  readonly #remakes: Remakes

  constructor(deps: UnusableUnitsDeps) {
    this.#deps = deps
    this.#remakes = new Remakes(deps.client)
  }

  /** Durable when it resolves. @throws TroupeError when that is not known */
  async remake(vid: number, vuids: readonly bigint[]): Promise<RemadeUnits> {
    const { views, table } = this.#deps
    const { units } = await views.view(vid, { fresh: true })
    const proofs = await Promise.all([...new Set(vuids)].map((vuid) => this.#proof(units, vuid)))
    const changed = proofs.find((one) => one.is === 'changed')?.why ?? null
    const bad = new Map(
      proofs.flatMap((one) => (one.is === 'bad' ? [[one.unit, one.why] as const] : [])),
    )
    const [disks, before] = await Promise.all([table.all(), this.#remakes.of(vid)])
    const isLost = (unit: UnitView) => bad.has(unit) || disks.get(unit.diskId)?.status !== 1
    // What has lost most comes first, as where disks are repaired: each by what its volume lacks besides.
    const priority = units.filter(isLost).length - 1
    const troubles: string[] = []
    for (const [unit, said] of bad) {
      const { index, vuid: sourceVuid, diskId: sourceDiskId } = unit
      const sourceIdc = disks.get(sourceDiskId)?.idc ?? ''
      const reason = clippedWhy(`an inspection found that its chunk cannot be used: ${said}`)
      const source = { sourceVuid, sourceDiskId, sourceIdc }
      const order = { type: 'disk_repair', ...source, priority, reason } as const
      const why = await this.#begin(vid, order, before)
      if (why !== null) troubles.push(`unit ${index} on disk ${sourceDiskId}: ${why}`)
    }
    return { changed, troubles }
  }

  /** Where the disk is not up, whoever repairs it comes to it, or the next inspection. */
  async #proof(units: readonly UnitView[], vuid: bigint): Promise<Proof> {
    const { index } = vuidParts(vuid)
    const unit = units[index]
    if (unit?.vuid !== vuid) return { is: 'changed', why: `unit ${index} has moved` }
    if (!unit.isUp) return { is: 'unknown' }
    try {
      await this.#deps.chunks.statChunk(unit)
      return { is: 'changed', why: `unit ${index} on disk ${unit.diskId} answers again` }
    } catch (thrown) {
      if (!(thrown instanceof TroupeError)) throw thrown
      return isUnusable(thrown) ? { is: 'bad', unit, why: thrown.message } : { is: 'unknown' }
    }
  }

  /** @returns why it is not begun: it is moved already, for whichever reason, or too often; null: it is */
  async #begin(vid: number, order: MoveOrder, before: readonly Remake[]): Promise<string | null> {
    const { clock, moves } = this.#deps
    const remake = { index: vuidParts(order.sourceVuid).index, at: clock.now() }
    const since = remake.at - DAY_MS
    const recent = before.filter(({ index, at }) => index === remake.index && at > since).length
    if (recent >= REMAKES_PER_DAY_MAX) {
      return `it was made anew ${recent} times within a day, and cannot be used again: look at its disks`
    }
    await this.#remakes.add(vid, remake)
    try {
      await moves.add(order)
      return null
    } catch (thrown) {
      if (!isRefusedMove(thrown)) throw thrown
      await this.#remakes.remove(vid, remake)
      return whyOf(thrown)
    }
  }
}
