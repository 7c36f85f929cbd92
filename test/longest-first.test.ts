/** The order of test files: what takes long is begun first, also where vitest has not measured yet. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { TestSpecification, Vitest } from 'vitest/node'
import { LONGEST, LongestFirst } from './longest-first.ts'

const ROOT = join(import.meta.dirname, '..')

it('names only files that are there', () => {
  expect(LONGEST.filter((file) => !existsSync(join(ROOT, file)))).toEqual([])
})

it('puts them first, longest first, and leaves the others to vitest', async () => {
  // As in a fresh clone: sizes are known, and nothing else.
  const sizes = new Map([
    [':test/small.test.ts', 10],
    [':test/large.test.ts', 1_000],
    ...LONGEST.map((file, index) => [`:${file}`, index + 20] as const),
  ])
  const stats = (key: string) => ({ size: sizes.get(key) })
  const cache = { getFileTestResults: () => undefined, getFileStats: stats }
  const sequencer = new LongestFirst({ cache, config: { root: ROOT } } as unknown as Vitest)
  const config = { sequence: { groupOrder: 0 }, isolate: true }
  const given = [...sizes.keys()].map((key) => ({
    moduleId: join(ROOT, key.slice(1)),
    project: { name: '', config },
  }))
  const sorted = await sequencer.sort(given as unknown as TestSpecification[])
  const wanted = [...LONGEST, 'test/large.test.ts', 'test/small.test.ts']
  expect(sorted.map(({ moduleId }) => moduleId)).toEqual(wanted.map((file) => join(ROOT, file)))
})
