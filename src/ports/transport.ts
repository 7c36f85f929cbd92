/**
 * Messages between parties: NATS core in a cluster, in-process otherwise.
 *
 * Decides: that a request has exactly one outcome, and that silence is not a failure (`timeout` says
 * nothing about whether the other side acted). Leaves to others: what the bytes mean.
 */
export interface Transport {
  /** Sends and waits for one reply. The outcome comes by callback, never before the call returns. */
  request(request: TransportRequest, done: (outcome: TransportOutcome) => void): void
  /**
   * Tells whoever listens now; nothing is kept, and what is larger than can be sent goes nowhere. Never
   * use it for what must arrive. A text goes as its UTF-8, and is the cheaper form of what is text.
   */
  publish(subject: string, payload: Uint8Array | string): void
  /**
   * False when certainly nobody here or elsewhere listens: then a message need not be made. The subject
   * may be a pattern: whether anyone listens to any of its subjects.
   */
  hears(subject: string): boolean
  /**
   * Which connection carries messages now: another number after each loss, undefined while there is none, or
   * while it does not bring all that is listened for. Always the same where nothing can be lost. Only on one and the same connection do two outcomes tell
   * something of what was between them.
   */
  connection(): number | undefined
  /**
   * Listens. Subjects of subscriptions may use `*` (one token) and a final `>` (the rest). Members of
   * one `queue` share the messages. Messages of one sender arrive in order.
   */
  subscribe(subject: string, options: SubscribeOptions, handle: MessageHandler): Subscription
}

export interface TransportRequest {
  subject: string
  payload: Uint8Array
  timeoutMs: number
}

export type TransportOutcome =
  | { kind: 'reply'; payload: Uint8Array }
  /** Nobody listens, or nothing could be sent: certainly nobody acted. */
  | { kind: 'no-responders' }
  /** Also before the time is over, when what carried the reply is lost. */
  | { kind: 'timeout' }
  /** More bytes than can be sent: the request, and nobody acted; or its reply, and somebody did. */
  | { kind: 'too-large'; what: 'request' | 'reply'; bytesMax: number }

export interface SubscribeOptions {
  queue?: string
  /**
   * No other party answers on this subject while this one does: so a request that is made here need not
   * leave the process. Where another one does for a moment, either may answer.
   */
  sole?: boolean
}

/**
 * `reply` is absent when the sender does not wait; calling it twice does nothing the second time. What it
 * throws goes to the process; the subscription and other messages go on.
 */
export type MessageHandler = (message: {
  subject: string
  payload: Uint8Array
  reply?: (payload: Uint8Array) => void
}) => void

export interface Subscription {
  unsubscribe(): void
}
