/**
 * The protocol of the slot journal, as a model, at a size that takes seconds, another one with each
 * run; the long tier has all of them, and run.ts the rest.
 */
import { describe, expect, inject, it } from 'vitest'
import { oneOfEach } from './run.ts'
import { missingTools, read } from './spin.ts'

const missing = missingTools()

describe('the slot journal, checked by spin', () => {
  it('holds at one of the quick sizes, and reaches one of the states it should', {
    timeout: 300_000,
  }, (context) => {
    if (missing !== undefined) return context.skip(missing)
    const problems = [...oneOfEach(inject('seed'))]
      .filter((result) => result.problem !== undefined)
      .map(({ name, size, problem }) => `${name} (${size}): ${problem}`)
    expect(problems).toEqual([])
  })

  it('reads what a checker prints', () => {
    const whole = 'State-vector 8 byte, depth reached 9, errors: 0\n  12 states, stored\n'
    expect(read(whole, undefined)).toMatchObject({ verdict: 'held', states: 12, depth: 9 })
    expect(read(whole, 'ETIMEDOUT').verdict).toBe('unfinished')
    expect(read(`pan: reached -DMEMLIM bound\n${whole}`, undefined).verdict).toBe('unfinished')
    const broken = 'pan:1: assertion violated keepsP1 (at depth 7)\nerrors: 1\n'
    expect(read(broken, undefined)).toMatchObject({
      verdict: 'violated',
      what: 'keepsP1',
      depth: 7,
    })
    expect(read('', undefined).verdict).toBe('unfinished')
  })
})
