import { expect, it } from 'vitest'
import { SeededRandom } from '../../src/adapters/memory/index.ts'
import { SystemRandom } from '../../src/adapters/system/index.ts'
import { randomSuite } from './random.suite.ts'

randomSuite('system', () => new SystemRandom())
randomSuite('seeded', () => new SeededRandom('a seed'))

it('the same seed draws the same, another seed something else', () => {
  const draw = (seed: number): unknown[] => {
    const random = new SeededRandom(seed)
    const fork = random.fork('b')
    return [random.fraction(), random.id(), random.fraction(), fork.id()]
  }
  expect(draw(1)).toEqual(draw(1))
  expect(draw(1)).not.toEqual(draw(2))
  expect(new SeededRandom(1).id()).not.toBe(new SeededRandom(2).id())
})
