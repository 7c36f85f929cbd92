/**
 * The transport over core NATS.
 *
 * Decides: what is known of a request. While there is no connection nothing is handed to the client
 * library, which might keep it and send it later: nobody can have acted. When the connection is lost, what
 * was under way ends as `timeout`: its reply has most likely gone with it, and whoever asks again with the
 * same id loses nothing. What the server does not allow to be said reached nobody. Also: all replies come to
 * one inbox; handlers run in a deferred call, since one that throws would end the library's reader, and with
 * it everything. A request to whoever is alone in answering it, and is in this process, does not leave it;
 * without a connection it is not made either.
 * Leaves to others: the connection and its end (connection.ts).
 */
import {
  createInbox,
  type Msg,
  headers as newHeaders,
  type PublishOptions,
  type Subscription as Sub,
} from 'nats'
import type {
  Clock,
  Log,
  MessageHandler,
  SubscribeOptions,
  Subscription,
  Transport,
  TransportOutcome,
  TransportRequest,
} from '../../ports/index.ts'
import type { Connection } from './connection.ts'
import { isInbox, isOfConsumer } from './inboxes.ts'
import type { Hearing } from './rights.ts'
import { TextMessages } from './text-messages.ts'

export interface NatsTransportDeps {
  connection: Connection
  clock: Clock
  log: Log
  /** Of the connection's options. */
  inboxPrefix?: string
}

interface Listener {
  handle: MessageHandler
  active: boolean
  /** One of a group, or the only one of its subject: nobody else has what it is given. */
  isAlone: boolean
  /** What a consumer sent. */
  hasDropped: boolean
}

interface Kept {
  id: string
  subject: string
  payload: Uint8Array
}

interface Pending {
  subject: string
  done: (outcome: TransportOutcome) => void
  cancelTimer: () => void
}

/** Said instead of a reply that is larger than the server takes: how much it takes. */
const TOO_LARGE = 'Troupe-Reply-Too-Large'
const NO_RESPONDERS = 503
const NOTHING = new Uint8Array()
/** In the text of the protocol a space or a line's end would begin something else. */
const UNSENDABLE = /[\s\p{Cc}]/u

export class NatsTransport implements Transport {
  readonly #deps: NatsTransportDeps
  readonly #inbox: string
  readonly #texts: TextMessages
  /** Undefined once the server did not let us hear it: the library has given it up then. */
  #replies: Sub | undefined
  readonly #subscriptions = new Set<Hearing>()
  /** Those who are alone in answering, by their subjects. */
  readonly #sole = new Map<string, Listener>()
  readonly #pending = new Map<string, Pending>()
  readonly #stopListening: () => void
  /** What has arrived, in its order. */
  #arrived: (() => void)[] = []
  #lastRequest = 0
  #closed = false

  constructor(deps: NatsTransportDeps) {
    this.#deps = deps
    const { connection, inboxPrefix } = deps
    this.#inbox = `${createInbox(inboxPrefix)}.`
    this.#texts = new TextMessages(connection.nats, () => this.#canSend)
    this.#replies = this.#hearReplies()
    const { stop } = connection.listen({
      lost: () => this.#endPending(),
      denied: (operation, subject) => {
        if (operation === 'publish') this.#endDenied(subject)
        else if (subject === `${this.#inbox}*`) this.#hearsNothing()
      },
    })
    this.#stopListening = stop
  }

  request(request: TransportRequest, done: (outcome: TransportOutcome) => void): void {
    const { connection, clock } = this.#deps
    const { subject, payload, timeoutMs } = request
    const bytesMax = connection.payloadBytesMax
    const end = (outcome: TransportOutcome) => clock.defer(() => done(outcome))
    requireSendable(subject)
    if (payload.length > bytesMax) return end({ kind: 'too-large', what: 'request', bytesMax })
    this.#lastRequest += 1
    const id = this.#lastRequest.toString(36)
    const listener = this.#sole.get(subject)
    const isSent = listener
      ? this.#keep(listener, { id, subject, payload })
      : this.#send(subject, payload, { reply: `${this.#inbox}${id}` })
    if (!isSent) return end({ kind: 'no-responders' })
    const cancelTimer = clock.after(timeoutMs, () => this.#finish(id, { kind: 'timeout' }))
    this.#pending.set(id, { subject, done, cancelTimer })
  }

  publish(subject: string, payload: Uint8Array | string): void {
    const { connection, log } = this.#deps
    requireSendable(subject)
    const isText = typeof payload === 'string'
    const bytes = isText ? Buffer.byteLength(payload) : payload.length
    if (bytes <= connection.payloadBytesMax) {
      if (!isText) this.#send(subject, payload)
      else if (this.#canSend) this.#texts.add(subject, payload, bytes)
      return
    }
    const fields = { subject, bytes, bytesMax: connection.payloadBytesMax }
    log.warn(fields, 'a message is larger than the NATS server takes, and was not sent')
  }

  /** A server does not tell who listens. */
  hears(): boolean {
    return this.#canSend
  }

  connection(): number | undefined {
    const { number, rights } = this.#deps.connection
    return this.#canSend && !rights.isDeaf ? number : undefined
  }

  subscribe(subject: string, options: SubscribeOptions, handle: MessageHandler): Subscription {
    checkPattern(subject)
    this.#texts.flush()
    const { sole, ...rest } = options
    const listener: Listener = {
      handle,
      active: true,
      isAlone: sole === true || rest.queue !== undefined,
      hasDropped: false,
    }
    if (sole) this.#sole.set(subject, listener)
    const subscription = this.#deps.connection.rights.hear(subject, {
      ...rest,
      heard: (msg) => this.#arrive(() => this.#deliver(listener, msg)),
    })
    this.#subscriptions.add(subscription)
    return {
      unsubscribe: () => {
        listener.active = false
        if (this.#sole.get(subject) === listener) this.#sole.delete(subject)
        if (!this.#subscriptions.delete(subscription)) return
        this.#texts.flush()
        if (!listener.isAlone) return subscription.unsubscribe()
        // What is on its way to it by now still arrives, and is refused.
        void subscription.drain()
      },
    }
  }

  /** Outstanding requests time out at once; nothing is heard any more. */
  close(): void {
    if (this.#closed) return
    this.#texts.flush()
    this.#closed = true
    this.#stopListening()
    this.#replies?.unsubscribe()
    for (const subscription of this.#subscriptions) subscription.unsubscribe()
    this.#subscriptions.clear()
    this.#endPending()
    this.#arrived = []
  }

  get #canSend(): boolean {
    const { connection } = this.#deps
    return !this.#closed && connection.isConnected
  }

  #hearReplies(): Sub {
    return this.#deps.connection.nats.subscribe(`${this.#inbox}*`, {
      callback: (error, msg) => {
        if (error === null) this.#replied(msg)
      },
    })
  }

  /** Whatever is answered is not heard. The next request tries anew, as rights may be others by then. */
  #hearsNothing(): void {
    this.#replies = undefined
    this.#endPending()
  }

  /** Whether it was handed over. Until a connection that is being closed is empty it takes replies. */
  #send(subject: string, payload: Uint8Array, options?: PublishOptions): boolean {
    if (!this.#canSend) return false
    this.#texts.flush()
    try {
      if (options?.reply) this.#replies ??= this.#hearReplies()
      this.#deps.connection.nats.publish(subject, copyOf(payload), options)
      return true
    } catch {
      return false
    }
  }

  /** A request that stays in this process, in its order among what arrives. */
  #keep(listener: Listener, { id, subject, payload }: Kept): boolean {
    if (!this.#canSend) return false
    const kept = copyOf(payload)
    const reply = (answer: Uint8Array) => {
      const bytesMax = this.#deps.connection.payloadBytesMax
      const outcome: TransportOutcome =
        answer.length > bytesMax
          ? { kind: 'too-large', what: 'reply', bytesMax }
          : { kind: 'reply', payload: copyOf(answer) }
      this.#deps.clock.defer(() => this.#finish(id, outcome))
    }
    this.#arrive(() => {
      if (listener.active) listener.handle({ subject, payload: kept, reply })
      // Who answers now is elsewhere.
      else if (!this.#send(subject, kept, { reply: `${this.#inbox}${id}` }))
        this.#finish(id, { kind: 'no-responders' })
    })
    return true
  }

  #arrive(call: () => void): void {
    if (this.#closed) return
    if (this.#arrived.push(call) === 1) this.#deps.clock.defer(this.#deliverAll)
  }

  readonly #deliverAll = (): void => {
    const batch = this.#arrived
    this.#arrived = []
    let next = 0
    try {
      while (next < batch.length) batch[next++]!()
    } finally {
      // A handler that threw must not take the messages behind it along.
      if (next < batch.length && !this.#closed) {
        if (this.#arrived.length === 0) this.#deps.clock.defer(this.#deliverAll)
        this.#arrived = [...batch.slice(next), ...this.#arrived]
      }
    }
  }

  #deliver(listener: Listener, msg: Msg): void {
    if (!listener.active) return this.#refuse(listener, msg)
    const { subject, data, reply: to } = msg
    if (isOfConsumer(msg)) return this.#dropped(listener, subject)
    const payload = copyOf(data)
    if (to && isInbox(to)) {
      listener.handle({ subject, payload, reply: this.#replyTo(to) })
      return
    }
    if (to)
      this.#deps.log.warn({ subject, to }, 'an answer is wanted where it would act: none is given')
    listener.handle({ subject, payload })
  }

  /** Said once, since whoever has them sent may have millions sent. */
  #dropped(listener: Listener, subject: string): void {
    if (listener.hasDropped) return
    listener.hasDropped = true
    this.#deps.log.warn({ subject }, 'a consumer of JetStream sends here, which no node wants')
  }

  /** Nobody acts on it: who asked need not wait to the end of its time. */
  #refuse({ isAlone }: Listener, { reply: to }: Msg): void {
    if (!isAlone || !to || !isInbox(to)) return
    this.#send(to, NOTHING, { headers: newHeaders(NO_RESPONDERS, 'No Responders') })
  }

  #replyTo(inbox: string): (payload: Uint8Array) => void {
    let replied = false
    return (payload) => {
      if (replied) return
      replied = true
      const { payloadBytesMax } = this.#deps.connection
      if (payload.length <= payloadBytesMax) {
        this.#send(inbox, payload)
        return
      }
      const headers = newHeaders()
      headers.set(TOO_LARGE, String(payloadBytesMax))
      this.#send(inbox, NOTHING, { headers })
    }
  }

  #replied(msg: Msg): void {
    const id = msg.subject.slice(this.#inbox.length)
    if (!this.#pending.has(id) || isOfConsumer(msg)) return
    const outcome = outcomeOf(msg)
    this.#arrive(() => this.#finish(id, outcome))
  }

  #finish(id: string, outcome: TransportOutcome): void {
    const pending = this.#pending.get(id)
    if (pending === undefined) return
    this.#pending.delete(id)
    pending.cancelTimer()
    pending.done(outcome)
  }

  /** The server has let nobody hear it. */
  #endDenied(denied: string): void {
    for (const [id, { subject }] of this.#pending) {
      if (subject === denied) this.#arrive(() => this.#finish(id, { kind: 'no-responders' }))
    }
  }

  #endPending(): void {
    for (const [id, { cancelTimer }] of this.#pending) {
      cancelTimer()
      this.#deps.clock.defer(() => this.#finish(id, { kind: 'timeout' }))
    }
  }
}

function outcomeOf({ data, headers }: Msg): TransportOutcome {
  if (data.length === 0 && headers !== undefined) {
    if (headers.code === NO_RESPONDERS) return { kind: 'no-responders' }
    const bytesMax = headers.get(TOO_LARGE)
    if (bytesMax) return { kind: 'too-large', what: 'reply', bytesMax: Number(bytesMax) }
  }
  return { kind: 'reply', payload: copyOf(data) }
}

/** @throws RangeError */
function requireSendable(subject: string): void {
  if (subject === '' || UNSENDABLE.test(subject)) {
    throw new RangeError(`${JSON.stringify(subject)} is not a subject`)
  }
}

/** @throws RangeError for empty tokens, and for a `>` that is not the last token */
function checkPattern(pattern: string): void {
  requireSendable(pattern)
  const tokens = pattern.split('.')
  const rest = tokens.indexOf('>')
  if (tokens.includes('') || (rest >= 0 && rest < tokens.length - 1)) {
    throw new RangeError(`"${pattern}" is not a subject`)
  }
}

/** The library keeps what it is given until it is sent, and gives a part of what it has read. */
function copyOf(bytes: Uint8Array): Uint8Array {
  return Buffer.from(bytes)
}
