/**
 * Worlds of a founding, run for tests. Decides: the quiet world in which a test says where the founder ends.
 */
import { expect } from 'vitest'
import { account } from './account.ts'
import { PUBLISHED_KEY } from './checkers/foundings.ts'
import type { SimEvent } from './events.ts'
import { ITS_POWER_FAILED, KILLED_BETWEEN_STEPS } from './founding-logic.ts'
import { calm, type FoundingEnd, type Parameters } from './parameters.ts'
import { runSeedWithPromises, type SeedResult } from './run.ts'

const ALONE_MS = 1_000
const QUIET_MS = 3_000
/** Until one that has ended is up again. */
const AGAIN_MS = 2_000

/** Fails when a promise is broken, or nothing was founded. */
export function expectFounded(result: SeedResult): void {
  expect(result.violations.length === 0 ? undefined : account(result)).toBeUndefined()
  expect(result.events.some(isPublished), `seed ${result.seed} has published nothing`).toBe(true)
}

export function runFounding(seed: number, virtualMs: number): Promise<SeedResult> {
  return runSeedWithPromises({ seed, virtualMs, given: { logic: 'founding' } })
}

/** Nothing befalls anybody but the founder, which ends as is said. */
export function runQuietFounding(ends: readonly FoundingEnd[]): Promise<SeedResult> {
  const tune = (parameters: Parameters) => {
    calm(parameters)
    Object.assign(parameters, { shards: 2, clients: 1, askers: 0, sideCallers: 0, actors: 4 })
    Object.assign(parameters, { workers: 1, readers: 0, charts: 0, thinkMs: 100 })
    Object.assign(parameters.founding, { aloneMs: ALONE_MS, ends })
  }
  const given = { logic: 'founding', nodes: 2 } as const
  const virtualMs = QUIET_MS + AGAIN_MS * ends.length
  return runSeedWithPromises({ seed: 1, virtualMs, given, tune })
}

/** How often the founder has ended between two steps. */
export function endsIn({ events }: SeedResult): number {
  return events.filter(
    (event) =>
      event.kind === 'node-down' && [KILLED_BETWEEN_STEPS, ITS_POWER_FAILED].includes(event.why),
  ).length
}

export function isPublished(event: SimEvent): boolean {
  return event.kind === 'claim' && event.key === PUBLISHED_KEY && event.outcome === 'won'
}
