/**
 * The machine `sealing-proof`: a proof as it was submitted, kept beside the record of its sector, which
 * would else be written with it each time. Decides: its address, which has the content in it, and that it
 * is gone some time after it was submitted: the chain has it then, or another one of the sector.
 */
import { createHash } from 'node:crypto'
import { setup } from 'xstate'
import { z } from 'zod'
import { type Client, defineMachine, formatAddress, TroupeError } from '../../../src/index.ts'
import { type SectorId, sectorName } from '../venus/index.ts'
import { isCode } from './failures.ts'

/** As base64. An actor holds 512 KiB; real proofs have some KiB. */
const PROOF_CHARS_MAX = 480 * 1024
const DIGEST_CHARS = 16

const kept = z.object({
  proof: z.string().max(PROOF_CHARS_MAX),
  keptMs: z.int().min(0),
})

export const proof = defineMachine({
  machine: setup({
    types: { context: {} as z.infer<typeof kept>, input: {} as z.infer<typeof kept> },
    delays: { keeping: ({ context }) => context.keptMs },
  }).createMachine({
    id: 'sealing-proof',
    context: ({ input }) => input,
    initial: 'kept',
    states: { kept: { after: { keeping: 'over' } }, over: { type: 'final' } },
  }),
  input: kept,
  events: {},
  retention: { finishedMs: 0, historyCount: 1 },
})

export interface ProofDigest {
  sha256: string
  bytes: number
}

export function digestOf(base64: string): ProofDigest {
  const bytes = Buffer.from(base64, 'base64')
  return { sha256: createHash('sha256').update(bytes).digest('hex'), bytes: bytes.length }
}

/** @throws TroupeError `too-large` */
export async function keepProof(
  client: Client,
  id: SectorId,
  base64: string,
  keptMs: number,
): Promise<void> {
  if (base64.length > PROOF_CHARS_MAX) {
    const why = `the proof of ${sectorName(id)} has more than ${PROOF_CHARS_MAX} characters`
    throw new TroupeError('too-large', why)
  }
  await client.ensure(addressOf(id, digestOf(base64).sha256), { proof: base64, keptMs })
}

/** Base64; null if there is none such. */
export async function keptProof(
  client: Client,
  id: SectorId,
  sha256: string,
): Promise<string | null> {
  try {
    const { context } = await client.get(addressOf(id, sha256))
    return (context as z.infer<typeof kept>).proof
  } catch (thrown) {
    if (isCode(thrown, 'unknown-actor')) return null
    throw thrown
  }
}

function addressOf(id: SectorId, sha256: string): string {
  return formatAddress('sealing-proof', `${sectorName(id)}.${sha256.slice(0, DIGEST_CHARS)}`)
}
