import { expect, it } from 'vitest'
import { MemoryRegistry, VirtualClock } from '../../src/adapters/memory/index.ts'
import type { ClaimOutcome } from '../../src/ports/index.ts'
import { registrySuite } from './registry.suite.ts'
import { answer, bytes } from './support.ts'

registrySuite('memory', async () => {
  const clock = new VirtualClock()
  const registry = new MemoryRegistry({ clock })
  return {
    registry,
    connect: async () => registry,
    elapse: (ms) => clock.settle(ms),
    close: async () => {},
  }
})

it('memory registry: an unknown claim may or may not have been won', async () => {
  const clock = new VirtualClock()
  const registry = new MemoryRegistry({ clock })
  const claim = (value: string): Promise<ClaimOutcome> =>
    answer({ elapse: (ms) => clock.settle(ms) }, (done) => registry.claim('k', bytes(value), done))
  registry.failNext({ on: 'claim', happened: false })
  expect((await claim('a')).kind).toBe('unknown')
  registry.failNext({ on: 'claim', happened: true })
  expect((await claim('b')).kind).toBe('unknown')
  const last = await claim('c')
  expect(last.kind === 'lost' && Buffer.from(last.value).equals(bytes('b'))).toBe(true)
})
