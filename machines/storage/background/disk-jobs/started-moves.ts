/**
 * Moves as whoever started them sees them. Decides: which have ended or are gone although nobody said so, which
 * stand still by their own word or an operator's, what they have moved.
 */
import { type ActorView, type Client, TroupeError } from '../../../../src/index.ts'
import { viewOf } from '../../plane/actor-views.ts'
import { vuidParts } from '../../plane/codes/index.ts'
import type { VolumeViews } from '../../plane/volumes/index.ts'
import { type MoveRecord, moveAddress } from '../moves/index.ts'

export interface StartedMove {
  /** It ended, or there is none. */
  isOver: boolean
  isStill: boolean
  /** Undefined: there is none. */
  record: MoveRecord | undefined
}

/** Of states, the numbers that are ends. */
const FIRST_END = 4

/** @throws TroupeError where that is not known */
export async function startedMove(client: Client, taskId: string): Promise<StartedMove> {
  const view = await viewOf(client, moveAddress(taskId))
  if (view === undefined) return { isOver: true, isStill: false, record: undefined }
  const record = view.context as MoveRecord
  const isOver = view.status !== 'active' || record.state >= FIRST_END
  return { isOver, isStill: !isOver && standsStill(view), record }
}

/**
 * The move of a unit that `owner` has under way, where one was begun and whoever began it was cut off before it
 * could say so. Its volume knows whose turn it is to move which unit.
 */
export async function ownMove(
  client: Client,
  views: Pick<VolumeViews, 'record'>,
  { vuid, owner }: { vuid: bigint; owner: string },
): Promise<string | undefined> {
  const { vid, index } = vuidParts(vuid)
  const { moves } = await views.record(vid, { fresh: true })
  const taskId = moves[index]?.mover
  if (taskId === undefined) return undefined
  const { isOver, record } = await startedMove(client, taskId)
  const isOwn = !isOver && record?.sourceVuid === vuid && record.owner === owner
  return isOwn ? taskId : undefined
}

function standsStill({ value, paused, parked }: ActorView): boolean {
  return value === 'parked' || paused !== undefined || parked !== undefined
}

/** What a move was refused for is its volume's or its like's: others can be started. */
export function isRefusedMove(thrown: unknown): thrown is TroupeError {
  return thrown instanceof TroupeError && REFUSED.has(thrown.code)
}

const REFUSED: ReadonlySet<string> = new Set([
  ...['already-exists', 'conflict', 'not-found', 'malformed', 'limit-exceeded'],
])
