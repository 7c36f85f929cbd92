/**
 * The worker's own interface `VenusWorker.*`, of both its sides. Decides: methods, what goes in and out.
 * A row of ours has the keys of the old form (to v0.4) and of today's, which do not collide, so that clients
 * of either read it; workers of another make give one of the two. `WorkerResume` and `WorkerPause` answer as they always did, with true or false; why
 * not, `WorkerControl` says.
 */
import { z } from 'zod'
import type { QuarantinedSector } from '../stores/index.ts'
import { sectorId } from '../venus/index.ts'
import type { SectorStory } from './sector-story.ts'
import type { ShownThread } from './thread-rows.ts'

/** Of v0.2 to v0.4. */
export const oldWorkerRow = z.object({
  location: z.string(),
  sector_id: sectorId.nullable(),
  index: z.int().min(0),
  paused: z.boolean(),
  /** Whole seconds. */
  paused_elapsed: z.int().min(0).nullable(),
  state: z.string(),
  last_error: z.string().nullable(),
})
export type OldWorkerRow = z.output<typeof oldWorkerRow>

/** Of today's workers. */
export const headWorkerRow = z.object({
  location: z.string(),
  plan: z.string(),
  job_id: z.string().nullable(),
  index: z.int().min(0),
  thread_state: z.object({
    state: z.string(),
    elapsed: z.number().optional(),
    proc: z.string().nullish(),
  }),
  job_state: z.string(),
  job_stage: z.string().nullable(),
  last_error: z.string().nullable(),
})
export type HeadWorkerRow = z.output<typeof headWorkerRow>

/** As we give it out. */
export type WorkerRow = OldWorkerRow & HeadWorkerRow
/** As a worker of any make gives it out. */
export const anyWorkerRow = z.union([
  oldWorkerRow.extend(headWorkerRow.shape),
  headWorkerRow,
  oldWorkerRow,
])
export type AnyWorkerRow = z.output<typeof anyWorkerRow>

/** As the machine of a thread has it; its newer fields reach older readers as well. */
function isListOfThreads(value: unknown): boolean {
  const isThread = (one: unknown) =>
    typeof one === 'object' && one !== null && 'thread' in one && 'condition' in one
  return Array.isArray(value) && value.every(isThread)
}

const index = z.int().min(0).max(1_000_000)
const reason = z.string().max(300).optional()

export const controlRequest = z.discriminatedUnion('action', [
  z.strictObject({ action: z.literal('pause'), index, by: z.string().max(100), reason }),
  z.strictObject({
    action: z.literal('resume'),
    index,
    by: z.string().max(100),
    state: z.string().max(64).optional(),
    retry: z.boolean().optional(),
    force: z.boolean().optional(),
    dryRun: z.boolean().optional(),
  }),
])
export type ControlRequest = z.output<typeof controlRequest>

/** As the thread's machine answers. */
export const controlAnswer = z.union([
  z.looseObject({ ok: z.literal(true) }),
  z.looseObject({ refused: z.string(), message: z.string() }),
])
export type ControlAnswer = z.output<typeof controlAnswer>

const environmentName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, 'no name of a variable')

const quarantinedSector = z.object({
  location: z.string(),
  name: z.string(),
  sector: z.string(),
  /** Unix ms. */
  at: z.number(),
  reason: z.string(),
  acknowledged: z.boolean(),
}) satisfies z.ZodType<QuarantinedSector>

/** Every method by its name behind `VenusWorker.`: its parameters, a list on the wire, and its result. */
export const WORKER_CALLS = {
  WorkerList: { params: z.tuple([]), result: z.array(anyWorkerRow) },
  WorkerPause: { params: z.tuple([index]), result: z.boolean() },
  WorkerResume: { params: z.tuple([index, z.string().max(64).nullish()]), result: z.boolean() },
  WorkerSetEnv: { params: z.tuple([environmentName, z.string().max(32_768)]), result: z.null() },
  WorkerRemoveEnv: { params: z.tuple([environmentName]), result: z.null() },
  WorkerVersion: { params: z.tuple([]), result: z.string() },
  /** Ours: every thread in full, as the fleet shows it. */
  WorkerThreads: { params: z.tuple([]), result: z.custom<ShownThread[]>(isListOfThreads) },
  WorkerControl: { params: z.tuple([controlRequest]), result: controlAnswer },
  /** Ours: threads finish their sectors and take nothing new; then the daemon ends. */
  WorkerDrain: {
    params: z.tuple([z.strictObject({ by: z.string().max(100), undo: z.boolean().optional() })]),
    result: z.object({ threads: z.int(), drained: z.int() }),
  },
  /** Ours: what became of a sector; null where nothing is known of it here. */
  WorkerHistory: {
    params: z.tuple([z.string().min(1).max(256)]),
    result: z.custom<SectorStory | null>((value) => typeof value === 'object'),
  },
  /** Ours: data of aborted sectors that are kept for a while; a person's word that one may go. */
  WorkerQuarantine: {
    params: z.tuple([
      z.strictObject({
        by: z.string().max(100),
        acknowledge: z.string().min(1).max(128).optional(),
      }),
    ]),
    result: z.object({ quarantined: z.array(quarantinedSector) }),
  },
  /** Ours: its children and what troubles it. */
  WorkerHealth: { params: z.tuple([]), result: z.looseObject({}) },
} as const

export type WorkerCall = keyof typeof WORKER_CALLS
export type WorkerParams<TCall extends WorkerCall> = z.input<(typeof WORKER_CALLS)[TCall]['params']>
export type WorkerResult<TCall extends WorkerCall> = z.output<
  (typeof WORKER_CALLS)[TCall]['result']
>
/** What answers them. */
export type WorkerHandlers = {
  [TCall in WorkerCall]: (
    ...params: z.output<(typeof WORKER_CALLS)[TCall]['params']>
  ) => Promise<WorkerResult<TCall>>
}

export const NAMESPACE = 'VenusWorker'
/** Of JSON-RPC: the parameters, among them a thread that is not there. */
export const INVALID_PARAMS = -32_602
/** Of JSON-RPC: as workers of another make answer what is ours. */
export const NO_METHOD = -32_601
