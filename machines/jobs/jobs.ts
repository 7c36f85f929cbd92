/**
 * What can be done with jobs, whoever asks: the doors are `server-routes.ts` and `operator-routes.ts`.
 *
 * Decides: what a request leads to in each condition of a job. Leaves to others: who may do it, in
 * which words it is answered, and what the fields may hold (`settings.ts`).
 */
import {
  type ActorView,
  type AppContext,
  type Client,
  type Clock,
  type EventObject,
  TroupeError,
  type TurnView,
} from '../../src/index.ts'
import type { Apps } from './apps.ts'
import type { JobsConfig } from './config.ts'
import { malformed } from './fields.ts'
import { JobIdSource } from './ids.ts'
import type { JobContext } from './job.ts'
import { JOB_DEFAULTS, type JobInput } from './job-input.ts'
import {
  addressOf,
  conditionOf,
  type JobRow,
  type JobView,
  jobRowOf,
  jobViewOf,
  waitsForType,
} from './job-view.ts'
import { typesOfGroup, WORKERS_OWN } from './queues.ts'
import { changesOf, checkContent, type JobSettings } from './settings.ts'
import type { JobStatus } from './statuses.ts'

export interface JobRequest {
  appName: string
  jobName: string
  settings: JobSettings
}

export interface JobQuery {
  status?: JobStatus
  /** Equality on what jobs are indexed by. */
  where: Record<string, string | number>
  limit?: number
  cursor?: string
}

const GROUP_DEFAULT = 1

export class Jobs {
  readonly #client: Client
  readonly #clock: Clock
  readonly #config: JobsConfig
  readonly #apps: Apps
  readonly #ids: JobIdSource

  constructor(context: AppContext<JobsConfig>, apps: Apps) {
    const { client, clock, config } = context
    this.#client = client
    this.#clock = clock
    this.#config = config
    this.#apps = apps
    this.#ids = new JobIdSource(client)
  }

  /** The new job's id, once it is durable. @throws TroupeError `malformed`, `too-large` */
  async submit(request: JobRequest, author: string): Promise<number> {
    const input = await this.#inputOf(request)
    const jobId = await this.#ids.next()
    await this.#client.as(author).start(addressOf(jobId), input)
    return jobId
  }

  /** @throws TroupeError `not-found` */
  async view(jobId: number): Promise<JobView> {
    return this.#viewOf(await this.#get(jobId))
  }

  /** Of one that waits for a type, with what the workers of its group know. */
  async #viewOf(view: ActorView): Promise<JobView> {
    const shown = jobViewOf(view)
    if (!waitsForType(view)) return shown
    const { workers, types } = await typesOfGroup(this.#client, shown.groupId)
    if (types.has(shown.jobType)) return shown
    const known = [...Object.keys(this.#config.types), ...types].sort()
    const who =
      workers === 0
        ? `no worker of group ${shown.groupId} is there`
        : `what group ${shown.groupId} knows: ${[...new Set(known)].join(', ')}`
    return { ...shown, message: `${shown.message}; ${who}` }
  }

  /** The template of a type that the node does not know: null, unless a worker of the group does. */
  async #workersOwn(groupId: number, jobType: string): Promise<string[] | null> {
    const { types } = await typesOfGroup(this.#client, groupId)
    return types.has(jobType) ? [...WORKERS_OWN] : null
  }

  /** The same once the job has ended, or after `waitMs`. */
  async viewWhenEnded(jobId: number, waitMs: number, signal: AbortSignal): Promise<JobView> {
    const now = await this.view(jobId)
    if (now.isFinal || waitMs <= 0) return now
    const isFinal = (view: ActorView) => conditionOf(view).isFinal
    const options = { timeoutMs: waitMs, signal }
    try {
      return this.#viewOf(await this.#client.waitFor(addressOf(jobId), isFinal, options))
    } catch (thrown) {
      if (isCode(thrown, 'no-answer')) return this.view(jobId)
      throw thrown
    }
  }

  /** Those that came into their present state last stand first. */
  async list({ status, where, limit, cursor }: JobQuery): Promise<{
    jobs: JobRow[]
    cursor?: string
  }> {
    const page = await this.#client.list({
      filter: { machine: 'job', where, ...(status === undefined ? {} : FILTERS[status]) },
      sort: { by: 'since', descending: true },
      ...(limit === undefined ? {} : { limit }),
      ...(cursor === undefined ? {} : { cursor }),
    })
    const jobs = page.rows.map(jobRowOf)
    return page.cursor === undefined ? { jobs } : { jobs, cursor: page.cursor }
  }

  /** Kills a job in any state but the ended ones; one that was killed already is as it should be. */
  async kill(jobId: number, author: string): Promise<JobView> {
    const now = await this.#get(jobId)
    const condition = conditionOf(now)
    if (condition.status === 'killed') return jobViewOf(now)
    if (condition.isFinal) throw this.#conflict('finished', now, 'has ended already')
    // An event would wait until somebody resumes the job.
    if (now.parked || now.paused)
      await this.#client.as(author).resume(now.address, { state: 'killed' })
    else await this.#sendKill(jobId, author)
    return this.view(jobId)
  }

  async #sendKill(jobId: number, author: string): Promise<void> {
    const turn = await this.#send(jobId, { type: 'KILL', by: author }, author)
    // It was paused, or has ended, since it was looked at.
    if (turn.kept !== undefined) await this.kill(jobId, author)
    else if (!turn.handled)
      throw this.#conflict('finished', await this.#get(jobId), 'has ended already')
  }

  /** Runs an ended job again: another attempt under the same id. */
  async rerun(jobId: number, author: string): Promise<JobView> {
    const turn = await this.#send(jobId, { type: 'RERUN' }, author)
    if (!turn.handled && turn.kept === undefined)
      throw this.#conflict('conflict', await this.#get(jobId), 'has not ended')
    return this.view(jobId)
  }

  /** Takes an ended job, or one that no worker has begun, out of sight; a running one is killed first. */
  async remove(jobId: number, author: string): Promise<JobView> {
    const now = await this.#get(jobId)
    const { status, isFinal } = conditionOf(now)
    if (status === 'removed') return jobViewOf(now)
    const isHeld = !isFinal && (now.parked !== undefined || now.paused !== undefined)
    const turn = isHeld
      ? undefined
      : await this.#send(jobId, { type: 'REMOVE', by: author }, author)
    if (!turn?.handled && turn?.kept === undefined)
      throw this.#conflict('conflict', await this.#get(jobId), 'cannot be removed yet: kill it')
    return this.view(jobId)
  }

  /**
   * Changes a job: at once while no worker has begun it, otherwise from its next attempt on.
   * @throws TroupeError `malformed`, `too-large`
   */
  async modify(jobId: number, settings: JobSettings, author: string): Promise<JobView> {
    if (Object.keys(settings).length === 0) throw malformed('nothing is given to be changed')
    const context = (await this.#get(jobId)).context as JobContext
    const changes = changesOf(settings, this.#config)
    const { content = context.content, jobType = context.jobType } = settings
    checkContent(content, jobType, this.#config)
    if (settings.callbackUrl) changes.callbackKey = await this.#apps.keyOf(context.appName)
    if (changes.template === null) {
      const { groupId = context.groupId } = settings
      changes.template = await this.#workersOwn(groupId, jobType)
    }
    await this.#send(jobId, { type: 'MODIFY', changes }, author)
    return this.view(jobId)
  }

  async #inputOf({ appName, jobName, settings }: JobRequest): Promise<JobInput> {
    const { content = '', executor = '', jobType = this.#config.defaultType } = settings
    const changes = changesOf({ ...settings, content, executor, jobType }, this.#config)
    checkContent(content, jobType, this.#config)
    if (changes.template === null)
      changes.template = await this.#workersOwn(settings.groupId ?? GROUP_DEFAULT, jobType)
    const given = Object.entries(changes).filter(([, value]) => value !== undefined)
    const base = { ...JOB_DEFAULTS, groupId: GROUP_DEFAULT, content, jobType, template: null }
    return {
      ...base,
      ...Object.fromEntries(given),
      retries: { ...base.retries, ...settings.retries },
      callbackKey: settings.callbackUrl ? await this.#apps.keyOf(appName) : '',
      keepMs: this.#config.keepMs,
      appName,
      jobName,
      submittedAt: this.#clock.now(),
    } as JobInput
  }

  async #send(jobId: number, event: EventObject, author: string): Promise<TurnView> {
    try {
      return await this.#client.as(author).send(addressOf(jobId), event)
    } catch (thrown) {
      if (isCode(thrown, 'unknown-actor')) throw unknownJob(jobId)
      // Cancelled by an operator, or removed.
      if (isCode(thrown, 'finished'))
        throw this.#conflict('finished', await this.#get(jobId), 'is over for good')
      throw thrown
    }
  }

  #conflict(code: 'finished' | 'conflict', view: ActorView, why: string): TroupeError {
    const { jobId, status, message } = jobViewOf(view)
    const { address } = view
    return new TroupeError(code, `job ${jobId} ${why}: ${status}, ${message}`, { address })
  }

  async #get(jobId: number): Promise<ActorView> {
    try {
      return await this.#client.get(addressOf(jobId))
    } catch (thrown) {
      throw isCode(thrown, 'unknown-actor') ? unknownJob(jobId) : thrown
    }
  }
}

/** Where jobs of a status stand; a paused one is found where it was paused. */
const FILTERS: Record<JobStatus, { state: string } | { condition: 'parked' }> = {
  waiting: { state: 'waiting' },
  ready: { state: 'active.ready' },
  running: { state: 'active.running' },
  success: { state: 'success' },
  failed: { state: 'failed' },
  killed: { state: 'killed' },
  removed: { state: 'removed' },
  stopped: { condition: 'parked' },
}

export function unknownJob(jobId: number): TroupeError {
  return new TroupeError('not-found', `there is no job ${jobId}`)
}

function isCode(thrown: unknown, code: TroupeError['code']): boolean {
  return thrown instanceof TroupeError && thrown.code === code
}
