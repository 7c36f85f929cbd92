/** What every `Registry` promises. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type {
  ClaimOutcome,
  Registry,
  RegistryListOutcome,
  RegistryReadOutcome,
} from '../../src/ports/index.ts'
import { answer, bytes, type Passing, text, until } from './support.ts'

export interface RegistryHarness extends Passing {
  registry: Registry
  /** Another party on the same facts; may be the same object. */
  connect(): Promise<Registry>
  close(): Promise<void>
}

export function registrySuite(name: string, create: () => Promise<RegistryHarness>): void {
  describe(`registry: ${name}`, () => {
    let harness: RegistryHarness
    beforeEach(async () => {
      harness = await create()
    })
    afterEach(() => harness.close())

    const claim = (key: string, value: string, by = harness.registry): Promise<ClaimOutcome> =>
      answer(harness, (done) => by.claim(key, bytes(value), done))
    const put = (key: string, value: string): Promise<string> =>
      answer(harness, (done) => harness.registry.put(key, bytes(value), done))
    const get = async (key: string): Promise<string | undefined> => {
      const outcome = await answer<RegistryReadOutcome>(harness, (done) =>
        harness.registry.get(key, done),
      )
      if (outcome.kind === 'unknown') throw new Error(outcome.why)
      return outcome.kind === 'found' ? text(outcome.value) : undefined
    }
    const list = async (prefix: string): Promise<[string, string | undefined][]> => {
      const outcome = await answer<RegistryListOutcome>(harness, (done) =>
        harness.registry.list(prefix, done),
      )
      if (outcome.kind === 'unknown') throw new Error(outcome.why)
      return outcome.entries.map(({ key, value }) => [key, text(value)])
    }
    const remove = (key: string): Promise<string> =>
      answer(harness, (done) => harness.registry.remove(key, done))

    it('lets the first claim win and tells the others who did', async () => {
      expect(await claim('leader.1', 'a')).toEqual({ kind: 'won' })
      const lost = await claim('leader.1', 'b')
      expect(lost.kind === 'lost' && text(lost.value)).toBe('a')
      expect(await get('leader.1')).toBe('a')
      expect(await claim('leader.2', 'b')).toEqual({ kind: 'won' })
    })

    it('lets exactly one of many racing claims win', async () => {
      const parties = await Promise.all(Array.from({ length: 6 }, () => harness.connect()))
      for (let epoch = 1; epoch <= 10; epoch++) {
        const outcomes = await Promise.all(
          parties.map((party, i) => claim(`leader.${epoch}`, `${i}`, party)),
        )
        const winner = outcomes.findIndex(({ kind }) => kind === 'won')
        for (const [i, outcome] of outcomes.entries()) {
          if (i === winner) continue
          expect(outcome.kind === 'lost' && text(outcome.value)).toBe(`${winner}`)
        }
      }
    })

    it('does not let a claim win over a value that was put', async () => {
      await put('k', 'v')
      expect((await claim('k', 'w')).kind).toBe('lost')
    })

    it('keeps the last value that was put', async () => {
      expect(await get('view')).toBeUndefined()
      expect(await put('view', '1')).toBe('put')
      expect(await put('view', '2\x00\xff')).toBe('put')
      expect(await get('view')).toBe('2\x00\xff')
    })

    it('lists by prefix, in order', async () => {
      for (const key of ['b.2', 'a.1', 'b.10', 'b.1', 'c']) await put(key, key)
      expect(await list('b.')).toEqual([
        ['b.1', 'b.1'],
        ['b.10', 'b.10'],
        ['b.2', 'b.2'],
      ])
      expect(await list('x')).toEqual([])
      expect((await list('')).map(([key]) => key)).toEqual(['a.1', 'b.1', 'b.10', 'b.2', 'c'])
    })

    it('lists and hints by a prefix that ends within a token', async () => {
      const seen: string[] = []
      const watch = harness.registry.watch('a.lead', (key) => seen.push(key))
      for (const key of ['a.leader.1', 'a.leads', 'a.least', 'b.leader']) await put(key, key)
      expect((await list('a.lead')).map(([key]) => key)).toEqual(['a.leader.1', 'a.leads'])
      await until(harness, () => seen.length >= 2, 'the hints')
      expect(seen).toEqual(['a.leader.1', 'a.leads'])
      watch.stop()
    })

    it('does not care what happens to the bytes after the call, or after the answer', async () => {
      const value = bytes('mine')
      const claimed = answer<ClaimOutcome>(harness, (done) =>
        harness.registry.claim('k', value, done),
      )
      value.fill(0)
      expect(await claimed).toEqual({ kind: 'won' })
      const lost = await claim('k', 'x')
      if (lost.kind === 'lost') lost.value.fill(0)
      expect(await get('k')).toBe('mine')
    })

    it('keeps an empty value apart from none', async () => {
      expect(await claim('k', '')).toEqual({ kind: 'won' })
      expect(await get('k')).toBe('')
      expect((await claim('k', 'x')).kind).toBe('lost')
    })

    it('removes, after which a claim can be won again', async () => {
      await claim('k', 'a')
      expect(await remove('k')).toBe('removed')
      expect(await remove('k')).toBe('removed')
      expect(await get('k')).toBeUndefined()
      expect(await list('')).toEqual([])
      expect(await claim('k', 'b')).toEqual({ kind: 'won' })
    })

    it('tells nothing to a watch that another one has stopped', async () => {
      const seen: string[] = []
      const watches = ['first', 'second'].map((name) =>
        harness.registry.watch('a.', () => {
          seen.push(name)
          for (const watch of watches) watch.stop()
        }),
      )
      await put('a.1', 'x')
      await until(harness, () => seen.length > 0, 'a hint')
      await harness.elapse(20)
      expect(seen).toHaveLength(1)
    })

    it('tells watchers of changes below their prefix until they stop', async () => {
      const seen: string[] = []
      const watch = harness.registry.watch('a.', (key) => seen.push(key))
      await put('b.1', 'x')
      await put('a.1', 'x')
      await claim('a.2', 'x')
      await remove('a.1')
      await until(harness, () => seen.length >= 3, 'the hints')
      expect(new Set(seen)).toEqual(new Set(['a.1', 'a.2']))
      watch.stop()
      const count = seen.length
      await put('a.3', 'x')
      await harness.elapse(20)
      expect(seen).toHaveLength(count)
    })
  })
}
