/** A file that does not say what it is for is found. */
import { expect, it } from 'vitest'
import { isHeadless } from './headers.ts'
import { fixture, readSources } from './sources.ts'

it('would notice a file without a header comment', () => {
  const headless = readSources(fixture('headers'), ['src']).filter(isHeadless)
  expect(headless.map(({ path }) => path)).toEqual([
    'src/late.ts',
    'src/room/index.ts',
    'src/short.ts',
  ])
})
