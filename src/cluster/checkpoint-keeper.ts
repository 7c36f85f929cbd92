/**
 * The checkpoints of one shard, as its owner or its standby sees to them.
 *
 * Decides: the order of one look: slots that are not needed go first, then raw records of slots that are
 * gone, then older checkpoints, then a new one is made. Only an owner that is still the owner removes
 * slots and checkpoints, and only behind checkpoints that it has read through and that belong to what
 * the journal holds. Leaves to others: what is
 * due and what is needed (checkpoints.ts), how one is written (shard/).
 */
import type { Checkpoints, Clock, Journal, Log, Random, Store } from '../ports/index.ts'
import { hashBytes } from '../protocol/index.ts'
import {
  type Checkpoint,
  CheckpointAccess,
  CheckpointWriting,
  type Epoch,
  isOfEpoch,
  placeOf,
  recordOf,
  SlotReader,
  Tail,
} from '../shard/index.ts'
import { isDue, lowestNeeded, removableSlots, type SeenCheckpoint } from './checkpoints.ts'
import type { ClusterLimits } from './limits.ts'

/** Raw records that go in one transaction. */
const RECORDS_AT_ONCE = 1_000

/** Ten minutes, with the default limits. */
const REST_DOUBLINGS_MAX = 6

export interface CheckpointKeeperDeps {
  shard: number
  store: Store
  journal: Journal
  checkpoints: Checkpoints
  clock: Clock
  random: Random
  log: Log
  limits: ClusterLimits
}

/** What this node is of the shard, for as long as it is. */
export type Keeping =
  | { role: 'standby' }
  /** `hasStandby` is asked at every look. */
  | { role: 'owner'; epoch: Epoch; last: () => Last | undefined; hasStandby: () => boolean }

/** The newest slot that the owner has written. */
type Last = { slot: number; hash: string }

export class CheckpointKeeper {
  readonly #deps: CheckpointKeeperDeps
  /** When this node first saw a checkpoint, by its attempt. It outlives a role. */
  readonly #seenSince = new Map<string, number>()
  /** Read through once. */
  readonly #whole = new Set<string>()
  /** They are not what they should be, and count for nothing; newer ones will take their places. */
  readonly #broken = new Set<string>()
  readonly #failures: Failures = { count: 0, restUntilMs: 0 }
  #look: Look | undefined
  #cancelLook: (() => void) | undefined

  constructor(deps: CheckpointKeeperDeps) {
    this.#deps = deps
  }

  start(keeping: Keeping): void {
    this.stop()
    this.#plan(keeping)
  }

  stop(): void {
    this.#cancelLook?.()
    this.#cancelLook = undefined
    this.#look?.stop()
    this.#look = undefined
  }

  /** By chance a little earlier or later, so that the shards of a node do not look at once. */
  #plan(keeping: Keeping): void {
    const { clock, random, limits } = this.#deps
    const waitMs = Math.floor(limits.checkpointLookMs * (0.5 + random.fraction()))
    this.#cancelLook = clock.after(waitMs, () => {
      this.#look = new Look(this.#deps, keeping, {
        seenSince: this.#seenSince,
        whole: this.#whole,
        broken: this.#broken,
        failures: this.#failures,
        ended: () => {
          this.#look?.stop()
          this.#look = undefined
          this.#plan(keeping)
        },
      })
      this.#look.start()
    })
  }
}

/** Writing is tried again ever more seldom: the same may be in its way, and it costs a lot. */
interface Failures {
  count: number
  /** By the monotonic clock. */
  restUntilMs: number
}

interface Knowledge {
  failures: Failures
  seenSince: Map<string, number>
  whole: Set<string>
  broken: Set<string>
  ended: () => void
}

type Seen = SeenCheckpoint & { checkpoint: Checkpoint }

/** One look, from its first question to its last act. */
class Look {
  readonly #deps: CheckpointKeeperDeps
  readonly #keeping: Keeping
  readonly #known: Knowledge
  readonly #slots: SlotReader
  readonly #access: CheckpointAccess
  readonly #tail: Tail
  #writing: CheckpointWriting | undefined
  #stopped = false

  constructor(deps: CheckpointKeeperDeps, keeping: Keeping, known: Knowledge) {
    const { shard, journal, checkpoints, clock, store, log } = deps
    this.#deps = deps
    this.#keeping = keeping
    this.#known = known
    this.#slots = new SlotReader(shard, journal, clock)
    this.#access = new CheckpointAccess(shard, checkpoints, clock)
    this.#tail = new Tail(shard, store, log)
  }

  start(): void {
    this.#access.list((all) => {
      const seen = this.#see(all)
      if (this.#keeping.role === 'owner') return this.#removeSlots(seen)
      this.#slots.end((end) => this.#dropRecords(end.firstSlot - 1, seen))
    })
  }

  stop(): void {
    this.#stopped = true
    this.#slots.stop()
    this.#access.stop()
    this.#writing?.stop()
  }

  /** Those that count, the newest first. */
  #see(all: readonly Checkpoint[]): Seen[] {
    const { seenSince, whole, broken } = this.#known
    const now = this.#deps.clock.monotonic()
    const listed = new Set(all.map(({ attempt }) => attempt))
    for (const known of [seenSince, whole, broken]) {
      for (const attempt of known.keys()) if (!listed.has(attempt)) known.delete(attempt)
    }
    for (const { attempt } of all) if (!seenSince.has(attempt)) seenSince.set(attempt, now)
    // An owner has everything: what lies beyond is left from a chain that was lost, or of this moment.
    const isOwner = this.#keeping.role === 'owner'
    const end = isOwner ? this.#tail.applied().slot : Number.POSITIVE_INFINITY
    return all
      .filter(({ attempt, slot }) => !broken.has(attempt) && slot <= end)
      .map((checkpoint) => {
        const { slot, attempt } = checkpoint
        return { slot, ageMs: now - (seenSince.get(attempt) ?? now), checkpoint }
      })
  }

  #removeSlots(seen: readonly Seen[]): void {
    const { shard, journal, limits, log } = this.#deps
    const to = removableSlots(seen, this.#tail.applied().slot, limits)
    // Raw records go with their slots: where there are none up to it, the slots are gone.
    if (this.#tail.upTo(to, 1).length === 0) return this.#removeCheckpoints(seen)
    this.#verify(seen.slice(0, 2), () =>
      this.#confirm(() =>
        journal.remove(shard, to, (outcome) => {
          if (this.#stopped) return
          // What is unknown is looked at again.
          if (outcome === 'unknown') return this.#known.ended()
          log.info({ shard, to }, 'slots of the journal are removed')
          this.#dropRecords(to, seen)
        }),
      ),
    )
  }

  /** Raw records go with their slots: nobody can be given back what lies before the first one. */
  #dropRecords(slot: number, seen: readonly Seen[]): void {
    const keys = this.#tail.upTo(slot, RECORDS_AT_ONCE)
    if (keys.length === 0) return this.#removeCheckpoints(seen)
    this.#deps.store.write({
      writes: keys.map((key) => [key, null]),
      visible: () => {
        if (!this.#stopped) this.#dropRecords(slot, seen)
      },
      // Whoever serves or follows the shard here meets the same disk, and says so.
      failed: () => {},
    })
  }

  #removeCheckpoints(seen: readonly Seen[]): void {
    const { shard, limits, log } = this.#deps
    const lowest = lowestNeeded(seen, limits)
    const isOwner = this.#keeping.role === 'owner'
    if (!isOwner || !seen.some(({ slot }) => slot < lowest)) return this.#write(seen)
    const kept = seen.filter(({ slot }) => slot >= lowest)
    this.#verify(kept, () =>
      this.#confirm(() =>
        this.#access.removeBelow(lowest, () => {
          log.info({ shard, lowest }, 'older checkpoints are removed')
          this.#write(kept)
        }),
      ),
    )
  }

  #write(seen: readonly Seen[]): void {
    const { shard, limits, log, clock } = this.#deps
    const keeping = this.#keeping
    const leavesItToStandby = keeping.role === 'owner' && keeping.hasStandby()
    const applied = this.#tail.applied().slot
    const isResting = clock.monotonic() < this.#known.failures.restUntilMs
    const isWanted = isDue(seen, { applied, leavesItToStandby }, limits)
    if (isResting || !isWanted) return this.#known.ended()
    const deps = { ...this.#deps, chunkBytesMax: limits.checkpointChunkBytesMax }
    this.#writing = new CheckpointWriting(deps, (outcome) => {
      if (outcome.kind === 'recorded') {
        const { slot, chunks, rows } = outcome
        log.info({ shard, slot, chunks, rows }, 'a checkpoint is recorded')
        this.#known.failures.count = 0
      } else {
        log.warn({ shard, why: outcome.why }, 'a checkpoint was begun and given up')
        this.#rest()
      }
      this.#known.ended()
    })
    this.#writing.start()
  }

  #rest(): void {
    const { clock, limits } = this.#deps
    const { failures } = this.#known
    const restMs = limits.checkpointLookMs * 2 ** Math.min(failures.count, REST_DOUBLINGS_MAX)
    failures.count += 1
    failures.restUntilMs = clock.monotonic() + restMs
  }

  /**
   * Goes on only when all of them are whole, and of the chain that the journal holds: one that is not
   * counts for nothing from now on.
   */
  #verify([first, ...others]: readonly Seen[], next: () => void): void {
    const { whole } = this.#known
    if (!first) return next()
    const { checkpoint } = first
    placeOf(this.#slots, checkpoint, (place) => {
      // Looked at every time: what was on the chain may have been lost since.
      if (place !== 'on the chain') return this.#reject(checkpoint, 'the journal does not know it')
      if (whole.has(checkpoint.attempt)) return this.#verify(others, next)
      this.#access.verify(checkpoint, (why) => {
        if (why !== undefined) return this.#reject(checkpoint, why)
        whole.add(checkpoint.attempt)
        this.#verify(others, next)
      })
    })
  }

  #reject({ slot, attempt }: Checkpoint, why: string): void {
    const { shard, log } = this.#deps
    log.error({ shard, slot, why }, 'a checkpoint is of no use')
    this.#known.broken.add(attempt)
    this.#known.ended()
  }

  /**
   * Goes on only when the journal holds what this owner wrote last, and nothing of others behind it. The
   * end is not asked for: on a new connection the owner itself has to do that before it writes again,
   * and would be taken to have done so.
   */
  #confirm(next: () => void): void {
    const { ended } = this.#known
    const last = this.#keeping.role === 'owner' ? this.#keeping.last() : undefined
    if (this.#keeping.role !== 'owner' || !last) return ended()
    const { epoch } = this.#keeping
    this.#slots.read(last.slot, (found) => {
      if (!found || hashBytes(found.record) !== last.hash) return ended()
      this.#slots.read(last.slot + 1, (behind) => {
        const slot = last.slot + 1
        const record = behind && recordOf({ slot, bytes: behind.record })
        if (!behind || (record && isOfEpoch(slot, record, epoch))) next()
        else ended()
      })
    })
  }
}
