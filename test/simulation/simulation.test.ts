/**
 * Whole clusters from seeds: fresh ones, and every seed that ever failed. A failing seed is run again
 * with `npm run sim -- --seed N`, and belongs into seeds.txt.
 */
import { readFileSync } from 'node:fs'
import { describe, expect, inject, it } from 'vitest'
import { account } from './account.ts'
import { whyKnown } from './known.ts'
import { runSeed, type SeedResult } from './run.ts'

const VIRTUAL_MS = 60_000
const SEEDS_MAX = 200
/** Of real time: what a slow machine does not manage is left out, beyond the least number. */
const BUDGET_MS = 45_000
const SEEDS_MIN = 40
const TIMEOUT_MS = 180_000

function wrongOf(result: SeedResult): string | undefined {
  if (result.violations.length === 0 || whyKnown(result.violations) !== undefined) return undefined
  return account(result)
}

function trace(seed: number, logic: 'oracle' | 'cluster'): string {
  const { events } = runSeed({ seed, virtualMs: 20_000, given: { logic } })
  return events.map((event) => JSON.stringify(event)).join('\n')
}

describe('the simulator', () => {
  it.each(['oracle', 'cluster'] as const)('gives the same trace twice with the %s', (logic) => {
    for (const seed of [1, 2, 3]) {
      const first = trace(seed, logic)
      expect(first.length).toBeGreaterThan(10_000)
      expect(trace(seed, logic) === first, `seed ${seed} gives another trace`).toBe(true)
    }
  })

  it('finds nothing wrong with fresh seeds', { timeout: TIMEOUT_MS }, () => {
    const base = inject('seed')
    const began = performance.now()
    for (let n = 0; n < SEEDS_MAX; n++) {
      if (n >= SEEDS_MIN && performance.now() - began > BUDGET_MS) break
      expect(wrongOf(runSeed({ seed: base + n, virtualMs: VIRTUAL_MS }))).toBeUndefined()
    }
  })

  it('finds nothing wrong with seeds that once failed', { timeout: TIMEOUT_MS }, () => {
    const text = readFileSync(new URL('./seeds.txt', import.meta.url), 'utf8')
    const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
    expect(lines.length).toBeGreaterThan(0)
    for (const line of lines) {
      const [seed, how = ''] = line.split(' ')
      const [logic, losses] = how.split('+')
      if (logic !== 'oracle' && logic !== 'cluster') throw new Error(`no logic: ${line}`)
      const given = { logic, losses: losses === 'losses' } as const
      const result = runSeed({ seed: Number(seed), given, virtualMs: VIRTUAL_MS })
      expect(wrongOf(result), line).toBeUndefined()
    }
  })
})
