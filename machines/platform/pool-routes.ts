/** What the verbs `troupe pools` call. Decides: the paths, what they take and what they answer. */
import { z } from 'zod'
import type { AppRequest, AppRoute } from '../../src/index.ts'
import { poolDetail, poolList } from './pool-answers.ts'
import { poolInput } from './pool-schemas.ts'
import type { Pools } from './pools.ts'

const creation = poolInput.extend({ pool: z.string() })
const size = poolInput.omit({ waitersMax: true }).partial()
const whom = z.object({ holder: z.string().min(1).max(256) })

export function poolRoutes(pools: Pools): AppRoute[] {
  return [
    {
      method: 'GET',
      path: '/pools',
      summary: 'all pools',
      schemas: { answer: poolList },
      handle: async () => ({ body: { pools: await pools.list() } }),
    },
    {
      method: 'GET',
      path: '/pools/:name',
      summary: 'a pool: who holds how much, and who waits',
      schemas: { answer: poolDetail },
      handle: async (request) => ({ body: await pools.view(nameOf(request)) }),
    },
    {
      method: 'POST',
      path: '/pools',
      summary: 'make a pool',
      schemas: { body: creation, answer: poolDetail, status: 201 },
      handle: async ({ body, author }) => {
        const { pool, ...input } = body as z.infer<typeof creation>
        return { status: 201, body: await pools.create(pool, input, author) }
      },
    },
    {
      method: 'POST',
      path: '/pools/:name/resize',
      summary: 'change the slots of a pool, the limits and gaps of its names, or its choices',
      schemas: { body: size, answer: poolDetail },
      handle: async (request) => {
        const { slots, limits, gaps, choices } = request.body as z.infer<typeof size>
        const wanted = {
          ...(slots === undefined ? {} : { slots }),
          ...(limits === undefined ? {} : { limits }),
          ...(gaps === undefined ? {} : { gaps }),
          ...(choices === undefined ? {} : { choices }),
        }
        return { body: await pools.resize(nameOf(request), wanted, request.author) }
      },
    },
    {
      method: 'POST',
      path: '/pools/:name/release',
      summary: 'take back what a holder has, or its place among those who wait',
      schemas: { body: whom, answer: poolDetail },
      handle: async (request) => {
        const { holder } = request.body as z.infer<typeof whom>
        return { body: await pools.release(nameOf(request), holder, request.author) }
      },
    },
  ]
}

function nameOf({ params }: AppRequest): string {
  return params['name'] ?? ''
}
