/**
 * Jobs of every kind: how each is made, where it stands when its node goes away, and what has to become
 * of it. Decides: that every state of a job is among them. Leaves to others: what is done to the node.
 */
import { stateText } from '../../../src/machine/position.ts'
import type { ActorView } from '../../../src/protocol/index.ts'

export interface Scale {
  /** Jobs of each kind. */
  count: number
  /** How long a failed command waits for its second attempt, and how long a run takes. */
  intervalS: number
  runS: number
}

/** What is asked of a job. */
interface Step {
  method: 'POST' | 'PATCH'
  path: (jobId: number) => string
  body?: unknown
}

export interface Kind {
  fields: (context: Scale & { mark: string; callbackUrl: string }) => Record<string, unknown>
  /** What brings it to where it stands; `from` says where it has to be before that. */
  before?: readonly Step[]
  from?: string
  /** Where it stands when its node goes away, as `placeOf` says it. */
  stands: string
  /** Where it goes by itself. */
  becomes: string
  /** What is asked of it then: a job that was not lost still does what it is asked. */
  after?: readonly Step[]
  /** Where it is in the end. */
  ends: string
  /** How often its command has run by then. */
  runs: number
  /** How often it has ended by then; default 1. */
  outcomes?: number
}

/** State, tasks and what holds it, such as `active.ready + command queued + paused`. */
export function placeOf(view: ActorView): string {
  const tasks = view.tasks.map(({ name, state }) =>
    // It comes and goes between two tries.
    name === 'job-callback' ? 'callback pending' : `command ${state}`,
  )
  const held = [view.paused && 'paused', view.parked && 'parked'].filter(Boolean)
  return [stateText(view.value), ...new Set(tasks), ...held].join(' + ')
}

/** Nobody serves it. */
const NO_WORKER = 77
/** Fails in its first attempt. */
const SECOND_TIME = `[ "$(grep -c "^$TROUPE_JOB_ID " "$WITNESS")" -ge 2 ]`

const act = (action: string): Step => ({
  method: 'POST',
  path: (jobId) => `/jobs/${jobId}/${action}`,
})
const modify = (body: unknown): Step => ({
  method: 'PATCH',
  path: (jobId) => `/jobs/${jobId}`,
  body,
})
const operate = (verb: string): Step => ({
  method: 'POST',
  path: (jobId) => `/troupe/v1/actors/job/${jobId}/${verb}`,
  body: {},
})

const unserved = () => ({ group: NO_WORKER })
const QUEUED = 'active.ready + command queued'
const RUNNING = 'active.running + command running'
const STOPPED = 'active.running + parked'

/** Those that do not stay where they stand are the last. */
export const KINDS = {
  ready: {
    fields: unserved,
    stands: QUEUED,
    becomes: QUEUED,
    after: [modify({ group: 1 })],
    ends: 'success',
    runs: 1,
  },
  typeless: {
    fields: () => ({ type: 'odd' }),
    stands: 'waiting.type',
    becomes: 'waiting.type',
    after: [modify({ type: 'shell' })],
    ends: 'success',
    runs: 1,
  },
  // What arrives while it is paused is kept over the restart.
  paused: {
    fields: unserved,
    before: [operate('pause'), modify({ group: 1 })],
    stands: `${QUEUED} + paused`,
    becomes: `${QUEUED} + paused`,
    after: [operate('resume')],
    ends: 'success',
    runs: 1,
  },
  success: { fields: () => ({}), stands: 'success', becomes: 'success', ends: 'success', runs: 1 },
  failed: {
    fields: ({ mark }) => ({ content: `${mark}; exit 3` }),
    stands: 'failed',
    becomes: 'failed',
    after: [act('rerun')],
    ends: 'failed',
    runs: 2,
    outcomes: 2,
  },
  killed: {
    fields: unserved,
    before: [act('kill')],
    stands: 'killed',
    becomes: 'killed',
    ends: 'killed',
    runs: 0,
  },
  removed: {
    fields: unserved,
    before: [act('remove')],
    stands: 'removed',
    becomes: 'removed',
    ends: 'removed',
    runs: 0,
  },
  // Command and shim are killed, so that nobody can say how it ended.
  stopped: {
    fields: ({ mark }) => ({ content: `${mark}; kill -9 $PPID $$` }),
    stands: STOPPED,
    becomes: STOPPED,
    after: [act('kill')],
    ends: 'killed',
    runs: 1,
  },
  calling: {
    fields: ({ callbackUrl }) => ({ callbackUrl }),
    stands: 'success + callback pending',
    becomes: 'success',
    ends: 'success',
    runs: 1,
  },
  interval: {
    fields: ({ intervalS, mark }) => ({
      content: `${mark}; ${SECOND_TIME}`,
      failedAttempts: 1,
      failedInterval: intervalS,
    }),
    stands: 'waiting.interval',
    becomes: 'success',
    ends: 'success',
    runs: 2,
  },
  // It ends meanwhile, and its result waits.
  held: {
    fields: ({ runS, mark }) => ({ content: `${mark}; sleep ${runS}` }),
    from: RUNNING,
    before: [operate('pause')],
    stands: `${RUNNING} + paused`,
    becomes: 'active.running + command result-kept + paused',
    after: [operate('resume')],
    ends: 'success',
    runs: 1,
  },
  running: {
    fields: ({ runS, mark }) => ({ content: `${mark}; sleep ${runS}` }),
    stands: RUNNING,
    becomes: 'success',
    ends: 'success',
    runs: 1,
  },
} satisfies Record<string, Kind>

export type KindName = keyof typeof KINDS
