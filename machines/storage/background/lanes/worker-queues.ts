/**
 * The queues as the routes of a node know them: what workers ask for and say.
 *
 * Decides: which queue a call is for; that a task which is not prepared any more is no worker's; that a lease
 * whose worker has gone away meanwhile is given back. Leaves to others: who gets what (`queue-rules.ts`), when
 * whoever waits asks again (`feeds.ts`).
 */
import { type Client, type Clock, type EventObject, TroupeError } from '../../../../src/index.ts'
import { viewOf } from '../../plane/actor-views.ts'
import { type MoveRecord, moveAddress, type WireTask, wireTask } from '../moves/index.ts'
import { Feeds } from './feeds.ts'
import type { LanesConfig } from './ports.ts'
import { type Location, type MoveProgress, queueAddress } from './queue-record.ts'
import type { QueueAnswer, QueueRefusal } from './queue-rules.ts'

/** Proxies and clients give up calls that last for minutes. */
const WAIT_MS_MAX = 60_000
/** Idcs of tasks that workers speak of without their idc: as many as they can have. */
const IDCS_MAX = 10_000
/** So many tasks in a row that are no worker's any more are not the queue's last. */
const STALE_MAX = 100
const PREPARED = 2
/** A task that an operator has paused is told of each try, and keeps that until it is resumed. */
const STANDS_STILL_MS = 60_000

export interface WorkerQueuesDeps {
  client: Client
  clock: Clock
  settings: Pick<LanesConfig, 'leaseMs' | 'cancelPunishMs'>
}

export interface AcquireRequest {
  idc: string
  worker: string
  /** How long to wait where there is nothing; 0: not at all. */
  waitMs?: number
  /** Of the caller, who may go away. */
  signal: AbortSignal
}

export type Acquired = { task: WireTask; token: number; leaseMs: number } | { none: string }

export interface WorkerCall {
  /** Where the caller says it; else it is looked up. */
  idc?: string
  worker: string
  taskId: string
  /** Null: of a worker of the reference, which knows none. */
  token: number | null
}

export type CallAnswer =
  | { ok: true }
  /** `no-queue`: there is no such idc, or no such task. */
  | { refused: QueueRefusal | 'no-queue'; message: string }

export class WorkerQueues {
  readonly #deps: WorkerQueuesDeps
  readonly #feeds: Feeds
  readonly #idcs = new Map<string, string>()

  constructor(deps: WorkerQueuesDeps) {
    this.#deps = deps
    this.#feeds = new Feeds(deps)
  }

  /** With the node: those who wait are told that there is nothing. */
  close(): void {
    this.#feeds.close()
  }

  /** @throws TroupeError when it cannot be known; a lease that was given then ends by itself */
  async acquire({ idc, worker, waitMs = 0, signal }: AcquireRequest): Promise<Acquired> {
    const { clock } = this.#deps
    const end = clock.monotonic() + Math.min(waitMs, WAIT_MS_MAX)
    if (waitMs <= 0) return this.#acquireNow(idc, worker, signal)
    const place = this.#feeds.enter(queueAddress(idc))
    try {
      for (;;) {
        const seen = place.freed()
        if (signal.aborted) {
          place.passOn()
          return { none: 'the worker has gone away' }
        }
        const acquired = await this.#acquireNow(idc, worker, signal)
        // There may be more, for others who wait here.
        if ('task' in acquired) place.passOn()
        const leftMs = end - clock.monotonic()
        if ('task' in acquired || leftMs <= 0) return acquired
        if (!(await place.next(seen, leftMs, signal))) return acquired
      }
    } finally {
      place.leave()
    }
  }

  /** @returns why not, for those that were not renewed */
  async renew(given: {
    idc: string
    worker: string
    tasks: readonly { id: string; token: number | null }[]
  }): Promise<{ errors: Record<string, string> }> {
    const { idc, worker, tasks } = given
    if (tasks.length === 0) return { errors: {} }
    const { leaseMs } = this.#deps.settings
    const event = { type: 'RENEW', worker, tasks: [...tasks], leaseMs, at: this.#now() }
    const answer = await this.#ask(idc, event)
    if (answer !== undefined && 'errors' in answer) return answer
    const why = answer === undefined ? noQueue(idc).message : 'it was not renewed'
    return { errors: Object.fromEntries(tasks.map(({ id }) => [id, why])) }
  }

  report(
    call: WorkerCall & { stat: MoveProgress; shards: number; bytes: number },
  ): Promise<CallAnswer> {
    const { stat, shards, bytes } = call
    return this.#say(call, 'REPORT', { stat, shards, bytes })
  }

  complete(call: WorkerCall & { src: readonly Location[]; dest: Location }): Promise<CallAnswer> {
    const { src, dest } = call
    return this.#say(call, 'COMPLETE', { src: [...src], dest })
  }

  cancel(call: WorkerCall & { reason: string }): Promise<CallAnswer> {
    const { reason } = call
    return this.#say(call, 'CANCEL', { reason, punishMs: this.#deps.settings.cancelPunishMs })
  }

  reclaim(call: WorkerCall & { reason: string }): Promise<CallAnswer> {
    const { reason } = call
    return this.#say(call, 'RECLAIM', { reason })
  }

  async #acquireNow(idc: string, worker: string, signal: AbortSignal): Promise<Acquired> {
    const { leaseMs } = this.#deps.settings
    for (let stale = 0; stale < STALE_MAX; stale++) {
      const at = this.#now()
      const answer = await this.#ask(idc, { type: 'ACQUIRE', worker, leaseMs, at })
      if (answer === undefined) return { none: 'nothing to do' }
      if ('none' in answer) return answer
      if (!('taskId' in answer)) break
      const { taskId, token } = answer
      this.#keepIdc(taskId, idc)
      const view = await viewOf(this.#deps.client, moveAddress(taskId))
      const giveBack = (reason: string, delayMs = 0) =>
        this.#ask(idc, { type: 'GIVE_BACK', worker, taskId, token, reason, delayMs, at })
      if (signal.aborted) {
        await giveBack(`the worker ${worker} had gone away`)
        return { none: 'the worker has gone away' }
      }
      if (view?.paused !== undefined || view?.parked !== undefined) {
        await giveBack(`${taskId} stands still: an operator has to resume it`, STANDS_STILL_MS)
        continue
      }
      const record = view?.context as MoveRecord | undefined
      // Else it has withdrawn its offer, and its word is on the way.
      if (record?.state === PREPARED) return { task: wireTask(record), token, leaseMs }
    }
    return { none: 'nothing to do' }
  }

  async #say(call: WorkerCall, type: string, fields: object): Promise<CallAnswer> {
    const { worker, taskId, token } = call
    const idc = call.idc ?? (await this.#idcOf(taskId))
    if (idc === undefined) {
      return { refused: 'no-queue', message: `there is no task ${taskId}` }
    }
    const at = this.#now()
    const answer = await this.#ask(idc, { type, worker, taskId, token, at, ...fields })
    if (answer === undefined) return noQueue(idc)
    return 'ok' in answer || 'refused' in answer
      ? answer
      : { refused: 'not-offered', message: `${queueAddress(idc)} did not answer that` }
  }

  /** Undefined: there is no such queue. @throws TroupeError `unavailable` while an operator has paused it */
  async #ask(idc: string, event: EventObject): Promise<QueueAnswer | undefined> {
    const address = queueAddress(idc)
    try {
      const answer = (await this.#deps.client.ask(address, event)) as QueueAnswer | undefined
      if (answer !== undefined) return answer
    } catch (thrown) {
      if (thrown instanceof TroupeError && thrown.code === 'unknown-actor') return undefined
      throw thrown
    }
    throw new TroupeError('unavailable', `${address} is paused or parked: resume it`)
  }

  async #idcOf(taskId: string): Promise<string | undefined> {
    const known = this.#idcs.get(taskId)
    if (known !== undefined) return known
    const record = (await viewOf(this.#deps.client, moveAddress(taskId)))?.context as
      | MoveRecord
      | undefined
    const idc = record?.sourceIdc
    if (idc !== undefined) this.#keepIdc(taskId, idc)
    return idc
  }

  #keepIdc(taskId: string, idc: string): void {
    const [oldest] = this.#idcs.size >= IDCS_MAX ? this.#idcs.keys() : []
    if (oldest !== undefined) this.#idcs.delete(oldest)
    this.#idcs.set(taskId, idc)
  }

  #now(): number {
    return this.#deps.clock.now()
  }
}

function noQueue(idc: string): { refused: 'no-queue'; message: string } {
  return { refused: 'no-queue', message: `no such idc queue: ${idc}` }
}
