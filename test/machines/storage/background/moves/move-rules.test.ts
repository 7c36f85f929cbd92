/** What a move makes of workers that give it up: when it goes on as before, and when not. */
import { expect, it } from 'vitest'
import {
  type MoveRecord,
  newMove,
} from '../../../../../machines/storage/background/moves/move-record.ts'
import {
  givenUp,
  isLastRoundOver,
  isRoundOver,
  reported,
} from '../../../../../machines/storage/background/moves/move-rules.ts'

const MOVE = newMove({
  ...{ taskId: 'balance-1-1-a', type: 'balance', sourceVuid: (1n << 32n) | 1n, sourceDiskId: 1 },
  ...{ sourceIdc: 'z', forbiddenDirectDownload: false, priority: 0 },
  ...{ owner: null, reason: null, at: 5 },
})

const gaveUp = (now: MoveRecord): MoveRecord =>
  givenUp(now, { type: 'CANCELLED', token: 1, reason: 'no good', at: 6, until: 7 }).next

function copied(now: MoveRecord, doneCount: number): MoveRecord {
  const stat = { doneSize: 0, doneCount, totalSize: 9, totalCount: 9, progress: 0 }
  return reported(now, { type: 'REPORTED', token: 1, stat, shards: 0, bytes: 0, at: 6 }).next
}

function after<T>(times: number, from: T, step: (now: T) => T): T {
  return times === 0 ? from : after(times - 1, step(from), step)
}

it('every fifth that gives up in a row ends a round, and the fifth round is the last', () => {
  const over = Array.from({ length: 25 }, (_, at) => after(at, MOVE, gaveUp))
  expect(over.filter(isRoundOver).map(({ giveUps }) => giveUps + 1)).toEqual([5, 10, 15, 20, 25])
  expect(over.filter(isLastRoundOver)).toHaveLength(1)
})

it('begins to count anew when more is copied than ever before, and then only', () => {
  const four = after(4, MOVE, gaveUp)
  expect(isRoundOver(four)).toBe(true)
  const more = copied(four, 2)
  expect(more.giveUps).toBe(0)
  // Each worker begins with what it finds there, which on another disk is nothing.
  const again = after(4, more, (now) => copied(copied(gaveUp(now), 0), 2))
  expect(again).toMatchObject({ giveUps: 4, doneMost: 2 })
  expect(copied(again, 3)).toMatchObject({ giveUps: 0, doneMost: 3 })
})
