/**
 * Whole clusters from seeds: fresh ones, and a sixth of those that ever failed, another one with each run; the
 * long tier has all of them. A failing seed is run again with `npm run sim -- --seed N`, and belongs into seeds.txt.
 */
import { describe, expect, inject, it } from 'vitest'
import { account } from './account.ts'
import { runKept, seedsThatFailed } from './kept-seeds.ts'
import type { Parameters } from './parameters.ts'
import { runSeed, type SeedResult } from './run.ts'

const VIRTUAL_MS = 60_000
/** Some of every kind of fault; `npm run sim:long` runs ten thousand. */
const FRESH_SEEDS = 5
/** Some 20 s on a quiet machine. */
const TIMEOUT_MS = 400_000

function wrongOf(result: SeedResult): string | undefined {
  return result.violations.length === 0 ? undefined : account(result)
}

/** Slots go as soon as that may be, and disks are lost. */
function removals({ checkpoints, troubles }: Parameters): void {
  Object.assign(checkpoints, { slots: 5, retentionMs: 4_000, slotsMin: 2, damagedChance: 0.1 })
  Object.assign(troubles, { wipeMs: 6_000, journalLossMs: 0 })
}

function trace(seed: number, logic: 'oracle' | 'cluster'): string {
  const { events } = runSeed({ seed, virtualMs: 20_000, given: { logic } })
  return events.map((event) => JSON.stringify(event)).join('\n')
}

describe('the simulator', () => {
  it.each(['oracle', 'cluster'] as const)('gives the same trace twice with the %s', (logic) => {
    const seed = inject('seed')
    const first = trace(seed, logic)
    expect(first.length).toBeGreaterThan(10_000)
    expect(trace(seed, logic) === first, `seed ${seed} gives another trace`).toBe(true)
  })

  it('removes slots, and has nodes begin with checkpoints', () => {
    const counts = { 'slots-removed': 0, 'checkpoint-loaded': 0, 'checkpoint-gone': 0 }
    const given = { logic: 'cluster', nodes: 3 } as const
    const result = runSeed({ seed: 1, given, virtualMs: VIRTUAL_MS, tune: removals })
    expect(wrongOf(result)).toBeUndefined()
    for (const { kind } of result.events) if (kind in counts) counts[kind as keyof typeof counts]++
    for (const [kind, count] of Object.entries(counts)) expect(count, kind).toBeGreaterThan(2)
  })

  it('finds nothing wrong with fresh seeds', { timeout: TIMEOUT_MS }, () => {
    const base = inject('seed')
    const began = performance.now()
    let virtualMs = 0
    for (let seed = base; seed < base + FRESH_SEEDS; seed++) {
      const result = runSeed({ seed, virtualMs: VIRTUAL_MS })
      expect(wrongOf(result)).toBeUndefined()
      virtualMs += result.virtualMs
    }
    const speed = Math.round(virtualMs / (performance.now() - began))
    process.stdout.write(`${FRESH_SEEDS} fresh seeds from ${base} on, ${speed} x real time\n`)
  })

  it('finds nothing wrong with seeds that once failed', { timeout: TIMEOUT_MS }, () => {
    const sixth = inject('seed') % 6
    const lines = seedsThatFailed()
    expect(lines.length).toBeGreaterThan(0)
    for (const line of lines.filter((_, index) => index % 6 === sixth))
      expect(wrongOf(runKept(line, VIRTUAL_MS)), line).toBeUndefined()
  })
})
