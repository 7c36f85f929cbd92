/**
 * A batch whose commit is under way, and those who wait for it. Decides: who is told when. Each is told once,
 * when the batch is certain; of what is made of the store's rows, when these are there. Leaves to others: what
 * makes it certain (commit.ts).
 */
import type { ErrorRecord } from '../protocol/index.ts'
import type { Batch } from './batch.ts'
import type { MailItem } from './mailbox.ts'

/** An answer that waits for the commit of what it was judged on. */
export interface Reply {
  value: unknown
  send: (value: unknown) => void
  /** It is made of the store's rows, as it is sent. */
  ofRows?: true
}

/** Made before it is known what is to be told, so that there is somebody to tell whatever happens. */
export function replyOf({ done }: Extract<MailItem, { done: unknown }>): Reply {
  return { value: undefined, send: done as (value: unknown) => void }
}

export class Flight {
  readonly batch: Batch
  readonly count: number
  /** On the monotonic clock. */
  readonly since: number
  readonly #replies: Reply[]
  #isCertain = false

  constructor(batch: Batch, replies: Reply[], since: number) {
    this.batch = batch
    this.count = replies.length
    this.since = since
    this.#replies = replies
  }

  /** Another who waits for the same. */
  add(reply: Reply): void {
    this.#replies.push(reply)
  }

  /** Whatever happens from now on, it is not lost. */
  certain(): void {
    this.#isCertain = true
    for (const reply of this.#replies.splice(0)) {
      if (reply.ofRows) this.#replies.push(reply)
      else reply.send(reply.value)
    }
  }

  /** Its rows are there. */
  committed(): void {
    for (const { send, value } of this.#replies.splice(0)) send(value)
  }

  /** It has certainly not happened. */
  refused(error: ErrorRecord): void {
    for (const { send } of this.#replies.splice(0)) send({ error })
  }

  /**
   * Nobody waits for its rows here any more: who wants them asks elsewhere. Of what may have happened or not
   * nobody is told either; of a batch that writes nothing there is no doubt.
   */
  end(error: ErrorRecord): void {
    const hasWritten = this.batch.writes.length > 0
    for (const reply of this.#replies.splice(0)) {
      if (reply.ofRows || !hasWritten) reply.send({ error })
      else if (this.#isCertain) reply.send(reply.value)
      else this.#replies.push(reply)
    }
  }
}
