/**
 * Every limit of the runtime, with its default and its reason. Decides: names and defaults. Leaves
 * to others: enforcing them, each with a typed error.
 */
import { TroupeError } from './errors.ts'

export interface Limits {
  /** Bytes of an id in UTF-8. 256 leaves room for three percent-encoded parts in one LMDB key. */
  idBytesMax: number
  /** Bytes of a whole address in its text form; LMDB keys end at 1,978 bytes. */
  addressBytesMax: number
  /** Children below children: a chart that spawns itself would otherwise never end. */
  childDepthMax: number
  /** Bytes of one packed event, input or task result. nats-server's default payload limit is 1 MiB. */
  payloadBytesMax: number
  /**
   * Lists and objects in each other in one event, input, patch or result from outside. Packing recurses:
   * it reads 12,000 levels, but writes only about 1,200, and what is read has to be written again.
   */
  nestingMax: number
  /** Bytes of one packed actor record; what else its turn writes has to fit beside it (`turnBytesMax`). */
  actorBytesMax: number
  /**
   * Bytes of all that one turn, or one command of an operator, adds to its batch: the actor, what it
   * sends and answers, its rows; and of an actor with an event that has to be kept beside it. A batch
   * begins nothing once less than this is left of it, so it bounds both a turn and how full batches are.
   */
  turnBytesMax: number
  /** Commands waiting in the mailbox of one shard; past it `busy`. */
  mailboxCountMax: number
  /** Bytes waiting in the mailbox of one shard; past it `busy`. */
  mailboxBytesMax: number
  /** Commands in one batch: bounds how long a batch holds the event loop. */
  batchCountMax: number
  /**
   * Bytes of one batch, as the record of its slot: below nats-server's payload limit (1 MiB), which
   * headers are part of, and the record's own fields.
   */
  batchBytesMax: number
  /** Steps of tells and completions inside one batch before the rest waits for the next. */
  stepsPerBatchMax: number
  /** Microsteps of one macrostep: an `always` loop ends here instead of never. */
  microstepsMax: number
  /** Effects of one turn. */
  effectsPerTurnMax: number
  /**
   * Messages from one shard to another, or to itself, that wait: past it a turn that sends more is
   * refused. Else actors that send more than arrives would fill the disk, and the memory of their node.
   */
  outboxCountMax: number
  /** Pending timers of one actor. */
  timersPerActorMax: number
  /** Live children and tasks of one actor. */
  childrenPerActorMax: number
  /** Bytes of actors kept in memory by a node; the rest is read from the store when wanted. */
  residentBytesMax: number
  /** Transitions of an actor kept in its history when its machine does not say. */
  historyCountMax: number
  /** How long a command id is remembered; a repeat after that is refused as `expired`. */
  dedupeWindowMs: number
  /** How far in the future a command id may have been issued. */
  clockSkewMaxMs: number
  /**
   * A wall clock that jumps ahead by more than `clockSkewMaxMs` is followed when it has stood there for
   * this long: as long as the window of command ids, so that there is time to set it right before
   * everything is refused as `expired`. What is due is late by as much after a host slept.
   */
  clockJumpHoldMs: number
  /** Events kept for a paused actor; past it `limit-exceeded`. */
  keptEventsMax: number
  /** How long a finished actor is kept when its machine does not say: 7 days. */
  finishedRetentionMs: number
  /** How long audit rows are kept: 90 days. */
  auditRetentionMs: number
  /** Rows of one page of a list. */
  pageCountMax: number
  /** Rows that one request of a list may look at before it answers with a cursor. */
  scanCountMax: number
  /** Lists and counts answered after one batch: each may look at `scanCountMax` rows. */
  queriesPerBatchMax: number
  /** Timers kept in memory lie at most this far ahead; later ones wait in the store. */
  timerHorizonMs: number
  /** Timers read into memory at a time; it holds about twice as many, but all of one millisecond. */
  timerLoadCountMax: number
  /**
   * Least time from one wake for timers to the next, in a shard. A timer that comes alone is on time;
   * of thousands in a second those of a few milliseconds share a batch, which costs a third.
   */
  timerGatherMs: number
  /** Unacknowledged messages in flight on one channel between two shards. */
  channelWindowMax: number
  /** A channel without acknowledgement for this long sends again. */
  channelResendMs: number
  /** How long a worker may be silent before its attempt is given up. */
  leaseMs: number
  /**
   * How long a worker may be silent before it is lost, and what it runs is given up where that outlives
   * its worker: commands go on by themselves, so that a restart, or a cable that is pulled for a minute,
   * need not cost them.
   */
  workerLostMs: number
  /**
   * Bytes that a node keeps of what one run on a worker elsewhere writes, each stream half: so a command
   * that writes without end takes a tenth of the room for all of them at most, and what it says on one
   * stream before it fails is not lost to the other. The worker's own disk has the whole.
   */
  uploadedRunBytesMax: number
  /** A task that nobody started for this long is published again. */
  taskRepublishMs: number
  /** How long a client waits for a reply when the caller names no deadline. */
  requestTimeoutMs: number
}

export const DEFAULT_LIMITS: Readonly<Limits> = Object.freeze({
  idBytesMax: 256,
  addressBytesMax: 1_024,
  childDepthMax: 8,
  payloadBytesMax: 512 * 1024,
  nestingMax: 128,
  // With an event of 32 KiB and what parking takes it still is a turn.
  actorBytesMax: 544 * 1024,
  // A batch of `batchCountMax` small commands fits in what it leaves.
  turnBytesMax: 640 * 1024,
  mailboxCountMax: 8_192,
  mailboxBytesMax: 16 * 1024 * 1024,
  batchCountMax: 512,
  batchBytesMax: 1_000 * 1024,
  stepsPerBatchMax: 4_096,
  microstepsMax: 1_000,
  effectsPerTurnMax: 1_000,
  outboxCountMax: 100_000,
  timersPerActorMax: 1_000,
  childrenPerActorMax: 1_000,
  residentBytesMax: 256 * 1024 * 1024,
  historyCountMax: 50,
  dedupeWindowMs: 10 * 60_000,
  clockSkewMaxMs: 60_000,
  clockJumpHoldMs: 10 * 60_000,
  keptEventsMax: 10_000,
  finishedRetentionMs: 7 * 86_400_000,
  auditRetentionMs: 90 * 86_400_000,
  pageCountMax: 1_000,
  scanCountMax: 10_000,
  queriesPerBatchMax: 8,
  timerHorizonMs: 60_000,
  timerLoadCountMax: 50_000,
  timerGatherMs: 10,
  channelWindowMax: 256,
  channelResendMs: 2_000,
  leaseMs: 30_000,
  workerLostMs: 180_000,
  uploadedRunBytesMax: 2 * 1024 ** 3,
  taskRepublishMs: 60_000,
  requestTimeoutMs: 30_000,
})

/**
 * Completes a partial set of limits and proves the relations between them before anything runs.
 * @throws TroupeError `invalid-config`
 */
export function resolveLimits(given: Partial<Limits> = {}): Limits {
  const limits = completeLimits(DEFAULT_LIMITS, given, bad)
  for (const [lower, relation, upper] of RELATIONS) {
    const holds = relation === '<' ? limits[lower] < limits[upper] : limits[lower] <= limits[upper]
    if (!holds)
      throw bad(`${lower} (${limits[lower]}) ${relation} ${upper} (${limits[upper]}) must hold`)
  }
  if (limits.addressBytesMax > ADDRESS_BYTES_BOUND) {
    throw bad(`addressBytesMax is at most ${ADDRESS_BYTES_BOUND}: an address is part of a key`)
  }
  return limits
}

/** A table of limits: every name is known, every value a whole number above 0. */
export function completeLimits<T extends object>(
  defaults: Readonly<T>,
  given: Partial<T>,
  bad: (why: string) => TroupeError,
): T {
  const limits: T = { ...defaults, ...given }
  for (const [name, value] of Object.entries(limits) as [string, number][]) {
    if (!Object.hasOwn(defaults, name)) throw bad(`there is no limit "${name}"`)
    if (!Number.isSafeInteger(value) || value <= 0) throw bad(`${name} is a whole number above 0`)
  }
  return limits
}

const RELATIONS: readonly (readonly [keyof Limits, '<' | '<=', keyof Limits])[] = [
  ['idBytesMax', '<', 'addressBytesMax'],
  ['payloadBytesMax', '<', 'actorBytesMax'],
  ['actorBytesMax', '<', 'turnBytesMax'],
  ['turnBytesMax', '<', 'batchBytesMax'],
  ['batchCountMax', '<=', 'mailboxCountMax'],
  ['clockSkewMaxMs', '<', 'dedupeWindowMs'],
  ['requestTimeoutMs', '<', 'dedupeWindowMs'],
  ['pageCountMax', '<=', 'scanCountMax'],
]

/** LMDB's keys end at 1,978 bytes; a command id and a value of an index stand beside the address. */
const ADDRESS_BYTES_BOUND = 1_500

function bad(why: string): TroupeError {
  return new TroupeError('invalid-config', `limits: ${why}`)
}
