/**
 * The limits of the cluster room, with their defaults and reasons. Decides: names, defaults, and the
 * relations that have to hold between them. Leaves to others: enforcing them.
 */
import { completeLimits, TroupeError } from '../protocol/index.ts'

export interface ClusterLimits {
  /** How often a leader says that it leads, and confirms it. */
  leaderBeatMs: number
  /** Followers of a leader that is silent for this long, but not known to be gone, elect another. Five lost beats. */
  leaderSilenceMs: number
  /** Up to this much more, by chance, so that not all followers claim in the same moment. */
  leaderJitterMs: number
  /**
   * How soon a leader plans again when members have said something new, while shards are on their way: each
   * plan is a view that everybody reads.
   */
  planRestMs: number
  /** How often a node says that it is there, what it serves, and how far its standbys are. */
  memberBeatMs: number
  /**
   * A node that is silent for this long is taken for dead: its shards go to others. It is longer than a node
   * stands still under load, or is without a connection: what has certainly ended is noticed sooner.
   */
  memberSilenceMs: number
  /**
   * How often a leader asks the others whether they are there, and they the leader: a question and an answer
   * of a few bytes each.
   */
  memberProbeMs: number
  /**
   * A node at which nobody has listened for this long is gone, and need not be waited for. Longer than a
   * connection takes that was lost and is made anew.
   */
  memberGoneMs: number
  /**
   * Who was taken for gone and was not is judged by its silence alone for this long: at most so often a
   * connection that comes and goes moves shards.
   */
  memberTrustMs: number
  /**
   * How long a shard waits for who hosts its machines, while nobody does who stays: as long as a process
   * takes to start again. Then others take it, and what is sent to actors of those machines fails.
   */
  machineAbsenceMs: number
  /** How often the view is read again: a watch is a hint. */
  viewReadMs: number
  /** How long a leader looks for a newer view that members say they have seen, before it goes on. */
  viewWaitMs: number
  /** An outcome of the registry that is unknown is asked for again after this. */
  registryRetryMs: number
  /** How long a node that is named waits for the present owner to let go, before it claims over it. */
  handoffMs: number
  /**
   * How long shards that are moved for balance wait for others that their new owner has to catch up with, and
   * standbys for shards that move, while no view changes anything: longer than a usual checkpoint takes to
   * load. One that gets no nearer does not hold up the others for ever.
   */
  catchUpMs: number
  /**
   * How long an owner that is not named any more goes on for a next one that has not said that it is ready: views
   * reach nodes at different times, and nobody would serve in between.
   */
  letGoMs: number
  /** First wait before a shard is taken again; it doubles up to the second number. */
  retakeFirstMs: number
  retakeMaxMs: number
  /**
   * How often a standby that has everything looks for more: so much is left to read for whoever takes over. To
   * look and to write costs about as much as the slots themselves, so it takes several at once.
   */
  followMs: number
  /** Slots that a standby reads and applies at once. */
  followCountMax: number
  /** And bytes of them; one slot more may stand in it. A page of usual slots is smaller. */
  followBytesMax: number
  /**
   * How long one request for a tail may take; then it is asked again. And how long the journal may be silent
   * before a standby does not know any more how far it is.
   */
  tailRequestMs: number
  /** Wait between two requests for a tail to a member that did not answer. */
  tailRetryMs: number
  /** Bytes of records in one answer; one record more may stand in it. nats-server takes 1 MiB. */
  tailBytesMax: number
  /** How often it is said who is waited for. */
  tailLogMs: number
  /** A checkpoint is made every so many slots: what a new node replays behind it, and a little more. */
  checkpointSlots: number
  /** How often it is looked whether a checkpoint is due, or slots are not needed any more. */
  checkpointLookMs: number
  /** Bytes of rows in one chunk; one row more may stand in it. nats-server takes 1 MiB. */
  checkpointChunkBytesMax: number
  /**
   * How old the newest checkpoint is before anything is removed: JetStream syncs its disk every two
   * minutes, and what it has not synced goes with its process.
   */
  journalRetentionMs: number
  /** Slots that stay in any case, so that whoever is a little behind need not load a checkpoint. */
  journalSlotsMin: number
  /** How long a drain may take; then the node leaves with what it still serves. */
  drainMs: number
}

export const DEFAULT_CLUSTER_LIMITS: Readonly<ClusterLimits> = Object.freeze({
  leaderBeatMs: 1_000,
  leaderSilenceMs: 5_000,
  leaderJitterMs: 1_000,
  planRestMs: 100,
  memberBeatMs: 1_000,
  memberSilenceMs: 5_000,
  memberProbeMs: 200,
  memberGoneMs: 400,
  memberTrustMs: 60_000,
  machineAbsenceMs: 30_000,
  viewReadMs: 2_000,
  viewWaitMs: 10_000,
  registryRetryMs: 250,
  handoffMs: 10_000,
  catchUpMs: 60_000,
  letGoMs: 500,
  retakeFirstMs: 100,
  retakeMaxMs: 5_000,
  followMs: 250,
  followCountMax: 256,
  followBytesMax: 8 * 1024 * 1024,
  tailRequestMs: 5_000,
  tailRetryMs: 500,
  tailBytesMax: 512 * 1024,
  tailLogMs: 10_000,
  checkpointSlots: 10_000,
  checkpointLookMs: 10_000,
  checkpointChunkBytesMax: 512 * 1024,
  journalRetentionMs: 600_000,
  journalSlotsMin: 1_024,
  drainMs: 60_000,
})

/** Completes a partial set. @throws TroupeError `invalid-config` */
export function resolveClusterLimits(given: Partial<ClusterLimits> = {}): ClusterLimits {
  const limits = completeLimits(DEFAULT_CLUSTER_LIMITS, given, bad)
  // A leader that could not confirm itself for half the silence stops: two beats have to fit in.
  if (limits.leaderBeatMs * 4 > limits.leaderSilenceMs) {
    throw bad('leaderBeatMs is at most a quarter of leaderSilenceMs')
  }
  if (limits.memberBeatMs * 2 > limits.memberSilenceMs) {
    throw bad('memberBeatMs is at most half of memberSilenceMs')
  }
  // Else the next one claims over an owner that has not been given the time to finish its slot.
  if (limits.letGoMs * 2 > limits.handoffMs) throw bad('letGoMs is at most half of handoffMs')
  // Whoever is elected has heard everybody who lives.
  if (limits.memberSilenceMs > limits.leaderSilenceMs) {
    throw bad('memberSilenceMs is at most leaderSilenceMs')
  }
  return limits
}

/** A standby that is fewer slots behind takes over within a moment. */
export const HANDOFF_LAG_SLOTS_MAX = 64

/** @param lag slots that a standby is behind; undefined while it has not said so */
export function isNearBy(lag: number | undefined): boolean {
  return lag !== undefined && lag < HANDOFF_LAG_SLOTS_MAX
}

function bad(why: string): TroupeError {
  return new TroupeError('invalid-config', `cluster limits: ${why}`)
}
