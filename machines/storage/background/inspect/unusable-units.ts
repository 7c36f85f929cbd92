/**
 * Units whose chunk cannot be used at all, although its disk works: its file is gone, or cannot be read. No shard
 * of them can be repaired where it is, so they are made anew on another disk, as those of a broken disk are.
 *
 * Decides: that a chunk counts as unusable when its blobnode says so to this node, by the mapping as it stands now;
 * that its unit is moved as `disk_repair` then, under the switch and the limits of that; how often in a day that is
 * begun for one unit. Leaves to others: finding them (`inspect-run.ts`), the move (moves).
 */
import { type Clock, TroupeError } from '../../../../src/index.ts'
import { vuidParts } from '../../plane/codes/index.ts'
import type { DiskTable } from '../../plane/disks/index.ts'
import {
  isUnusable,
  type UnitPlace,
  type UnitView,
  type VolumeView,
} from '../../plane/volumes/index.ts'
import { isRefusedMove } from '../disk-jobs/index.ts'
import type { Moves } from '../moves/index.ts'
import { REMAKES_KEPT_MAX, type Remake } from './volume-inspection.ts'

export interface UnusableUnitsDeps {
  clock: Pick<Clock, 'now'>
  views: { view(vid: number, options: { fresh: boolean }): Promise<VolumeView> }
  table: Pick<DiskTable, 'all'>
  chunks: { statChunk(at: UnitPlace): Promise<unknown> }
  moves: Pick<Moves, 'add'>
}

export interface RemadeUnits {
  /** What was inspected is not how the volume stands: it has to be inspected again; null: it is. */
  changed: string | null
  /** The last ones, those that were begun now among them. */
  remakes: Remake[]
  /** For people. */
  troubles: string[]
}

/** What goes bad thrice in a day goes bad the fourth time: then a person has to look. */
const REMAKES_PER_DAY_MAX = 3
const DAY_MS = 86_400_000

export class UnusableUnits {
  readonly #deps: UnusableUnitsDeps

  constructor(deps: UnusableUnitsDeps) {
    this.#deps = deps
  }

  /** Durable when it resolves. @param before those that were begun by now @throws TroupeError when that is not known */
  async remake(
    vid: number,
    vuids: readonly bigint[],
    before: readonly Remake[],
  ): Promise<RemadeUnits> {
    const { views, clock } = this.#deps
    const { units } = await views.view(vid, { fresh: true })
    const outcome: RemadeUnits = { changed: null, remakes: [...before], troubles: [] }
    for (const vuid of vuids) {
      const { index } = vuidParts(vuid)
      const unit = units[index]
      if (unit?.vuid !== vuid) {
        outcome.changed ??= `unit ${index} has moved`
        continue
      }
      const isWell = await this.#isWell(unit)
      if (isWell === true) outcome.changed ??= `unit ${index} on disk ${unit.diskId} answers again`
      // Where the disk is not up, whoever repairs it comes to it, or the next inspection.
      if (isWell !== false) continue
      const since = clock.now() - DAY_MS
      const recent = outcome.remakes.filter((one) => one.index === index && one.at > since)
      if (recent.length >= REMAKES_PER_DAY_MAX) {
        const often = `it was made anew ${recent.length} times within a day, and cannot be used again`
        outcome.troubles.push(`unit ${index} on disk ${unit.diskId}: ${often}: look at its disks`)
      } else if (await this.#move(unit, vuids.length - 1)) {
        outcome.remakes.push({ index, at: clock.now() })
      }
    }
    return { ...outcome, remakes: outcome.remakes.slice(-REMAKES_KEPT_MAX) }
  }

  /** Undefined: nobody can say so now. */
  async #isWell(unit: UnitView): Promise<boolean | undefined> {
    if (!unit.isUp) return undefined
    try {
      await this.#deps.chunks.statChunk(unit)
      return true
    } catch (thrown) {
      if (!(thrown instanceof TroupeError)) throw thrown
      return isUnusable(thrown) ? false : undefined
    }
  }

  /** @returns false where it is moved already, for whichever reason, or parked on the way */
  async #move({ vuid, diskId }: UnitView, alsoBad: number): Promise<boolean> {
    const { table, moves } = this.#deps
    const disk = (await table.all()).get(diskId)
    if (disk === undefined) return false
    try {
      await moves.add({
        ...{ type: 'disk_repair', sourceVuid: vuid, sourceDiskId: diskId, sourceIdc: disk.idc },
        // What has lost most comes first.
        priority: alsoBad,
      })
      return true
    } catch (thrown) {
      if (!isRefusedMove(thrown)) throw thrown
      return false
    }
  }
}
