/** What the verbs `troupe sealing chain` call. Decides: the paths, what they take and what they answer. */
import { z } from 'zod'
import { type AppRoute, TroupeError } from '../../../src/index.ts'
import { parseSectorName } from '../venus/index.ts'
import type { Chain, ChainView } from './chain.ts'
import { MESSAGE_FAULTS, MESSAGE_KINDS, RATED_FAULTS, REORG_DEPTH_MAX } from './settings.ts'

const faultRequest = z.object({
  kind: z.enum(RATED_FAULTS),
  message: z.enum(MESSAGE_KINDS).optional().describe('only these messages'),
  sector: z.string().optional().describe('only those of this sector'),
  count: z.int().min(1).max(100_000).optional().describe('how many messages; 1 unless given'),
  rate: z
    .number()
    .min(0)
    .max(1)
    .optional()
    .describe('instead: of each message, or block, by chance'),
})

const reorgRequest = z.object({
  depth: z.int().min(1).max(REORG_DEPTH_MAX).describe('how many blocks are taken back'),
})

const share = z.number()
const chainView = z.object({
  height: z.number(),
  blockMs: z.number(),
  confidence: z.number(),
  seedDelay: z.number(),
  seedMargin: z.number(),
  forks: z.number(),
  reorgs: z.array(z.object({ fork: z.number(), from: z.number(), at: z.number() })),
  batches: z.array(
    z.object({
      kind: z.enum(MESSAGE_KINDS),
      miner: z.number(),
      waiting: z.number(),
      of: z.number(),
      flushesInMs: z.number(),
    }),
  ),
  rates: z.object({
    fail: share,
    permFail: share,
    notFound: share,
    shouldAbort: share,
    reorg: share,
  }),
  scripted: z.array(
    z.object({
      id: z.number(),
      fault: z.enum(MESSAGE_FAULTS),
      kind: z.enum(MESSAGE_KINDS).nullable(),
      sector: z.string().nullable(),
      left: z.number(),
    }),
  ),
}) satisfies z.ZodType<ChainView>

export function chainRoutes(chain: Chain): AppRoute[] {
  return [
    {
      method: 'GET',
      path: '/sealing/chain',
      summary: 'the simulated chain: height, batches, faults, reorganisations',
      schemas: { answer: chainView },
      handle: async () => ({ body: await chain.view() }),
    },
    {
      method: 'POST',
      path: '/sealing/chain/faults',
      summary: 'let messages fail that are sent from now on, for a rehearsal',
      schemas: { body: faultRequest, answer: chainView },
      handle: async ({ body, author }) => ({
        body: await inject(chain, body as z.output<typeof faultRequest>, author),
      }),
    },
    {
      method: 'DELETE',
      path: '/sealing/chain/faults',
      summary: 'end what was injected',
      schemas: { answer: chainView },
      handle: async ({ author }) => ({ body: await chain.clearFaults(author) }),
    },
    {
      method: 'POST',
      path: '/sealing/chain/reorg',
      summary: 'take back the newest blocks of the simulated chain',
      schemas: { body: reorgRequest, answer: chainView },
      handle: async ({ body, author }) => {
        const { depth } = body as z.output<typeof reorgRequest>
        return { body: await chain.reorg(depth, author) }
      },
    },
  ]
}

async function inject(
  chain: Chain,
  { kind, message, sector, count, rate }: z.output<typeof faultRequest>,
  author: string,
): Promise<ChainView> {
  if (rate !== undefined) {
    if (message === undefined && sector === undefined && count === undefined) {
      return chain.injectRate(kind, rate, author)
    }
    const why = 'a rate is for all messages: leave out the message, the sector and the count'
    throw new TroupeError('malformed', why)
  }
  if (kind === 'reorg') {
    const why = 'reorg happens at a rate (--rate 0.01), or at once: troupe sealing chain reorg 3'
    throw new TroupeError('malformed', why)
  }
  const of = sector === undefined ? {} : { sector: parseSectorName(sector) }
  return chain.inject({ kind, message, count, ...of }, author)
}
