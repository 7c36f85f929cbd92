/**
 * A node's store in LMDB, through lmdb-js.
 *
 * Decides:
 * - Group commit by hand: one LMDB transaction is under way at a time, what is written meanwhile is
 *   the next one. All rows go into one block of lmdb-js, which costs one promise per group and no
 *   more than a third of a microsecond per row on this thread; the rest happens on a pool thread.
 * - `overlappingSync` is off: a commit is synced before it is visible, as in plain LMDB. In lmdb-js
 *   3.5.6 the overlapping mode is no earlier visible to us and no faster (measured), and its failed
 *   flush leaves rows visible that are not on disk. So `visible` and `flushed` come together.
 * - One writer per directory: whoever opens it last, in this process or another, is its owner. Each
 *   group is conditional on that inside LMDB itself (`ifVersion` on a row of the same environment),
 *   so an older opener writes nothing from then on and is told `fenced`. Because of that, conditions
 *   on rows can be judged here (conditions.ts).
 * - After `full`, `broken` or losing the directory every later write fails the same way: lmdb-js has
 *   known crashes when it goes on after a failed commit, and an owner has to stop anyway.
 * - Reads copy. A range is read in pages, and no cursor or read transaction stays open between two
 *   of them: a forgotten iterator would stop LMDB from reusing pages. Only a snapshot keeps one
 *   (snapshot.ts), for a limited time.
 * Leaves to others: the codes of failures (errors.ts), the meaning of rows.
 */
import { mkdirSync } from 'node:fs'
import {
  SNAPSHOT_OPEN_MAX_MS,
  STORE_KEY_BYTES_MAX,
  type Store,
  type StoreFailure,
  type StoreRange,
  type StoreRow,
  type StoreSnapshot,
  type StoreTransaction,
} from '../../ports/index.ts'
import { Conditions } from './conditions.ts'
import { type Environment, type LmdbStoreOptions, openEnvironment } from './environment.ts'
import { causeOfCommitFailure, openFailure, storeFailureOf } from './errors.ts'
import { LmdbSnapshot } from './snapshot.ts'

const PAGE_ROWS_MIN = 32
const PAGE_ROWS_MAX = 512
/** The smallest key there is. */
const FIRST_KEY = Uint8Array.of(0)

interface Entry {
  transaction: StoreTransaction
  /** Whether its condition held when its group was put together. */
  accepted: boolean
}

export class LmdbStore implements Store {
  private readonly environment: Environment
  private readonly readOnly: boolean
  private waiting: Entry[] = []
  private underWay = false
  private submitPlanned = false
  private closing: Promise<void> | undefined
  private drained: (() => void) | undefined
  private dead: StoreFailure | undefined
  private readonly snapshots = new Set<LmdbSnapshot>()
  private readonly snapshotOpenMaxMs: number

  private constructor(environment: Environment, options: LmdbStoreOptions) {
    this.environment = environment
    this.readOnly = options.readOnly ?? false
    this.snapshotOpenMaxMs = options.snapshotOpenMaxMs ?? SNAPSHOT_OPEN_MAX_MS
  }

  /** @throws TroupeError `store-failed` when the directory cannot be used, or is not a store */
  static open(options: LmdbStoreOptions): LmdbStore {
    const readOnly = options.readOnly ?? false
    try {
      if (!readOnly) mkdirSync(options.directory, { recursive: true })
      return new LmdbStore(openEnvironment(options), options)
    } catch (cause) {
      throw openFailure(options.directory, cause)
    }
  }

  get(key: Uint8Array): Uint8Array | undefined {
    this.checkOpen()
    if (key.length === 0 || key.length > STORE_KEY_BYTES_MAX) return undefined
    return this.environment.rows.getBinary(key)
  }

  *range(options: StoreRange): Generator<StoreRow> {
    let { from, to } = options
    let left = options.limit ?? Number.POSITIVE_INFINITY
    let pageRows = PAGE_ROWS_MIN
    let after = false
    while (left > 0) {
      const limit = Math.min(left, pageRows)
      const page = this.page({ from, to, limit, reverse: options.reverse ?? false }, after)
      yield* page
      if (page.length < limit) return
      left -= page.length
      pageRows = Math.min(pageRows * 2, PAGE_ROWS_MAX)
      const last = page[page.length - 1]!.key
      if (options.reverse) to = last
      else from = last
      after = true
    }
  }

  count(from: Uint8Array, to: Uint8Array): number {
    this.checkOpen()
    const start = atLeastFirst(from)
    if (Buffer.compare(start, to) >= 0) return 0
    return this.environment.rows.getKeysCount({ start, end: to })
  }

  snapshot(): StoreSnapshot {
    this.checkOpen()
    const snapshot: LmdbSnapshot = new LmdbSnapshot(
      this.environment.rows,
      this.snapshotOpenMaxMs,
      () => this.snapshots.delete(snapshot),
    )
    this.snapshots.add(snapshot)
    return snapshot
  }

  /** The bytes of the writes must not change until an outcome has come: they are not copied. */
  write(transaction: StoreTransaction): void {
    this.checkOpen()
    if (this.readOnly) throw new Error('the store was opened for reading only')
    checkKeys(transaction)
    this.waiting.push({ transaction, accepted: false })
    if (!this.submitPlanned && !this.underWay) {
      this.submitPlanned = true
      // Runs when the present callback of the event loop is over: what it writes is one group.
      queueMicrotask(this.submit)
    }
  }

  close(): Promise<void> {
    this.checkOpen()
    for (const snapshot of [...this.snapshots]) snapshot.close()
    this.closing = this.drain().then(() => this.environment.close())
    return this.closing
  }

  private async drain(): Promise<void> {
    if (!this.underWay && this.waiting.length === 0) return
    await new Promise<void>((resolve) => {
      this.drained = resolve
    })
  }

  /** Hands the next group to LMDB. */
  private readonly submit = (): void => {
    this.submitPlanned = false
    const group = this.waiting
    this.waiting = []
    this.underWay = true
    if (this.dead !== undefined) {
      this.settle(group, this.dead)
      return
    }
    const conditions = new Conditions((key) => this.environment.rows.getBinary(key))
    let accepted = 0
    for (const entry of group) {
      entry.accepted = conditions.accept(entry.transaction)
      if (entry.accepted) accepted++
    }
    if (accepted === 0) {
      this.settle(group, undefined)
      return
    }
    this.environment.writeAsOwner(group.filter(isAccepted).map(transactionOf)).then(
      (isOwner) => this.settle(group, isOwner ? undefined : this.die(this.environment.lost())),
      (error: unknown) => void this.fail(group, error),
    )
  }

  private async fail(group: Entry[], error: unknown): Promise<void> {
    const cause = await causeOfCommitFailure(error)
    this.settle(group, this.die(storeFailureOf(cause, () => this.environment.space())))
  }

  private die(failure: StoreFailure): StoreFailure {
    this.dead = failure
    return failure
  }

  /** Tells the outcomes of a group in the order of the calls, then goes on with the next. */
  private settle(group: Entry[], failure: StoreFailure | undefined): void {
    for (const { transaction, accepted } of group) {
      try {
        if (failure !== undefined) transaction.failed(failure)
        else if (!accepted) transaction.failed(conditionFailed())
        else {
          transaction.visible?.()
          transaction.flushed?.()
        }
      } catch (error) {
        // A callback's fault is the process's business, not that of the callbacks behind it.
        setImmediate(() => {
          throw error
        })
      }
    }
    this.underWay = false
    if (this.waiting.length > 0) {
      this.submitPlanned = true
      // A refusal has cost no time in which others could have gathered.
      if (failure === undefined) this.submit()
      else setImmediate(this.submit)
    } else {
      this.drained?.()
    }
  }

  private page(range: Required<StoreRange>, after: boolean): StoreRow[] {
    this.checkOpen()
    const { reverse, limit, to } = range
    const from = atLeastFirst(range.from)
    if (Buffer.compare(from, to) >= 0) return []
    const { rows } = this.environment
    const found = reverse
      ? rows.getRange({
          start: to,
          end: from,
          reverse,
          limit,
          exclusiveStart: true,
          inclusiveEnd: true,
        })
      : rows.getRange({ start: from, end: to, limit, exclusiveStart: after })
    // Read to its end at once: this is what closes the cursor.
    return [...found]
  }

  private checkOpen(): void {
    if (this.closing !== undefined) throw new Error('the store is closed')
  }
}

/** A bad key found by lmdb-js in the middle of a block would leave half a transaction behind. */
function checkKeys({ writes }: StoreTransaction): void {
  for (const [key] of writes) {
    if (key.length === 0 || key.length > STORE_KEY_BYTES_MAX) {
      throw new RangeError(
        `a key of the store has 1 to ${STORE_KEY_BYTES_MAX} bytes, not ${key.length}`,
      )
    }
  }
}

function atLeastFirst(key: Uint8Array): Uint8Array {
  return key.length === 0 ? FIRST_KEY : key
}

function isAccepted(entry: Entry): boolean {
  return entry.accepted
}

function transactionOf(entry: Entry): StoreTransaction {
  return entry.transaction
}

function conditionFailed(): StoreFailure {
  return { kind: 'fenced', message: 'the row of the condition has other bytes' }
}
