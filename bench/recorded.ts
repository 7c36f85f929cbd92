/**
 * What the engine writes, seen at the door of its store, and the same rows written again by a bare
 * loop: the limit that the disk sets.
 *
 * Decides: that the limit is the fastest bare loop we know: one block of puts per group through
 * lmdb-js with the engine's own settings, the next when the last is flushed. It starts from a copy of
 * the data as it was before the rows were written, so that every put meets the pages that it met then.
 */
import { copyFileSync, fsyncSync, mkdirSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { type Database, open, type RootDatabase } from 'lmdb'
import { LmdbStore } from '../src/adapters/lmdb/index.ts'
import type { StoreTransaction, StoreWrite } from '../src/ports/index.ts'
import { TABLE } from '../src/shard/keys.ts'

export interface RecordedGroup {
  writes: (readonly StoreWrite[])[]
}

export interface Recording {
  groups: RecordedGroup[]
  transitions: number
  /** Batches of shards that share the groups. */
  batches: number
  rows: number
  bytes: number
  /** Also of groups that are not kept. */
  allRows: number
  /** When the last group was given to the store, on the monotonic clock. */
  lastAt: number
}

/** What is kept of a round: enough to fill a second of the bare loop, not so much that it crowds memory. */
const TRANSITIONS_MAX = 30_000

/** The inside of the store that the recorder hooks into. */
interface OpenStore {
  environment: { writeAsOwner(transactions: StoreTransaction[]): Promise<boolean> }
}

/** Follows the stores that this process opens from now on. */
export class Recorder {
  #recording: Recording | undefined

  install(): void {
    const openStore = LmdbStore.open.bind(LmdbStore)
    LmdbStore.open = (options) => {
      const store = openStore(options)
      const { environment } = store as unknown as OpenStore
      const write = environment.writeAsOwner
      environment.writeAsOwner = (transactions) => {
        if (this.#recording !== undefined) this.#note(this.#recording, transactions)
        return write(transactions)
      }
      return store
    }
  }

  start(): Recording {
    const counts = { transitions: 0, batches: 0, rows: 0, bytes: 0, allRows: 0, lastAt: 0 }
    this.#recording = { groups: [], ...counts }
    return this.#recording
  }

  stop(): void {
    this.#recording = undefined
  }

  #note(recording: Recording, transactions: readonly StoreTransaction[]): void {
    recording.lastAt = performance.now()
    for (const { writes } of transactions) recording.allRows += writes.length
    if (recording.transitions >= TRANSITIONS_MAX) return
    recording.groups.push({ writes: transactions.map(({ writes }) => writes) })
    recording.batches += transactions.length
    for (const { writes } of transactions) {
      for (const [key, value] of writes) {
        recording.rows += 1
        recording.bytes += key.length + (value?.length ?? 0)
        // Every command that was applied leaves one remembered reply.
        if (key[2] === TABLE.dedupe && value !== null) recording.transitions += 1
      }
    }
  }
}

export interface BareStore {
  root: RootDatabase<Uint8Array, Uint8Array>
  rows: Database<Uint8Array, Uint8Array>
}

/** As src/adapters/lmdb opens it. */
export function openBare(directory: string): BareStore {
  const binary = { encoding: 'binary', keyEncoding: 'binary' } as const
  const root = open<Uint8Array, Uint8Array>({
    ...binary,
    path: directory,
    noSubdir: false,
    mapSize: 2 ** 40,
    maxDbs: 4,
    compression: false,
    overlappingSync: false,
    eventTurnBatching: false,
  })
  return { root, rows: root.openDB<Uint8Array, Uint8Array>({ ...binary, name: 'rows' }) }
}

/** Copies a store that nobody writes to; the copy is on the disk, not waiting to be written. */
export function copyStore(from: string, to: string): void {
  mkdirSync(to, { recursive: true })
  const target = join(to, 'data.mdb')
  copyFileSync(join(from, 'data.mdb'), target)
  fsyncSync(openSync(target, 'r+'))
}

/** Writes the groups one after the other, each flushed before the next; the time it took in ms. */
export async function replay({ rows }: BareStore, groups: readonly RecordedGroup[]) {
  const start = performance.now()
  for (const group of groups) {
    await rows.batch(() => {
      for (const writes of group.writes) {
        for (const [key, value] of writes) {
          if (value === null) void rows.remove(key)
          else void rows.put(key, value)
        }
      }
    })
  }
  return performance.now() - start
}

/** The same through transactions on the calling thread: faster when groups are small. */
export function replayInPlace({ root, rows }: BareStore, groups: readonly RecordedGroup[]): number {
  const start = performance.now()
  for (const group of groups) {
    root.transactionSync(() => {
      for (const writes of group.writes) {
        for (const [key, value] of writes) {
          if (value === null) rows.removeSync(key)
          else rows.putSync(key, value)
        }
      }
    })
  }
  return performance.now() - start
}
