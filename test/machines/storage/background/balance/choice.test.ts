/** Which disks may take a unit. */
import { expect, it } from 'vitest'
import { ableToTake } from '../../../../../machines/storage/background/balance/choice.ts'
import {
  type Flow,
  idcsOf,
  type LevelDisk,
} from '../../../../../machines/storage/background/balance/levels.ts'

const LIMITS = { movesPerSourceMax: 4, movesIntoDiskMax: 2 }

const disk = (diskId: number, units: number): LevelDisk => ({
  ...{ diskId, idc: 'z', host: `h${diskId}`, standing: 'writable', isHeard: true },
  ...{ units, chunksMax: 10, usedBytes: 0, sizeBytes: 1_000 },
})

/** Of three disks, the first of which has so many units. */
function able(units: number, flows: readonly Flow[]): number[] {
  const [idc] = idcsOf([disk(1, units), disk(2, 1), disk(3, 1)], flows)
  return idc === undefined ? [] : ableToTake(idc, flows, LIMITS).map(({ diskId }) => diskId)
}

it.each([
  [9, [1, 2, 3]],
  [10, [2, 3]],
  [12, [2, 3]],
])(
  'a disk of 10 places that has %i units, some of which leave, has room no sooner',
  (units, which) => {
    const leaving = { sourceDiskId: 1, destinationDiskId: 2, bytes: 1 }
    expect(able(units, [leaving])).toEqual(which)
  },
)

it('a disk takes so many at a time, and whatever has no place yet may come to it', () => {
  const into = { sourceDiskId: 1, destinationDiskId: 2, bytes: 1 }
  const unplaced = { ...into, destinationDiskId: null }
  expect(able(5, [into, into])).toEqual([1, 3])
  expect(able(5, [into, unplaced])).toEqual([1, 3])
  expect(able(5, [unplaced, unplaced])).toEqual([])
})
