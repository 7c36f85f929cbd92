/**
 * Whole clusters from seeds whose tasks are run by the production worker: it starts, beats, reports,
 * dies, and takes up what it left. Its promises need a world that leaves room for them.
 */
import { expect, inject, it } from 'vitest'
import { account } from './account.ts'
import { runSeedWithWorkers } from './production-worker.ts'
import type { SeedResult } from './run.ts'

const VIRTUAL_MS = 30_000
const SEEDS = 12
const TIMEOUT_MS = 120_000

const run = (seed: number) => runSeedWithWorkers({ seed, virtualMs: VIRTUAL_MS })

function textOf({ events }: SeedResult): string {
  return events.map((event) => JSON.stringify(event)).join('\n')
}

it('a world with production workers gives the same trace twice', async () => {
  for (const seed of [1, 2]) {
    const first = textOf(await run(seed))
    expect(first).toContain('"kind":"task-reported"')
    expect(textOf(await run(seed)) === first, `seed ${seed} gives another trace`).toBe(true)
  }
})

it('production workers keep every promise', { timeout: TIMEOUT_MS }, async () => {
  const base = inject('seed')
  for (let seed = base; seed < base + SEEDS; seed++) {
    const result = await run(seed)
    expect(result.violations.length === 0 ? undefined : account(result)).toBeUndefined()
  }
})
