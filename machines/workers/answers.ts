/** What the routes of workers answer, for `openapi.json`. The compiler holds that it is what they return. */
import { z } from 'zod'
import type { GroupKey, GroupSummary } from './groups.ts'
import type { WorkerSummary } from './workers.ts'

export const workerSummary = z.object({
  name: z.string(),
  status: z.enum(['online', 'draining', 'offline', 'stopped', 'lost']),
  group: z.string(),
  address: z.string(),
  version: z.string(),
  node: z.string(),
  slots: z.number(),
  queues: z.array(z.string()),
  heardAt: z.number().describe('unix ms'),
  running: z.number().exactOptional(),
  load: z.number().exactOptional(),
  memoryFreeBytes: z.number().exactOptional(),
  refusals: z.array(z.string()).describe('why it takes nothing new; empty when it does'),
}) satisfies z.ZodType<WorkerSummary>

const groupSummary = z.object({
  group: z.string(),
  status: z.string(),
  queues: z.array(z.string()),
  createdAt: z.number(),
  keyedAt: z.number(),
}) satisfies z.ZodType<GroupSummary>

export const workerList = z.object({ workers: z.array(workerSummary) })
export const groupList = z.object({ groups: z.array(groupSummary) })
export const groupKey = z.object({
  group: z.string(),
  queues: z.array(z.string()),
  key: z.string(),
}) satisfies z.ZodType<GroupKey>
