/**
 * What a request says of a job, and what becomes of it in the machine's words.
 *
 * Decides: the names of the fields, their bounds, and what is refused before anything is stored.
 * Leaves to others: which of them can be changed when (`job.ts`).
 */
import { isDeepStrictEqual } from 'node:util'
import { TroupeError, type WorkerLostPolicy } from '../../src/index.ts'
import { WORKER_LOST_POLICIES } from './command.ts'
import { ARGUMENT_BYTES_MAX, type JobsConfig, SHELL_TEMPLATE } from './config.ts'
import { type Fields, GROUP_MAX, malformed } from './fields.ts'
import { type JobChanges, type JobInput, RETRIES_MAX, TIME_MS_MAX } from './job-input.ts'

/** Everything of a job that can be given at its submission, and changed later. */
export interface JobSettings {
  content?: string
  jobType?: string
  executor?: string
  groupId?: number
  priority?: number
  onWorkerLost?: WorkerLostPolicy
  /** null: without a limit. */
  queueWaitMs?: number | null
  runTimeoutMs?: number | null
  retries?: Partial<JobInput['retries']>
  retryIntervalMs?: number
  /** null: none. */
  callbackUrl?: string | null
}

const TIME_S_MAX = TIME_MS_MAX / 1_000
const PRIORITY_MAX = 1_000_000
const URL_CHARACTERS_MAX = 2_048
const TYPE_CHARACTERS_MAX = 64

/** The two doors call two of them differently. */
export interface FieldNames {
  jobType: string
  groupId: string
}

/** @throws TroupeError `malformed`, naming the field */
export function settingsOf(fields: Fields, names: FieldNames): JobSettings {
  const settings: JobSettings = {}
  const set = <K extends keyof JobSettings>(name: K, value: JobSettings[K] | undefined) => {
    if (value !== undefined) settings[name] = value
  }
  set('content', fields.optionalText('content'))
  set('jobType', fields.optionalLine(names.jobType) || undefined)
  set('executor', fields.optionalLine('executor'))
  set('groupId', fields.optionalCount(names.groupId, 1, GROUP_MAX))
  set('priority', fields.optionalCount('priority', -PRIORITY_MAX, PRIORITY_MAX))
  set('onWorkerLost', fields.optionalChoice('onWorkerLost', WORKER_LOST_POLICIES))
  set('queueWaitMs', limitMs(fields.optionalCount('expiredTime', 0, TIME_S_MAX)))
  set('runTimeoutMs', limitMs(fields.optionalCount('runTimeout', 0, TIME_S_MAX)))
  set('retries', retriesOf(fields))
  const intervalS = fields.optionalCount('failedInterval', 0, TIME_S_MAX)
  set('retryIntervalMs', intervalS === undefined ? undefined : intervalS * 1_000)
  set('callbackUrl', urlOf(fields.optionalLine('callbackUrl', URL_CHARACTERS_MAX)))
  if (settings.content === '') throw malformed('content is missing')
  return settings
}

/** 0 lifts a limit. */
function limitMs(seconds: number | undefined): number | null | undefined {
  if (seconds === undefined) return undefined
  return seconds === 0 ? null : seconds * 1_000
}

function retriesOf(fields: Fields): JobSettings['retries'] {
  const retries = Object.entries(RETRY_FIELDS).flatMap(([kind, field]) => {
    const count = fields.optionalCount(field, 0, RETRIES_MAX)
    return count === undefined ? [] : [[kind, count] as const]
  })
  return retries.length === 0 ? undefined : Object.fromEntries(retries)
}

const RETRY_FIELDS = {
  failed: 'failedAttempts',
  timedOut: 'timeoutAttempts',
  lost: 'lostAttempts',
} as const satisfies Record<keyof JobInput['retries'], string>

/** Empty takes it away. */
function urlOf(text: string | undefined): string | null | undefined {
  if (text === undefined || text === '') return text === '' ? null : undefined
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || !['http:', 'https:'].includes(url.protocol))
    throw malformed('callbackUrl must be an http or https URL')
  if (url.username !== '' || url.password !== '')
    throw malformed('callbackUrl must not hold a user or a password')
  return url.href
}

/**
 * In the machine's words; of what is not given nothing is said.
 * @throws TroupeError `malformed`
 */
export function changesOf(settings: JobSettings, config: JobsConfig): JobChanges {
  const { jobType, executor, callbackUrl } = settings
  if (callbackUrl) checkHost(callbackUrl, config)
  return {
    ...settings,
    ...(jobType === undefined ? {} : { template: templateOf(jobType, config) }),
    ...(executor === undefined ? {} : { runAs: runAsOf(executor, config) }),
  }
}

/** null for a type that nobody here knows: the job waits for somebody who does. */
export function templateOf(jobType: string, { types }: JobsConfig): string[] | null {
  if (jobType.length > TYPE_CHARACTERS_MAX)
    throw malformed(
      `jobType has ${jobType.length} characters, at most ${TYPE_CHARACTERS_MAX} are taken`,
    )
  return (Object.hasOwn(types, jobType) ? types[jobType] : undefined) ?? null
}

export function runAsOf(executor: string, { runAs }: JobsConfig): string[] {
  if (runAs === undefined) return []
  const words = Object.hasOwn(runAs, executor) ? runAs[executor] : undefined
  if (words) return words
  if (executor === '') throw malformed('executor is missing: it says as whom the command runs')
  const known = Object.keys(runAs).sort().join(', ')
  throw malformed(
    `executor "${executor.slice(0, 64)}" is not one that commands can run as (apps.jobs.runAs); there are: ${known}`,
  )
}

/** @throws TroupeError `malformed`, `too-large` */
export function checkContent(content: string, jobType: string, config: JobsConfig): void {
  if (content.includes('\0')) throw malformed('content holds a NUL character')
  const bytes = Buffer.byteLength(content)
  const bytesMax = isArgument(jobType, config)
    ? Math.min(config.contentBytesMax, ARGUMENT_BYTES_MAX)
    : config.contentBytesMax
  if (bytes <= bytesMax) return
  const why = `content has ${bytes} bytes, at most ${bytesMax} are taken (contentBytesMax)`
  throw new TroupeError('too-large', why, { detail: { limit: 'contentBytesMax', max: bytesMax } })
}

/** Only the shell itself has a way around arguments, and only when no other program begins it. */
function isArgument(jobType: string, { types, runAs }: JobsConfig): boolean {
  const isShell = Object.hasOwn(types, jobType) && isDeepStrictEqual(types[jobType], SHELL_TEMPLATE)
  return !isShell || runAs !== undefined
}

function checkHost(callbackUrl: string, { callbackHosts }: JobsConfig): void {
  if (callbackHosts === undefined) return
  const { host, hostname } = new URL(callbackUrl)
  if (callbackHosts.includes(host) || callbackHosts.includes(hostname)) return
  throw malformed(
    `callbackUrl names the host ${host}, which callbacks may not go to (apps.jobs.callbackHosts)`,
  )
}
