/**
 * The journaled commit path: slot ∥ tail, then apply.
 *
 * Decides: that a batch is committed when its slot holds it and the own store has flushed it; that
 * the store's rows change only after the slot is won; and how a shard is taken: read to the end,
 * re-fill what the journal lost, claim, then apply. Leaves to others: who tries to take (cluster).
 */
import type { Clock, Journal, Log, Random, Store, StoreWrite } from '../ports/index.ts'
import { hashBytes, invariant, pack, unpack } from '../protocol/index.ts'
import type { CommitOutcome, CommitPath, CommitRequest, TakeOutcome } from './commit.ts'
import { appliedKey, slotOfTailKey, TABLE, tableRange, tailKey } from './keys.ts'
import { type KnownEnd, SlotReader } from './slot-reader.ts'
import {
  decodeRecord,
  type Epoch,
  encodeRecord,
  GENESIS_HASH,
  type SlotRecord,
} from './slot-records.ts'

export interface JournaledCommitDeps {
  shard: number
  store: Store
  journal: Journal
  clock: Clock
  random: Random
  log: Log
  node: string
  /** Of the view that names this node; a loser tries again only with a newer one. */
  viewVersion: number
  /** Without an acknowledgement for this long the end is read before the next write. */
  ownerSilenceMs?: number
}

const OWNER_SILENCE_MS = 30_000

interface Position {
  slot: number
  hash: string
  sequence: number
}

export class JournaledCommit implements CommitPath {
  readonly durability = 'flushed+journaled'
  readonly journaled = true
  readonly #deps: JournaledCommitDeps
  readonly #slots: SlotReader
  #epoch: Epoch = { slot: 0, claimId: '' }
  /** The newest slot that is known to hold what the store has, or will have when applied. */
  #last: Position = { slot: 0, hash: GENESIS_HASH, sequence: 0 }
  #serverId = ''
  #acknowledgedAt = 0
  #stopped = false

  constructor(deps: JournaledCommitDeps) {
    this.#deps = deps
    this.#slots = new SlotReader(deps.shard, deps.journal, deps.clock)
  }

  get epoch(): Epoch {
    return this.#epoch
  }

  stop(): void {
    this.#stopped = true
    this.#slots.stop()
  }

  take(done: (outcome: TakeOutcome) => void): void {
    const applied = this.#applied()
    this.#slots.end((end) => {
      this.#checkApplied(end, applied, (problem) => {
        if (problem !== undefined) return done({ kind: 'failed', why: problem })
        this.#refill(end, applied, (filled) => this.#readAndClaim(filled, applied, done))
      })
    })
  }

  #applied(): { slot: number; hash: string } {
    const bytes = this.#deps.store.get(appliedKey(this.#deps.shard))
    if (!bytes) return { slot: 0, hash: GENESIS_HASH }
    const [slot, hash] = unpack(bytes) as [number, string]
    return { slot, hash }
  }

  /** The store must be a prefix of the journal; otherwise it is discarded for a checkpoint. */
  #checkApplied(
    end: KnownEnd,
    applied: { slot: number; hash: string },
    done: (problem: string | undefined) => void,
  ): void {
    if (applied.slot === 0 || applied.slot > end.lastSlot) return done(undefined)
    this.#slots.read(applied.slot, (found) => {
      if (!found) return done(`slot ${applied.slot} was removed and no checkpoint covers it`)
      const same = hashBytes(found.record) === applied.hash
      done(
        same
          ? undefined
          : `slot ${applied.slot} holds another record than the one this store applied`,
      )
    })
  }

  /** The journal acknowledges before it syncs: what it lost at its end is written again from here. */
  #refill(
    end: KnownEnd,
    applied: { slot: number; hash: string },
    done: (end: KnownEnd) => void,
  ): void {
    const lost = this.#tailAfter(end.lastSlot)
    const first = lost[0]
    if (!first) return done(end)
    this.#hashAt(end.lastSlot, applied, (hash) => {
      const record = decodeRecord(first.record)
      if (record.prev !== hash) {
        this.#quarantine(lost, 'it does not join the end of the journal')
        return done(end)
      }
      this.#deps.log.error(
        {
          shard: this.#deps.shard,
          from: first.slot,
          to: lost.at(-1)?.slot,
          serverId: end.serverId,
        },
        'the journal is shorter than this store remembers: its end is written again',
      )
      this.#writeAgain(lost, end, hash, () => this.#slots.end(done))
    })
  }

  #tailAfter(slot: number): { slot: number; record: Uint8Array }[] {
    const { shard, store } = this.#deps
    const range = { from: tailKey(shard, slot + 1), to: tableRange(shard, TABLE.tail).to }
    const rows: { slot: number; record: Uint8Array }[] = []
    for (const { key, value } of store.range(range)) {
      const at = slotOfTailKey(key)
      if (at !== slot + 1 + rows.length) break
      rows.push({ slot: at, record: value })
    }
    return rows
  }

  #hashAt(
    slot: number,
    applied: { slot: number; hash: string },
    done: (hash: string) => void,
  ): void {
    if (slot === 0) return done(GENESIS_HASH)
    this.#slots.read(slot, (found) => {
      done(found ? hashBytes(found.record) : applied.slot === slot ? applied.hash : '')
    })
  }

  #writeAgain(
    rows: readonly { slot: number; record: Uint8Array }[],
    end: KnownEnd,
    hash: string,
    done: () => void,
  ): void {
    const [row, ...rest] = rows
    if (!row) return done()
    if (decodeRecord(row.record).prev !== hash) {
      this.#quarantine(rows, 'the chain of records is broken')
      return done()
    }
    this.#slots.write(row.slot, row.record, end.lastSequence, (outcome) => {
      // Somebody else goes on from there; what they wrote is read next.
      if (outcome.kind === 'fenced') return done()
      this.#writeAgain(
        rest,
        { ...end, lastSequence: outcome.sequence },
        hashBytes(row.record),
        done,
      )
    })
  }

  #quarantine(rows: readonly { slot: number }[], why: string): void {
    const { shard, log } = this.#deps
    log.error(
      { shard, slots: rows.map(({ slot }) => slot), why },
      'records of this store are off the chain of the journal; they are not applied',
    )
  }

  #readAndClaim(
    end: KnownEnd,
    applied: { slot: number; hash: string },
    done: (outcome: TakeOutcome) => void,
  ): void {
    this.#slots.readAll(applied.slot + 1, end.lastSlot, (records) => {
      if (!records)
        return done({
          kind: 'failed',
          why: `slots after ${applied.slot} were removed and no checkpoint covers them`,
        })
      let hash = applied.hash
      for (const [index, record] of records.entries()) {
        if (decodeRecord(record).prev !== hash) {
          return done({
            kind: 'failed',
            why: `the chain of records is broken at slot ${applied.slot + 1 + index}`,
          })
        }
        hash = hashBytes(record)
      }
      this.#claim(end, hash, records, applied.slot, done)
    })
  }

  #claim(
    end: KnownEnd,
    prev: string,
    records: readonly Uint8Array[],
    appliedSlot: number,
    done: (outcome: TakeOutcome) => void,
  ): void {
    const { node, viewVersion, random } = this.#deps
    const slot = Math.max(end.lastSlot, appliedSlot) + 1
    const claimId = random.id()
    const claim = encodeRecord({
      kind: 'claim',
      prev,
      serverId: end.serverId,
      node,
      claimId,
      viewVersion,
    })
    this.#slots.write(slot, claim, end.lastSequence, (outcome) => {
      if (outcome.kind === 'fenced')
        return done({ kind: 'lost', why: `slot ${slot} was claimed by another node` })
      this.#epoch = { slot, claimId }
      this.#serverId = end.serverId
      this.#last = { slot, hash: hashBytes(claim), sequence: outcome.sequence }
      this.#acknowledged()
      this.#applyTaken([...records, claim], appliedSlot, done)
    })
  }

  /** Only now: a claim that won makes all slots before it final. */
  #applyTaken(
    records: readonly Uint8Array[],
    appliedSlot: number,
    done: (outcome: TakeOutcome) => void,
  ): void {
    const { shard, store } = this.#deps
    const writes: StoreWrite[] = []
    for (const { slot } of this.#tailAfter(appliedSlot)) writes.push([tailKey(shard, slot), null])
    records.forEach((record, index) => {
      writes.push([tailKey(shard, appliedSlot + 1 + index), record])
      const decoded = decodeRecord(record)
      if (decoded.kind === 'batch') writes.push(...decoded.writes)
    })
    writes.push([appliedKey(shard), pack([this.#last.slot, this.#last.hash])])
    store.write({
      writes,
      flushed: () => done({ kind: 'taken', nextSlot: this.#last.slot + 1 }),
      failed: ({ message }) => done({ kind: 'failed', why: message }),
    })
  }

  commit(request: CommitRequest, done: (outcome: CommitOutcome) => void): void {
    invariant(request.slot === this.#last.slot + 1, 'a batch takes the slot after the last')
    this.#afterSilence((problem) => {
      if (problem) return done(problem)
      this.#commitSlot(request, done)
    })
  }

  /** Slot and tail at once; the store's rows change when both are known. */
  #commitSlot(request: CommitRequest, done: (outcome: CommitOutcome) => void): void {
    const { shard, store, random } = this.#deps
    const { slot, writes } = request
    const batch: SlotRecord = {
      kind: 'batch',
      prev: this.#last.hash,
      serverId: this.#serverId,
      epoch: this.#epoch,
      batchId: random.id(),
      writes,
    }
    const record = encodeRecord(batch)
    let waiting = 2
    let sequence = 0
    const arrived = () => {
      waiting -= 1
      if (waiting > 0 || this.#stopped) return
      this.#last = { slot, hash: hashBytes(record), sequence }
      this.#apply(writes, done)
    }
    this.#slots.write(slot, record, this.#last.sequence, (outcome) => {
      if (outcome.kind === 'fenced') return this.#fenced(slot, done)
      sequence = outcome.sequence
      this.#acknowledged()
      arrived()
    })
    store.write({
      writes: [[tailKey(shard, slot), record]],
      flushed: arrived,
      failed: ({ message }) => this.#fail(message, done),
    })
  }

  #apply(writes: readonly StoreWrite[], done: (outcome: CommitOutcome) => void): void {
    const { shard, store } = this.#deps
    const { slot, hash } = this.#last
    store.write({
      writes: [...writes, [appliedKey(shard), pack([slot, hash])]],
      // Flushed is not needed: the tail is, and it holds the same.
      visible: () => done({ kind: 'committed' }),
      failed: ({ message }) => this.#fail(message, done),
    })
  }

  #fail(why: string, done: (outcome: CommitOutcome) => void): void {
    if (this.#stopped) return
    this.stop()
    done({ kind: 'failed', why })
  }

  /** Another owner's record stands in our slot: our tail from there on must not come back to life. */
  #fenced(slot: number, done: (outcome: CommitOutcome) => void): void {
    if (this.#stopped) return
    const { shard, store } = this.#deps
    this.stop()
    const outcome: CommitOutcome = {
      kind: 'lost',
      why: `slot ${slot} holds the record of another owner`,
    }
    store.write({
      writes: [[tailKey(shard, slot), null]],
      visible: () => done(outcome),
      failed: () => done(outcome),
    })
  }

  #acknowledged(): void {
    this.#acknowledgedAt = this.#deps.clock.monotonic()
  }

  /** The connection rule: after a long silence nothing is written before the end was read. */
  #afterSilence(done: (problem: CommitOutcome | undefined) => void): void {
    const silenceMs = this.#deps.clock.monotonic() - this.#acknowledgedAt
    if (silenceMs < (this.#deps.ownerSilenceMs ?? OWNER_SILENCE_MS)) return done(undefined)
    this.#confirmEnd(done)
  }

  #confirmEnd(done: (problem: CommitOutcome | undefined) => void): void {
    this.#slots.end((end) => {
      if (end.lastSlot === this.#last.slot && end.lastSequence === this.#last.sequence) {
        this.#acknowledged()
        return done(undefined)
      }
      if (end.lastSlot > this.#last.slot) {
        this.stop()
        return done({
          kind: 'lost',
          why: `slot ${this.#last.slot + 1} holds the record of another owner`,
        })
      }
      // Shorter: the shard is taken anew, and that re-fills.
      this.stop()
      done({ kind: 'lost', why: 'the journal lost its end; the shard has to be taken again' })
    })
  }

  /** A batch that only read: the end of the journal must still be ours. */
  confirm(done: (outcome: CommitOutcome) => void): void {
    this.#confirmEnd((problem) => done(problem ?? { kind: 'committed' }))
  }
}
