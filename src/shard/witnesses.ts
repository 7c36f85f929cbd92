/**
 * Other members as witnesses of what a journal lost at its end.
 *
 * Decides: when they have to be asked, and who besides those that the view names: whoever claimed last
 * and has not released may have written more than anybody else has seen, and who claimed before has
 * nothing that the last one had not read. Whoever goes by an old view learns of that one from the
 * records alone. Leaves to others: asking (cluster/tails.ts), what follows from their answers (taking.ts).
 */
import { invariant } from '../protocol/index.ts'
import type { JournaledCommitDeps, OtherTail } from './journaled-deps.ts'
import type { KnownEnd, SlotReader } from './slot-reader.ts'
import type { ClaimHead, RecordHead } from './slot-records.ts'
import { recordOf, type Tail, type TailRow } from './tail.ts'

export interface WitnessesDeps extends Pick<JournaledCommitDeps, 'shard' | 'node' | 'otherTails'> {
  slots: SlotReader
  tail: Tail
}

interface Heard {
  /** Of the stream, while they were asked: what they say is of this copy only. */
  copy: string
  tails: readonly OtherTail[]
  givenUp: readonly string[]
}

export class Witnesses {
  readonly #deps: WitnessesDeps
  #heard: Heard | undefined
  #collecting: { stop(): void } | undefined

  constructor(deps: WitnessesDeps) {
    this.#deps = deps
  }

  stop(): void {
    this.#collecting?.stop()
  }

  /** Undefined before they were asked about this copy of the stream. */
  of({ serverId }: KnownEnd): Heard | undefined {
    return this.#heard?.copy === serverId ? this.#heard : undefined
  }

  /**
   * @param newest the record at the end
   * @param done told that all who have to be asked have answered; or, as `heard`, that some have just now:
   * the journal may have changed in the meantime, and what they kept may name one who has to be asked too
   */
  ask(end: KnownEnd, newest: Uint8Array | undefined, done: (how: 'asked' | 'heard') => void): void {
    const { shard, otherTails } = this.#deps
    if (!otherTails || !this.#mayHaveLost(end, newest)) return done('asked')
    this.#claimants(end, newest, (claimants) => {
      if (this.#haveAnswered(end, claimants)) return done('asked')
      const request = { shard, from: end.lastSlot + 1, claimants }
      this.#collecting = otherTails.collect(request, (tails, givenUp) => {
        this.#heard = { copy: end.serverId, tails, givenUp }
        done('heard')
      })
    })
  }

  /** The claim under which a record was written; undefined when it is long gone. */
  claimOf(slot: number, record: RecordHead, done: (claim: ClaimHead | undefined) => void): void {
    if (record.kind === 'claim') return done(record)
    const { tail, slots } = this.#deps
    const { epoch } = record
    invariant(epoch.slot < slot, 'an owner writes behind its claim')
    const kept = tail.claim(epoch)
    if (kept) return done(kept)
    slots.read(epoch.slot, (found) => {
      const claim = found && recordOf({ slot: epoch.slot, bytes: found.record })
      done(claim?.kind === 'claim' ? claim : undefined)
    })
  }

  /** Empty, shorter than this store remembers, or written to another copy of the stream. */
  #mayHaveLost(end: KnownEnd, newest: Uint8Array | undefined): boolean {
    const record = newest && recordOf({ slot: end.lastSlot, bytes: newest })
    if (!newest || this.#deps.tail.applied().slot > end.lastSlot) return true
    return record !== undefined && record.serverId !== end.serverId
  }

  #claimants(
    end: KnownEnd,
    newest: Uint8Array | undefined,
    done: (nodes: readonly string[]) => void,
  ): void {
    const last = new LastClaim()
    const readTails = () => {
      last.read(this.#deps.tail.after(end.lastSlot))
      for (const { rows } of this.of(end)?.tails ?? []) last.read(rows)
      done(last.nodes.filter((node) => node !== this.#deps.node))
    }
    const record = newest && recordOf({ slot: end.lastSlot, bytes: newest })
    if (!record || record.kind === 'release') return readTails()
    this.claimOf(end.lastSlot, record, (claim) => {
      if (claim) last.add(record.kind === 'claim' ? end.lastSlot : record.epoch.slot, claim)
      readTails()
    })
  }

  #haveAnswered(end: KnownEnd, nodes: readonly string[]): boolean {
    const heard = this.of(end)
    if (!heard) return false
    const names = new Set([...heard.tails.map(({ node }) => node), ...heard.givenUp])
    return nodes.every((node) => names.has(node))
  }
}

/** Who claimed last, as far as records tell. */
class LastClaim {
  #slot = 0
  /** By the id of the claim: what was lost and written anew may hold two claims of one slot. */
  readonly #byClaim = new Map<string, string>()

  get nodes(): string[] {
    return [...new Set(this.#byClaim.values())]
  }

  add(slot: number, { claimId, node }: Pick<ClaimHead, 'claimId' | 'node'>): void {
    if (slot < this.#slot) return
    if (slot > this.#slot) this.#byClaim.clear()
    this.#slot = slot
    this.#byClaim.set(claimId, node)
  }

  /** What one member kept, in the order of slots. */
  read(rows: Iterable<TailRow>): void {
    for (const row of rows) {
      const record = recordOf(row)
      if (record?.kind === 'claim') this.add(row.slot, record)
      else if (record?.kind === 'release') this.#byClaim.delete(record.epoch.claimId)
    }
  }
}
