/**
 * The file `worker.toml` as it is written. Decides: its keys, their spelling and defaults, which are those
 * of existing sealing workers, and what is ours beside them (`[troupe]`, `name` of a thread, `token_file`).
 * Leaves to others: what the values mean together (`config.ts`), keys that nobody knows
 * (`unknown-keys.ts`).
 */
import { z } from 'zod'
import { TroupeError } from '../../../src/index.ts'
import { PLANS } from '../plans/states.ts'
import { sealProofOfSize } from '../venus/index.ts'
import { parseDuration } from './durations.ts'

/** What a transform refuses becomes an issue at its place in the file. */
function checked<TIn, TOut>(read: (value: TIn) => TOut) {
  return (value: TIn, context: z.RefinementCtx): TOut => {
    try {
      return read(value)
    } catch (thrown) {
      if (!(thrown instanceof TroupeError)) throw thrown
      context.addIssue({ code: 'custom', message: thrown.message })
      return z.NEVER
    }
  }
}

const duration = z.string().transform(checked(parseDuration))
const text = z.string().min(1)
const texts = z.record(z.string(), z.string())
const port = z.int().min(0).max(65_535)
const count = z.int().min(1).max(1_000_000)
const counts = z.record(z.string(), count)
const size = z.union([z.int().min(0), z.string().transform(checked(bytesOf))])
/** A name that may stand in the names of a pool, a queue and an actor. */
const NAME = /^[0-9A-Za-z][\w.-]{0,47}$/
const name = z
  .string()
  .regex(NAME, 'a letter or digit and at most 47 letters, digits, "_", "." or "-"')
const sectorSize = z.string().transform(checked((value: string) => sealProofOfSize(value) && value))

export const sealingKeys = z.strictObject({
  allowed_miners: z.array(z.int().min(0)).optional(),
  allowed_sizes: z.array(sectorSize).optional(),
  enable_deals: z.boolean().optional(),
  disable_cc: z.boolean().optional(),
  max_deals: z.int().min(0).optional(),
  min_deal_space: size.optional(),
  max_retries: z.int().min(0).max(1_000).optional(),
  seal_interval: duration.optional(),
  recover_interval: duration.optional(),
  rpc_polling_interval: duration.optional(),
  request_task_max_retries: z.int().min(0).max(1_000_000).optional(),
  ignore_proof_check: z.boolean().optional(),
  verify_after_pc2: z.boolean().optional(),
})
export type SealingKeys = z.output<typeof sealingKeys>

/** What a store's own `config.toml` may say: all of a thread but where and who it is. */
export const hotKeys = z.strictObject({
  plan: z.enum(PLANS).optional(),
  sealing: sealingKeys.optional(),
})
export type HotKeys = z.output<typeof hotKeys>

const thread = hotKeys.extend({
  location: text.optional(),
  /** Ours: a name that stays when the directory moves. */
  name: name.optional(),
})

const child = z.strictObject({
  bin: text.optional(),
  args: z.array(z.string()).optional(),
  stable_wait: duration.optional(),
  concurrent: count.optional(),
  locks: z.array(text).max(7).optional(),
  envs: texts.optional(),
  inherit_envs: z.boolean().optional(),
  auto_restart: z.boolean().optional(),
  numa_preferred: z.int().min(0).max(1_023).optional(),
  cgroup: z.strictObject({ cpuset: text.optional(), group_name: text.optional() }).optional(),
  /** Ours: longer than this no task may take. */
  timeout: duration.optional(),
})
export type ChildKeys = z.output<typeof child>

/** Every stage that may be done by a child process, as the old workers name them. */
export const CHILD_STAGES = [
  'add_pieces',
  'tree_d',
  'pc1',
  'pc2',
  'c2',
  'snap_encode',
  'snap_prove',
  'transfer',
  'unseal',
  'window_post',
  'sealing_daemons',
] as const

const children = z.array(child).max(64).optional()
const processors = z.strictObject({
  limit: counts.optional(),
  limitation: z
    .strictObject({
      concurrent: counts.optional(),
      staggered: z.record(z.string(), duration).optional(),
    })
    .optional(),
  ext_locks: counts.optional(),
  static_tree_d: texts.optional(),
  ...(Object.fromEntries(CHILD_STAGES.map((stage) => [stage, children])) as Record<
    (typeof CHILD_STAGES)[number],
    typeof children
  >),
})

const natsUser = {
  user: text.optional(),
  password_file: text.optional(),
  creds: text.optional(),
  inbox_prefix: text.optional(),
}

export const workerToml = z.strictObject({
  worker: z
    .strictObject({
      name: name.optional(),
      rpc_server: z
        .strictObject({
          host: text.optional(),
          port: port.optional(),
          token_file: text.optional(),
        })
        .optional(),
      ping_interval: duration.optional(),
      local_pieces_dir: text.optional(),
      local_pieces_dirs: z.array(text).optional(),
      scan_persist_stores: z.array(text).optional(),
    })
    .optional(),
  metrics: z
    .strictObject({ enable: z.boolean().optional(), http_listen: text.optional() })
    .optional(),
  sector_manager: z.strictObject({
    rpc_client: z.strictObject({ addr: text, headers: texts.optional() }),
    piece_token: text.optional(),
  }),
  sealing: sealingKeys.optional(),
  sealing_thread: z.array(thread).max(1_000).optional(),
  attached: z
    .array(
      z.strictObject({ name: text.optional(), location: text, readonly: z.boolean().optional() }),
    )
    .optional(),
  processors: processors.optional(),
  troupe: z
    .strictObject({
      data: text.optional(),
      /** Where operators reach the node of a worker that is alone. */
      http: text.optional(),
      nats: z.union([text, z.array(text).min(1)]).optional(),
      cluster: text.optional(),
      group: text.optional(),
      ...natsUser,
      /** As whom steps are taken, where NATS knows workers as another user. */
      worker: z.strictObject(natsUser).optional(),
      quarantine: duration.optional(),
    })
    .optional(),
})
export type WorkerToml = z.output<typeof workerToml>

const UNITS: Readonly<Record<string, number>> = {
  b: 1,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
}

function bytesOf(given: string): number {
  const [, digits, unit = ''] = /^(\d{1,12})\s*([a-z]*)$/i.exec(given.trim()) ?? []
  const factor = UNITS[unit.toLowerCase() || 'b']
  if (digits !== undefined && factor !== undefined) return Number(digits) * factor
  throw new TroupeError('malformed', `"${given.slice(0, 40)}" is not a size: write 8GiB`)
}
