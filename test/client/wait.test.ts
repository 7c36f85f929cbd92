/** Waiting that ends early for who gives up, and leaves nothing behind. */
import { expect, it } from 'vitest'
import { VirtualClock } from '../../src/adapters/memory/index.ts'
import { wait } from '../../src/client/index.ts'
import type { Clock } from '../../src/ports/index.ts'

/** A clock that knows how many calls are still to come. */
function counted() {
  const virtual = new VirtualClock()
  let pending = 0
  const clock: Clock = {
    now: () => virtual.now(),
    monotonic: () => virtual.monotonic(),
    defer: (call) => virtual.defer(call),
    after: (delayMs, call) => {
      pending++
      let open = true
      const close = () => {
        if (open) pending--
        open = false
      }
      const cancel = virtual.after(delayMs, () => {
        close()
        call()
      })
      return () => {
        close()
        cancel()
      }
    },
  }
  return { virtual, clock, pending: () => pending }
}

async function ended(waiting: Promise<void>): Promise<boolean> {
  return await Promise.race([waiting.then(() => true), Promise.resolve().then(() => false)])
}

it('waits as long as it is told', async () => {
  const { virtual, clock, pending } = counted()
  const waiting = wait({ clock, signal: new AbortController().signal }, 100)
  virtual.advance(99)
  expect(await ended(waiting)).toBe(false)
  virtual.advance(1)
  await waiting
  expect(pending()).toBe(0)
})

it('ends at once when it is given up, before or meanwhile, and keeps no timer', async () => {
  const { clock, pending } = counted()
  await wait({ clock, signal: AbortSignal.abort() }, 100)
  expect(pending()).toBe(0)
  const giveUp = new AbortController()
  const waiting = wait({ clock, signal: giveUp.signal }, 100)
  expect(pending()).toBe(1)
  giveUp.abort()
  await waiting
  expect(pending()).toBe(0)
})
