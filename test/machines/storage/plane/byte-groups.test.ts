/** Groups of what comes one by one: in order, nothing left out, none too large unless one alone is. */
import { expect, it } from 'vitest'
import { byteGroups } from '../../../../machines/storage/plane/byte-groups.ts'

const bytesOf = (one: number) => one

it('takes as many as fit, and one that fits nowhere alone', () => {
  const groups = [...byteGroups([3, 4, 3, 20, 1, 9], { bytesOf, bytesMax: 10 })]
  expect(groups).toEqual([[3, 4, 3], [20], [1, 9]])
})

it('takes no more than may be, and only such as are alike', () => {
  const bounds = { bytesOf, bytesMax: 100, countMax: 2 }
  expect([...byteGroups([1, 1, 1], bounds)]).toEqual([[1, 1], [1]])
  const isAlike = (first: number, one: number) => first % 2 === one % 2
  expect([...byteGroups([1, 3, 2, 4, 5], { ...bounds, isAlike })]).toEqual([[1, 3], [2, 4], [5]])
})

it('makes no group of nothing', () => {
  expect([...byteGroups([], { bytesOf, bytesMax: 10 })]).toEqual([])
})
