/**
 * Worlds of moves, run for tests. Decides: the mix of a world that a seed draws, and the quiet one in which nothing
 * befalls anybody but whom a trap names.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { updateTask } from '../../../machines/storage/background/moves/move-tasks.ts'
import { nodeOf } from '../../../src/index.ts'
import type { AnyTask } from '../../../src/machine/index.ts'
import type { GuestStage } from '../guest.ts'
import { calm, type Given, type Parameters } from '../parameters.ts'
import { runSeedWithPromises, type SeedResult } from '../run.ts'
import { MoveGuest, type MovePlan } from './move-guest.ts'
import { HABITS } from './move-worker.ts'
import { type Step, setTrap, type Trap, whenAsked } from './traps.ts'

/** Instead of tasks of the product, by name. */
export type Instead = ReadonlyMap<string, AnyTask['run']>

const NONE: Instead = new Map()

const DRAWN: MovePlan = {
  ...{ disks: 8, volumes: 2, blobs: 4, moves: 8, everyMs: 2_500, workers: 3, habits: HABITS },
  words: [{ type: 'CANCEL' }, { type: 'RETRY' }, { type: 'PRIORITY', priority: 5 }],
  wordChance: 0.3,
  calls: { latencyMs: 5, lostChance: 0.03, unheardChance: 0.03 },
  // A lane looks each minute who is gone, and twice before it believes it.
  ...{ drainMaxMs: 240_000, isSwept: true, isRepaired: true },
}

const QUIET: MovePlan = {
  ...{ disks: 6, volumes: 1, blobs: 3, moves: 1, everyMs: 100, workers: 1, habits: ['works'] },
  ...{ words: [], wordChance: 0, calls: { latencyMs: 2, lostChance: 0, unheardChance: 0 } },
  ...{ drainMaxMs: 20_000, isSwept: false, isRepaired: false },
}

/** The machines that every world has are there, and nobody asks them anything. */
function aside(parameters: Parameters): void {
  Object.assign(parameters, { clients: 1, readers: 0, askers: 0, sideCallers: 0, workers: 1 })
  Object.assign(parameters, { actors: 5, charts: 0, thinkMs: 10 ** 9, restChance: 0 })
}

export function runMoves(seed: number, virtualMs: number, given: Given = {}): Promise<SeedResult> {
  return inDirectory((directory) =>
    runSeedWithPromises({
      ...{ seed, virtualMs, given, tune: aside },
      makeGuest: (stage) => new MoveGuest(stage, DRAWN, { directory, instead: NONE }),
    }),
  )
}

const QUIET_MS = 12_000

interface QuietOptions {
  instead?: Instead
  plan?: Partial<MovePlan>
  /** An operator cancels it as soon as that step is asked for. */
  cancelledIn?: Step
}

/** One move, in which a node dies wherever a trap says. */
export function runQuietMove(
  traps: readonly Trap[],
  { instead = NONE, plan = {}, cancelledIn }: QuietOptions = {},
): Promise<SeedResult> {
  const tune = (parameters: Parameters) => {
    aside(parameters)
    calm(parameters)
    Object.assign(parameters, { shards: 3, skewMs: 0, drift: 0 })
    Object.assign(parameters.network, { latencyMs: 1 })
    Object.assign(parameters.journal, { latencyMs: 1 })
    Object.assign(parameters.disk, { flushMs: 1 })
  }
  const makeGuest = (directory: string) => (stage: GuestStage) => {
    for (const trap of traps) setTrap(trap, stage)
    const guest = new MoveGuest(stage, { ...QUIET, ...plan }, { directory, instead })
    if (cancelledIn) whenAsked(cancelledIn, stage, () => guest.cancel())
    return guest
  }
  const given = { nodes: 3, logic: 'oracle', charts: false } as const
  return inDirectory((directory) =>
    runSeedWithPromises({
      ...{ seed: 1, virtualMs: QUIET_MS, given, tune },
      makeGuest: makeGuest(directory),
    }),
  )
}

/**
 * One that an operator cancels while its volume is asked for the swap, of which nobody hears whether it was done: its
 * volume has to be asked.
 */
export function runCancelledMove(
  traps: readonly Trap[],
  {
    isSwapped,
    instead = NONE,
    plan = {},
  }: { isSwapped: boolean } & Omit<QuietOptions, 'cancelledIn'>,
): Promise<SeedResult> {
  const update = ['move-update', unheardSwap(isSwapped)] as const
  return runQuietMove(traps, {
    ...{ plan, cancelledIn: 'update', instead: new Map([update, ...instead]) },
  })
}

/** Until the operator's word has come. */
const UNHEARD_MS = 200

function unheardSwap(isSwapped: boolean): AnyTask['run'] {
  return async (attempt) => {
    const { clock } = nodeOf(attempt)
    await new Promise<void>((resolve) => clock.after(UNHEARD_MS, resolve))
    if (isSwapped) await updateTask.troupeTask.run(attempt)
    return { end: 'again', why: 'its answer was lost', waitMs: 1, at: clock.now() }
  }
}

async function inDirectory<T>(run: (directory: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'troupe-moves-'))
  try {
    return await run(directory)
  } finally {
    rmSync(directory, { recursive: true })
  }
}
