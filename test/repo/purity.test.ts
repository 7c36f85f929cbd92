/** Each way to know the time, roll dice, wait or touch the machine is found. */
import { expect, it } from 'vitest'
import { impurities } from './purity.ts'
import { fixture, readSources } from './sources.ts'

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
