/**
 * The data directory of embedded nodes: one store that outlives its processes and that two of them may
 * have open at a time, as LMDB allows.
 *
 * Decides: what a process leaves behind (what the kernel had taken is written without it), what a power
 * failure takes (all that was not flushed), and that a commit is told of in the moment in which it is
 * on disk, whoever is left to hear of it. Once it is the directory of a member of a cluster, its commits
 * are no slots any more: the journal has those, and what is told of is what is flushed of the tail.
 */
import { MemoryStore, type VirtualClock } from '../../src/adapters/memory/index.ts'
import type {
  StoreRange,
  StoreRow,
  StoreSnapshot,
  StoreTransaction,
  StoreWrite,
} from '../../src/ports/index.ts'
import { hashBytes, unpack } from '../../src/protocol/index.ts'
import { slotOfTailKey, TABLE } from '../../src/shard/keys.ts'
import { encodeRecord, GENESIS_HASH } from '../../src/shard/slot-records.ts'
import { appliedOf } from '../../src/shard/tail.ts'
import { entryOf } from './mirror.ts'
import type { ProcessClock } from './process-clock.ts'
import type { SimRandom } from './random.ts'
import { DiskClock, type DiskRates, FLUSH_MS, type SimDisk } from './sim-store.ts'

/** By which the newest process on the directory is known (src/node/data.ts). */
export const OWNER_KEY = Uint8Array.of(0xff, 0xff, 0x02)
/** Rows of the directory itself. */
const NO_SHARD = 0xffff

/** A batch in the form of a slot of a journal, so that all checkers can read it. */
export interface CommittedBatch {
  shard: number
  slot: number
  record: Uint8Array
}

export interface DirectoryOptions {
  base: VirtualClock
  random: SimRandom
  rates: DiskRates
  /** From now on the directory is this process's. */
  owned: (node: string, ownerId: string) => void
  committed: (node: string, batch: CommittedBatch) => void
  /** It is the directory of a member: what a shard had alone is what a checkpoint of this slot holds. */
  founded: (node: string, at: FoundedShard) => void
  /** A record of a tail is on disk. */
  flushed: (node: string, shard: number, slot: number) => void
}

export interface FoundedShard {
  shard: number
  slot: number
  hash: string
  /** Of the last batch before. */
  prev: string
}

export class SimDirectory {
  readonly #options: DirectoryOptions
  readonly #lastHash = new Map<number, string>()
  #inner: MemoryStore
  #isBroken = false
  /** As far as the disk knows. */
  #isMembers = false
  /** The newest version of the program that was started on it: nobody goes back. */
  version: 1 | 2 = 1

  constructor(options: DirectoryOptions) {
    this.#options = options
    const { base, random, rates } = options
    const clock = new DiskClock(base, random.fork('latency'), rates)
    this.#inner = new MemoryStore({ clock, flushDelayMs: FLUSH_MS })
  }

  get inner(): MemoryStore {
    return this.#inner
  }

  open(process: ProcessClock, node: string): SimDisk {
    if (this.#isBroken) this.losePower()
    return new SharedStore(this, process, node)
  }

  /** No process is left that has it open. */
  losePower(): void {
    this.#isBroken = false
    this.#inner = this.#inner.crash()
  }

  write(transaction: StoreTransaction, node: string, ownerId: string): void {
    const { random, rates } = this.#options
    if (random.chance(rates.fullChance)) this.#inner.failNext('full')
    if (random.chance(rates.brokenChance)) this.#inner.failNextFlush()
    this.#inner.write({
      ...transaction,
      flushed: () => {
        this.#tell(transaction.writes, node, ownerId)
        transaction.flushed?.()
      },
      failed: (failure) => {
        if (failure.kind === 'broken') this.#isBroken = true
        transaction.failed(failure)
      },
    })
  }

  #tell(writes: readonly StoreWrite[], node: string, ownerId: string): void {
    if (this.#isMembers) return this.#tellFlushed(writes, node)
    if (writes.some(([key]) => isOwnerKey(key))) return this.#options.owned(node, ownerId)
    const places = writes.filter(([key]) => key[2] === TABLE.applied && shardOf(key) !== NO_SHARD)
    if (places.length > 0) return this.#tellFounded(places, node)
    const meta = writes.find(([key]) => key[2] === TABLE.meta)
    if (!meta) return
    const shard = shardOf(meta[0])
    const prev = entryOf(this.#lastHash, shard, () => GENESIS_HASH)
    const slot = slotOfMeta(meta[1])
    const record = encodeRecord({
      kind: 'batch',
      prev,
      serverId: '',
      epoch: { slot: 0, claimId: ownerId },
      batchId: String(slot),
      writes,
    })
    this.#lastHash.set(shard, hashBytes(record))
    this.#options.committed(node, { shard, slot, record })
  }

  /** One commit says so of all shards. */
  #tellFounded(places: readonly StoreWrite[], node: string): void {
    this.#isMembers = true
    for (const [key, value] of places) {
      const shard = shardOf(key)
      const { slot, hash } = appliedOf(value ?? undefined)
      const prev = this.#lastHash.get(shard) ?? GENESIS_HASH
      this.#options.founded(node, { shard, slot, hash, prev })
    }
  }

  #tellFlushed(writes: readonly StoreWrite[], node: string): void {
    for (const [key, value] of writes) {
      if (key[2] !== TABLE.tail || !value) continue
      this.#options.flushed(node, shardOf(key), slotOfTailKey(key))
    }
  }
}

/** The directory as one process has it open. */
class SharedStore implements SimDisk {
  readonly #directory: SimDirectory
  readonly #process: ProcessClock
  readonly #node: string
  #ownerId = ''

  constructor(directory: SimDirectory, process: ProcessClock, node: string) {
    this.#directory = directory
    this.#process = process
    this.#node = node
  }

  get inner(): MemoryStore {
    return this.#directory.inner
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.inner.get(key)
  }

  range(options: StoreRange): Iterable<StoreRow> {
    return this.inner.range(options)
  }

  count(from: Uint8Array, to: Uint8Array): number {
    return this.inner.count(from, to)
  }

  snapshot(): StoreSnapshot {
    return this.inner.snapshot()
  }

  write(transaction: StoreTransaction): void {
    const process = this.#process
    // Its promises may go on in the instant in which it ends.
    if (process.isDead) return
    const owner = transaction.writes.find(([key]) => isOwnerKey(key))
    if (owner?.[1]) this.#ownerId = Buffer.from(owner[1]).toString()
    const heard: StoreTransaction = {
      ...transaction,
      visible: () => process.enter(() => transaction.visible?.()),
      flushed: () => process.enter(() => transaction.flushed?.()),
      failed: (failure) => process.enter(() => transaction.failed(failure)),
    }
    this.#directory.write(heard, this.#node, this.#ownerId)
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}

function shardOf(key: Uint8Array): number {
  return ((key[0] ?? 0) << 8) | (key[1] ?? 0)
}

function slotOfMeta(value: Uint8Array | null): number {
  return value ? (unpack(value) as [number])[0] : 0
}

function isOwnerKey(key: Uint8Array): boolean {
  return Buffer.compare(key, OWNER_KEY) === 0
}
