/** A real node with the family `jobs` behind a real gateway, in this process; it can be restarted. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { apps } from '../../../machines/index.ts'
import { makeToken } from '../../../machines/jobs/tokens.ts'
import { createGateway, type Gateway } from '../../../src/gateway/index.ts'
import { createNode, type TroupeNode } from '../../../src/index.ts'
import { until } from '../../waiting.ts'
import { endRuns } from '../../worker/process/runs.ts'

export interface Answer {
  status: number
  body: Body
}

/** The envelope of the seed and its contents; operators' routes answer other things. */
export interface Body {
  respCode: number
  respMsg: string
  params: {
    jobId: string
    jobStatus: string
    message: string
    data: string[]
    rowCnt: number
    isEnd: boolean
    volume: string
    offset: number
  }
  log: string
  isEnd: boolean
  offset: number
  [field: string]: unknown
}

export type Values = Record<string, string | number | undefined>

export interface JobsNodeOptions {
  config?: Readonly<Record<string, unknown>>
  worker?: { slots?: number; queues?: readonly string[] } | false
}

export class JobsNode {
  readonly directory: string
  /** Counts from the next start on. */
  config: JobsNodeOptions['config']
  readonly #options: JobsNodeOptions
  readonly #keys = new Map<string, string>()
  #node: TroupeNode | undefined
  #gateway: Gateway | undefined

  private constructor(directory: string, options: JobsNodeOptions) {
    this.directory = directory
    this.#options = options
    this.config = options.config
  }

  static async create(options: JobsNodeOptions = {}): Promise<JobsNode> {
    const made = new JobsNode(await mkdtemp(join(tmpdir(), 'troupe-jobs-')), options)
    await made.start()
    return made
  }

  get node(): TroupeNode {
    if (!this.#node) throw new Error('the node is not started')
    return this.#node
  }

  get url(): string {
    return this.#gateway?.url ?? ''
  }

  async start(): Promise<void> {
    const { worker } = this.#options
    this.#node = await createNode({
      dataDirectory: this.directory,
      apps,
      ...(worker === undefined ? {} : { worker }),
      ...(this.config === undefined ? {} : { config: this.config }),
    })
    this.#gateway = await createGateway({ node: this.#node, port: 0 })
  }

  async stop(): Promise<void> {
    await this.#gateway?.close()
    await this.#node?.stop()
  }

  async close(): Promise<void> {
    await this.stop()
    // A command outlives its node.
    await endRuns(join(this.directory, 'worker', 'attempts'))
    await rm(this.directory, { recursive: true, force: true, maxRetries: 5 })
  }

  async addApp(name: string, isAdmin = false): Promise<string> {
    const { status, body } = await this.operate('POST', '/jobs/apps', { name, admin: isAdmin })
    if (status !== 201) throw new Error(`app ${name}: ${JSON.stringify(body)}`)
    const key = String(body['appKey'])
    this.#keys.set(name, key)
    return key
  }

  keyOf(app: string): string {
    return this.#keys.get(app) ?? ''
  }

  /** As an app, with a good token; `undefined` leaves a field out. */
  async call(
    path: string,
    fields: Values,
    app = 'tests',
    as: 'form' | 'json' = 'form',
  ): Promise<Answer> {
    const proof = { name: app, ...makeToken(this.keyOf(app), Date.now()) }
    return this.raw(path, { ...proof, ...fields }, as)
  }

  /** With a good token, in the query; the answer is bytes. */
  async download(fields: Values, app = 'tests'): Promise<Response> {
    const proof = { name: app, ...makeToken(this.keyOf(app), Date.now()) }
    const texts = Object.entries({ ...proof, ...fields }).map(([name, value]) => [
      name,
      String(value),
    ])
    const query = new URLSearchParams(Object.fromEntries(texts) as Record<string, string>)
    return fetch(`${this.url}/server/result/download?${query}`)
  }

  /** Exactly these fields. */
  async raw(path: string, fields: Values, as: 'form' | 'json' = 'form'): Promise<Answer> {
    const given = Object.entries(fields).filter(([, value]) => value !== undefined)
    const values = Object.fromEntries(given) as Record<string, string>
    const type = as === 'json' ? 'application/json' : 'application/x-www-form-urlencoded'
    const body = as === 'json' ? JSON.stringify(values) : new URLSearchParams(values).toString()
    return this.#fetch(path, { method: 'POST', headers: { 'content-type': type }, body })
  }

  async operate(method: string, path: string, body?: unknown): Promise<Answer> {
    const headers: Record<string, string> =
      body === undefined ? {} : { 'content-type': 'application/json' }
    const payload = body === undefined ? {} : { body: JSON.stringify(body) }
    return this.#fetch(path, { method, headers, ...payload })
  }

  async submit(content: string, fields: Values = {}, app = 'tests'): Promise<string> {
    const { status, body } = await this.call(
      '/server/execute',
      { jobName: 'test', content, ...fields },
      app,
    )
    if (status !== 200) throw new Error(`not submitted: ${JSON.stringify(body)}`)
    return body.params.jobId
  }

  async statusOf(jobId: string, app = 'tests'): Promise<string> {
    const { body } = await this.call('/server/jobstatus', { jobId }, app)
    return body.params.jobStatus
  }

  /** Waits until the job has this number. */
  async reaches(jobId: string, status: string, timeoutMs = 15_000): Promise<void> {
    let last: unknown
    await until(
      async () => {
        const { body } = await this.call('/server/jobstatus', { jobId })
        last = body
        return body.params.jobStatus === status
      },
      { timeoutMs },
      () => `status ${status} of job ${jobId}; it is ${JSON.stringify(last)}`,
    )
  }

  async #fetch(path: string, init: RequestInit): Promise<Answer> {
    const response = await fetch(this.url + path, { ...init, signal: AbortSignal.timeout(30_000) })
    return { status: response.status, body: (await response.json()) as Body }
  }
}
