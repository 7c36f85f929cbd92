/** Names of workers: forgotten once nobody has had them for long, and never two processes' at once. */
import { expect, inject, it } from 'vitest'
import { MemoryRegistry, VirtualClock } from '../../../src/adapters/memory/index.ts'
import type { Clock, Registry } from '../../../src/ports/index.ts'
import { TroupeError } from '../../../src/protocol/index.ts'
import { NameClaims } from '../../../src/worker/remote/name-claims.ts'
import { SimRandom } from '../../simulation/random.ts'

const HOUR_MS = 3_600_000
const KEPT_MS = 7 * 24 * HOUR_MS

function scene() {
  const clock = new VirtualClock()
  const registry = new MemoryRegistry({ clock })
  const there = new Set<string>()
  const presenceOf = (_: string, session: string) =>
    Promise.resolve(there.has(session) ? ('there' as const) : ('gone' as const))
  const claims = new NameClaims({ registry, presenceOf, clock })
  const run = async (act: () => Promise<void>): Promise<string> => {
    let code = 'nothing'
    act().then(
      () => {
        code = 'done'
      },
      (thrown: unknown) => {
        code = thrown instanceof TroupeError ? thrown.code : String(thrown)
      },
    )
    await clock.settle(100)
    return code
  }
  const take = (session: string) => {
    there.add(session)
    return run(() => claims.take('w', session))
  }
  const look = () => run(() => claims.forgetLongGone())
  const keys = async () => {
    const found: string[] = []
    registry.list('worker.', (outcome) => {
      if (outcome.kind === 'listed') found.push(...outcome.entries.map(({ key }) => key))
    })
    await clock.settle(100)
    return found
  }
  return { clock, claims, there, take, look, keys, run }
}

it('a name is forgotten once its process is gone for long, and no sooner', async () => {
  const { clock, there, take, look, keys } = scene()
  expect(await take('d:1')).toBe('done')
  const first = await keys()
  await clock.settle(2 * KEPT_MS)
  expect([await look(), (await keys()).length]).toEqual(['done', 1])
  there.clear()
  expect([await look(), (await keys()).length], 'found to be gone').toEqual(['done', 1])
  await clock.settle(KEPT_MS - HOUR_MS)
  expect([await look(), (await keys()).length]).toEqual(['done', 1])
  await clock.settle(HOUR_MS)
  expect([await look(), await keys()]).toEqual(['done', []])
  expect(await take('e:1')).toBe('done')
  expect(await keys(), 'a removal that comes late meets another number').not.toEqual(first)
  expect(await take('f:1')).toBe('conflict')
})

it('so is one whose process has said that it ends', async () => {
  const { clock, claims, take, look, keys, run } = scene()
  await take('d:1')
  await run(() => claims.leave('w', 'd:1'))
  await look()
  await clock.settle(KEPT_MS)
  expect([await look(), await keys()]).toEqual(['done', []])
})

it('a process that comes back keeps its name, and its next absence counts anew', async () => {
  const { clock, there, take, look, keys } = scene()
  await take('d:1')
  there.clear()
  await look()
  await clock.settle(KEPT_MS - HOUR_MS)
  there.add('d:1')
  await look()
  there.clear()
  await clock.settle(HOUR_MS)
  await look()
  expect((await keys()).length).toBe(1)
  expect(await take('d:1'), 'also one that was found to be gone').toBe('done')
  expect(await take('e:1')).toBe('conflict')
  await look()
  expect(await take('d:1')).toBe('done')
})

const SESSIONS = 8

/** A name is kept for some 150 ms then, and an answer takes half a day: names go while others come for them. */
const FASTER = 4_000_000

/** Each answer and each change takes its time. */
function slow(registry: Registry, clock: Clock, random: SimRandom): Registry {
  const late = () => random.between(0, 30)
  const later =
    <T>(done: (outcome: T) => void) =>
    (outcome: T) =>
      void clock.after(late(), () => done(outcome))
  return {
    ...registry,
    claim: (key, value, done) =>
      void clock.after(late(), () => registry.claim(key, value, later(done))),
    put: (key, value, done) =>
      void clock.after(late(), () => registry.put(key, value, later(done))),
    list: (prefix, done) => void clock.after(late(), () => registry.list(prefix, later(done))),
    remove: (key, done) => void clock.after(late(), () => registry.remove(key, later(done))),
  }
}

it('a name is never two processes at once, however often it is forgotten meanwhile', async () => {
  const base = inject('seed')
  let taken = 0
  const found: string[] = []
  for (let seed = base; seed < base + 60; seed++) {
    const random = new SimRandom(seed)
    const clock = new VirtualClock()
    const inner = new MemoryRegistry({ clock })
    const alive = new Set<string>()
    const inside = new Set<string>()
    const presenceOf = (_: string, session: string) =>
      new Promise<'there' | 'gone'>((resolve) => {
        clock.after(random.between(0, 10), () => resolve(alive.has(session) ? 'there' : 'gone'))
      })
    const node = (index: number) => {
      const registry = slow(inner, clock, random.fork(`node ${index}`))
      return new NameClaims({ registry, presenceOf, clock: { now: () => clock.now() * FASTER } })
    }
    const nodes = [node(1), node(2)]
    const come = (at: number): void => {
      // Of some that were away, and come back as who they were.
      const session = `d${at % SESSIONS}:1`
      if (alive.has(session)) return
      alive.add(session)
      const end = () => {
        alive.delete(session)
        inside.delete(session)
      }
      random
        .pick(nodes)
        .take('w', session)
        .then(
          () => {
            inside.add(session)
            taken += 1
            if (inside.size > 1) found.push(`seed ${seed}: ${[...inside].join()}`)
            clock.after(random.between(1, 200), end)
          },
          () => end(),
        )
    }
    for (let at = 0; at < 40; at++) clock.after(at * random.between(20, 60), () => come(at))
    for (let at = 0; at < 200; at++) {
      clock.after(at * 12, () => void random.pick(nodes).forgetLongGone())
    }
    await clock.settle(10_000)
  }
  expect(found).toEqual([])
  expect(taken).toBeGreaterThan(100)
})
