/** What is too long is found: files, and functions of every kind. */
import { expect, it } from 'vitest'
import { FILE_LINES_MAX, oversizes, tooLong } from './oversize.ts'
import { fixture, readSources } from './sources.ts'

const long = readSources(fixture('size'), ['src'])

it('would notice a long function of every kind', () => {
  expect(tooLong(long.flatMap(oversizes), {})).toEqual([
    'src/long.ts#declared: 71 lines, at most 70',
    'src/long.ts#arrow: 71 lines, at most 70',
    'src/long.ts#method: 71 lines, at most 70',
  ])
})

it('would notice a long file', () => {
  const [one] = long
  const grown = { ...one!, text: one!.text + '\n//'.repeat(FILE_LINES_MAX) }
  expect(oversizes(grown).map((one) => one.key)).toContain('src/long.ts')
  expect(oversizes({ ...grown, path: 'test/long.test.ts' }).map((one) => one.key)).toEqual([
    'test/long.test.ts',
  ])
})

it('would notice an exception that nothing needs', () => {
  expect(tooLong([], { 'src/gone.ts': 'history' })).toEqual([
    'src/gone.ts: is listed as an exception but needs none',
  ])
})
