/** What the routes of pools answer, for `openapi.json`. The compiler holds that it is what they return. */
import { z } from 'zod'
import type { PoolDetail, PoolSummary } from './pools.ts'

const summary = {
  pool: z.string(),
  status: z.string().describe('anything but active serves nobody'),
  slots: z.number(),
  used: z.number(),
}
const request = {
  holder: z.string(),
  units: z.number(),
  priority: z.number(),
  leaseMs: z.number().describe('0: until it is released'),
  waitMs: z.number().nullable(),
  ticket: z.number(),
  ref: z.string().nullable(),
  choice: z.string().nullable().describe('by whose name it asked'),
}
const waiter = z.object({
  ...request,
  anyOf: z.array(z.array(z.string())).describe('it waits for all names of one of them'),
})
const holder = z.object({
  ...request,
  token: z.number(),
  names: z.array(z.string()),
  leaseUntil: z.number().nullable().describe('unix ms'),
  leaseFrozenMs: z.number().exactOptional(),
})

export const poolDetail = z.object({
  ...summary,
  limits: z.record(z.string(), z.number()),
  gaps: z.record(z.string(), z.number()).describe('ms between two grants of a name'),
  choices: z
    .record(z.string(), z.array(z.array(z.string())))
    .describe('options by the name that requests ask for them'),
  gapped: z.array(z.string()).describe('names whose gap is not over'),
  usedByName: z.record(z.string(), z.number()),
  waitersMax: z.number(),
  holders: z.array(holder),
  waiters: z.array(waiter),
}) satisfies z.ZodType<PoolDetail>

const poolSummary = z.object({
  ...summary,
  holders: z.number(),
  waiters: z.number(),
}) satisfies z.ZodType<PoolSummary>

export const poolList = z.object({ pools: z.array(poolSummary) })
