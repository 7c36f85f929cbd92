/**
 * The worker that inspects volumes, in each blobnode. Decides: how many at a time; that it says in time that it
 * is at it, and stops where the volume is somebody else's by now or the switch was closed. Leaves to others: the
 * way to a node (`InspectCalls`), the inspection of one volume (`inspect-run.ts`).
 */
import { type Clock, type Log, wait } from '../../../../src/index.ts'
import { type InspectOutcome, InspectRun } from './inspect-run.ts'
import type { InspectShards } from './unit-shards.ts'
import type { InspectTask, SentReport } from './wire.ts'

/** The way to a node. */
export interface InspectCalls {
  /** Undefined when there is nothing to inspect within `waitMs`. @throws TroupeError */
  inspectAcquire(wish: {
    worker: string
    waitMs: number
    signal: AbortSignal
  }): Promise<InspectTask | undefined>
  /** `refused`: the volume is not this worker's any more. @throws TroupeError */
  inspectComplete(
    report: SentReport,
    signal: AbortSignal,
  ): Promise<{ refused?: string | undefined }>
}

export interface InspectorOptions {
  /** Its name, which the lease holds. */
  worker: string
  calls: InspectCalls
  shards: InspectShards
  clock: Clock
  log: Log
  /** Volumes at a time. */
  slots: number
  settleMs?: number
  bytesPerSecond?: number
}

/** Less than any way to a node waits for an answer. */
const WAIT_MS = 5_000
/** However soon a node answers. */
const IDLE_MS = 500
const FAILED_MS = 5_000
const RENEWALS_PER_LEASE = 3
const SEND_TRIES_MAX = 3
const SEND_PAUSE_MS = 1_000

export class Inspector {
  readonly #options: InspectorOptions

  constructor(options: InspectorOptions) {
    this.#options = options
  }

  /** Until the signal is aborted; never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { slots } = this.#options
    await Promise.all(Array.from({ length: slots }, () => this.#slot(signal)))
  }

  async #slot(signal: AbortSignal): Promise<void> {
    const { calls, worker, clock, log } = this.#options
    let problem: string | undefined
    while (!signal.aborted) {
      try {
        const task = await calls.inspectAcquire({ worker, waitMs: WAIT_MS, signal })
        problem = undefined
        if (task === undefined) await wait({ clock, signal }, IDLE_MS)
        else await this.#inspect(task, signal)
      } catch (thrown) {
        if (signal.aborted) return
        const why = wordsOf(thrown)
        // For the same reason as before it is told once.
        if (why !== problem) log.warn({ why }, 'no volume can be inspected; tried again')
        problem = why
        await wait({ clock, signal }, FAILED_MS)
      }
    }
  }

  async #inspect(task: InspectTask, signal: AbortSignal): Promise<void> {
    const { log } = this.#options
    const lost = new AbortController()
    const both = AbortSignal.any([signal, lost.signal])
    const stop = this.#keepLease(task, lost)
    try {
      const outcome = await this.#outcomeOf(task, both, lost)
      await this.#send(reportOf(task, outcome), both)
      const { lost: blobs, missed, corrupt, error } = outcome
      const unusable = outcome.unusable.length
      if (blobs + missed + corrupt + unusable > 0 || error !== null) {
        const facts = { task: task.task_id, missed, corrupt, lost: blobs, unusable, error }
        log.warn(facts, 'an inspection found what is not whole')
      }
    } catch (thrown) {
      if (signal.aborted) return
      if (!lost.signal.aborted) throw thrown
      log.info(
        { task: task.task_id, why: String(lost.signal.reason) },
        'an inspection was given up',
      )
    } finally {
      stop()
    }
  }

  async #outcomeOf(
    task: InspectTask,
    signal: AbortSignal,
    lost: AbortController,
  ): Promise<InspectOutcome> {
    const { shards, clock, settleMs, bytesPerSecond } = this.#options
    try {
      const run = new InspectRun({
        ...{ task, shards, clock, signal },
        ...(settleMs === undefined ? {} : { settleMs }),
        ...(bytesPerSecond === undefined ? {} : { bytesPerSecond }),
        found: async ({ missed, corrupt }) => {
          const some = { missed_shards: missed, corrupt_shards: corrupt }
          const { refused } = await this.#send({ ...headOf(task), ...some, more: true }, signal)
          if (refused !== undefined) lost.abort(new Error(refused))
          signal.throwIfAborted()
        },
      })
      return await run.run()
    } catch (thrown) {
      signal.throwIfAborted()
      return { ...NOTHING, error: wordsOf(thrown) }
    }
  }

  /** @returns what ends it */
  #keepLease(task: InspectTask, lost: AbortController): () => void {
    const { calls, clock, log } = this.#options
    const everyMs = task.lease_ms / RENEWALS_PER_LEASE
    let cancel = () => {}
    const renew = async () => {
      try {
        const { refused } = await calls.inspectComplete(
          { ...headOf(task), more: true },
          lost.signal,
        )
        if (refused !== undefined) lost.abort(new Error(refused))
      } catch (thrown) {
        log.debug({ task: task.task_id, why: wordsOf(thrown) }, 'a lease could not be renewed')
      }
      if (!lost.signal.aborted && !isOver) cancel = clock.after(everyMs, () => void renew())
    }
    let isOver = false
    cancel = clock.after(everyMs, () => void renew())
    return () => {
      isOver = true
      cancel()
    }
  }

  async #send(report: SentReport, signal: AbortSignal): Promise<{ refused?: string | undefined }> {
    const { calls, clock, worker } = this.#options
    for (let tries = 1; ; tries += 1) {
      try {
        return await calls.inspectComplete({ ...report, worker }, signal)
      } catch (thrown) {
        signal.throwIfAborted()
        if (tries === SEND_TRIES_MAX) throw thrown
        await wait({ clock, signal }, SEND_PAUSE_MS)
      }
    }
  }
}

const NOTHING: InspectOutcome = {
  ...{ error: null, blobs: 0, shards: 0, bytes: 0, missed: 0, corrupt: 0, lost: 0 },
  ...{ lostBlobs: [], troubles: [], unusable: [] },
}

function headOf({ task_id }: InspectTask): SentReport {
  return { task_id, inspect_err_str: '', missed_shards: [] }
}

function reportOf(task: InspectTask, outcome: InspectOutcome): SentReport {
  const { error, blobs, shards, bytes, missed, corrupt, lost, lostBlobs } = outcome
  const { troubles, unusable } = outcome
  return {
    ...headOf(task),
    inspect_err_str: error ?? '',
    ...{ blob_cnt: blobs, shard_cnt: shards, byte_cnt: bytes },
    ...{ missed_cnt: missed, corrupt_cnt: corrupt, lost_cnt: lost, lost_blobs: lostBlobs },
    ...{ troubles, unusable_units: unusable },
  }
}

function wordsOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}
