/** Asking again: ever longer rests up to the longest, and silence after a stop. */
import { expect, it } from 'vitest'
import { VirtualClock } from '../../src/adapters/memory/index.ts'
import { Retries } from '../../src/shard/retries.ts'

const RESTS = { firstMs: 50, maxMs: 2_000 }

it('rests twice as long each time, and never longer than the longest', () => {
  const clock = new VirtualClock()
  const retries = new Retries(clock, RESTS)
  const rests = [0, 1, 2, 5, 6, 1_000_000].map((tries) => {
    const askedAt = clock.monotonic()
    let calledAt: number | undefined
    retries.again(tries, () => {
      calledAt = clock.monotonic()
    })
    clock.advance(5_000)
    return calledAt === undefined ? undefined : calledAt - askedAt
  })
  expect(rests).toEqual([50, 100, 200, 1_600, 2_000, 2_000])
})

it('calls nobody after a stop, whether it was asked before or after', () => {
  const clock = new VirtualClock()
  const retries = new Retries(clock, RESTS)
  const calls: string[] = []
  retries.again(0, () => calls.push('before'))
  expect(retries.stopped).toBe(false)
  retries.stop()
  expect(retries.stopped).toBe(true)
  retries.again(0, () => calls.push('after'))
  clock.advance(10_000)
  expect(calls).toEqual([])
})
