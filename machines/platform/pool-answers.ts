/** What the routes of pools answer, for `openapi.json`. The compiler holds that it is what they return. */
import { z } from 'zod'
import type { PoolDetail, PoolSummary } from './pools.ts'

const summary = {
  pool: z.string(),
  status: z.string().describe('anything but active serves nobody'),
  slots: z.number(),
  used: z.number(),
}
const waiter = {
  holder: z.string(),
  units: z.number(),
  stage: z.string().nullable(),
  priority: z.number(),
  leaseMs: z.number().describe('0: until it is released'),
  waitMs: z.number().nullable(),
  ticket: z.number(),
}
const holder = z.object({
  ...waiter,
  token: z.number(),
  leaseUntil: z.number().nullable().describe('unix ms'),
  leaseFrozenMs: z.number().exactOptional(),
})

export const poolDetail = z.object({
  ...summary,
  limits: z.record(z.string(), z.number()),
  usedByStage: z.record(z.string(), z.number()),
  waitersMax: z.number(),
  holders: z.array(holder),
  waiters: z.array(z.object(waiter)),
}) satisfies z.ZodType<PoolDetail>

const poolSummary = z.object({
  ...summary,
  holders: z.number(),
  waiters: z.number(),
}) satisfies z.ZodType<PoolSummary>

export const poolList = z.object({ pools: z.array(poolSummary) })
