/** The timers of a shard that are in memory: all in order, and never many more than the limit says. */
import { expect, it } from 'vitest'
import { MemoryStore, VirtualClock } from '../../src/adapters/memory/index.ts'
import { EMPTY, timerKey } from '../../src/shard/keys.ts'
import { TimerQueue } from '../../src/shard/timer-queue.ts'

const LIMITS = { timerHorizonMs: 60_000, timerLoadCountMax: 100 }

/** A queue over these due times, and how to take all that is due. */
function queueOf(dueTimes: readonly number[]) {
  const clock = new VirtualClock()
  const store = new MemoryStore({ clock })
  const set = (dueAt: number, n: number) => ({ dueAt, effectId: `m/${n}#1:1:0` })
  const write = (dueAt: number, n: number) => [timerKey(0, dueAt, `m/${n}#1:1:0`), EMPTY] as const
  store.write({ writes: dueTimes.map(write), failed: () => {} })
  clock.advance(0)
  const queue = new TimerQueue(0, store, LIMITS)
  let most = 0
  const watch = () => {
    most = Math.max(most, queue.count)
  }
  return {
    queue,
    /** One that was just committed. */
    add(dueAt: number, n: number) {
      store.write({ writes: [write(dueAt, n)], failed: () => {} })
      clock.advance(0)
      queue.add(set(dueAt, n))
      watch()
    },
    /** In batches of ten, with the look at the next wake that follows each. */
    drain(now: number): number[] {
      const taken: number[] = []
      for (;;) {
        const due = queue.takeDue(now, 10)
        watch()
        queue.nextWakeAt(now)
        watch()
        if (due.length === 0) return taken
        taken.push(...due.map(({ dueAt }) => dueAt))
      }
    },
    get most() {
      return most
    },
  }
}

const upTo = (count: number, gap: number) =>
  Array.from({ length: count }, (_, n) => 1_000 + n * gap)

it.each([
  ['overdue', 200_000],
  ['due soon', 500],
])('a crowd that is %s comes in order, a part at a time', (_case, now) => {
  const dueTimes = upTo(2_000, 20)
  const at = queueOf(dueTimes)
  expect(at.drain(now)).toEqual(dueTimes.filter((dueAt) => dueAt <= now))
  expect(at.drain(50_000)).toEqual(now < 50_000 ? dueTimes : [])
  expect(at.most).toBeLessThanOrEqual(LIMITS.timerLoadCountMax)
})

it('those set for soon, in any order, push the later ones out, and all come', () => {
  const at = queueOf([])
  expect(at.drain(0)).toEqual([])
  const dueTimes = upTo(3_000, 10)
  for (let n = 0; n < dueTimes.length; n++) at.add(dueTimes[(n * 1_009) % dueTimes.length]!, n)
  expect(at.most).toBeLessThanOrEqual(2 * LIMITS.timerLoadCountMax + 1)
  expect(at.drain(100_000)).toEqual(dueTimes)
})

it('a crowd of one and the same millisecond is never split', () => {
  const at = queueOf([])
  at.drain(0)
  for (let n = 0; n < 1_000; n++) at.add(5_000, n)
  expect(at.drain(4_999)).toEqual([])
  expect(at.drain(5_000)).toHaveLength(1_000)
})
