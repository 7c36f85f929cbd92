/** What the verbs `troupe util wdpost` call. Decides: the paths, what they take and what they answer. */
import { z } from 'zod'
import { type AppRequest, type AppRoute, TroupeError } from '../../../src/index.ts'
import type { Chain } from '../chain/index.ts'
import { sealNumberOf, sealProofOf, sealProofOfSize, sectorId, wdpostJob } from '../venus/index.ts'
import { challengeHeight, DEADLINES } from './deadlines.ts'
import type { WdPoStDetail, WdPoStJobs, WdPoStSummary } from './jobs.ts'

/** The sectors of one partition with long paths are 700 KB. */
const BODY_BYTES_MAX = 8 * 1024 ** 2

const bytes32 = z
  .base64()
  .refine((text) => Buffer.from(text, 'base64').length === 32, 'expected 32 bytes')

const sectors = z.array(
  z.object({
    SectorID: sectorId,
    CommR: bytes32,
    Accesses: z.object({ CacheDir: z.string(), SealedFile: z.string() }),
  }),
)

const creation = z.object({
  deadline: z
    .int()
    .min(0)
    .max(DEADLINES - 1),
  partitions: z.array(z.int().min(0)).max(3_000).default([]),
  sectors: sectors.min(1),
  proofType: z
    .union([z.int().min(0), z.string()])
    .describe('its number, or the size of the sectors: 8KiB'),
  seed: bytes32.optional().describe('unless given, that of the deadline on the simulated chain'),
})

const shown = wdpostJob.omit({ Input: true, Output: true, Partitions: true }).extend({
  Partitions: z.array(z.number()),
  MinerID: z.number(),
  ProofType: z.number(),
  Sectors: z.number(),
  TryMax: z.number(),
}) satisfies z.ZodType<WdPoStSummary>

const detail = shown.extend({
  Input: z.object({
    Sectors: sectors,
    MinerID: z.number(),
    ProofType: z.number(),
    Seed: bytes32,
  }),
  Output: z.unknown().describe('of the processor: {proofs, faults}; null before'),
}) satisfies z.ZodType<WdPoStDetail>
const removal = z.object({ removed: z.number() })

const listQuery = z.object({ all: z.enum(['true', 'false']).optional() })
const removalQuery = z.object({ all: z.literal('true') })

/** @param chain where seeds come from that nobody gives */
export function wdpostRoutes(jobs: WdPoStJobs, chain: Pick<Chain, 'head' | 'ticket'>): AppRoute[] {
  return [
    {
      method: 'GET',
      path: '/sealing/wdpost',
      summary: 'jobs of window proofs, without those that have succeeded',
      schemas: { query: listQuery, answer: z.object({ jobs: z.array(shown) }) },
      handle: async ({ query }) => ({
        body: { jobs: await jobs.list({ all: query.get('all') === 'true' }) },
      }),
    },
    {
      method: 'GET',
      path: '/sealing/wdpost/:id',
      summary: 'a job of a window proof with its input and its output',
      schemas: { answer: detail },
      handle: async (request) => ({ body: await jobs.job(idOf(request)) }),
    },
    {
      method: 'POST',
      path: '/sealing/wdpost',
      bodyBytesMax: BODY_BYTES_MAX,
      summary: 'want a window proof; the same input again is the job that is there',
      schemas: { body: creation, answer: shown, status: 201 },
      handle: async ({ body, author }) => ({
        status: 201,
        body: await create(jobs, chain, body as z.output<typeof creation>, author),
      }),
    },
    {
      method: 'POST',
      path: '/sealing/wdpost/:id/reset',
      summary: 'let a job begin again, as if it was never tried',
      schemas: { answer: shown },
      handle: async (request) => ({ body: await jobs.reset(idOf(request), request.author) }),
    },
    {
      method: 'DELETE',
      path: '/sealing/wdpost/:id',
      summary: 'remove a job; who waits for it is told so',
      schemas: { answer: removal },
      handle: async (request) => {
        await jobs.remove(idOf(request), request.author)
        return { body: { removed: 1 } }
      },
    },
    {
      method: 'DELETE',
      path: '/sealing/wdpost',
      summary: 'remove all jobs of window proofs',
      schemas: { query: removalQuery, answer: removal },
      handle: async ({ author }) => ({ body: { removed: await jobs.removeAll(author) } }),
    },
  ]
}

async function create(
  jobs: WdPoStJobs,
  chain: Pick<Chain, 'head' | 'ticket'>,
  { deadline, partitions, sectors, proofType, seed }: z.output<typeof creation>,
  author: string,
): Promise<WdPoStSummary> {
  const [first] = sectors
  const miner = first?.SectorID.Miner ?? 0
  const stranger = sectors.find(({ SectorID }) => SectorID.Miner !== miner)
  if (stranger) {
    const why = `sectors of the miners ${miner} and ${stranger.SectorID.Miner}: a job is of one miner`
    throw new TroupeError('malformed', why)
  }
  const proof = numberOf(proofType)
  const Seed = seed ?? (await seedOf(chain, miner, deadline))
  const input = { Sectors: sectors, MinerID: miner, ProofType: proof, Seed }
  return jobs.create({ deadline, partitions, input }, author)
}

function numberOf(proofType: number | string): number {
  if (typeof proofType === 'number') {
    sealProofOf(sealNumberOf(proofType))
    return proofType
  }
  const isName = proofType.startsWith('StackedDrg')
  return (isName ? sealProofOf(proofType) : sealProofOfSize(proofType)).number
}

async function seedOf(
  chain: Pick<Chain, 'head' | 'ticket'>,
  miner: number,
  deadline: number,
): Promise<string> {
  const { height } = await chain.head()
  const { ticket } = await chain.ticket(miner, challengeHeight(height, deadline))
  return ticket
}

function idOf({ params }: AppRequest): string {
  return params['id'] ?? ''
}
