/**
 * What lists of moves are filtered and sorted by. Decides: that a move is in the order of its lane only while it
 * waits for a turn, so that a lane finds the next ones among a million without knowing the others.
 */
import type { IndexValue } from '../../../../src/index.ts'
import { vuidParts } from '../../plane/codes/index.ts'
import type { MoveType } from './move-id.ts'
import type { MoveRecord } from './move-record.ts'
import { rankOf } from './move-rules.ts'

/** Each field by its name, as in `newMove`: this is made anew in every turn, and for every row of a list. */
export function indexOf(move: MoveRecord): Record<string, IndexValue> {
  const index = {
    type: move.type,
    state: move.state,
    vid: vuidParts(move.sourceVuid).vid,
    diskId: move.sourceDiskId,
    idc: move.sourceIdc,
    priority: move.priority,
    worker: move.lease === null ? null : move.lease.worker,
    owner: move.owner,
    progress: move.stat.progress,
    redos: move.workerRedoCnt,
    why: move.wait === null ? null : move.wait.why,
  }
  return move.isWaiting ? { ...index, [turnField(move.type)]: rankOf(move) } : index
}

/** Of `index`: who waits for a turn in that lane has it, and is in order by it. */
export function turnField(type: MoveType): string {
  return `turn_${type}`
}
