/**
 * The task `job-command`: the command of a job, run once.
 *
 * Decides: what an end of the command means. An exit code is a result, whatever it is; an end that
 * nobody saw is not: under `rerun` the attempt is lost, otherwise an operator decides.
 */
import { chmod, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { z } from 'zod'
import {
  configOf,
  type RunSpec,
  runProcess,
  type TaskAttempt,
  TaskError,
  TroupeError,
  task,
} from '../../src/index.ts'
import { CONTENT, type JobsConfig, SHELL_TEMPLATE } from './config.ts'
import { queueOf, typeQueueOf } from './queues.ts'

export const WORKER_LOST_POLICIES = ['wait', 'rerun', 'park'] as const

const commandInput = z.object({
  content: z.string(),
  /** The words of the job type, one of which stands for the content; none: the worker has its own. */
  template: z.array(z.string()),
  jobType: z.string(),
  /** Which attempt of the job it is, when its task is begun for the first time. */
  attempt: z.int().min(1).default(1),
  groupId: z.int(),
  priority: z.int(),
  runTimeoutMs: z.int().min(1).nullable(),
  /** Words before the command that make it run as somebody else. */
  runAs: z.array(z.string()),
  onWorkerLost: z.enum(WORKER_LOST_POLICIES),
  jobName: z.string(),
  appName: z.string(),
})

export type CommandInput = z.infer<typeof commandInput>

export interface CommandOutput {
  code: number | null
  signal: string | null
  /** Unix ms. */
  startedAt: number
  endedAt: number
  stdoutBytes: number
  stderrBytes: number
}

export const jobCommand = task<CommandInput, CommandOutput>({
  name: 'job-command',
  queue: ({ groupId, jobType, template }) =>
    template.length > 0 ? queueOf(groupId) : typeQueueOf(queueOf(groupId), jobType),
  queues: [queueOf(1)],
  priority: ({ priority }) => priority,
  input: commandInput,
  timeoutMs: ({ runTimeoutMs }) => runTimeoutMs ?? undefined,
  // Whether there is another attempt is the job's to decide.
  retry: { attemptsMax: 1 },
  onWorkerLost: ({ onWorkerLost }) => onWorkerLost,
  leaseMs: 'workerLostMs',
  reattach: true,
  run,
})

async function run(attempt: TaskAttempt<CommandInput>): Promise<CommandOutput> {
  const { jobName, appName, runAs } = attempt.input
  const command = commandOf(attempt)
  // A place of its own: neither the node's directory, nor the records of the run.
  const cwd = join(attempt.directory, 'work')
  await mkdir(cwd, { recursive: true, mode: 0o700 })
  // Somebody else's command has to be able to write there; what is above it stays closed to others.
  if (runAs.length > 0) await chmod(cwd, 0o777)
  const env = {
    TROUPE_JOB_ID: attempt.address.slice(attempt.address.indexOf('/') + 1),
    TROUPE_JOB_NAME: jobName,
    TROUPE_APP: appName,
  }
  const number = attempt.input.attempt + attempt.attempt - 1
  const exit = await runOnce(attempt, { command, cwd, env, number })
  if (exit.reason === 'exited') {
    const { code, signal, startedAt, endedAt, stdoutBytes, stderrBytes } = exit
    return { code, signal, startedAt, endedAt, stdoutBytes, stderrBytes }
  }
  throw unknownEnd(attempt, `the end of the command was not seen (${exit.reason})`)
}

/** The content is one word, whatever it holds: no shell sees it but one that the template names. */
function commandOf(attempt: TaskAttempt<CommandInput>): RunSpec['command'] {
  const { content, runAs } = attempt.input
  const words = wordsOf(attempt)
  // The runner's own way takes longer texts than an argument may have.
  if (runAs.length === 0 && isDeepStrictEqual(words, SHELL_TEMPLATE)) return { shell: content }
  return { argv: [...runAs, ...words.map((word) => (word === CONTENT ? content : word))] }
}

/** What stands in this worker's configuration counts here; the default for `shell` does not stand there. */
function wordsOf(attempt: TaskAttempt<CommandInput>): readonly string[] {
  const { template, jobType } = attempt.input
  const { types } = configOf<JobsConfig>(attempt)
  const own = Object.hasOwn(types, jobType) ? types[jobType] : undefined
  if (own !== undefined && own !== SHELL_TEMPLATE) return own
  if (template.length > 0) return template
  // The worker had it when it took the task. What runs already is attached to, whatever is said here.
  if (attempt.reattached) return SHELL_TEMPLATE
  const why = `this worker does not know the type "${jobType}" any more`
  throw new TaskError('temporary', why, { code: 'unknown-type' })
}

async function runOnce(attempt: TaskAttempt<CommandInput>, spec: RunSpec) {
  try {
    return await runProcess(attempt, spec)
  } catch (thrown) {
    // Without its directory nothing says whether the command has run.
    const isLost = thrown instanceof TroupeError && thrown.code === 'not-found'
    if (isLost) throw unknownEnd(attempt, 'the directory of the run was removed')
    const isRefused = thrown instanceof TroupeError && REFUSALS.has(thrown.code)
    if (isRefused) throw new TaskError('permanent', thrown.message, { code: thrown.code })
    throw thrown
  }
}

/** What would be refused the next time as well. */
const REFUSALS: ReadonlySet<string> = new Set(['malformed', 'too-large'])

function unknownEnd({ onWorkerLost }: TaskAttempt<CommandInput>, what: string): TaskError {
  if (onWorkerLost === 'rerun') return new TaskError('temporary', what, { code: 'unknown-end' })
  const message = `${what}; it may have done its work: look, then resume the job to run it again, or kill it`
  return new TaskError('permanent', message, { code: 'unknown-end' })
}
