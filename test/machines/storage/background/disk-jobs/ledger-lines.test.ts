/** What lines of a ledger stand for, and how what is left is said. */
import { describe, expect, it } from 'vitest'
import {
  alsoBad,
  fateOf,
  leftText,
  NO_NOTES,
  noted,
  type Units,
} from '../../../../../machines/storage/background/disk-jobs/ledger-lines.ts'
import { vuidOf } from '../../../../../machines/storage/plane/codes/index.ts'

const VOLUME: Units = {
  units: [
    { index: 0, epoch: 3, diskId: 1 },
    { index: 1, epoch: 1, diskId: 2 },
    { index: 2, epoch: 1, diskId: 4 },
  ],
  fittings: { 1: { step: 'chosen', epoch: 2, diskId: 1, excludes: [], mover: null } },
  retired: [{ index: 0, epoch: 2, diskId: 1, isDue: false }],
  epochs: [3, 2, 1],
}
const at = (index: number, epoch: number, diskId = 1) =>
  fateOf(VOLUME, { vuid: vuidOf({ vid: 7, index, epoch }), diskId })

describe('a line of a ledger', () => {
  it.each([
    ['a unit', 0, 3, 'unit'],
    ['a chunk for a unit', 1, 2, 'arriving'],
    ['one that was replaced', 0, 2, 'leaving'],
    ['one that nobody knows', 0, 1, 'stray'],
    ['one of a number that is being given', 2, 2, 'arriving'],
  ] as const)('is %s', (_, index, epoch, fate) => {
    expect(at(index, epoch)).toBe(fate)
  })

  it('is of this disk: the same chunk elsewhere is another', () => {
    expect(at(0, 3, 9)).toBe('stray')
    expect(at(1, 2, 9)).toBe('stray')
    expect(at(0, 2, 9)).toBe('stray')
  })

  it('is an orphan where there is no such volume', () => {
    expect(fateOf(undefined, { vuid: 1n << 32n, diskId: 1 })).toBe('orphan')
  })
})

it('counts what a volume has lost beside this unit', () => {
  expect(alsoBad(VOLUME, 1, (diskId) => diskId === 2)).toBe(1)
  expect(alsoBad(VOLUME, 1, () => false)).toBe(2)
  expect(alsoBad(VOLUME, 1, () => true)).toBe(0)
})

it('says what is left, each kind once, and what failed first', () => {
  expect(leftText(1, NO_NOTES)).toBe('1 unit on the disk')
  const notes = noted(
    { ...NO_NOTES, refused: 1, first: 'volume 7 is locked' },
    { ...NO_NOTES, leaving: 2, orphan: 1, first: 'something else' },
  )
  expect(leftText(4, notes)).toBe(
    '4 units on the disk: 1 cannot be moved yet, 2 are being released, 1 is of a volume that was deleted: send the disk FREE with its vuid; volume 7 is locked',
  )
})
