/**
 * What a new version of apps would do to the live actors: nothing is started and nothing is changed.
 * Decides: how verdicts are gathered, so that millions of actors become a table. Leaves to others: what
 * becomes of one actor (shard/roll-out.ts).
 */
import { resolveLimits } from '../protocol/index.ts'
import {
  judgeRollOut,
  type RollOutOutcome,
  type RollOutVerdict,
  RowReader,
  storedAsViewed,
  type ViewedActor,
} from '../shard/index.ts'
import type { App } from './app.ts'
import { requireData } from './data.ts'
import { register } from './registration.ts'
import { breath, type CareOptions, withReader } from './store-care.ts'

export interface RollOutRow extends RollOutVerdict {
  count: number
  /** Addresses of some of them. */
  examples: string[]
}

export interface RollOutReport {
  /** By machine, version, state and outcome. */
  rows: RollOutRow[]
  actors: number
  /** Those that would not go on: of `parks`, `newer` and `unreadable`. */
  stuck: number
  /** By name of machines that the apps do not have: their actors are left as they are. */
  unknown: Record<string, number>
}

const STUCK: ReadonlySet<RollOutOutcome> = new Set(['parks', 'newer', 'unreadable'])
const EXAMPLES_MAX = 3
/** A reason may quote what it is about: of the same place only so many are told apart. */
const REASONS_MAX = 5

export class RollOutCheck {
  /** By name. */
  readonly machines: ReturnType<typeof register>['machines']
  readonly #rows = new Map<string, RollOutRow>()
  readonly #reasons = new Map<string, number>()
  readonly #unknown = new Map<string, number>()
  #actors = 0
  #stuck = 0

  /** @throws TroupeError naming what cannot be hosted */
  constructor(apps: readonly App[]) {
    this.machines = register(apps, resolveLimits()).machines
  }

  /** A stored actor. */
  look(address: string, bytes: Uint8Array): void {
    this.#actors += 1
    const verdict = judgeRollOut(this.machines, address, bytes)
    if (verdict) return this.#add(address, verdict)
    const machine = address.slice(0, address.indexOf('/'))
    this.#unknown.set(machine, (this.#unknown.get(machine) ?? 0) + 1)
  }

  /** A root actor as a node shows it; its secrets are hidden from migrations. */
  lookAtView(view: ViewedActor & { address: string }): void {
    this.look(view.address, storedAsViewed(view))
  }

  #add(address: string, verdict: RollOutVerdict): void {
    if (STUCK.has(verdict.outcome)) this.#stuck += 1
    const { machine, version, state, outcome, to } = verdict
    const place = JSON.stringify([machine, version, state, outcome, to])
    const why = this.#reasonOf(place, verdict.why)
    const key = JSON.stringify([place, why])
    const row = this.#rows.get(key)
    if (row) {
      row.count += 1
      if (row.examples.length < EXAMPLES_MAX) row.examples.push(address)
      return
    }
    const told = why === undefined ? verdict : { ...verdict, why }
    this.#rows.set(key, { ...told, count: 1, examples: [address] })
  }

  #reasonOf(place: string, why: string | undefined): string | undefined {
    if (why === undefined || this.#rows.has(JSON.stringify([place, why]))) return why
    const known = (this.#reasons.get(place) ?? 0) + 1
    this.#reasons.set(place, known)
    return known <= REASONS_MAX ? why : 'other reasons'
  }

  report(): RollOutReport {
    const rows = [...this.#rows.values()].sort(
      (a, b) =>
        a.machine.localeCompare(b.machine) ||
        a.version - b.version ||
        a.state.localeCompare(b.state) ||
        a.outcome.localeCompare(b.outcome),
    )
    for (const { examples } of rows) examples.sort()
    const unknown = Object.fromEntries([...this.#unknown].sort())
    return { rows, actors: this.#actors, stuck: this.#stuck, unknown }
  }
}

/** Reads a data directory; a node may run on it. @throws TroupeError `not-found`, `store-failed` */
export function checkRollOut(
  apps: readonly App[],
  directory: string,
  { progress, signal }: CareOptions = {},
): Promise<RollOutReport> {
  const check = new RollOutCheck(apps)
  requireData(directory)
  return withReader(directory, async (store, { shardCount }) => {
    const snapshot = store.snapshot()
    try {
      const reader = new RowReader(snapshot)
      for (let shard = 0; shard < shardCount; shard++) {
        for (const actors of reader.actors(shard)) {
          for (const [address, bytes] of actors) check.look(address, bytes)
          await breath(signal)
        }
        progress?.('check', shard + 1, shardCount)
      }
    } finally {
      snapshot.close()
    }
    return check.report()
  })
}
