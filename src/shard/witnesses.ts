/**
 * Other members as witnesses of what a journal lost at its end.
 *
 * Decides: when they have to be asked, and who besides those that the view names: whoever claimed last, has not
 * released, and may have written more than anybody else has seen. Whoever goes by an old view learns of that one
 * from the records alone: from those that are left of the journal, and from what the members have kept, who are
 * asked first. A claim whose slot was removed is not known any more; it was made long ago, and so was the view that
 * named its node. Leaves to others: asking (cluster/tails.ts), what follows from their answers (taking.ts).
 */
import { invariant } from '../protocol/index.ts'
import type { JournaledCommitDeps, OtherTail } from './journaled-deps.ts'
import { LastClaim } from './last-claim.ts'
import type { KnownEnd, SlotReader } from './slot-reader.ts'
import type { ClaimHead, RecordHead } from './slot-records.ts'
import { recordOf, type Tail } from './tail.ts'

type Own = 'shard' | 'node' | 'viewVersion' | 'otherTails'

export interface WitnessesDeps extends Pick<JournaledCommitDeps, Own> {
  slots: SlotReader
  tail: Tail
}

interface Heard {
  tails: readonly OtherTail[]
  /** By an operator; they have not answered. */
  givenUp: readonly string[]
}

export class Witnesses {
  readonly #deps: WitnessesDeps
  /** What they say is of one copy of the stream only. */
  #heard: (Heard & { copy: string }) | undefined
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
    if (!this.#deps.otherTails || !this.#mayHaveLost(end, newest)) return done('asked')
    const heard = this.of(end)
    // The members first: the newest claim that is left need not be the last one.
    if (!heard) return this.#collect(end, [], () => done('heard'))
    this.#claimants(end, newest, heard, (claimants) => {
      const known = namesIn(heard)
      if (claimants.every((node) => known.includes(node))) return done('asked')
      this.#collect(end, claimants, () => done('heard'))
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

  /** Who has answered is not asked again: what it kept is in hand, whatever becomes of it. */
  #collect(end: KnownEnd, claimants: readonly string[], done: () => void): void {
    const { shard, otherTails } = this.#deps
    const { tails: before, givenUp: without } = this.of(end) ?? NOBODY
    const heard = namesIn({ tails: before, givenUp: without })
    const request = { shard, from: end.lastSlot + 1, claimants, heard }
    this.#collecting = otherTails?.collect(request, (tails, givenUp) => {
      this.#heard = {
        copy: end.serverId,
        tails: [...before, ...tails],
        givenUp: [...without, ...givenUp],
      }
      done()
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
    { tails }: Heard,
    done: (nodes: readonly string[]) => void,
  ): void {
    const { node, viewVersion, tail } = this.#deps
    const last = new LastClaim()
    const readTails = () => {
      last.read(tail.after(end.lastSlot))
      for (const { rows } of tails) last.read(rows)
      done(last.nodes.filter((one) => one !== node))
    }
    const record = newest && recordOf({ slot: end.lastSlot, bytes: newest })
    if (!record) return readTails()
    if (record.kind === 'release') last.release(record.epoch.claimId)
    this.claimOf(end.lastSlot, record, (claim) => {
      // Whoever that is, the shard is not this node's to take.
      if (claim && claim.node !== node && claim.viewVersion > viewVersion) return done([])
      if (claim) last.add(record.kind === 'claim' ? end.lastSlot : record.epoch.slot, claim)
      readTails()
    })
  }
}

const NOBODY: Heard = { tails: [], givenUp: [] }

function namesIn({ tails, givenUp }: Heard): string[] {
  return [...tails.map(({ node }) => node), ...givenUp]
}
