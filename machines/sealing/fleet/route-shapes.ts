/** What the routes of the fleet take and answer, for `openapi.json`. */
import { z } from 'zod'
import type { LiveChapter, SectorStory } from '../daemon/index.ts'
import { chapter, type HistorySummary, historyEntry } from '../history/index.ts'
import { PLANS, SECTOR_STATES } from '../plans/index.ts'
import { CONDITIONS, type ThreadRow } from '../thread/index.ts'

const name = z.string().min(1).max(256)
const unixMs = z.number().describe('unix ms')

export const threadQuery = z.object({
  worker: name.optional(),
  state: z.enum(SECTOR_STATES).optional(),
  condition: z.enum(CONDITIONS).optional(),
  plan: z.enum(PLANS).optional(),
  sector: name.optional(),
})

export const historyQuery = z.object({
  worker: name.optional(),
  thread: name.optional(),
  plan: z.enum(PLANS).optional(),
  end: z.enum(['Finished', 'Aborted']).optional(),
  prefix: name.optional(),
  since: z
    .string()
    .regex(/^\d{1,15}$/)
    .optional()
    .describe('unix ms: ended then or later'),
})

export const threadCommand = z.strictObject({
  action: z.enum(['pause', 'resume']),
  thread: name,
  reason: z.string().max(300).optional(),
  state: z.string().max(64).optional(),
  retry: z.boolean().optional(),
  force: z.boolean().optional(),
  dryRun: z.boolean().optional(),
})

const threadRow = z.object({
  worker: z.string(),
  thread: z.string().describe('the id of its actor'),
  index: z.number(),
  plan: z.enum(PLANS),
  state: z.enum(SECTOR_STATES),
  stage: z.string().nullable(),
  condition: z.enum(CONDITIONS),
  sector: z.string().nullable().describe('its sector or job'),
  paused: z.boolean(),
  errors: z.boolean(),
  draining: z.boolean(),
  since: unixMs,
  why: z.string().nullable(),
}) satisfies z.ZodType<ThreadRow>
export const threadList = z.object({ threads: z.array(threadRow) })

const historySummary = z.object({
  sector: z.string(),
  plan: z.string(),
  worker: z.string(),
  thread: z.string(),
  end: z.string(),
  startedAt: unixMs,
  endedAt: unixMs,
  chapters: z.number(),
}) satisfies z.ZodType<HistorySummary>
export const historyList = z.object({ sectors: z.array(historySummary), hasMore: z.boolean() })

const liveChapter = z.object({
  plan: z.string(),
  worker: z.string(),
  thread: z.string(),
  state: z.string(),
  startedAt: z.number().nullable(),
  entries: z.array(historyEntry),
  dropped: z.number(),
}) satisfies z.ZodType<LiveChapter>
export const sectorStory = z.object({
  sector: z.string(),
  chapters: z.array(chapter),
  chaptersDropped: z.number(),
  live: z.array(liveChapter),
}) satisfies z.ZodType<SectorStory>

export const exportText = z.string().describe('a line for each transition: JSON lines, or CSV')
