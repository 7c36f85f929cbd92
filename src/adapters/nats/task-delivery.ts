/**
 * One message of a task in the hands of a consumer.
 *
 * Decides: what a consumer may still say of it. An `ack` counts however late it comes; `retry` and
 * `working` only while the message is this delivery's. Silence for `ackWaitMs` ends it, as the server
 * counts it. A server that forgot that it had delivered the message delivers it again: then the delivery
 * goes on, and speaks to where the server wants to hear of it now.
 * Leaves to others: slots, and how words reach the server.
 */
import type { Clock, TaskDelivery, TaskMessage } from '../../ports/index.ts'

export interface DeliveryDeps {
  message: TaskMessage
  /** Where the server wants to hear of it. */
  reply: string
  ackWaitMs: number
  clock: Clock
  say: (reply: string, word: string) => void
  /** The consumer has a slot again; once. */
  ended: () => void
  /** Once. */
  acknowledged: () => void
}

/** The words of JetStream's protocol. */
export const ACK = '+ACK'
const WORKING = '+WPI'
/** Longer delays go in parts: the message comes back, and is held back again. */
const DELAY_MAX_MS = 24 * 3_600_000
/** The server's wait began earlier, by the time that the message took; so it may end earlier, too. */
const NEARLY_SILENT = 0.9

/** Gives a message back: to be delivered again after a while. */
export function nak(delayMs: number): string {
  if (!(delayMs > 0)) return '-NAK'
  const delay = Math.ceil(Math.min(delayMs, DELAY_MAX_MS) * 1_000_000)
  return `-NAK ${JSON.stringify({ delay })}`
}

export class Delivery implements TaskDelivery {
  readonly #deps: DeliveryDeps
  #reply: string
  #isAcknowledged = false
  #silentSinceMs = 0
  /** Ends its silence; undefined once the message is not its any more. */
  #cancelTimer: (() => void) | undefined

  constructor(deps: DeliveryDeps) {
    this.#deps = deps
    this.#reply = deps.reply
    this.#wait()
  }

  get message(): TaskMessage {
    return this.#deps.message
  }

  // Bound, as consumers like to take a delivery apart.
  readonly ack = (): void => {
    if (this.#isAcknowledged) return
    this.#isAcknowledged = true
    this.#deps.say(this.#reply, ACK)
    this.#deps.acknowledged()
    this.end()
  }

  readonly retry = (delayMs: number): void => {
    if (this.end()) this.#deps.say(this.#reply, nak(delayMs))
  }

  readonly working = (): void => {
    if (this.#cancelTimer === undefined) return
    this.#deps.say(this.#reply, WORKING)
    this.#cancelTimer()
    this.#wait()
  }

  /** The server has delivered it again. False when that is because of this delivery's silence. */
  goesOn(reply: string): boolean {
    const silentMs = this.#deps.clock.monotonic() - this.#silentSinceMs
    if (silentMs >= NEARLY_SILENT * this.#deps.ackWaitMs) {
      this.end()
      return false
    }
    this.#reply = reply
    return true
  }

  /** True when it was this delivery's until now. */
  end(): boolean {
    if (this.#cancelTimer === undefined) return false
    this.#cancelTimer()
    this.#cancelTimer = undefined
    this.#deps.ended()
    return true
  }

  #wait(): void {
    this.#silentSinceMs = this.#deps.clock.monotonic()
    this.#cancelTimer = this.#deps.clock.after(this.#deps.ackWaitMs, () => this.end())
  }
}
