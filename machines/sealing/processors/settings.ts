/**
 * What is configured for one child process. Decides: the keys, their defaults, and what is refused
 * before anything is started with it. Leaves to others: the spelling in worker.toml (daemon), the locks
 * (the worker's pool takes them; see `gate-names.ts`).
 */
import { z } from 'zod'

/** A place in a child costs memory there, not here; 64 is what workers of today assume. */
const CONCURRENT_DEFAULT = 64
const CONCURRENT_MAX = 10_000
const STABLE_WAIT_DEFAULT_MS = 5_000
const MS_MAX = 30 * 86_400_000
const NUMA_NODE_MAX = 1_023

/** They become names in the pool, `stage.<stage>` and `lock.<name>`, which has at most 64 characters. */
export const stageName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$/, 'not a name of a stage')
export const lockName = z.string().regex(/^[A-Za-z0-9_.-]{1,58}$/, 'not a name of a lock')

const withoutNul = z.string().refine((text) => !text.includes('\0'), 'holds a NUL character')
const variableName = withoutNul.regex(/^[^=]+$/, 'cannot be the name of a variable')
const durationMs = z.int().min(1).max(MS_MAX)

/** Cores as the kernel writes them: `0-3,8`. */
const cpuset = z.string().regex(/^\d+(-\d+)?(,\d+(-\d+)?)*$/, 'not a list of cores such as 0-3,8')
/** Below the root of the control groups: no step up, no empty step. */
const groupName = z
  .string()
  .max(255)
  .regex(/^[\w-][\w.-]*(\/[\w-][\w.-]*)*$/, 'not the name of a control group such as sealing/pc1')

export const processorConfig = z.strictObject({
  bin: withoutNul.min(1),
  args: z.array(withoutNul).default([]),
  /** In which a child has to say that it is ready. */
  stableWaitMs: durationMs.default(STABLE_WAIT_DEFAULT_MS),
  /** Requests that it works on at once. */
  concurrent: z.int().min(1).max(CONCURRENT_MAX).default(CONCURRENT_DEFAULT),
  locks: z.array(lockName).default([]),
  envs: z.record(variableName, withoutNul).default({}),
  inheritEnvs: z.boolean().default(true),
  /** False: a child that died by itself stays down. */
  autoRestart: z.boolean().default(true),
  numaPreferred: z.int().min(0).max(NUMA_NODE_MAX).nullable().default(null),
  cgroup: z
    .strictObject({ cpuset, groupName: groupName.nullable().default(null) })
    .nullable()
    .default(null),
  /** For one request, from when the child has it; null: none. */
  timeoutMs: durationMs.nullable().default(null),
  /** A directory for replies that cannot be read. */
  dumpBadRepliesTo: withoutNul.min(1).nullable().default(null),
})

export type ProcessorConfig = z.output<typeof processorConfig>

/** By stage, in the order of the configuration, which numbers the lanes. */
export type ProcessorsConfig = Readonly<Record<string, readonly ProcessorConfig[]>>

/** The name of one configured child. */
export function laneName(stage: string, index: number): string {
  return `child.${stage}.${index}`
}
