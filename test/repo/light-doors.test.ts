/** What a command loads before it does anything: most of the time that a short one takes is its start. */
import { basename } from 'node:path'
import { describe, expect, it } from 'vitest'
import { packagesLoadedBy } from './loads.ts'
import { ROOT, readSources } from './sources.ts'

const sources = readSources(ROOT, ['src', 'machines'])
const light = sources.map(({ path }) => path).filter((path) => basename(path) === 'light.ts')

describe('what loads no package', () => {
  it.each([...light, 'src/verbs.ts'])('%s', (path) => {
    expect(packagesLoadedBy(path, sources)).toEqual([])
  })

  it.each([
    'machines/jobs/verbs.ts',
    'machines/platform/bulk-verbs.ts',
    'machines/platform/pool-verbs.ts',
    'machines/sealing/fleet/util-verbs.ts',
    'machines/workers/verbs.ts',
  ])('the verbs of %s', (path) => {
    expect(packagesLoadedBy(path, sources)).toEqual([])
  })
})

it('the command loads the reader of its words and no other package', () => {
  expect(light.length).toBeGreaterThan(5)
  expect(packagesLoadedBy('src/main.ts', sources)).toEqual(['commander'])
})

it('would notice what is loaded on the way', () => {
  expect(packagesLoadedBy('src/index.ts', sources)).toEqual(
    expect.arrayContaining(['lmdb', 'xstate', 'zod']),
  )
})
