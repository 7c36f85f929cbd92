/**
 * Commands for a shard of this very process, without a transport in between.
 *
 * Decides: which commands may go so (what nobody else can change, and is certainly not too large), and what
 * of a transport's promise is kept: no answer is told as no answer in time, and when who took them is here no
 * more, since it may never tell what became of them.
 * Leaves to others: the order among what goes this way and the other (router.ts).
 */
import type { Clock, NearShard, NearShards, TransportOutcome } from '../ports/index.ts'
import type { Command, Limits, Operation, Outcome } from '../protocol/index.ts'

export interface NearRequestsDeps {
  near: NearShards
  clock: Clock
  limits: Limits
}

/** What was read from JSON, holds nothing but that, and is kept by nobody. */
export interface Plain {
  /** Of the JSON. */
  bytes: number
  /** Reads it anew: a shard may have changed what it was handed, and has to be asked again. */
  again(): Operation
}

/** A command, and what is known of it: without `plain` it travels as a copy. */
export interface Handed {
  command: Command
  plain: Plain | undefined
}

/** Outcomes of all of them, or why there are none. */
export type NearOutcome = Outcome[] | Extract<TransportOutcome, { kind: 'timeout' }>

interface Awaited {
  shard: number
  by: NearShard
  /** On the monotonic clock. */
  endMs: number
  told: (outcome: NearOutcome) => void
}

/** A number of three digits and a comma is packed into nine bytes: nothing grows more. */
const PACKED_PER_JSON_MAX = 3
/** Address, id, author and the names of all fields. */
const ENVELOPE_BYTES_MAX = 4_096
/** One timer for all that is under way: nobody's time is given more exactly. */
const LOOK_MS = 100
const NO_ANSWER = { kind: 'timeout' } as const

export class NearRequests {
  readonly #deps: NearRequestsDeps
  readonly #awaited = new Set<Awaited>()
  #isLookPlanned = false

  constructor(deps: NearRequestsDeps) {
    this.#deps = deps
  }

  /**
   * Hands them to the shard, if it is here and they may go so: else false, and nothing has happened. `told`
   * is called once, later than this returns: what it throws must not reach the shard.
   */
  hand(
    shard: number,
    batch: readonly Handed[],
    timeoutMs: number,
    told: (outcome: NearOutcome) => void,
  ): boolean {
    const { near, clock } = this.#deps
    const by = near.of(shard)
    if (!by || !batch.every((one) => this.#mayGo(one))) return false
    const awaited: Awaited = { shard, by, endMs: clock.monotonic() + timeoutMs, told }
    this.#awaited.add(awaited)
    this.#planLook()
    const bytes = batch.reduce((sum, { plain }) => sum + (plain?.bytes ?? 0), 0)
    const commands = batch.map(({ command }) => command)
    by.take(commands, Math.ceil(bytes / batch.length), (outcomes) => this.#end(awaited, outcomes))
    return true
  }

  #mayGo({ plain }: Handed): boolean {
    if (plain === undefined) return false
    const { payloadBytesMax } = this.#deps.limits
    return plain.bytes * PACKED_PER_JSON_MAX + ENVELOPE_BYTES_MAX <= payloadBytesMax
  }

  #end(awaited: Awaited, outcome: NearOutcome): void {
    if (this.#awaited.delete(awaited)) this.#deps.clock.defer(() => awaited.told(outcome))
  }

  #planLook(): void {
    if (this.#isLookPlanned) return
    this.#isLookPlanned = true
    this.#deps.clock.after(LOOK_MS, () => this.#look())
  }

  #look(): void {
    const { clock, near } = this.#deps
    const nowMs = clock.monotonic()
    this.#isLookPlanned = false
    for (const awaited of [...this.#awaited]) {
      const { endMs, shard, by } = awaited
      if (endMs <= nowMs || near.of(shard) !== by) this.#end(awaited, NO_ANSWER)
    }
    if (this.#awaited.size > 0) this.#planLook()
  }
}
