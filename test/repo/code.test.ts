/**
 * The code of the repository keeps to its rules. Decides: which rule holds where. All of them are judged on one reading,
 * since most of their time goes into parsing; that each rule would notice a breach is shown by the test of its own file.
 */
import { basename } from 'node:path'
import { describe, expect, it } from 'vitest'
import { bannedInCode } from './bans.ts'
import { isHeadless } from './headers.ts'
import { type Importing, importCycles, importsOf, layerBreaches } from './layers.ts'
import { loadedBy, packagesLoadedBy } from './loads.ts'
import { type Oversize, oversizes, tooLong } from './oversize.ts'
import { impurities, type Strictness } from './purity.ts'
import { eachSource, ROOT } from './sources.ts'

const FOLDERS = ['src', 'machines', 'build', 'test', 'bench']
/** `path` or `path#function`, with the reason why it is better long than cut. */
const EXCEPTIONS: Readonly<Record<string, string>> = {}

/** The core is synchronous and pure; the rooms around it meet time and randomness as ports only. */
const PURE: Readonly<Record<string, Strictness>> = {
  'src/protocol': 'synchronous',
  'src/ports': 'synchronous',
  'src/machine': 'synchronous',
  'src/shard': 'synchronous',
  'src/cluster': 'synchronous',
  'src/client': 'by-ports',
  'src/worker': 'by-ports',
}

const paths: string[] = []
const banned: string[] = []
const headless: string[] = []
const long: Oversize[] = []
const impure: { room: string; what: string }[] = []
/** Of what ships. */
const importing: Importing[] = []
const loads = new Map<string, readonly string[]>()
for (const source of eachSource(ROOT, FOLDERS)) {
  const { path } = source
  const [top, second] = path.split('/')
  paths.push(path)
  banned.push(...bannedInCode(source))
  long.push(...oversizes(source))
  if (top !== 'test' && isHeadless(source)) headless.push(path)
  const room = `${top}/${second}`
  const strictness = PURE[room]
  if (strictness !== undefined)
    impure.push(...impurities(source, strictness).map((what) => ({ room, what })))
  if (top !== 'src' && top !== 'machines') continue
  importing.push({ path, imports: importsOf(source) })
  loads.set(path, loadedBy(source))
}

it('was looked at', () => {
  for (const folder of [...FOLDERS, ...Object.keys(PURE)])
    expect(paths.filter((path) => path.startsWith(`${folder}/`)).length, folder).toBeGreaterThan(1)
  expect(paths.filter((path) => path.includes('fixtures'))).toEqual([])
})

it('holds nothing that is banned', () => {
  expect(banned).toEqual([])
})

it('every file that is no test begins with a header comment', () => {
  expect(headless, 'begin with /** what this decides, and what it leaves to others */').toEqual([])
})

it('no file and no function is too long', () => {
  expect(tooLong(long, EXCEPTIONS)).toEqual([])
})

it.each(Object.entries(PURE))('%s takes time and randomness from ports: %s', (room) => {
  expect(impure.filter((one) => one.room === room).map(({ what }) => what)).toEqual([])
})

describe('imports', () => {
  it('are seen', () => {
    const ours = importing.flatMap(({ imports }) => imports.filter((one) => one.ours))
    expect(ours.length).toBeGreaterThan(importing.length / 2)
  })

  it('go downwards, and through an index.ts', () => {
    expect(layerBreaches(importing)).toEqual([])
  })

  it('go in no circle', () => {
    expect(importCycles(importing.filter(({ path }) => path.startsWith('src/')))).toEqual([])
  })
})

/** What a command loads before it does anything: most of the time that a short one takes is its start. */
describe('what loads no package', () => {
  const light = [...loads.keys()].filter((path) => basename(path) === 'light.ts')

  it.each([
    ...light,
    'src/verbs.ts',
    'src/cli/actor-verbs.ts',
    'src/cli/cluster-verbs.ts',
    'src/cli/machine-verbs.ts',
    'machines/jobs/verbs.ts',
    'machines/platform/bulk-verbs.ts',
    'machines/platform/pool-verbs.ts',
    'machines/sealing/fleet/util-verbs.ts',
    'machines/storage/verbs.ts',
    'machines/workers/verbs.ts',
  ])('%s', (path) => {
    expect(packagesLoadedBy(path, loads)).toEqual([])
  })

  it('the command loads the reader of its words and no other package', () => {
    expect(light.length).toBeGreaterThan(5)
    expect(packagesLoadedBy('src/main.ts', loads)).toEqual(['commander'])
  })

  it('would notice what is loaded on the way', () => {
    expect(packagesLoadedBy('src/index.ts', loads)).toEqual(
      expect.arrayContaining(['lmdb', 'xstate', 'zod']),
    )
  })
})
