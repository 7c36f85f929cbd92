/**
 * The checkpoints of one shard, as its owner or its standby sees to them.
 *
 * Decides: the order of one look: slots that are not needed go first, then raw records of slots that are
 * gone, then older checkpoints, then a new one is made. Only an owner that is still the owner removes
 * slots and checkpoints, and only behind checkpoints that it has read through. Leaves to others: what is
 * due and what is needed (checkpoints.ts), how one is written (shard/).
 */
import type { Checkpoints, Clock, Journal, Log, Random, Store } from '../ports/index.ts'
import {
  type Checkpoint,
  CheckpointAccess,
  CheckpointWriting,
  type Epoch,
  isOfEpoch,
  type KnownEnd,
  recordOf,
  SlotReader,
  Tail,
} from '../shard/index.ts'
import { isDue, lowestNeeded, removableSlots, type SeenCheckpoint } from './checkpoints.ts'
import type { ClusterLimits } from './limits.ts'

/** Raw records that go in one transaction. */
const RECORDS_AT_ONCE = 1_000

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
  | { role: 'owner'; epoch: Epoch; hasStandby: () => boolean }

export class CheckpointKeeper {
  readonly #deps: CheckpointKeeperDeps
  /** When this node first saw a checkpoint, by its attempt. It outlives a role. */
  readonly #seenSince = new Map<string, number>()
  /** Read through once. */
  readonly #whole = new Set<string>()
  /** They are not what they should be, and count for nothing; newer ones will take their places. */
  readonly #broken = new Set<string>()
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

interface Knowledge {
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
      this.#slots.end((end) => {
        if (this.#keeping.role === 'standby') return this.#dropRecords(end.firstSlot - 1, seen)
        this.#removeSlots(seen, end)
      })
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
    const { seenSince, broken } = this.#known
    const now = this.#deps.clock.monotonic()
    for (const { attempt } of all) if (!seenSince.has(attempt)) seenSince.set(attempt, now)
    return all
      .filter(({ attempt }) => !broken.has(attempt))
      .map((checkpoint) => {
        const { slot, attempt } = checkpoint
        return { slot, ageMs: now - (seenSince.get(attempt) ?? now), checkpoint }
      })
  }

  #removeSlots(seen: readonly Seen[], end: KnownEnd): void {
    const { shard, journal, limits, log } = this.#deps
    const goOn = (removedTo: number) => this.#dropRecords(removedTo, seen)
    const to = removableSlots(seen, end.lastSlot, limits)
    if (to < end.firstSlot) return goOn(end.firstSlot - 1)
    this.#verify(seen.slice(0, 2), () =>
      this.#confirm(end, () =>
        journal.remove(shard, to, (outcome) => {
          if (this.#stopped) return
          // What is unknown is looked at again.
          if (outcome === 'unknown') return this.#known.ended()
          log.info({ shard, from: end.firstSlot, to }, 'slots of the journal are removed')
          goOn(to)
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
      this.#slots.end((end) =>
        this.#confirm(end, () =>
          this.#access.removeBelow(lowest, () => {
            log.info({ shard, lowest }, 'older checkpoints are removed')
            this.#write(kept)
          }),
        ),
      ),
    )
  }

  #write(seen: readonly Seen[]): void {
    const { shard, limits, log } = this.#deps
    const keeping = this.#keeping
    const leavesItToStandby = keeping.role === 'owner' && keeping.hasStandby()
    const applied = this.#tail.applied().slot
    if (!isDue(seen, { applied, leavesItToStandby }, limits)) return this.#known.ended()
    const deps = { ...this.#deps, chunkBytesMax: limits.checkpointChunkBytesMax }
    this.#writing = new CheckpointWriting(deps, (outcome) => {
      if (outcome.kind === 'recorded') {
        const { slot, chunks, rows } = outcome
        log.info({ shard, slot, chunks, rows }, 'a checkpoint is recorded')
      } else {
        log.warn({ shard, why: outcome.why }, 'a checkpoint was begun and given up')
      }
      this.#known.ended()
    })
    this.#writing.start()
  }

  /** Goes on only when all of them are whole: one that is not counts for nothing from now on. */
  #verify([first, ...others]: readonly Seen[], next: () => void): void {
    const { whole, broken, ended } = this.#known
    if (!first) return next()
    const { slot, attempt } = first.checkpoint
    if (whole.has(attempt)) return this.#verify(others, next)
    this.#access.verify(first.checkpoint, (why) => {
      if (why === undefined) {
        whole.add(attempt)
        return this.#verify(others, next)
      }
      const { shard, log } = this.#deps
      log.error({ shard, slot, why }, 'a checkpoint is not whole')
      broken.add(attempt)
      ended()
    })
  }

  /** Goes on only when the journal ends with a record of this owner, in the copy that took it. */
  #confirm(end: KnownEnd, next: () => void): void {
    const keeping = this.#keeping
    if (keeping.role !== 'owner') return this.#known.ended()
    this.#slots.read(end.lastSlot, (found) => {
      const record = found && recordOf({ slot: end.lastSlot, bytes: found.record })
      const isOurs = record && isOfEpoch(end.lastSlot, record, keeping.epoch)
      if (isOurs && record.serverId === end.serverId) next()
      else this.#known.ended()
    })
  }
}
