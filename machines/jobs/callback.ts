/**
 * The task `job-callback`: tells a program of the caller's what became of a job, at least once.
 *
 * Decides: the request and its signature, and what counts as told. Leaves to others: which changes are
 * told (`job.ts`), when it is tried again (the platform's back-off).
 */
import { createHmac } from 'node:crypto'
import { z } from 'zod'
import { parseAddress, type TaskAttempt, TaskError, task } from '../../src/index.ts'
import { LEGACY } from './statuses.ts'

export const CALLBACK_STATUSES = ['running', 'success', 'failed', 'killed'] as const

const callbackInput = z.object({
  url: z.string(),
  /** The key of the app: only who knows it can have signed. */
  key: z.string(),
  jobName: z.string(),
  status: z.enum(CALLBACK_STATUSES),
  message: z.string(),
  attempt: z.int(),
  /** Counts the callbacks of a job: they may arrive out of order. */
  sequence: z.int(),
})

export type CallbackInput = z.infer<typeof callbackInput>

/** What became of it; a receiver that cannot be told is no fault of the job. */
export interface CallbackOutput {
  told: boolean
  /** Why not. */
  message: string
}

export const CALLBACK_QUEUE = 'job.callback'
const ATTEMPTS_MAX = 12
const ANSWER_MS_MAX = 10_000

export const jobCallback = task<CallbackInput, CallbackOutput>({
  name: 'job-callback',
  queue: CALLBACK_QUEUE,
  input: callbackInput,
  // From 2 s to 10 min: about 40 min in all.
  retry: { attemptsMax: ATTEMPTS_MAX, initialMs: 2_000, backoffMaxMs: 600_000 },
  timeoutMs: 2 * ANSWER_MS_MAX,
  run,
})

async function run(attempt: TaskAttempt<CallbackInput>): Promise<CallbackOutput> {
  const failure = await post(attempt)
  if (failure === undefined) return { told: true, message: '' }
  if (attempt.attempt < ATTEMPTS_MAX) throw new TaskError('temporary', failure)
  attempt.log({ url: attempt.input.url, failure }, 'a callback was given up')
  return { told: false, message: failure }
}

/** Why the receiver was not told. */
async function post({
  input,
  address,
  signal,
}: TaskAttempt<CallbackInput>): Promise<string | undefined> {
  const { url, key, status, sequence, jobName, attempt, message } = input
  const jobId = parseAddress(address).id
  const jobStatus = String(LEGACY[status])
  const body = JSON.stringify({ jobId, jobName, status, jobStatus, message, attempt, sequence })
  const headers = {
    'content-type': 'application/json',
    'x-troupe-delivery': `${jobId}-${sequence}`,
    'x-troupe-signature': `sha256=${signatureOf(key, body)}`,
  }
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers,
      body,
      // What it leads to was not looked at when the job was submitted.
      redirect: 'manual',
      signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS_MAX)]),
    })
    await response.body?.cancel()
    if (response.ok) return undefined
    const isRedirect = response.status >= 300 && response.status < 400
    return `it answers ${response.status}${isRedirect ? '; redirects are not followed' : ''}`
  } catch (thrown) {
    signal.throwIfAborted()
    return whyUnreachable(thrown)
  }
}

function signatureOf(key: string, body: string): string {
  return createHmac('sha256', key).update(body).digest('hex')
}

/** `fetch` says "fetch failed"; the reason stands in its cause. */
function whyUnreachable(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown)
  if (thrown.name === 'TimeoutError') return `no answer within ${ANSWER_MS_MAX} ms`
  return thrown.cause instanceof Error ? thrown.cause.message : thrown.message
}
