/** What every `Clock` promises. */
import { describe, expect, it } from 'vitest'
import type { Clock } from '../../src/ports/index.ts'
import { type Passing, until } from './support.ts'

export function clockSuite(name: string, create: () => Passing & { clock: Clock }): void {
  describe(`clock: ${name}`, () => {
    it('moves on', async () => {
      const { clock, ...time } = create()
      const [wall, steady] = [clock.now(), clock.monotonic()]
      await time.elapse(20)
      expect(clock.now() - wall).toBeGreaterThanOrEqual(18)
      expect(clock.monotonic() - steady).toBeGreaterThanOrEqual(18)
      expect(wall).toBeGreaterThan(Date.UTC(2025))
    })

    it('calls after the delay, once, never early, in order', async () => {
      const { clock, ...time } = create()
      const start = clock.monotonic()
      const calls: [number, number][] = []
      for (const delayMs of [30, 10, 0, 20.5, -5]) {
        clock.after(delayMs, () => calls.push([delayMs, clock.monotonic() - start]))
      }
      expect(calls).toEqual([])
      await until(time, () => calls.length === 5)
      await time.elapse(40)
      expect(calls.map(([delayMs]) => delayMs).slice(2)).toEqual([10, 20.5, 30])
      for (const [delayMs, took] of calls) expect(took).toBeGreaterThanOrEqual(delayMs)
    })

    it('does not call what was cancelled, also from a call of the same moment', async () => {
      const { clock, ...time } = create()
      const calls: string[] = []
      const cancel = clock.after(10, () => calls.push('cancelled'))
      cancel()
      cancel()
      const cancels: (() => void)[] = []
      for (const i of [0, 1]) {
        cancels[i] = clock.after(10, () => {
          calls.push('one of two')
          cancels[1 - i]!()
        })
      }
      let done = false
      clock.after(30, () => {
        done = true
      })
      await until(time, () => done)
      expect(calls).toEqual(['one of two'])
    })

    it('does not call early what is further away than a timer of Node can be', async () => {
      const { clock, ...time } = create()
      const calls: string[] = []
      const cancels = [2 ** 31, 2 ** 40, Number.POSITIVE_INFINITY].map((delayMs) =>
        clock.after(delayMs, () => calls.push(`${delayMs}`)),
      )
      await time.elapse(30)
      expect(calls).toEqual([])
      for (const cancel of cancels) cancel()
    })

    it('defers in order, after what is happening now, before timers', async () => {
      const { clock, ...time } = create()
      const calls: string[] = []
      clock.after(0, () => calls.push('timer'))
      clock.defer(() => {
        calls.push('1')
        clock.defer(() => calls.push('3'))
      })
      clock.defer(() => calls.push('2'))
      calls.push('now')
      await until(time, () => calls.length === 5)
      expect(calls.filter((call) => call !== 'timer')).toEqual(['now', '1', '2', '3'])
    })
  })
}
