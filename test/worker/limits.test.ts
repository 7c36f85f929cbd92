/** The limits of a worker, its process runner and its log store: complete, known by name, above 0. */
import { expect, it } from 'vitest'
import { DEFAULT_WORKER_LIMITS, resolveWorkerLimits } from '../../src/worker/limits.ts'
import { DEFAULT_LOG_LIMITS, resolveLogLimits } from '../../src/worker/logs/limits.ts'
import { DEFAULT_PROCESS_LIMITS, resolveProcessLimits } from '../../src/worker/process/limits.ts'

type Resolve = (given?: Record<string, number>) => object

it.each<[words: string, defaults: object, resolve: Resolve]>([
  ['worker limits', DEFAULT_WORKER_LIMITS, resolveWorkerLimits],
  ['process limits', DEFAULT_PROCESS_LIMITS, resolveProcessLimits],
  ['log limits', DEFAULT_LOG_LIMITS, resolveLogLimits],
])('%s', (words, defaults, resolve) => {
  expect(resolve()).toEqual(defaults)
  for (const name of Object.keys(defaults)) {
    expect(resolve({ [name]: 5 })).toEqual({ ...defaults, [name]: 5 })
    for (const value of [0, -1, 1.5, Number.NaN]) {
      expect(() => resolve({ [name]: value })).toThrow(
        `${words}: ${name} is a whole number above 0`,
      )
    }
  }
  expect(() => resolve({ killGracMs: 5 })).toThrow(`${words}: there is no limit "killGracMs"`)
})
