/** A worker's way over HTTP: one node, which has queues and owners behind it, and lets it in by a key. */
import { HttpCaller, HttpLink, HttpRunUploads } from '../adapters/http/index.ts'
import { type Clock, type Log, type Random, WORKER_FORM } from '../ports/index.ts'
import { pack, type Subjects, subjectsOf, unpack } from '../protocol/index.ts'
import { readAnswer, type WorkerAnswer, type WorkerCondition } from '../worker/index.ts'
import type { WorkerAccess } from './worker-access.ts'

export interface HttpAccessDeps {
  server: string
  group: string
  worker: string
  key: () => string
  /** Of the worker's data directory. */
  instance: string
  clock: Clock
  random: Random
  log: Log
}

const REPORT_MS = 10_000

export class HttpAccess implements WorkerAccess {
  readonly target: string
  readonly transport: HttpLink
  readonly taskQueue: HttpLink
  readonly uploads: HttpRunUploads
  readonly #caller: HttpCaller
  readonly #instance: string

  /** @throws TroupeError `invalid-config` when the URL is none */
  constructor({ server: url, group, worker, key, instance, ...tools }: HttpAccessDeps) {
    const caller = new HttpCaller({ url, group, worker, key })
    const link = new HttpLink({ caller, instance, ...tools })
    this.target = url
    this.transport = link
    this.taskQueue = link
    this.uploads = new HttpRunUploads(caller)
    this.#caller = caller
    this.#instance = instance
  }

  subjectsOf(cluster: string): Subjects {
    return subjectsOf(cluster)
  }

  /** The node finds the shards. */
  async report(condition: WorkerCondition): Promise<WorkerAnswer & { shardCount: number }> {
    const body = pack({ ...condition, instance: this.#instance, form: WORKER_FORM })
    const answer = await this.#caller.call('report', body, { timeoutMs: REPORT_MS })
    return { ...readAnswer(unpack(answer)), shardCount: 1 }
  }

  /** Orders come as answers to reports, and the node gives nothing to a worker that is to have nothing. */
  enter(): void {}

  async close(): Promise<void> {
    await this.transport.close()
    this.#caller.close()
  }

  async abandon(): Promise<void> {
    this.#caller.close()
  }
}
