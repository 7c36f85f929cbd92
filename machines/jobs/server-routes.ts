/**
 * The endpoints of the seed: `/server/execute`, `jobstatus`, `querylog`, `result`, `result/download`,
 * `killjob`, `clientstatus`.
 *
 * Decides: their fields and their numbers. README.md says where they differ from the seed, and why.
 * Leaves to others: tokens and envelopes (`server-calls.ts`).
 */
import { Readable } from 'node:stream'
import type { AppContext, AppRoute, HttpMethod } from '../../src/index.ts'
import { envelope } from './answers.ts'
import type { Apps } from './apps.ts'
import type { JobsConfig } from './config.ts'
import { LINES_MAX } from './fields.ts'
import type { JobView } from './job-view.ts'
import { type Jobs, unknownJob } from './jobs.ts'
import { type Answer, authenticate, type Call, inEnvelope } from './server-calls.ts'
import { settingsOf } from './settings.ts'
import type { StreamPart, Streams } from './streams.ts'
import { WorkerDuties } from './worker-duties.ts'

const BODY_BYTES_MAX = 1024 * 1024
/** A whole log up to here; longer ones are read on from the offset in the answer. */
const LOG_BYTES_MAX = 1024 * 1024
const RESULT_LINES_DEFAULT = 10_000
const PORT_MAX = 65_535

export function serverRoutes(
  context: AppContext<JobsConfig>,
  apps: Apps,
  jobs: Jobs,
  streams: Streams,
): AppRoute[] {
  const workers = new WorkerDuties(context.client)
  const route = (
    path: string,
    answer: (call: Call) => Promise<Answer>,
    method: HttpMethod = 'POST',
  ): AppRoute => ({
    method,
    path,
    // Read here, so that a body that cannot be read gets the envelope as well.
    body: 'raw',
    bodyBytesMax: BODY_BYTES_MAX,
    role: 'public',
    summary: 'of the seed; asks for a token of an app',
    // What a GET answers is a file.
    ...(method === 'POST' ? { schemas: { answer: envelope } } : {}),
    handle: (request) =>
      inEnvelope(context, path, async () => answer(await authenticate(apps, path, request))),
  })
  return [
    route('/server/execute', (call) => execute(jobs, call)),
    route('/server/jobstatus', (call) => jobStatus(jobs, call)),
    route('/server/querylog', (call) => queryLog(jobs, streams, call)),
    route('/server/result', (call) => result(jobs, streams, call)),
    route('/server/result/download', (call) => download(jobs, streams, call), 'GET'),
    route('/server/killjob', (call) => killJob(jobs, call)),
    route('/server/clientstatus', (call) => clientStatus(apps, workers, call)),
  ]
}

const SEED_NAMES = { jobType: 'jobType', groupId: 'groupId' } as const

async function execute(jobs: Jobs, { app, fields }: Call): Promise<Answer> {
  const jobName = fields.line('jobName')
  fields.text('content')
  const settings = settingsOf(fields, SEED_NAMES)
  const jobId = await jobs.submit({ appName: app, jobName, settings }, `app ${app}`)
  return { params: { jobId: String(jobId) } }
}

async function jobStatus(jobs: Jobs, call: Call): Promise<Answer> {
  const view = await ownJob(jobs, call)
  const message = `${view.status}: ${view.message}`
  return { params: { jobId: String(view.jobId), jobStatus: String(view.code), message } }
}

async function queryLog(jobs: Jobs, streams: Streams, call: Call): Promise<Answer> {
  const { fields } = call
  const offset = fields.optionalCount('offset', 0, Number.MAX_SAFE_INTEGER) ?? 0
  const lines = fields.optionalCount('lines', 1, LINES_MAX)
  const view = await ownJob(jobs, call)
  const part = await streams.read(view, {
    stream: 'stderr',
    offset,
    bytesMax: LOG_BYTES_MAX,
    ...(lines === undefined ? {} : { lines }),
  })
  return { plain: { log: part.text, isEnd: part.isEnd, offset: part.offset, ...cutOf(part) } }
}

async function result(jobs: Jobs, streams: Streams, call: Call): Promise<Answer> {
  const { fields } = call
  const offset = fields.optionalCount('offset', 0, Number.MAX_SAFE_INTEGER) ?? 0
  const lines = fields.optionalCount('lines', 1, LINES_MAX) ?? RESULT_LINES_DEFAULT
  const view = await ownJob(jobs, call)
  const part = await streams.read(view, {
    stream: 'stdout',
    offset,
    lines,
    bytesMax: LOG_BYTES_MAX,
  })
  const { rows, isEnd } = part
  const { offset: next } = part
  const rowCnt = rows.length
  return { params: { data: rows, rowCnt, isEnd, volume: '', offset: next, ...cutOf(part) } }
}

/** The seed has no word for it: it is added only where it is needed. */
function cutOf({ isCut, note }: StreamPart): { note?: string } {
  return isCut && note !== undefined ? { note } : {}
}

/** All that was written so far, byte by byte; a header says whether more can come. */
async function download(jobs: Jobs, streams: Streams, call: Call): Promise<Answer> {
  const offset = call.fields.optionalCount('offset', 0, Number.MAX_SAFE_INTEGER) ?? 0
  const view = await ownJob(jobs, call)
  const { bytes, note } = await streams.bytes(view, 'stdout', offset)
  const headers = {
    ...(note === undefined ? {} : { 'x-troupe-note': note }),
    'content-type': 'text/plain; charset=utf-8',
    'content-disposition': `attachment;filename=result_job_${view.jobId}.txt`,
    'x-troupe-end': String(view.isFinal),
  }
  const body = Readable.from(bytes, { objectMode: false })
  return { response: { status: 200, headers, body } }
}

const ONLINE = 1

/** Takes the workers at an address out of service, or back in. */
async function clientStatus(apps: Apps, workers: WorkerDuties, call: Call): Promise<Answer> {
  const { fields, app } = call
  const host = fields.line('ip')
  const port = fields.count('port', 1, PORT_MAX)
  const isOnline = fields.count('status', 0, ONLINE) === ONLINE
  await apps.requireAdmin(app)
  const count = await workers.set(`${host}:${port}`, isOnline, `app ${app}`)
  return { params: { status: String(isOnline ? ONLINE : 0), workers: count } }
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
