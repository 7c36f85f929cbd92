/**
 * Embedded nodes from seeds: no journal, one data directory, processes that die, lose power, and open
 * the directory while another one has it.
 */
import { expect, inject, it } from 'vitest'
import { account } from './account.ts'
import { runSeed } from './run.ts'

const VIRTUAL_MS = 30_000
const SEEDS = 24
const TIMEOUT_MS = 120_000

const run = (seed: number) => runSeed({ seed, virtualMs: VIRTUAL_MS, given: { logic: 'embedded' } })

it('embedded nodes keep every promise', { timeout: TIMEOUT_MS }, () => {
  const base = inject('seed')
  const counts = { owns: 0, slot: 0, 'task-reported': 0, relayed: 0 }
  let powerFailures = 0
  for (let seed = base; seed < base + SEEDS; seed++) {
    const result = run(seed)
    expect(result.violations.length === 0 ? undefined : account(result)).toBeUndefined()
    for (const event of result.events) {
      if (event.kind in counts) counts[event.kind as keyof typeof counts]++
      if (event.kind === 'node-down' && event.why === 'all at once') powerFailures++
    }
  }
  for (const [kind, count] of Object.entries(counts)) expect(count, kind).toBeGreaterThan(SEEDS / 4)
  expect(powerFailures).toBeGreaterThan(0)
})

it('a world of embedded nodes gives the same trace twice', () => {
  const [first, second] = [run(7), run(7)].map(({ events }) => JSON.stringify(events))
  expect(first?.length).toBeGreaterThan(10_000)
  expect(second === first).toBe(true)
})
