/**
 * What can be done with jobs, whoever asks: the doors are `server-routes.ts` and `operator-routes.ts`.
 *
 * Decides: how a job is made of a request, and when a stream of it is at its end. Leaves to others:
 * who may do it, and in which words it is answered.
 */
import {
  type ActorView,
  type AppContext,
  type Client,
  type Clock,
  formatAddress,
  inspectRun,
  LogStore,
  type RunFiles,
  type RunLog,
  type StreamName,
  TroupeError,
  type WorkerLostPolicy,
} from '../../src/index.ts'
import { ARGUMENT_BYTES_MAX, type JobsConfig } from './config.ts'
import { malformed } from './fields.ts'
import { JobIdSource } from './ids.ts'
import type { JobContext, JobInput } from './machines.ts'
import { conditionOf, type JobCondition } from './status.ts'

export interface JobRequest {
  appName: string
  jobName: string
  content: string
  executor: string
  jobType: string | undefined
  groupId: number
  onWorkerLost: WorkerLostPolicy
}

export interface JobView extends JobCondition {
  jobId: number
  jobName: string
  appName: string
  executor: string
  jobType: string
  groupId: number
  content: string
  submittedAt: number
  exit: JobContext['exit']
  attempt: number
  worker?: string
}

/** A part of a stream of a job's newest run. */
export interface StreamPart {
  text: string
  /** Rows without their line ends, when lines were asked for. */
  rows: string[]
  /** The byte offset to go on from. */
  offset: number
  /** Bytes of the stream now. */
  size: number
  /** There is and will be no more. */
  isEnd: boolean
  /** What is to be known about a stream that is not there. */
  note?: string
}

export interface StreamRequest {
  stream: StreamName
  offset?: number
  /** Whole lines, at most so many; without it, text up to `bytesMax`. */
  lines?: number
  /** Instead of an offset: begin so many lines before the present end. */
  tail?: number
  bytesMax?: number
}

export class Jobs {
  readonly #client: Client
  readonly #clock: Clock
  readonly #config: JobsConfig
  readonly #runs: RunFiles
  readonly #logs: LogStore
  readonly #ids: JobIdSource

  constructor(context: AppContext<JobsConfig>) {
    const { client, clock, config, runs, log } = context
    this.#client = client
    this.#clock = clock
    this.#config = config
    this.#runs = runs
    this.#logs = new LogStore({ clock, log })
    this.#ids = new JobIdSource(client)
  }

  /** The new job's id, once it is durable. @throws TroupeError `malformed`, `too-large` */
  async submit(request: JobRequest, author: string): Promise<number> {
    const input = this.#inputOf(request)
    const jobId = await this.#ids.next()
    await this.#client.as(author).start(addressOf(jobId), input)
    return jobId
  }

  /** @throws TroupeError `not-found` */
  async view(jobId: number): Promise<JobView> {
    return viewOf(jobId, await this.#get(jobId))
  }

  /** The same once the job has ended, or after `waitMs`. */
  async viewWhenEnded(jobId: number, waitMs: number, signal: AbortSignal): Promise<JobView> {
    const now = await this.view(jobId)
    if (now.isFinal || waitMs <= 0) return now
    const isFinal = (view: ActorView) => conditionOf(view).isFinal
    try {
      return viewOf(
        jobId,
        await this.#client.waitFor(addressOf(jobId), isFinal, { timeoutMs: waitMs, signal }),
      )
    } catch (thrown) {
      if (thrown instanceof TroupeError && thrown.code === 'no-answer') return this.view(jobId)
      throw thrown
    }
  }

  /** Kills a job that waits or runs; one that was killed already is as it should be. */
  async kill(jobId: number, author: string): Promise<JobView> {
    const address = addressOf(jobId)
    const client = this.#client.as(author)
    const now = await this.#get(jobId)
    const { isFinal, status, message } = conditionOf(now)
    if (status === 'killed') return viewOf(jobId, now)
    if (isFinal) {
      const why = `job ${jobId} has ended already: ${status}, ${message}`
      throw new TroupeError('finished', why, { address })
    }
    // An event would wait until somebody resumes the job.
    if (now.parked || now.paused) await client.cancel(address, { reason: `killed by ${author}` })
    else await client.send(address, { type: 'KILL', by: author }).catch(unlessFinished)
    return this.view(jobId)
  }

  /** @param view of the job, which says whether more can come when there is no run */
  async read(view: JobView, request: StreamRequest): Promise<StreamPart> {
    const directory = await this.#runs.latest(addressOf(view.jobId))
    if (directory === undefined || (view.isFinal && inspectRun(directory).kind === 'absent')) {
      const note = view.isFinal
        ? 'there is no log: nothing ran, or it was cleared away, or it lies on another node'
        : 'nothing has run yet'
      return { text: '', rows: [], offset: request.offset ?? 0, size: 0, isEnd: view.isFinal, note }
    }
    const log = this.#logs.of(directory)
    const { stream, lines, bytesMax } = request
    const offset =
      request.tail === undefined
        ? (request.offset ?? 0)
        : await offsetOfTail(log, stream, request.tail)
    const options = { stream, offset, ...(bytesMax === undefined ? {} : { bytesMax }) }
    if (lines === undefined) {
      const piece = await log.read(options)
      return {
        text: piece.text,
        rows: [],
        offset: piece.offset,
        size: piece.size,
        isEnd: piece.end && view.isFinal,
      }
    }
    const read = await log.readLines({ ...options, linesMax: lines })
    const text = read.lines.map((line) => (line.complete ? `${line.text}\n` : line.text)).join('')
    const rows = read.lines.map((line) => line.text)
    return { text, rows, offset: read.offset, size: read.size, isEnd: read.end && view.isFinal }
  }

  #inputOf(request: JobRequest): JobInput {
    const { types, defaultType, contentBytesMax } = this.#config
    const { content, jobType = defaultType, ...rest } = request
    const template = Object.hasOwn(types, jobType) ? types[jobType] : undefined
    if (template === undefined) {
      const known = Object.keys(types).sort().join(', ')
      throw malformed(
        `jobType "${jobType.slice(0, 64)}" is not known here; there are: ${known} (apps.jobs.types of the configuration)`,
      )
    }
    if (content.includes('\0')) throw malformed('content holds a NUL character')
    const bytes = Buffer.byteLength(content)
    const bytesMax =
      jobType === 'shell' ? contentBytesMax : Math.min(contentBytesMax, ARGUMENT_BYTES_MAX)
    if (bytes > bytesMax) {
      throw new TroupeError(
        'too-large',
        `content has ${bytes} bytes, at most ${bytesMax} are taken (contentBytesMax)`,
        {
          detail: { limit: 'contentBytesMax', max: bytesMax },
        },
      )
    }
    return { ...rest, content, jobType, template, submittedAt: this.#clock.now() }
  }

  async #get(jobId: number): Promise<ActorView> {
    try {
      return await this.#client.get(addressOf(jobId))
    } catch (thrown) {
      const isUnknown = thrown instanceof TroupeError && thrown.code === 'unknown-actor'
      throw isUnknown ? unknownJob(jobId) : thrown
    }
  }
}

export function unknownJob(jobId: number): TroupeError {
  return new TroupeError('not-found', `there is no job ${jobId}`)
}

/** It has come to its end between two looks. */
function unlessFinished(thrown: unknown): void {
  if (!(thrown instanceof TroupeError) || thrown.code !== 'finished') throw thrown
}

function addressOf(jobId: number): string {
  return formatAddress('job', String(jobId))
}

function viewOf(jobId: number, view: ActorView): JobView {
  const { jobName, appName, executor, jobType, groupId, content, submittedAt, exit } =
    view.context as JobContext
  const [task] = view.tasks
  return {
    jobId,
    ...conditionOf(view),
    jobName,
    appName,
    executor,
    jobType,
    groupId,
    content,
    submittedAt,
    exit,
    attempt: task?.attempt ?? 0,
    ...(task?.worker ? { worker: task.worker } : {}),
  }
}

/** Where the last `count` lines begin; a line without its end counts. */
async function offsetOfTail(log: RunLog, stream: StreamName, count: number): Promise<number> {
  const last = await log.readLinesFrom({ stream, line: Number.MAX_SAFE_INTEGER, linesMax: 1 })
  // `last` stands behind the last line end; what follows it is one more line.
  const open = last.size > last.offset ? 1 : 0
  const first = Math.max(0, last.line + open - count)
  const found = await log.readLinesFrom({ stream, line: first, linesMax: 1 })
  return found.from
}
