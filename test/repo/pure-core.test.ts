/** The core is synchronous and pure; the rooms around it meet time and randomness as ports only. */
import { expect, it } from 'vitest'
import { impurities } from './purity.ts'
import { fixture, ROOT, readSources } from './sources.ts'

const CORE = ['src/protocol', 'src/ports', 'src/machine', 'src/shard', 'src/cluster']
const BY_PORTS = ['src/client', 'src/worker']

it.each(CORE)('%s is synchronous and pure', (room) => {
  const sources = readSources(ROOT, [room])
  expect(sources.flatMap((source) => impurities(source, 'synchronous'))).toEqual([])
})

it.each(BY_PORTS)('%s takes time and randomness from ports', (room) => {
  const sources = readSources(ROOT, [room])
  expect(sources.flatMap((source) => impurities(source, 'by-ports'))).toEqual([])
})

it('looks at the core', () => {
  expect(readSources(ROOT, CORE).length).toBeGreaterThan(15)
})

/** In the fixtures a line that breaks the rule ends in a comment `// breach`. */
function marked(text: string): number[] {
  return text.split('\n').flatMap((line, index) => (line.includes('// breach') ? [index + 1] : []))
}

it.each([
  ['synchronous.ts', 'synchronous'],
  ['by-ports.ts', 'by-ports'],
] as const)('would notice each breach in the fixture %s', (name, strictness) => {
  const source = readSources(fixture('purity'), ['']).find((one) => one.path === name)
  expect(source).toBeDefined()
  const lines = impurities(source!, strictness).map((found) => Number(found.split(':')[1]))
  expect([...new Set(lines)]).toEqual(marked(source!.text))
})
