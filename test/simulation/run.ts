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
  const { world, judge } = prepare(options)
  try {
    world.run(virtualMs)
  } catch (error) {
    return judge(error)
  }
  return judge()
}

/** For worlds with production code that has promises: a worker, or a founding. */
export async function runSeedWithPromises(given: RunOptions): Promise<SeedResult> {
  const { virtualMs, ...options } = given
  const { world, judge } = prepare(options)
  try {
    await world.runWithPromises(virtualMs)
  } catch (error) {
    return judge(error)
  }
  return judge()
}

function prepare(options: WorldOptions) {
  const world = new World(options)
  // Calm changes the rates: what was drawn is kept as it was.
  const parameters = structuredClone(world.parameters)
  const judge = (thrown?: unknown): SeedResult => {
    const { commits, base, events } = world
    const violations = [...thrownBy(thrown, events), ...check(events)]
    const virtualMs = base.monotonic()
    return { seed: options.seed, parameters, events, commits, virtualMs, violations }
  }
  return { world, judge }
}

/** Whatever a callback of a port throws would end a process. */
function thrownBy(error: unknown, events: readonly SimEvent[]): Violation[] {
  if (error === undefined) return []
  const what = error instanceof Error ? (error.stack ?? error.message) : String(error)
  return [{ checker: 'nothing-throws', what, seq: events.length - 1 }]
}
