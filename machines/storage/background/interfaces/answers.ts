/** What the routes of background tasks answer, for `openapi.json`. Leaves to others: making it. */
import { z } from 'zod'
import { MOVE_TYPES } from '../moves/index.ts'

const count = z.int().min(0)
const unixMs = z.number()
const series = z.array(z.number())
const window = z.string()

/** Digits that JSON Schema has no number for are described as a number. */
export const placeAnswer = z.object({ vuid: z.int(), host: z.string(), disk_id: z.int() })

export const taskAnswer = z.object({
  ...{ task_id: z.string(), task_type: z.enum(MOVE_TYPES), state: z.int() },
  ...{ source_idc: z.string(), source_disk_id: z.int(), source_vuid: z.int() },
  sources: z.array(placeAnswer).nullable(),
  ...{ code_mode: z.int(), destination: placeAnswer, ctime: z.string(), mtime: z.string() },
  ...{ finish_advance_reason: z.string(), forbidden_direct_download: z.boolean() },
  worker_redo_cnt: count,
})
const statAnswer = z.object({
  ...{ done_size: count, done_count: count, total_size: count, total_count: count },
  progress: count,
})
export const detailAnswer = z.object({ task: taskAnswer, stat: statAnswer })

/** The series and what follows are there with `extended=true`. */
const moveStats = z.object({
  ...{ preparing_cnt: count, worker_doing_cnt: count, finishing_cnt: count },
  stats_per_min: z.object({
    ...{ finished_cnt: window, shard_cnt: window, data_amount_byte: window },
    finished_cnt_series: series.optional(),
    shard_cnt_series: series.optional(),
    data_amount_byte_series: series.optional(),
  }),
  in_hand_cnt: count.optional(),
  work_queue_size: count.optional(),
  why: z.string().nullish(),
})
const enable = z.boolean()
const messageStats = z.object({
  ...{ enable, success_per_min: window, failed_per_min: window, total_err_cnt: count },
  err_stats: z.array(z.string()).nullable(),
  success_per_min_series: series.optional(),
  failed_per_min_series: series.optional(),
})
const diskIds = z.array(z.int()).optional()
const ownStatsAnswer = z.object({ shard_repair: messageStats, blob_delete: messageStats })
export const allStatsAnswer = ownStatsAnswer.extend({
  disk_repair: moveStats.extend({
    ...{ enable, repairing_disk_id: z.int(), total_tasks_cnt: count, repaired_tasks_cnt: count },
    repairing_disks: diskIds,
  }),
  disk_drop: moveStats.extend({
    ...{ enable, dropping_disk_id: z.int(), total_tasks_cnt: count, dropped_tasks_cnt: count },
    dropping_disks: diskIds,
  }),
  balance: moveStats.extend({ enable }),
  manual_migrate: moveStats,
  volume_inspect: z.object({
    ...{ enable, finished_per_min: window, time_out_per_min: window },
    finished_per_min_series: series.optional(),
    time_out_per_min_series: series.optional(),
  }),
})
/** Of a node that does not lead: repairs and deletions alone. */
export const statsAnswer = ownStatsAnswer.extend(allStatsAnswer.partial().shape).extend({
  ...ownStatsAnswer.shape,
})

const waits = { why: z.string().nullable(), until: unixMs.nullable() }
const standing = { condition: z.enum(['active', 'paused', 'parked', 'finished']), ...waits }

const taskRowAnswer = z.object({
  ...{ task_id: z.string(), task_type: z.enum(MOVE_TYPES), state: z.int(), at: z.string() },
  ...{ vid: z.int(), source_vuid_text: z.string(), source_disk_id: z.int() },
  ...{ destination_disk_id: z.int().nullable(), priority: z.int(), worker: z.string().nullable() },
  ...{ progress: count, created_at: unixMs, updated_at: unixMs, ...standing },
})
export const tasksAnswer = z.object({
  tasks: z.array(taskRowAnswer),
  cursor: z.string().optional(),
})
export const taskInfoAnswer = taskRowAnswer.extend({
  ...{ mode: z.string().nullable(), source_idc: z.string(), stat: statAnswer },
  /** Why it was asked for, where its type does not say it. */
  reason: z.string().nullable(),
  ...{ destination_vuid_text: z.string().nullable(), forbidden_direct_download: z.boolean() },
  ...{ worker_redo_cnt: count, finish_advance_reason: z.string() },
  ...{ last_error: z.string().nullable(), lease_until: unixMs.nullable() },
})

export const diskJobAnswer = z.object({
  ...{ task_type: z.enum(['disk_drop', 'disk_repair']), disk_id: z.int(), state: z.string() },
  ...{ total: count, done: count, bytes: count, moving: count, still: count },
  ...{ end: z.string().nullable(), created_at: unixMs, updated_at: unixMs, ...standing },
})
export const diskJobsAnswer = z.object({
  jobs: z.array(diskJobAnswer),
  cursor: z.string().optional(),
})

/** How one of the actors stands of which there is one. */
export const standingAnswer = z.looseObject({
  enable,
  state: z.string(),
  ...standing,
  /** For people: a name and what is to be said of it. */
  facts: z.array(z.tuple([z.string(), z.string()])),
})

export const beganAnswer = z.object({ ok: z.literal(true) })
/** A bid is a number of up to 20 digits. */
export const findingsAnswer = z.object({
  volumes: z.array(
    z.object({
      ...{ vid: z.int(), at: unixMs, lost: count },
      blobs: z.array(
        z.object({ bid: z.number(), whole: z.array(z.int()), away: z.array(z.int()) }),
      ),
    }),
  ),
  cursor: z.string().optional(),
})
