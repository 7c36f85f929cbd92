/**
 * Which machines are still hosted, as a leader hears it. Decides: how long a machine may be away before
 * shards that need it go to others. One that comes back is needed again: then the shards that have its
 * actors go to who knows it. Leaves to others: who needs what (planning.ts).
 */
import type { Clock, Log } from '../ports/index.ts'
import type { ClusterLimits } from './limits.ts'
import type { MemberBeat } from './members.ts'
import { takesShards } from './placement.ts'
import type { View } from './view.ts'

export interface HostingDeps {
  clock: Clock
  log: Log
  limits: ClusterLimits
}

export class Hosting {
  readonly #deps: HostingDeps
  /** Since when nobody was heard to host them. */
  readonly #awaySinceMs = new Map<string, number>()
  /** Of what was heard so far: only what a leader has heard while it leads counts. */
  #epoch = 0
  /** Of which it is known, by the log or by the last view, that nobody hosts them. */
  #said: ReadonlySet<string> = new Set()

  constructor(deps: HostingDeps) {
    this.#deps = deps
  }

  /** Of those that shards need, the machines that nobody is waited for any more. */
  unhosted(
    epoch: number,
    previous: View | undefined,
    live: readonly Pick<MemberBeat, 'machines' | 'leaving' | 'weight'>[],
  ): Set<string> {
    const { clock, limits } = this.#deps
    const nowMs = clock.monotonic()
    if (epoch !== this.#epoch) {
      this.#awaySinceMs.clear()
      this.#said = new Set()
    }
    this.#epoch = epoch
    const hosted = machinesOf(live)
    const before = new Set(previous?.unhosted)
    const unhosted = new Set<string>()
    for (const needs of new Set(previous?.needs)) {
      for (const machine of needs.keys()) {
        if (hosted.has(machine)) this.#awaySinceMs.delete(machine)
        else if (!unhosted.has(machine)) {
          const sinceMs = this.#awaySinceMs.get(machine) ?? nowMs
          this.#awaySinceMs.set(machine, sinceMs)
          const isOver = before.has(machine) || nowMs - sinceMs >= limits.machineAbsenceMs
          if (isOver) unhosted.add(machine)
        }
      }
    }
    this.#say(unhosted, before)
    return unhosted
  }

  /** Once: it is asked far more often than views are made, and a view may be long on its way. */
  #say(unhosted: ReadonlySet<string>, before: ReadonlySet<string>): void {
    const news = [...unhosted].filter((one) => !before.has(one) && !this.#said.has(one))
    const back = [...this.#said].filter((one) => !unhosted.has(one))
    this.#said = new Set(unhosted)
    const { log } = this.#deps
    if (news.length > 0) {
      log.error(
        { machines: news },
        'nobody hosts these machines any more: others take the shards that have their actors',
      )
    }
    if (back.length > 0) log.info({ machines: back }, 'these machines are hosted again')
  }
}

/** Of those who take shards; of all, when none does: then nobody else is there to take anything. */
function machinesOf(
  live: readonly Pick<MemberBeat, 'machines' | 'leaving' | 'weight'>[],
): Set<string> {
  const takers = live.filter(takesShards)
  const hosts = takers.length > 0 ? takers : live
  return new Set(hosts.flatMap(({ machines }) => [...machines.keys()]))
}
