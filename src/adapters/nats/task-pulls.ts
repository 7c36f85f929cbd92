/**
 * Asking durable consumers for messages.
 *
 * Decides: the one inbox of all pulls, and how a pull ends. A consumer is asked by one pull at a time, as
 * a message says its subject but not the pull that it answers. A pull that nobody answers is lost: a
 * server that knows no such consumer or stream says nothing, and one that was started again has forgotten
 * whoever waited. The inbox stays while the queue is open: a server that finds nobody there would count
 * a message as delivered that nobody saw.
 * Leaves to others: when to ask and for how many (task-reader.ts), what becomes of messages.
 */
import { createInbox, type Msg } from 'nats'
import type { Clock } from '../../ports/index.ts'
import type { Connection } from './connection.ts'
import type { Hearing } from './rights.ts'

export interface PullRequest {
  stream: string
  consumer: string
  /** What it filters by: the subject of its messages. */
  subject: string
  batch: number
  /** How long to wait for the first; 0 asks for what is there. */
  waitMs: number
}

export type PullEnd =
  /** As many as were asked for, or all that there were. */
  | { kind: 'answered'; received: number }
  /** More may come, or nothing ever. */
  | { kind: 'lost'; received: number; why: string }

export interface TaskPullsDeps {
  connection: Connection
  clock: Clock
  /** Where the user is allowed to hear answers; `_INBOX` when absent. */
  inboxPrefix?: string
  /** A message, of a pull or of one that counts as lost. */
  received: (message: Msg) => void
}

/** A server answers at its time; this is for the way, and for a server that is busy. */
const GRACE_MS = 2_000
const ACK_PREFIX = '$JS.ACK.'
const IDLE = 100
const NO_MESSAGES = 404
const TIME_IS_UP = 408

interface Pull {
  id: string
  subject: string
  missing: number
  received: number
  cancelTimer: () => void
  done: (end: PullEnd) => void
}

export class TaskPulls {
  readonly #deps: TaskPullsDeps
  readonly #inbox: string
  readonly #hearing: Hearing
  readonly #byId = new Map<string, Pull>()
  readonly #bySubject = new Map<string, Pull>()
  #count = 0

  constructor(deps: TaskPullsDeps) {
    this.#deps = deps
    this.#inbox = createInbox(deps.inboxPrefix)
    this.#hearing = deps.connection.rights.hear(`${this.#inbox}.*`, {
      heard: (message) => this.#take(message),
    })
  }

  /** Never rejects. */
  ask(request: PullRequest): Promise<PullEnd> {
    const { stream, consumer, subject, batch, waitMs } = request
    const { connection, clock } = this.#deps
    if (!connection.isConnected || this.#bySubject.has(subject)) {
      const why = connection.isConnected ? 'a pull is under way' : 'not connected'
      return Promise.resolve({ kind: 'lost', received: 0, why })
    }
    return new Promise((done) => {
      this.#count += 1
      const id = String(this.#count)
      const cancelTimer = clock.after(waitMs + GRACE_MS, () => this.#lost(pull, 'no answer'))
      const pull: Pull = { id, subject, missing: batch, received: 0, cancelTimer, done }
      this.#byId.set(id, pull)
      this.#bySubject.set(subject, pull)
      const until = waitMs > 0 ? { expires: waitMs * 1_000_000 } : { no_wait: true }
      connection.nats.publish(
        `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`,
        JSON.stringify({ batch, ...until }),
        { reply: `${this.#inbox}.${id}` },
      )
    })
  }

  /** Nobody will answer any more. */
  abandon(why: string): void {
    for (const pull of [...this.#byId.values()]) this.#lost(pull, why)
  }

  /** What is on its way still comes. */
  async close(): Promise<void> {
    this.abandon('the queue is closed')
    if (this.#deps.connection.isConnected) await this.#hearing.drain()
    else this.#hearing.unsubscribe()
  }

  #take(message: Msg): void {
    if (message.reply?.startsWith(ACK_PREFIX)) {
      const pull = this.#bySubject.get(message.subject)
      if (pull) {
        pull.received += 1
        pull.missing -= 1
      }
      this.#deps.received(message)
      if (pull?.missing === 0) this.#end(pull, { kind: 'answered', received: pull.received })
      return
    }
    const pull = this.#byId.get(message.subject.slice(this.#inbox.length + 1))
    const { code = 0, description = '' } = message.headers ?? {}
    if (!pull || code === IDLE) return
    const isAnswer = code === NO_MESSAGES || code === TIME_IS_UP
    if (isAnswer) this.#end(pull, { kind: 'answered', received: pull.received })
    else this.#lost(pull, `${code} ${description}`)
  }

  #lost(pull: Pull, why: string): void {
    this.#end(pull, { kind: 'lost', received: pull.received, why })
  }

  #end(pull: Pull, end: PullEnd): void {
    if (!this.#byId.delete(pull.id)) return
    this.#bySubject.delete(pull.subject)
    pull.cancelTimer()
    pull.done(end)
  }
}
