import { connect, createServer } from 'node:net'
import { describe, expect, it } from 'vitest'
import { VirtualClock } from '../../src/adapters/memory/index.ts'
import { SystemClock } from '../../src/adapters/system/index.ts'
import { clockSuite } from './clock.suite.ts'
import { realTime, until } from './support.ts'

clockSuite('system', () => ({ ...realTime, clock: new SystemClock() }))
clockSuite('virtual', () => {
  const clock = new VirtualClock()
  return { clock, elapse: (ms) => clock.settle(ms) }
})

describe('the virtual clock', () => {
  it('runs each timer at its own time, also far away, and deferred calls between', () => {
    const clock = new VirtualClock({ startMs: 1_000 })
    const seen: string[] = []
    const note = (what: string): void => void seen.push(`${what} at ${clock.now()}`)
    clock.after(2 ** 33, () => note('far'))
    clock.after(10, () => {
      note('a')
      clock.defer(() => note('deferred'))
      clock.after(5, () => note('b'))
    })
    clock.after(10, () => note('c'))
    clock.advance(20)
    expect(seen).toEqual(['a at 1010', 'deferred at 1010', 'c at 1010', 'b at 1015'])
    expect(clock.now()).toBe(1_020)
    expect(clock.advanceToNext()).toBe(true)
    expect(seen.at(-1)).toBe(`far at ${1_000 + 2 ** 33}`)
    expect(clock.advanceToNext()).toBe(false)
  })

  it('lets the wall clock jump without touching timers', () => {
    const clock = new VirtualClock()
    let called = false
    clock.after(100, () => {
      called = true
    })
    clock.jumpWall(1_000_000)
    clock.advance(99)
    expect(called).toBe(false)
    clock.advance(1)
    expect(called).toBe(true)
  })
})

describe('the system clock', () => {
  it('gathers what several I/O callbacks of one turn defer into one turn', async () => {
    const clock = new SystemClock()
    const seen: string[] = []
    let left = 0
    const server = createServer((socket) => {
      socket.on('data', () => {
        left++
        seen.push('data')
        clock.defer(() => {
          seen.push('deferred')
          left--
        })
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { port: number }
    const clients = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const client = connect(port, '127.0.0.1')
        await new Promise((resolve) => client.once('connect', resolve))
        return client
      }),
    )
    await realTime.elapse(20)
    for (const client of clients) client.write('x')
    // Busy long enough for all bytes to have arrived when the loop looks for them.
    const untilMs = performance.now() + 50
    while (performance.now() < untilMs);
    await until(realTime, () => seen.length === 40 && left === 0)
    const runs = seen.filter((what, i) => what === 'data' && seen[i - 1] !== 'data').length
    expect(runs).toBeLessThan(10)
    for (const client of clients) client.destroy()
    server.close()
  })
})
