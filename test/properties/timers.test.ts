/**
 * P5 under a virtual clock: whatever is set, cancelled, set again, restarted, and however the wall
 * clock jumps, a timer is never lost, rings once, and not before its time.
 *
 * The rule of the engine: time never goes back. While the wall clock is behind it, it flows at half its
 * speed, so a wall clock that is set back delays what is pending; one that is set ahead makes it due at
 * the next wake, at most half a horizon later. Beyond the skew that is allowed it is waited out first.
 */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { cancel, enqueueActions, raise } from 'xstate'
import { TABLE } from '../../src/shard/keys.ts'
import type { Harness } from '../shard/harness.ts'
import { type Args, get, history, host, open, restart, see, send, start } from '../shard/support.ts'

const LIMITS = {
  timerHorizonMs: 10_000,
  timerLoadCountMax: 3,
  timerGatherMs: 1,
  clockJumpHoldMs: 4_000,
  historyCountMax: 1_000,
}
const ADDRESS = 'alarms/a'
/** One wake notices that the wall clock jumped, and one that it stands there. */
const NOTICE_MS = LIMITS.timerHorizonMs + LIMITS.clockJumpHoldMs

const alarms = host(
  'alarms',
  { on: { SET: { actions: 'set' }, STOP: { actions: 'stop' }, RING: { actions: 'ring' } } },
  {
    actions: {
      set: enqueueActions(({ enqueue, event }) => {
        const { by, text } = event as Args['event']
        const [id] = text.split('.')
        enqueue(raise({ type: 'RING', text } as never, { delay: by, id: id! }) as never)
      }),
      stop: cancel((({ event }: Args) => event.text) as never),
      ring: see(({ event }) => event.text),
    },
  },
)

type Step =
  | { do: 'set'; id: number; delayMs: number }
  | { do: 'cancel'; id: number }
  | { do: 'wait'; ms: number }
  | { do: 'jump'; ms: number }
  | { do: 'crash' }

const timerIds = fc.integer({ min: 0, max: 5 })
const delays = fc.oneof(fc.integer({ min: 0, max: 3_000 }), fc.integer({ min: 0, max: 60_000 }))
const steps = (jumps: boolean): fc.Arbitrary<Step> =>
  fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({ do: fc.constant('set' as const), id: timerIds, delayMs: delays }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('cancel' as const), id: timerIds }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: delays }) },
    {
      weight: jumps ? 2 : 0,
      arbitrary: fc.record({
        do: fc.constant('jump' as const),
        ms: fc.integer({ min: -100_000, max: 100_000 }),
      }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('crash' as const) }) },
  )

interface Alarm {
  text: string
  dueAt: number
}

class Play {
  h: Harness
  /** Those that have to ring, by id. */
  readonly pending = new Map<string, Alarm>()
  rung: string[] = []
  /** Whether every timer has to ring on the very millisecond. */
  readonly #exact: boolean
  /** The latest that an engine may believe it to be. */
  latest = 0
  #latestAt = 0
  readonly #sabotage: (h: Harness) => void
  #sets = 0
  /** The wall clock jumped, and may not be followed yet. */
  #isAhead = false

  constructor(exact: boolean, sabotage: (h: Harness) => void) {
    this.#exact = exact
    this.#sabotage = sabotage
    this.h = open([alarms], { shardCount: 1, limits: LIMITS })
    sabotage(this.h)
  }

  async step(step: Step): Promise<void> {
    const { clock } = this.h
    this.#pass()
    if (step.do === 'wait') {
      await this.h.advance(step.ms)
      if (step.ms >= NOTICE_MS) this.#isAhead = false
    } else if (step.do === 'jump') {
      if (step.ms > 0) this.#isAhead = true
      clock.jumpWall(step.ms)
    } else if (step.do === 'crash') {
      this.h = restart(this.h, [alarms])
      this.#sabotage(this.h)
      await this.h.advance(0)
    } else if (step.do === 'cancel') {
      await this.look(0)
      await send(this.h, ADDRESS, 'STOP', { text: `${step.id}` })
      // What fell due before the command was stepped rang; the rest is cancelled.
      await this.look(0)
      this.pending.delete(`${step.id}`)
    } else await this.#set(`${step.id}`, step.delayMs)
  }

  async #set(id: string, delayMs: number): Promise<void> {
    await this.look(0)
    const text = `${id}.${this.#sets++}`
    const before = this.h.clock.now()
    await send(this.h, ADDRESS, 'SET', { by: delayMs, text })
    await this.look(0)
    const { timers, updatedAt } = await get(this.h, ADDRESS)
    const set = timers.find((timer) => timer.id === id)
    this.pending.set(id, { text, dueAt: set?.dueAt ?? updatedAt + delayMs })
    // One that is due at once may have rung already.
    if (this.rung.includes(text)) this.pending.delete(id)
    // Due counts from the engine's time, which is never behind a wall clock that it follows.
    if (!this.#isAhead) expect(updatedAt).toBeGreaterThanOrEqual(before)
    if (set) expect(set.dueAt).toBe(updatedAt + delayMs)
  }

  /**
   * A look also wakes the engine, so the time at which a timer rang is read from the history.
   * @param lateMs by how much a due timer may be late; 0 to leave that open
   */
  async look(lateMs: number): Promise<void> {
    // After a jump the first look finds a crowd that rings in several batches.
    await get(this.h, ADDRESS)
    await this.h.advance(0)
    const { context } = await get(this.h, ADDRESS)
    const { seen } = context as { seen: string[] }
    const rings = (await history(this.h, ADDRESS)).filter(({ cause }) => cause === 'RING')
    this.#pass()
    expect(rings).toHaveLength(seen.length)
    expect(seen.slice(0, this.rung.length)).toEqual(this.rung)
    for (let n = this.rung.length; n < seen.length; n++) this.#rang(seen[n]!, rings[n]!.at)
    this.rung = seen
    if (lateMs === 0) return
    for (const { text, dueAt } of this.pending.values())
      if (dueAt + lateMs <= this.h.clock.now()) throw new Error(`${text} is late`)
  }

  #pass(): void {
    const { clock } = this.h
    const monotonic = clock.monotonic()
    this.latest = Math.max(this.latest + (monotonic - this.#latestAt) / 2, clock.now())
    this.#latestAt = monotonic
  }

  /** Not one that was cancelled, replaced, or has rung before; and not before its time. */
  #rang(text: string, at: number): void {
    const [id, number] = text.split('.')
    const alarm = this.pending.get(id!)
    expect(at).toBeLessThanOrEqual(this.latest)
    if (alarm?.text !== text) {
      // Due at once: it rang before anybody could ask when it is due.
      expect(Number(number)).toBe(this.#sets - 1)
      return
    }
    this.pending.delete(id!)
    if (this.#exact) expect(at).toBe(alarm.dueAt)
    else expect(at).toBeGreaterThanOrEqual(alarm.dueAt)
  }
}

async function play(
  list: readonly Step[],
  late: number,
  sabotage: (h: Harness) => void = () => {},
) {
  const one = new Play(late > 0, sabotage)
  await start(one.h, ADDRESS)
  for (const step of list) {
    await one.step(step)
    // A jump is noticed by the next wake only.
    await one.look(step.do === 'wait' && step.ms >= NOTICE_MS ? NOTICE_MS : late)
  }
  const last = Math.max(one.latest, ...[...one.pending.values()].map(({ dueAt }) => dueAt))
  await one.h.advance(last - one.h.clock.now() + NOTICE_MS)
  await one.look(1)
  expect([...one.pending]).toEqual([])
  expect(new Set(one.rung).size).toBe(one.rung.length)
  expect(await get(one.h, ADDRESS)).toMatchObject({ timers: [] })
  const { from, to } = { from: Uint8Array.of(0, 0, TABLE.timer), to: Uint8Array.of(0, 0, 0x31) }
  expect(one.h.store.count(from, to)).toBe(0)
  expect(one.h.stops).toEqual([])
}

const histories = (jumps: boolean) =>
  fc.array(steps(jumps), { minLength: 2, maxLength: 25, size: '+1' })

it('on a steady clock every timer rings on the millisecond', async () => {
  await fc.assert(
    fc.asyncProperty(histories(false), (list) => play(list, 1)),
    { numRuns: 120 },
  )
})

it('with a clock that jumps none is lost, early, or doubled', async () => {
  await fc.assert(
    fc.asyncProperty(histories(true), (list) => play(list, 0)),
    { numRuns: 120 },
  )
})

it('a timer that is set after a jump ahead is not late', async () => {
  const h = open([alarms], { shardCount: 1, limits: LIMITS })
  await start(h, ADDRESS)
  h.clock.jumpWall(100_000)
  await send(h, ADDRESS, 'SET', { by: 1_000, text: '1.1' })
  const { updatedAt } = await get(h, ADDRESS)
  await h.advance(3_000)
  expect((await history(h, ADDRESS)).at(-1)).toMatchObject({ cause: 'RING', at: updatedAt + 1_000 })
})

/** Timer rows never reach the disk: only what is in memory rings. */
function forgetful(h: Harness): void {
  const write = h.store.write.bind(h.store)
  h.store.write = (transaction) =>
    write({ ...transaction, writes: transaction.writes.filter(([key]) => key[2] !== TABLE.timer) })
}

/** An engine whose clock runs ahead of everybody else's. */
function hasty(h: Harness): void {
  const now = h.clock.now.bind(h.clock)
  const engineSide = () => new Error().stack?.includes('src/shard/') === true
  h.clock.now = () => now() + (engineSide() ? 700 : 0)
}

it.each([
  ['a store that loses timers', forgetful],
  ['an engine that is early', hasty],
])('notices %s', async (_name, sabotage) => {
  const result = await fc.check(
    fc.asyncProperty(histories(false), (list) => play(list, 1, sabotage)),
    { numRuns: 100, endOnFailure: true },
  )
  expect(result.failed).toBe(true)
  expect(result.counterexample).not.toBeNull()
})
