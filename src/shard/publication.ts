/**
 * Bringing a shard that was served without a journal into a cluster.
 *
 * Decides: how such a journal begins. A checkpoint holds all rows; its slot is the next of the shard's
 * own count, so that no birth and no effect id comes twice, and its hash is drawn, since no record stands
 * there. The first record is a claim in the slot behind it that names that hash as the record before.
 * So whoever takes or follows the shard meets what it knows: a journal whose older slots are removed, and a
 * checkpoint that covers them; and a journal that is empty later is gone as a whole, not new. Leaves to
 * others: that nobody takes part before all shards have begun (node/publishing.ts).
 */
import type { Checkpoints, Clock, Journal, Random, Store, StoreWrite } from '../ports/index.ts'
import { hashBytes, pack, unpack } from '../protocol/index.ts'
import { CheckpointAccess } from './checkpoint-access.ts'
import { writeChunks } from './checkpoint-chunks.ts'
import type { Checkpoint } from './checkpoint-form.ts'
import { appliedKey, metaKey } from './keys.ts'
import { Retries } from './retries.ts'
import { type KnownEnd, SlotReader } from './slot-reader.ts'
import { encodeRecord } from './slot-records.ts'
import { type Applied, recordOf } from './tail.ts'

/** Of no view: whoever is named by any may take the shard over. */
const NO_VIEW = 0

/**
 * Where the journal has an end and not its first slot, it is looked at so often again, after so long: a leader
 * of the stream that was deposed answers for a moment what was true before. What is missing for longer than an
 * election takes was removed.
 */
const MISSING_LOOKS_MAX = 10
const AGAIN = { firstMs: 200, maxMs: 1_000 }

export interface PublicationDeps {
  shard: number
  store: Store
  journal: Journal
  checkpoints: Checkpoints
  clock: Clock
  random: Random
  node: string
  /** One for all shards that are brought together; a further try has another. */
  id: string
  /** Bytes of rows in one chunk; one row more may stand in it. */
  chunkBytesMax: number
}

/** What the cluster has of a shard already. */
export type Found = 'nothing' | 'slots' | 'checkpoints'

/** How a journal stands that was to begin. */
export type Begun = 'began' | 'had begun' | 'taken by others'

/** What became of its checkpoint. */
export type Uploaded = { kind: 'made' } | { kind: 'was there' } | { kind: 'failed'; why: string }

export class ShardPublication {
  readonly #deps: PublicationDeps
  readonly #access: CheckpointAccess
  readonly #slots: SlotReader
  readonly #again: Retries
  /** Where the checkpoint stands. */
  readonly #place: Applied

  constructor(deps: PublicationDeps) {
    const { shard, journal, checkpoints, clock, store, id } = deps
    this.#deps = deps
    this.#access = new CheckpointAccess(shard, checkpoints, clock)
    this.#slots = new SlotReader(shard, journal, clock)
    this.#again = new Retries(clock, AGAIN)
    this.#place = placeOfPublished(shard, store, id)
  }

  /** From now on nobody is told anything. */
  stop(): void {
    this.#access.stop()
    this.#slots.stop()
    this.#again.stop()
  }

  look(done: (found: Found) => void): void {
    this.#slots.end((end) => {
      if (end.lastSequence > 0) return done('slots')
      this.#access.slots((all) => done(all.length > 0 ? 'checkpoints' : 'nothing'))
    })
  }

  /** Removes what an earlier try has left. Only while nobody else takes part: then nobody goes by it. */
  clear(done: () => void): void {
    this.#access.removeBelow(Number.MAX_SAFE_INTEGER, done)
  }

  /** Makes the checkpoint, if it is not there as a whole. */
  upload(done: (outcome: Uploaded) => void): void {
    const { slot, hash } = this.#place
    this.#access.list((all) => {
      const recorded = all.find((one) => one.slot === slot)
      if (!recorded) return this.#uploadUnread(done)
      if (recorded.hash !== hash) return done(takenByAnother(slot))
      this.#access.verify(recorded, (problem) => {
        if (problem === undefined) return done({ kind: 'was there' })
        this.#uploadAnew(done)
      })
    })
  }

  /** What stands in its slot, if anything, is of another form: begun by another version, and of no use. */
  #uploadUnread(done: (outcome: Uploaded) => void): void {
    this.#access.slots((slots) => {
      if (slots.includes(this.#place.slot)) this.#uploadAnew(done)
      else this.#upload(done)
    })
  }

  /** A record is created once: the broken one has to go first. */
  #uploadAnew(done: (outcome: Uploaded) => void): void {
    this.clear(() => this.#upload(done))
  }

  #upload(done: (outcome: Uploaded) => void): void {
    const { shard, store, random, chunkBytesMax } = this.#deps
    const begun = { ...this.#place, attempt: random.id() }
    // Nobody serves the shard meanwhile, so every snapshot of it is the same.
    const renewed = () => store.snapshot()
    const deps = { shard, snapshot: renewed(), renewed, access: this.#access, chunkBytesMax }
    writeChunks(deps, begun, (written) => {
      if (written.kind === 'written') this.#record(written.checkpoint, done)
      else done(written)
    })
  }

  #record(checkpoint: Checkpoint, done: (outcome: Uploaded) => void): void {
    this.#access.record(checkpoint, (ours) =>
      done(ours ? { kind: 'made' } : takenByAnother(checkpoint.slot)),
    )
  }

  /** Writes the first record behind the checkpoint, if it is not there. */
  begin(done: (outcome: Begun) => void, looks = 0): void {
    this.#slots.end((end) => {
      if (end.lastSlot === 0) return this.#claim(end, done)
      this.#slots.read(this.#place.slot + 1, (found) => {
        if (found) return done(this.#isOurs(found.record) ? 'had begun' : 'taken by others')
        if (looks === MISSING_LOOKS_MAX) return done('taken by others')
        this.#again.again(looks, () => this.begin(done, looks + 1))
      })
    })
  }

  #claim(end: KnownEnd, done: (outcome: Begun) => void): void {
    const { node, id } = this.#deps
    const { slot, hash } = this.#place
    const { serverId, lastSequence: sequence } = end
    const record = encodeRecord({
      ...{ kind: 'claim', prev: hash, serverId, node, claimId: id, viewVersion: NO_VIEW },
    })
    const write = { slot: slot + 1, record, after: { sequence, serverId } }
    this.#slots.write(write, ({ kind }) => {
      if (kind === 'written') done('began')
      // The stream is created by this, so it is not the copy that was seen; or an earlier try has landed.
      else this.begin(done)
    })
  }

  #isOurs(bytes: Uint8Array): boolean {
    const { node, id } = this.#deps
    const record = recordOf({ slot: this.#place.slot + 1, bytes })
    return record?.kind === 'claim' && record.node === node && record.claimId === id
  }
}

function takenByAnother(slot: number): Uploaded {
  return { kind: 'failed', why: `another has recorded a checkpoint of slot ${slot}` }
}

/** What makes the rows of a store those of the checkpoint: then it reads on from there. */
export function publishedRow(shard: number, store: Store, id: string): StoreWrite {
  const { slot, hash } = placeOfPublished(shard, store, id)
  return [appliedKey(shard), pack([slot, hash])]
}

function placeOfPublished(shard: number, store: Store, id: string): Applied {
  const meta = store.get(metaKey(shard))
  const [lastBatch] = meta ? (unpack(meta) as [number, ...unknown[]]) : [0]
  return { slot: lastBatch + 1, hash: hashBytes(Buffer.from(`${id}/${shard}`)) }
}
