/**
 * The tasks of every stage as they come from outside. Decides: their fields (those that processors of
 * sealing workers have), and what is refused before any work begins. 32 bytes are hex, base64 or a list
 * of numbers, since senders differ; inside they are hex. Leaves to others: what the files hold.
 */
import { isAbsolute, resolve } from 'node:path'
import { z } from 'zod'
import { TroupeError } from '../../../src/index.ts'
import { sealProofOf, sealProofOfSize, sizeText } from '../venus/index.ts'
import { NODE_BYTES } from './sha256.ts'

/** Beyond, this prover would be slow and take much memory; real processors begin there. */
export const SECTOR_BYTES_MAX = 8 * 1024 ** 2
const PATH_LENGTH_MAX = 4_096
/** More do not fit into the largest sector. */
const PIECES_MAX = SECTOR_BYTES_MAX / 128
const REPLICAS_MAX = 10_000
const ROUTES_MAX = 10_000

export interface Kind {
  /** As the sender wrote it. */
  name: string | number
  sizeBytes: number
}

/** 32 bytes, as hex. */
const hash32 = z
  .union([z.string().max(64), z.array(z.int().min(0).max(255)).length(NODE_BYTES)])
  .transform((value, context) => {
    const bytes = typeof value === 'string' ? textBytes(value) : Buffer.from(value)
    if (bytes?.length === NODE_BYTES) return bytes.toString('hex')
    context.addIssue(`expected ${NODE_BYTES} bytes: hex, base64 or a list of numbers`)
    return z.NEVER
  })

function textBytes(text: string): Buffer | undefined {
  if (/^[0-9a-fA-F]{64}$/.test(text)) return Buffer.from(text, 'hex')
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : undefined
}

/** A kind of sector by the name or number of its seal or window proof. */
const kind = z.union([z.string().max(64), z.int()]).transform((name, context): Kind => {
  try {
    const { sizeBytes } = kindOf(name)
    if (sizeBytes <= SECTOR_BYTES_MAX) return { name, sizeBytes }
    const most = sizeText(SECTOR_BYTES_MAX)
    context.addIssue(`the reference prover takes sectors up to ${most}: use a real processor`)
  } catch (thrown) {
    context.addIssue((thrown as Error).message)
  }
  return z.NEVER
})

function kindOf(name: string | number): { sizeBytes: number } {
  const size = /^StackedDrg(?:Window|Winning)?(\d+[KMG]iB)V1(?:_\d)?$/.exec(String(name))?.[1]
  return size === undefined ? sealProofOf(name) : sealProofOfSize(size)
}

const path = z
  .string()
  .max(PATH_LENGTH_MAX)
  .refine((value) => isAbsolute(value) && !value.includes('\0'), 'expected an absolute path')
  .transform((value) => resolve(value))

const count = z.int().min(0)

/** Padded: a power of two. Senders may also write the 127/128 of it that hold data. */
const pieceSize = z.int().transform((value, context) => {
  const padded = Number.isInteger(Math.log2(value)) ? value : (value / 127) * 128
  if (padded >= 128 && Number.isInteger(Math.log2(padded))) return padded
  context.addIssue('expected a power of two from 128, or 127/128 of one')
  return z.NEVER
})

const pieceInfos = z
  .array(z.object({ commitment: hash32, size: pieceSize }))
  .max(PIECES_MAX)
  .nullish()
  .transform((list) => list ?? [])
export type PieceInfo = z.output<typeof pieceInfos>[number]

const pieceFile = z.union([
  z.object({ url: z.url({ protocol: /^https?$/ }) }),
  z.object({ local: path }),
  z.literal('pledge'),
])
const names = { prover_id: hash32, sector_id: count, ticket: hash32 }

export const TASKS = {
  add_pieces: z.object({
    seal_proof_type: kind,
    pieces: z
      .array(z.object({ piece_file: pieceFile, payload_size: count, piece_size: pieceSize }))
      .max(PIECES_MAX),
    staged_filepath: path,
  }),
  tree_d: z.object({ registered_proof: kind, staged_file: path, cache_dir: path }),
  pc1: z.object({
    registered_proof: kind,
    cache_path: path,
    in_path: path,
    out_path: path,
    ...names,
    piece_infos: pieceInfos,
  }),
  pc2: z.object({
    pc1out: z.object({
      registered_proof: kind,
      replica_id: hash32,
      comm_d: hash32,
      labels: hash32,
    }),
    cache_dir: path,
    sealed_file: path,
  }),
  c1: z.object({
    registered_proof: kind,
    cache_dir: path,
    sealed_file: path,
    ...names,
    seed: hash32,
    pc2out: z.object({ comm_r: hash32, comm_d: hash32 }),
    piece_infos: pieceInfos,
  }),
  c2: z.object({
    c1out: z.object({
      registered_proof: kind,
      comm_r: hash32,
      comm_d: hash32,
      ticket: hash32,
      seed: hash32,
      vanilla_proofs: z.array(z.base64()),
    }),
    prover_id: hash32,
    sector_id: count,
    miner_id: count.nullish(),
  }),
  snap_encode: z.object({
    registered_proof: kind,
    new_replica_path: path,
    new_cache_path: path,
    sector_path: path,
    sector_cache_path: path,
    staged_data_path: path,
    piece_infos: pieceInfos,
  }),
  snap_vanilla: z.object({
    registered_proof: kind,
    comm_r_old: hash32,
    comm_r_new: hash32,
    comm_d_new: hash32,
    sector_path: path,
    sector_cache_path: path,
    new_replica_path: path,
    new_cache_path: path,
  }),
  snap_prove: z.object({
    registered_proof: kind,
    /** Spelled so by all senders. */
    vannilla_proofs: z.array(z.base64()),
    comm_r_old: hash32,
    comm_r_new: hash32,
    comm_d_new: hash32,
  }),
  transfer: z.object({
    stores: z.record(z.string(), z.object({ name: z.string() })).default({}),
    routes: z
      .array(
        z.object({
          src: z.object({ store_name: z.string().nullish(), uri: z.string() }),
          dest: z.object({ store_name: z.string().nullish(), uri: z.string() }),
          opt: z
            .object({ is_dir: z.boolean().default(false), allow_link: z.boolean().default(false) })
            .nullish(),
        }),
      )
      .max(ROUTES_MAX),
  }),
  unseal: z.object({
    registered_proof: kind,
    ...names,
    comm_d: hash32,
    cache_dir: path,
    sealed_file: path,
    unsealed_output: path,
    offset: count,
    num_bytes: count,
  }),
  window_post: z.object({
    miner_id: count,
    proof_type: kind,
    replicas: z
      .array(z.object({ sector_id: count, comm_r: hash32, cache_dir: path, sealed_file: path }))
      .max(REPLICAS_MAX),
    seed: hash32,
  }),
} as const

export type ProverStage = keyof typeof TASKS
/** A task that was checked. */
export type TaskOf<TStage extends ProverStage> = z.output<(typeof TASKS)[TStage]>

export const PROVER_STAGES = Object.keys(TASKS) as readonly ProverStage[]

export const sealClaim = z.object({
  registered_proof: kind,
  ...names,
  seed: hash32,
  comm_r: hash32,
  comm_d: hash32,
  proof: z.base64(),
})
export const snapClaim = z.object({
  registered_proof: kind,
  comm_r_old: hash32,
  comm_r_new: hash32,
  comm_d_new: hash32,
  proof: z.base64(),
})
export const windowClaim = z.object({
  miner_id: count,
  proof_type: kind,
  replicas: z.array(z.object({ sector_id: count, comm_r: hash32 })).max(REPLICAS_MAX),
  seed: hash32,
  proofs: z.array(z.base64()),
})

export function isProverStage(name: string): name is ProverStage {
  return Object.hasOwn(TASKS, name)
}

/** @throws TroupeError `malformed` naming the field, `not-found` for a stage that there is not */
export function parseTask(stage: string, task: unknown): unknown {
  if (!isProverStage(stage)) {
    const all = PROVER_STAGES.join(', ')
    throw new TroupeError('not-found', `"${stage.slice(0, 64)}" is no stage: take one of ${all}`)
  }
  const parsed = TASKS[stage].safeParse(task)
  if (parsed.success) return parsed.data
  throw new TroupeError('malformed', `the task of ${stage} is refused: ${issueText(parsed.error)}`)
}

export function issueText(error: z.ZodError): string {
  const [issue] = error.issues
  return `${issue?.path.join('.') || 'the whole'}: ${issue?.message}`
}
