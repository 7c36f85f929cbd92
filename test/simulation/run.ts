/** One seed from beginning to end: the world, its run, the judgement. */
import { check } from './checkers/index.ts'
import type { SimEvent, Violation } from './events.ts'
import type { Parameters } from './parameters.ts'
import { World, type WorldOptions } from './world.ts'

export interface RunOptions extends WorldOptions {
  virtualMs: number
}

export interface SeedResult {
  seed: number
  parameters: Parameters
  events: readonly SimEvent[]
  commits: number
  virtualMs: number
  violations: readonly Violation[]
}

export function runSeed({ virtualMs, ...options }: RunOptions): SeedResult {
  const world = new World(options)
  // Calm changes the rates: what was drawn is kept as it was.
  const parameters = structuredClone(world.parameters)
  let events: readonly SimEvent[]
  let thrown: Violation | undefined
  try {
    events = world.run(virtualMs)
  } catch (error) {
    // Whatever a callback of a port throws would end a process.
    events = world.events
    const what = error instanceof Error ? (error.stack ?? error.message) : String(error)
    thrown = { checker: 'nothing-throws', what, seq: events.length - 1 }
  }
  const violations = thrown === undefined ? check(events) : [thrown, ...check(events)]
  const { commits, base } = world
  const ranMs = base.monotonic()
  return { seed: options.seed, parameters, events, commits, virtualMs: ranMs, violations }
}
