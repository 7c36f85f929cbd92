/** What several verbs ask of a job, and how they show it. */
import { oneLine, TroupeError, type VerbCall } from '../../src/verbs.ts'
import type { JobView } from './job-view.ts'

export const SUCCEEDED = 0
const FAILED = 1
/** How long one wait for an end lasts. */
const WAIT_MS = 25_000

/** A job's own exit code stands in its status: these numbers mean other things here. */
export function exitCodeOf({ status }: JobView): number {
  return status === 'success' ? SUCCEEDED : FAILED
}

export function describe(view: JobView): string[] {
  const { jobId, status, message, jobName, appName, groupId, executor, jobType, exit } = view
  const time = (ms: number) => new Date(ms).toISOString()
  const lines = [
    `job ${jobId} (${jobName}): ${status}${message === '' ? '' : `, ${oneLine(message)}`}`,
    `  app ${appName}, group ${groupId}, type ${jobType}, priority ${view.priority}${executor === '' ? '' : `, for ${executor}`}`,
    `  submitted  ${time(view.submittedAt)}`,
  ]
  if (view.attempt > 1) lines.push(`  attempts   ${view.attempt}`)
  if (exit) {
    lines.push(
      `  ran        ${time(exit.startedAt)} to ${time(exit.endedAt)} (${exit.endedAt - exit.startedAt} ms)`,
    )
    lines.push(`  wrote      ${exit.stdoutBytes} bytes to stdout, ${exit.stderrBytes} to stderr`)
  }
  if (status === 'stopped')
    lines.push(`  next       troupe actors resume job/${jobId}, or troupe jobs kill ${jobId}`)
  if (status === 'failed')
    lines.push(
      `  next       troupe jobs log ${jobId} --stderr --lines 20, troupe jobs rerun ${jobId}`,
    )
  return lines
}

export async function viewWhenEnded(call: VerbCall): Promise<JobView> {
  for (;;) {
    const view = await viewOf(call, WAIT_MS)
    if (view.isFinal || call.signal.aborted) return view
    if (view.status === 'stopped') return view
  }
}

export async function viewOf(call: VerbCall, waitMs: number): Promise<JobView> {
  const query = waitMs > 0 ? { waitMs: String(waitMs) } : {}
  const { body } = await call.http({ method: 'GET', path: `/jobs/${idOf(call)}`, query })
  return body as JobView
}

/** @throws TroupeError `malformed` */
export function idOf(call: VerbCall): string {
  const [id = ''] = call.arguments
  if (/^[1-9]\d{0,15}$/.test(id)) return id
  throw new TroupeError(
    'malformed',
    `"${id.slice(0, 40)}" is not the id of a job: it is a whole number, as troupe jobs submit prints it`,
  )
}
