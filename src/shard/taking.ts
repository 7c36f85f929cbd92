/**
 * Taking a shard: read to the end, write again what the journal lost, claim, apply, then serve.
 *
 * Decides: when a store and a journal belong together, and that nothing read is applied or kept
 * before the claim behind it has won. Leaves to others: who tries to take (cluster); the tails of
 * other members (see `#compare`); loading a checkpoint where this says `failed`.
 */
import type { StoreWrite } from '../ports/index.ts'
import { hashBytes, invariant, pack } from '../protocol/index.ts'
import type { TakeOutcome } from './commit.ts'
import type { JournaledCommitDeps } from './journaled-deps.ts'
import { appliedKey, tailKey } from './keys.ts'
import type { KnownEnd, SlotReader } from './slot-reader.ts'
import {
  decodeRecord,
  type Epoch,
  encodeRecord,
  GENESIS_HASH,
  type SlotRecord,
  serverIdOf,
} from './slot-records.ts'
import { type Applied, recordOf, type Tail, type TailRow } from './tail.ts'

/** Records applied in one transaction of the store. */
const APPLIED_AT_ONCE = 256

/** The newest slot of an owner, and which copy of the stream said so. */
export interface Position {
  slot: number
  hash: string
  sequence: number
  serverId: string
}

export interface Ownership {
  epoch: Epoch
  last: Position
}

export type TakingOutcome =
  | ({ kind: 'taken' } & Ownership)
  | Exclude<TakeOutcome, { kind: 'taken' }>

export class Taking {
  readonly #deps: JournaledCommitDeps
  readonly #slots: SlotReader
  readonly #tail: Tail
  readonly #done: (outcome: TakingOutcome) => void
  readonly #applied: Applied
  /** Of the slots behind `applied`; they do not change while the copy of the stream is the same. */
  #records: Uint8Array[] = []
  #copy = ''

  constructor(
    deps: JournaledCommitDeps,
    slots: SlotReader,
    tail: Tail,
    done: (outcome: TakingOutcome) => void,
  ) {
    this.#deps = deps
    this.#slots = slots
    this.#tail = tail
    this.#done = done
    this.#applied = tail.applied()
  }

  /** From the beginning, or again after somebody else has written. */
  run(): void {
    this.#slots.end((end) => {
      const read = this.#applied.slot + this.#records.length
      if (end.serverId !== this.#copy || end.lastSlot < read) this.#records = []
      this.#copy = end.serverId
      if (end.lastSlot === 0 && end.lastSequence > 0) {
        return this.#fail('the journal was emptied: it holds no slot, but held some')
      }
      if (end.lastSlot === 0) return this.#compare(end, undefined)
      this.#slots.read(end.lastSlot, (found) => {
        // Lost between two questions.
        if (!found) return this.run()
        this.#compare(end, found.record)
      })
    })
  }

  /**
   * Whether the journal lost something that this store has. The seam for the tails of other members:
   * here they are all waited for, and of the chains that join `hash` the one with the highest
   * (epoch, slot) is written again; now the only one asked is our own.
   */
  #compare(end: KnownEnd, newest: Uint8Array | undefined): void {
    const hash = newest ? hashBytes(newest) : GENESIS_HASH
    const chain = this.#tail.chainAfter(end.lastSlot, hash)
    const applied = this.#applied.slot
    if (applied > end.lastSlot + chain.length) {
      const rows = [...this.#tail.after(end.lastSlot)].map(({ slot }) => slot)
      return this.#fail(
        `the journal ends at slot ${end.lastSlot}, this store has applied slot ${applied}, and what it kept of them does not join`,
        rows,
      )
    }
    // Not lost: sent to the present copy, and never acknowledged by it.
    const first = chain[0] && recordOf(chain[0])
    const mayBeLost = first && (applied > end.lastSlot || serverIdOf(first) !== end.serverId)
    if (mayBeLost) this.#refill(chain, end)
    else this.#checkNamed(end, newest)
  }

  /**
   * No duels: an owner is deposed only by a node that a newer view names, or by its own next life.
   * A lost race comes back here as well.
   */
  #checkNamed(end: KnownEnd, newest: Uint8Array | undefined): void {
    const { node, viewVersion } = this.#deps
    const slot = end.lastSlot
    const record = newest && recordOf({ slot, bytes: newest })
    if (newest && !record) {
      return this.#fail(`slot ${slot} holds a record that this version cannot read`)
    }
    // Nobody owns what is new or was released.
    if (!record || record.kind === 'release') return this.#read(end)
    this.#claimOf(slot, record, (claim) => {
      const isFree = !claim || claim.node === node || claim.viewVersion < viewVersion
      if (isFree) return this.#read(end)
      const why = `${claim.node} owns the shard by view ${claim.viewVersion}; ours is ${viewVersion}`
      this.#done({ kind: 'lost', why })
    })
  }

  /** The claim under which a record was written; undefined when it is long gone. */
  #claimOf(
    slot: number,
    record: Exclude<SlotRecord, { kind: 'release' }>,
    done: (claim: (SlotRecord & { kind: 'claim' }) | undefined) => void,
  ): void {
    if (record.kind === 'claim') return done(record)
    invariant(record.epoch.slot < slot, 'an owner writes behind its claim')
    this.#slots.read(record.epoch.slot, (found) => {
      const claim = found && recordOf({ slot: record.epoch.slot, bytes: found.record })
      done(claim?.kind === 'claim' ? claim : undefined)
    })
  }

  /** The journal acknowledges before it syncs: what it lost at its end is written again from here. */
  #refill(chain: readonly TailRow[], end: KnownEnd): void {
    const { shard, log } = this.#deps
    log.error(
      { shard, from: end.lastSlot + 1, to: chain.at(-1)?.slot, serverId: end.serverId },
      'the journal is shorter than this store remembers: its end is written again',
    )
    this.#writeAgain(chain, end.lastSequence, end.serverId)
  }

  #writeAgain(chain: readonly TailRow[], sequence: number, serverId: string): void {
    const [row, ...rest] = chain
    if (!row) return this.run()
    const write = { slot: row.slot, record: row.bytes, after: { sequence, serverId } }
    this.#slots.write(write, (outcome) => {
      if (outcome.kind === 'written') this.#writeAgain(rest, outcome.sequence, serverId)
      // Somebody else goes on from there, or more was lost: look again.
      else this.run()
    })
  }

  #read(end: KnownEnd): void {
    const { slot, hash } = this.#applied
    if (slot === 0) return this.#readOn(end)
    this.#slots.read(slot, (found) => {
      if (!found) return this.#fail(`slot ${slot} was removed, and no checkpoint covers it`)
      if (hashBytes(found.record) === hash) return this.#readOn(end)
      const rows = [...this.#tail.after(slot - 1)].map((row) => row.slot)
      this.#fail(`slot ${slot} holds another record than the one that this store applied`, rows)
    })
  }

  #readOn(end: KnownEnd): void {
    const from = this.#applied.slot + 1 + this.#records.length
    this.#slots.readAll(from, end.lastSlot, (records) => {
      if (!records) {
        return this.#fail(`slots from ${from} on were removed, and no checkpoint covers them`)
      }
      this.#records.push(...records)
      const problem = this.#brokenChain()
      if (problem !== undefined) return this.#fail(problem)
      this.#claim(end)
    })
  }

  #brokenChain(): string | undefined {
    let prev = this.#applied.hash
    for (const [index, bytes] of this.#records.entries()) {
      const slot = this.#applied.slot + 1 + index
      const record = recordOf({ slot, bytes })
      if (!record) return `slot ${slot} holds a record that this version cannot read`
      if (record.prev !== prev) return `the chain of records is broken at slot ${slot}`
      prev = hashBytes(bytes)
    }
    return undefined
  }

  #claim(end: KnownEnd): void {
    const { shard, node, viewVersion, random, log } = this.#deps
    const newest = this.#records.at(-1)
    const slot = end.lastSlot + 1
    invariant(
      slot === this.#applied.slot + this.#records.length + 1,
      'a claim stands behind everything that was read',
    )
    const newestId = newest && serverIdOf(decodeRecord(newest))
    if (newestId !== undefined && newestId !== end.serverId) {
      log.warn({ shard, slot }, 'the journal may have lost its end; no other member was asked')
    }
    const claimId = random.id()
    const { serverId } = end
    const prev = newest ? hashBytes(newest) : this.#applied.hash
    const record = encodeRecord({ kind: 'claim', prev, serverId, node, claimId, viewVersion })
    const write = { slot, record, after: { sequence: end.lastSequence, serverId } }
    this.#slots.write(write, (outcome) => {
      // Somebody else was faster, or the journal is not what it was: look again.
      if (outcome.kind !== 'written') return this.run()
      this.#records.push(record)
      const last = { slot, hash: hashBytes(record), sequence: outcome.sequence, serverId }
      this.#keep({ epoch: { slot, claimId }, last })
    })
  }

  /** Only now: a claim that won makes all slots before it final. Earlier, a kept record is poison. */
  #keep(ownership: Ownership): void {
    const { store } = this.#deps
    const applied = this.#applied.slot
    const { slot, serverId } = ownership.last
    let failed = false
    const fail = (why: string) => {
      if (!failed) this.#fail(why)
      failed = true
    }
    let writes = this.#tail.clear(applied, this.#records, serverId)
    for (let from = 0; from < this.#records.length; from += APPLIED_AT_ONCE) {
      const page = this.#records.slice(from, from + APPLIED_AT_ONCE)
      writes.push(...this.#rowsOf(applied + 1 + from, page))
      const isLast = applied + from + page.length === slot
      store.write({
        writes,
        flushed: () => {
          if (isLast && !failed) this.#done({ kind: 'taken', ...ownership })
        },
        failed: ({ message }) => fail(message),
      })
      writes = []
    }
  }

  /** Of slots in a row: what they hold, their raw records, and how far the store is with them. */
  #rowsOf(first: number, records: readonly Uint8Array[]): StoreWrite[] {
    const { shard } = this.#deps
    const writes: StoreWrite[] = []
    let hash = ''
    for (const [index, bytes] of records.entries()) {
      const record = decodeRecord(bytes)
      if (record.kind === 'batch') for (const write of record.writes) writes.push(write)
      writes.push([tailKey(shard, first + index), bytes])
      hash = hashBytes(bytes)
    }
    writes.push([appliedKey(shard), pack([first + records.length - 1, hash])])
    return writes
  }

  /** The store is left as it is: whoever discards it for a checkpoint sets its tail aside first. */
  #fail(why: string, offChain: readonly number[] = []): void {
    const { shard, log } = this.#deps
    log.error({ shard, why, slots: offChain }, 'a shard cannot be taken with this store')
    this.#done({ kind: 'failed', why })
  }
}
