/** What every `Random` promises. */
import { describe, expect, it } from 'vitest'
import type { Random } from '../../src/ports/index.ts'

export function randomSuite(name: string, create: () => Random): void {
  describe(`random: ${name}`, () => {
    it('draws fractions in [0, 1), evenly', () => {
      const random = create()
      const buckets = new Array<number>(10).fill(0)
      for (let i = 0; i < 20_000; i++) {
        const fraction = random.fraction()
        if (fraction < 0 || fraction >= 1) throw new Error(`${fraction}`)
        buckets[Math.floor(fraction * 10)]!++
      }
      for (const count of buckets) expect(Math.abs(count - 2_000)).toBeLessThan(300)
    })

    it('makes ids of 22 characters that do not repeat', () => {
      const random = create()
      const ids = Array.from({ length: 20_000 }, () => random.id())
      for (const id of ids) expect(id).toMatch(/^[A-Za-z0-9_-]{22}$/)
      expect(new Set(ids).size).toBe(ids.length)
    })

    it('varies in every place of an id but the last, which holds two bits at least', () => {
      const random = create()
      const ids = Array.from({ length: 2_000 }, () => random.id())
      for (let place = 0; place < 22; place++) {
        const seen = new Set(ids.map((id) => id[place]))
        expect(seen.size).toBeGreaterThanOrEqual(place < 21 ? 60 : 4)
      }
    })
  })
}
