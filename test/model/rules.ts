/**
 * What is checked. Decides: the sizes at which the intact model must hold, the states that it must
 * be able to reach, and every rule that is taken away, with the smallest size that shows what
 * happens then. Leaves to others: how a run is done (spin.ts) and judged (run.ts).
 */

/** A size and the parts of the model that take part, as names and values for `spin -D`. */
export interface Configuration {
  slots: number
  crashes: number
  losses: number
  nodes?: number
  parts?: readonly string[]
}

/** `full` runs take minutes and gigabytes; `quick` ones belong to the test command. */
export type Tier = 'quick' | 'full'

export interface Run {
  name: string
  tier: Tier
  configuration: Configuration
  /** `compact`: a state is its hash, so that memory reaches further; a collision could hide one. */
  storage: 'exact' | 'compact'
  minutesMax: number
}

export interface Mutant {
  /** The switch of the model. */
  rule: string
  section: string
  without: string
  configuration: Configuration
  /** Rules of the rest that the model cannot tell apart from this one; expected to find nothing. */
  redundantBecause?: string
}

const FAST_STORE = ['FLUSH_AT_ONCE', 'CHECKPOINT_AT_ONCE']
const REMOVAL = ['REMOVAL', 'UNION_OF_TAILS', ...FAST_STORE]
const SLOW_STORE = ['REMOVAL', 'UNION_OF_TAILS', 'CHECKPOINT_AT_ONCE', 'NO_LATE_WRITES']
const REMOVAL_WITHOUT_LATE = [...REMOVAL, 'NO_LATE_WRITES']

export const INTACT: readonly Run[] = [
  intact('slots, claims, unknown outcomes', 'quick', { slots: 4, crashes: 0, losses: 0 }),
  intact('JetStream loses its end twice', 'quick', {
    slots: 3,
    crashes: 0,
    losses: 2,
    parts: ['NO_LATE_WRITES'],
  }),
  intact('the same with a crash', 'quick', { slots: 3, crashes: 1, losses: 0 }),
  intact('JetStream loses its end', 'quick', { slots: 3, crashes: 0, losses: 1 }),
  intact('handoff', 'quick', { slots: 4, crashes: 0, losses: 0, parts: ['HANDOFF'] }),
  intact('removal, checkpoints, JetStream loses its end', 'quick', {
    slots: 3,
    crashes: 0,
    losses: 1,
    parts: REMOVAL_WITHOUT_LATE,
  }),
  intact('a crash and a loss', 'full', { slots: 3, crashes: 1, losses: 1 }, 'compact'),
  intact('four slots and a crash', 'full', { slots: 4, crashes: 1, losses: 0 }),
  intact(
    'handoff and a loss',
    'full',
    { slots: 4, crashes: 0, losses: 1, parts: ['HANDOFF', 'NO_LATE_WRITES'] },
    'compact',
  ),
  intact('removal and a crash', 'full', { slots: 3, crashes: 1, losses: 0, parts: REMOVAL }),
  intact(
    'removal and a loss, with a store that flushes later',
    'full',
    { slots: 3, crashes: 0, losses: 1, parts: SLOW_STORE },
    'compact',
  ),
  intact('two losses and late writes', 'full', { slots: 3, crashes: 0, losses: 2 }, 'compact'),
  intact(
    'removal, four slots and a loss',
    'full',
    { slots: 4, crashes: 0, losses: 1, parts: REMOVAL_WITHOUT_LATE },
    'compact',
  ),
  intact('three nodes', 'full', { nodes: 3, slots: 3, crashes: 0, losses: 0 }, 'compact'),
  intact(
    'three nodes and a loss',
    'full',
    { nodes: 3, slots: 3, crashes: 0, losses: 1, parts: ['NO_LATE_WRITES'] },
    'compact',
  ),
]

/** States that the intact model must reach, or that it holds would say nothing. */
export const WITNESSES: readonly { name: string; switch: string; configuration: Configuration }[] =
  [
    {
      name: 'a taker has written again what was lost, and serves',
      switch: 'WITNESS_REFILL',
      configuration: { slots: 4, crashes: 0, losses: 1 },
    },
    {
      name: 'another node serves behind a release',
      switch: 'WITNESS_HANDOFF',
      configuration: { slots: 4, crashes: 0, losses: 0, parts: ['HANDOFF'] },
    },
    {
      name: 'a slot is removed behind its checkpoints',
      switch: 'WITNESS_REMOVED',
      configuration: { slots: 3, crashes: 0, losses: 0, parts: REMOVAL },
    },
  ]

const TWO_LOSSES = { slots: 3, crashes: 0, losses: 2, parts: ['NO_LATE_WRITES'] }
const ALL_ANSWER =
  'all members are waited for and hand over all they applied: no store is ever off the chain'
const CRASH_AND_LOSS = { slots: 3, crashes: 1, losses: 1 }
const LOSS = { slots: 3, crashes: 0, losses: 1 }

export const MUTANTS: readonly Mutant[] = [
  mutant('1', 'NO_SEQUENCE_CONDITION', 'a write is create-only and nothing else', {
    slots: 3,
    crashes: 0,
    losses: 0,
    parts: REMOVAL,
  }),
  {
    ...mutant('1', 'NO_CREATE_ONLY', 'a write is conditional on the sequence and nothing else', {
      slots: 3,
      crashes: 0,
      losses: 1,
    }),
    redundantBecause: 'the sequence of slot n is n here, so the other condition implies this one',
  },
  mutant('1', 'DROP_ON_UNKNOWN', 'an unknown slot gets another record', {
    slots: 3,
    crashes: 0,
    losses: 0,
  }),
  mutant('1', 'JUDGE_BY_WRITER', 'a record of ours counts as this one, whatever its id', LOSS),
  mutant('1', 'GONE_IS_FENCED', 'a slot that has come and gone counts as fenced', {
    slots: 3,
    crashes: 0,
    losses: 0,
    parts: REMOVAL,
  }),
  mutant('1', 'FENCED_KEEPS_TAIL', 'a fenced owner keeps its row', LOSS),
  mutant(
    '1',
    'DENY_BEFORE_FLUSH',
    'a batch is denied before the deletion of its row is on disk',
    CRASH_AND_LOSS,
  ),
  mutant('1', 'NO_CONNECTION_RULE', 'connections come back by themselves', LOSS),
  mutant(
    '1',
    'GO_ON_AFTER_NEW_SERVER',
    'own record n-1 at the end is enough on a new server',
    LOSS,
  ),
  mutant('1', 'NO_SERVER_ID_CHECK', 'only a shorter journal makes a taker ask others', LOSS),
  mutant('1', 'NO_WAIT_FOR_ALL_MEMBERS', 'a taker asks nobody but itself', LOSS),
  mutant('1', 'RELEASE_HIDES_SERVER_ID', 'a release at the end hides which server took it', {
    slots: 4,
    crashes: 0,
    losses: 1,
    parts: ['HANDOFF', 'NO_LATE_WRITES'],
  }),
  mutant('1', 'NO_LETTING_GO', 'a member hands over its tail and goes on', LOSS),
  mutant(
    '1',
    'ANSWER_BEFORE_FLUSH',
    'a member hands over what is flushed, and flushes the rest later',
    TWO_LOSSES,
  ),
  mutant('1', 'WRONG_CHAIN_CHOICE', 'the longest chain is written again', LOSS),
  mutant('1', 'CLAIM_NOT_IN_TAIL', 'claims are not kept in tails', LOSS),
  mutant('1', 'FOLLOWED_NOT_IN_TAIL', 'followed slots are not kept in tails', LOSS),
  mutant('1', 'EARLY_CLAIM_IN_TAIL', 'a claim is kept before it has won', LOSS),
  mutant(
    '1',
    'SERVE_BEFORE_FLUSH',
    'an owner serves before what it read is flushed',
    CRASH_AND_LOSS,
  ),
  mutant('2', 'REPLY_BEFORE_FLUSH', 'a reply waits for the slot only', CRASH_AND_LOSS),
  mutant('2', 'REPLY_BEFORE_SLOT', 'a reply waits for the flush only', {
    slots: 3,
    crashes: 0,
    losses: 0,
  }),
  mutant('2', 'APPLY_TAIL_WITHOUT_JOURNAL', 'a start applies its tail', {
    slots: 3,
    crashes: 1,
    losses: 1,
  }),
  {
    ...mutant(
      '2',
      'NO_APPLIED_HASH_CHECK',
      'nobody compares what was applied with the journal',
      CRASH_AND_LOSS,
    ),
    redundantBecause: ALL_ANSWER,
  },
  {
    ...mutant('2', 'DISCARD_WITH_TAIL', 'a discarded store loses its tail too', CRASH_AND_LOSS),
    redundantBecause: ALL_ANSWER,
  },
  {
    ...mutant('1', 'REFILL_WITHOUT_PREV', 'a chain need not join the end by hash', CRASH_AND_LOSS),
    redundantBecause: 'the chain with the highest epoch is the one that joins, when all answer',
  },
  mutant('6', 'PURGE_WITHOUT_CHECKPOINT', 'slots are removed without a checkpoint', {
    slots: 3,
    crashes: 0,
    losses: 0,
    parts: REMOVAL,
  }),
  {
    ...mutant('6', 'CHECKPOINT_UNCHECKED', 'a checkpoint is not compared with the journal', {
      ...LOSS,
      parts: SLOW_STORE,
    }),
    redundantBecause: ALL_ANSWER,
  },
  mutant('1', 'CHAINS_PER_MEMBER', 'a chain has to come from one member as a whole', {
    slots: 4,
    crashes: 0,
    losses: 1,
    // The default of the model; UNION_OF_TAILS is what a shard with checkpoints needs.
    parts: ['REMOVAL', ...FAST_STORE, 'NO_LATE_WRITES'],
  }),
  mutant('6', 'PURGE_BEHIND_NEWEST', 'slots are removed behind the highest checkpoint', {
    ...LOSS,
    parts: REMOVAL_WITHOUT_LATE,
  }),
  mutant('6', 'PURGE_BEFORE_RETENTION', 'nobody waits for the age of the highest checkpoint', {
    ...LOSS,
    parts: REMOVAL_WITHOUT_LATE,
  }),
  mutant('6', 'DROP_CHECKPOINT_EARLY', 'the two highest checkpoints are kept, whatever their age', {
    slots: 4,
    crashes: 0,
    losses: 1,
    parts: REMOVAL_WITHOUT_LATE,
  }),
  mutant(
    '6',
    'DROP_TAIL_AT_CHECKPOINT',
    'a checkpoint frees the tail before the slots are removed',
    {
      ...LOSS,
      parts: REMOVAL_WITHOUT_LATE,
    },
  ),
  mutant('6', 'READER_IGNORES_GAP', 'a reader goes on behind removed slots', {
    slots: 4,
    crashes: 0,
    losses: 1,
    parts: REMOVAL_WITHOUT_LATE,
  }),
]

function intact(
  name: string,
  tier: Tier,
  configuration: Configuration,
  storage: 'exact' | 'compact' = 'exact',
): Run {
  return { name, tier, configuration, storage, minutesMax: tier === 'quick' ? 2 : 10 }
}

function mutant(
  section: string,
  rule: string,
  without: string,
  configuration: Configuration,
): Mutant {
  return { section, rule, without, configuration }
}

/** In words, for tables. */
export function sizeOf({ nodes = 2, slots, crashes, losses, parts = [] }: Configuration): string {
  const size = `${nodes} nodes, ${slots} slots, ${crashes} crashes, ${losses} losses`
  return parts.length === 0 ? size : `${size}, ${parts.join(' ')}`
}
