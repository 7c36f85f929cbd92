/**
 * The seed of a test run: from TROUPE_SEED or fresh, printed once, the same in every test file.
 * Vitest runs this in its main process; test/setup.ts hands the seed on inside each worker. A test
 * that needs randomness of its own takes `inject('seed')`.
 */
import type { TestProject } from 'vitest/node'

const SEED_MAX = 0x7fff_ffff

declare module 'vitest' {
  interface ProvidedContext {
    seed: number
  }
}

export function readSeed(given: string | undefined, fraction: number): number {
  if (given === undefined || given === '') return Math.floor(fraction * SEED_MAX)
  const seed = Number(given)
  if (!Number.isInteger(seed) || Math.abs(seed) > SEED_MAX) {
    throw new Error(`TROUPE_SEED must be an integer of at most 31 bits, not "${given}"`)
  }
  return seed
}

let printed = false

export function setup(project: TestProject): void {
  const seed = readSeed(process.env['TROUPE_SEED'], Math.random())
  // Later projects of the same run, such as the type tests, take the seed of the first.
  process.env['TROUPE_SEED'] = String(seed)
  project.provide('seed', seed)
  if (!printed) process.stdout.write(`seed ${seed} (repeat this run with TROUPE_SEED=${seed})\n`)
  printed = true
}
