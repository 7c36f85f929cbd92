/**
 * Requests of one connection and their first replies.
 *
 * Decides: that all replies come to one inbox, which is subscribed with the first request, and how a
 * request ends without one: its time is over, nobody listens, the server does not allow it, the
 * connection is lost. The library does the same; it makes two errors with their stacks for each request
 * that is answered, which is a good part of what a slot of the journal costs.
 * Leaves to others: what an end without a reply means to whoever asked.
 */
import { createInbox, type Msg, type NatsConnection, type Payload, type RequestOptions } from 'nats'
import type { Clock } from '../../ports/index.ts'

interface Open {
  subject: string
  resolve: (message: Msg) => void
  reject: (why: Error) => void
  cancelTimer: () => void
}

const NO_RESPONDERS = 503

export class Requests {
  readonly #nats: NatsConnection
  readonly #clock: Pick<Clock, 'after'>
  readonly #inboxPrefix: string | undefined
  readonly #open = new Map<string, Open>()
  #inbox: string | undefined
  #last = 0

  constructor(nats: NatsConnection, clock: Pick<Clock, 'after'>, inboxPrefix: string | undefined) {
    this.#nats = nats
    this.#clock = clock
    this.#inboxPrefix = inboxPrefix
  }

  ask(subject: string, payload: Payload, options: RequestOptions): Promise<Msg> {
    const { timeout, headers } = options
    return new Promise((resolve, reject) => {
      this.#inbox ??= this.#listen()
      this.#last += 1
      const id = this.#last.toString(36)
      const reply = `${this.#inbox}${id}`
      this.#nats.publish(subject, payload, headers ? { reply, headers } : { reply })
      const cancelTimer = this.#clock.after(timeout, () =>
        this.#take(id)?.reject(new Error(`no answer in ${timeout} ms`)),
      )
      this.#open.set(id, { subject, resolve, reject, cancelTimer })
    })
  }

  /** None of those that are under way has an answer. */
  end(why: string): void {
    for (const id of [...this.#open.keys()]) this.#take(id)?.reject(new Error(why))
  }

  /** The server does not let us send to a subject. */
  denied(subject: string, why: string): void {
    for (const [id, open] of this.#open) {
      if (open.subject === subject) this.#take(id)?.reject(new Error(why))
    }
  }

  #listen(): string {
    const inbox = `${createInbox(this.#inboxPrefix)}.`
    this.#nats.subscribe(`${inbox}*`, {
      callback: (error, message) => {
        if (error === null) return this.#replied(inbox, message)
        // The server does not let us hear it, and the library gives it up: the next request tries anew.
        this.#inbox = undefined
        this.end(error.message)
      },
    })
    return inbox
  }

  #replied(inbox: string, message: Msg): void {
    const open = this.#take(message.subject.slice(inbox.length))
    if (message.data.length === 0 && message.headers?.code === NO_RESPONDERS) {
      open?.reject(new Error('nobody answers there (503)'))
    } else open?.resolve(message)
  }

  #take(id: string): Open | undefined {
    const open = this.#open.get(id)
    this.#open.delete(id)
    open?.cancelTimer()
    return open
  }
}
