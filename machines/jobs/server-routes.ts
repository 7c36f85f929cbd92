/**
 * The five endpoints of the seed: `/server/execute`, `jobstatus`, `querylog`, `result`, `killjob`.
 *
 * Decides: their fields, their numbers and their envelope `{respCode, respMsg, …}`, with the HTTP
 * status that fits beside it. README.md says where they differ from the seed, and why.
 */
import type { AppContext, AppRequest, AppResponse, AppRoute } from '../../src/index.ts'
import { fromJson, TroupeError } from '../../src/index.ts'
import type { Apps } from './apps.ts'
import { WORKER_LOST_POLICIES } from './command.ts'
import type { JobsConfig } from './config.ts'
import { Fields, GROUP_MAX, LINES_MAX, malformed } from './fields.ts'
import { type Jobs, type JobView, unknownJob } from './jobs.ts'

const BODY_BYTES_MAX = 1024 * 1024
/** A whole log up to here; longer ones are read on from the offset in the answer. */
const LOG_BYTES_MAX = 1024 * 1024
const RESULT_LINES_DEFAULT = 10_000

/** An app that has proven who it is, and what it asks. */
interface Call {
  app: string
  fields: Fields
}

type Answer = { params: Record<string, unknown> } | { plain: Record<string, unknown> }

export function serverRoutes(context: AppContext<JobsConfig>, apps: Apps, jobs: Jobs): AppRoute[] {
  const route = (path: string, answer: (call: Call) => Promise<Answer>): AppRoute => ({
    method: 'POST',
    path,
    // Read here, so that a body that cannot be read gets the envelope as well.
    body: 'raw',
    bodyBytesMax: BODY_BYTES_MAX,
    authentication: 'own',
    handle: (request) =>
      inEnvelope(context, path, async () => answer(await authenticate(apps, path, request))),
  })
  return [
    route('/server/execute', (call) => execute(jobs, call)),
    route('/server/jobstatus', (call) => jobStatus(jobs, call)),
    route('/server/querylog', (call) => queryLog(jobs, call)),
    route('/server/result', (call) => result(jobs, call)),
    route('/server/killjob', (call) => killJob(jobs, call)),
  ]
}

async function execute(jobs: Jobs, { app, fields }: Call): Promise<Answer> {
  const jobId = await jobs.submit(
    {
      appName: app,
      jobName: fields.line('jobName'),
      content: fields.text('content'),
      executor: fields.optionalLine('executor') ?? '',
      jobType: fields.optionalLine('jobType') || undefined,
      groupId: fields.optionalCount('groupId', 1, GROUP_MAX) ?? 1,
      onWorkerLost: fields.optionalChoice('onWorkerLost', WORKER_LOST_POLICIES) ?? 'park',
    },
    `app ${app}`,
  )
  return { params: { jobId: String(jobId) } }
}

async function jobStatus(jobs: Jobs, call: Call): Promise<Answer> {
  const view = await ownJob(jobs, call)
  const message = `${view.status}: ${view.message}`
  return { params: { jobId: String(view.jobId), jobStatus: String(view.code), message } }
}

async function queryLog(jobs: Jobs, call: Call): Promise<Answer> {
  const { fields } = call
  const offset = fields.optionalCount('offset', 0, Number.MAX_SAFE_INTEGER) ?? 0
  const lines = fields.optionalCount('lines', 1, LINES_MAX)
  const view = await ownJob(jobs, call)
  const part = await jobs.read(view, {
    stream: 'stderr',
    offset,
    bytesMax: LOG_BYTES_MAX,
    ...(lines === undefined ? {} : { lines }),
  })
  return { plain: { log: part.text, isEnd: part.isEnd, offset: part.offset } }
}

async function result(jobs: Jobs, call: Call): Promise<Answer> {
  const { fields } = call
  const offset = fields.optionalCount('offset', 0, Number.MAX_SAFE_INTEGER) ?? 0
  const lines = fields.optionalCount('lines', 1, LINES_MAX) ?? RESULT_LINES_DEFAULT
  const view = await ownJob(jobs, call)
  const part = await jobs.read(view, { stream: 'stdout', offset, lines, bytesMax: LOG_BYTES_MAX })
  const { rows, isEnd } = part
  return { params: { data: rows, rowCnt: rows.length, isEnd, volume: '', offset: part.offset } }
}

async function killJob(jobs: Jobs, call: Call): Promise<Answer> {
  const { jobId } = await ownJob(jobs, call)
  const view = await jobs.kill(jobId, `app ${call.app}`)
  return { params: { jobId: String(jobId), jobStatus: String(view.code) } }
}

/** A job of another app is answered as one that does not exist. */
async function ownJob(jobs: Jobs, { app, fields }: Call): Promise<JobView> {
  const jobId = fields.count('jobId', 1, Number.MAX_SAFE_INTEGER)
  const view = await jobs.view(jobId)
  if (view.appName !== app) throw unknownJob(jobId)
  return view
}

async function authenticate(apps: Apps, path: string, request: AppRequest): Promise<Call> {
  const fields = new Fields(parseBody(request))
  const name = fields.text('name', 256)
  const token = fields.text('token', 256)
  const time = fields.optionalText('time', 256)?.trim()
  const { name: _name, token: _token, time: _time, ...others } = fields.texts()
  await apps.authenticate({
    name,
    token,
    time: time === '' ? undefined : time,
    path,
    fields: others,
  })
  return { app: name, fields }
}

function parseBody({ headers, body }: AppRequest): unknown {
  const bytes = body as Uint8Array
  const [media = ''] = String(headers['content-type'] ?? '').split(';')
  const type = media.trim().toLowerCase()
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw malformed('the body is not UTF-8')
  }
  if (type === 'application/json' || (type === '' && /^\s*\{/.test(text))) return fromJson(text)
  if (type === 'application/x-www-form-urlencoded' || type === '') return formOf(text)
  throw malformed(`bodies of type ${type.slice(0, 60)} are not read here: send a form or JSON`)
}

function formOf(text: string): Record<string, unknown> {
  const fields = new Map<string, string>()
  for (const [name, value] of new URLSearchParams(text)) {
    if (fields.has(name)) throw malformed(`${name.slice(0, 40)} is given twice`)
    fields.set(name, value)
  }
  return Object.fromEntries(fields)
}

/** Statuses of the refusals that these endpoints know; whatever else happens is ours. */
const STATUSES: Partial<Record<TroupeError['code'], number>> = {
  malformed: 400,
  'invalid-address': 400,
  unauthorized: 401,
  forbidden: 403,
  'not-found': 404,
  finished: 409,
  conflict: 409,
  'already-exists': 409,
  'too-large': 413,
  'limit-exceeded': 429,
  busy: 503,
  unavailable: 503,
  'no-answer': 504,
}

async function inEnvelope(
  context: AppContext<JobsConfig>,
  path: string,
  answer: () => Promise<Answer>,
): Promise<AppResponse> {
  try {
    const given = await answer()
    const head = { respCode: 0, respMsg: 'success' }
    const body = 'params' in given ? { ...head, params: given.params } : { ...head, ...given.plain }
    return { status: 200, body }
  } catch (thrown) {
    const status = thrown instanceof TroupeError ? STATUSES[thrown.code] : undefined
    if (status !== undefined) return refusal(status, (thrown as TroupeError).message)
    context.log.error({ path, err: thrown }, 'a request failed')
    return refusal(500, 'a fault of the server; its log has the details')
  }
}

function refusal(status: number, message: string): AppResponse {
  return { status, body: { respCode: 1, respMsg: message, params: {} } }
}
