/** A wall clock that is set ahead and back again: nothing is refused for it, and nothing is forgotten. */
import { describe, expect, it } from 'vitest'
import { SeededRandom, VirtualClock } from '../../src/adapters/memory/index.ts'
import { Client } from '../../src/client/index.ts'
import type { Clock, Log } from '../../src/ports/index.ts'
import { DEFAULT_LIMITS, subjectsOf } from '../../src/protocol/index.ts'
import { ShardTime } from '../../src/shard/shard-time.ts'
import { code, commandId, counter, get, host, open, restart, send, start } from './support.ts'

const YEAR_MS = 365 * 86_400_000
const { clockJumpHoldMs, clockSkewMaxMs } = DEFAULT_LIMITS
const ADD = { type: 'ADD', by: 1 }

it('a jump of a year that is taken back harms no command, neither before, in, nor after it', async () => {
  const h = open([counter])
  await start(h, 'counter/a')
  const before = commandId(h)
  await h.run(h.client.send('counter/a', ADD, { id: before }))
  h.clock.jumpWall(YEAR_MS)
  const within = commandId(h)
  const first = await h.run(h.client.send('counter/a', ADD, { id: within }))
  expect((await get(h, 'counter/a')).updatedAt).toBeLessThan(h.clock.now() - YEAR_MS + 1_000)
  await h.advance(clockJumpHoldMs / 2)
  await send(h, 'counter/a', 'ADD', { by: 1 })
  h.clock.jumpWall(-YEAR_MS)
  await send(h, 'counter/a', 'ADD', { by: 1 })
  expect(await h.run(h.client.send('counter/a', ADD, { id: before }))).toMatchObject({ turn: 2 })
  expect(await h.run(h.client.send('counter/a', ADD, { id: within }))).toEqual(first)
  expect((await get(h, 'counter/a')).context).toMatchObject({ n: 4 })
  const never = commandId(h, h.clock.now() + YEAR_MS)
  expect(await code(h, h.client.send('counter/a', ADD, { id: never }))).toBe('clock-skew')
})

it.each([-50_000, 50_000])('a caller whose clock is off by %i ms is served', async (offMs) => {
  const h = open([counter])
  const { transport, clock, limits, shardCount } = h
  const off: Clock = {
    now: () => clock.now() + offMs,
    monotonic: () => clock.monotonic(),
    after: (delayMs, call) => clock.after(delayMs, call),
    defer: (call) => clock.defer(call),
  }
  const ports = { transport, subjects: subjectsOf('test'), random: new SeededRandom(2) }
  const client = new Client({ ...ports, clock: off, limits, shardCount })
  await h.run(client.start('counter/a', undefined, { timeoutMs: 1_000 }))
  expect(await h.run(client.send('counter/a', ADD, { timeoutMs: 1_000 }))).toMatchObject({
    turn: 2,
  })
})

it('a jump that stands is followed', async () => {
  const h = open([counter])
  await start(h, 'counter/a')
  h.clock.jumpWall(YEAR_MS)
  await h.advance(clockJumpHoldMs + h.limits.timerHorizonMs)
  await send(h, 'counter/a', 'ADD', { by: 1 })
  expect((await get(h, 'counter/a')).updatedAt).toBeGreaterThan(h.clock.now() - 1_000)
})

it('a restart believes the wall clock: it cannot tell a jump from a long stop', async () => {
  let h = open([counter])
  await start(h, 'counter/a')
  h.clock.jumpWall(YEAR_MS)
  h = restart(h, [counter])
  await send(h, 'counter/a', 'ADD', { by: 1 })
  expect((await get(h, 'counter/a')).updatedAt).toBeGreaterThan(h.clock.now() - 1_000)
})

describe('a clock that is set back', () => {
  const BACK_MS = 300_000
  const waiter = host('waiter', { initial: 'a', states: { a: { after: { 1000: 'b' } }, b: {} } })

  it('holds no timer up for longer than twice its time, also under a new owner', async () => {
    let h = open([waiter])
    await start(h, 'waiter/before')
    h.clock.jumpWall(-BACK_MS)
    await start(h, 'waiter/after')
    await h.advance(990)
    expect((await get(h, 'waiter/after')).value).toBe('a')
    await h.advance(1_200)
    expect((await get(h, 'waiter/before')).value).toBe('b')
    expect((await get(h, 'waiter/after')).value).toBe('b')
    h = restart(h, [waiter])
    await start(h, 'waiter/new')
    await h.advance(2_200)
    expect((await get(h, 'waiter/new')).value).toBe('b')
  })

  it('by almost the window of command ids has none refused as expired meanwhile', async () => {
    const h = open([counter])
    await start(h, 'counter/a')
    h.clock.jumpWall(-9 * 60_000)
    for (let minute = 0; minute < 18; minute++) {
      await send(h, 'counter/a', 'ADD', { by: 1 })
      await h.advance(60_000)
    }
    expect((await get(h, 'counter/a')).context).toMatchObject({ n: 18 })
  })
})

it('set back by more than the window of command ids, a clock is waited for, not the shard', async () => {
  const h = open([counter])
  await start(h, 'counter/a')
  h.clock.jumpWall(-14 * 60_000)
  expect(await code(h, h.client.send('counter/a', ADD, { id: commandId(h) }))).toBe('expired')
  for (let minute = 0; minute < 5; minute++) {
    await h.advance(60_000)
    await get(h, 'counter/a')
  }
  expect(await h.run(h.client.send('counter/a', ADD, { id: commandId(h) }))).toMatchObject({
    turn: 2,
  })
})

describe('the time of a shard', () => {
  function shardTime() {
    const clock = new VirtualClock()
    const lines: string[] = []
    const line = (level: string) => (_fields: object, message: string) =>
      void lines.push(`${level}: ${message}`)
    const ignore = () => {}
    const log: Log = {
      debug: ignore,
      info: ignore,
      warn: line('warn'),
      error: line('error'),
      child: () => log,
    }
    const time = new ShardTime({ clock, log, limits: DEFAULT_LIMITS })
    return { clock, lines, time }
  }

  it('flows on under a jump, which is told once', () => {
    const { clock, lines, time } = shardTime()
    const at = clock.now()
    clock.jumpWall(clockSkewMaxMs + 1)
    for (let n = 0; n < 5; n++) expect(time.now()).toBe(at)
    clock.advance(7_000)
    expect(time.now()).toBe(at + 7_000)
    expect(lines).toEqual(['error: the wall clock jumped ahead and is not followed for now'])
    clock.advance(clockJumpHoldMs)
    expect(time.now()).toBe(clock.now())
    expect(lines[1]).toBe('error: the wall clock stands where it jumped to: it is followed')
  })

  it('follows a skew that is allowed, a clock that is set back, and one that is right again', () => {
    const { clock, lines, time } = shardTime()
    clock.jumpWall(clockSkewMaxMs)
    expect(time.now()).toBe(clock.now())
    const at = time.now()
    clock.jumpWall(-YEAR_MS)
    expect(time.now()).toBe(at)
    clock.advance(1_000)
    clock.jumpWall(YEAR_MS)
    expect(time.now()).toBe(clock.now())
    expect(lines).toEqual([])
  })

  it('flows on at half its speed behind a clock that was set back, until that has caught up', () => {
    const { clock, time } = shardTime()
    const at = time.now()
    clock.jumpWall(-3_000)
    for (let ms = 0; ms < 4_000; ms++) {
      clock.advance(1)
      time.now()
    }
    expect(time.now()).toBe(at + 2_000)
    clock.advance(2_000)
    expect(time.now()).toBe(at + 3_000)
    expect(time.now()).toBe(clock.now())
  })

  it('goes on from the last commit, which another clock may have written', () => {
    const { clock, time } = shardTime()
    const lastTime = clock.now() + 10_000
    time.begin(lastTime)
    expect(time.now()).toBe(lastTime)
    clock.advance(4_000)
    expect(time.now()).toBe(lastTime + 2_000)
  })

  it('tells of a very long stop when it begins', () => {
    const { clock, lines, time } = shardTime()
    time.begin(clock.now() - 60_000)
    expect(lines).toEqual([])
    time.begin(clock.now() - YEAR_MS)
    expect(lines).toHaveLength(1)
    expect(time.now()).toBe(clock.now())
  })
})
