/** What waits for the next batch. Decides: when to say `busy` instead of queueing without end. */
import type { Log } from '../ports/index.ts'
import {
  type Command,
  type ErrorRecord,
  type EventObject,
  errorRecord,
  type Limits,
  type Outcome,
} from '../protocol/index.ts'
import type { RelayReply, RelayRequest } from './channels.ts'

export type MailItem =
  | {
      kind: 'command'
      command: Command
      /** Until when it may be applied, on the monotonic clock. */
      until: number
      /** The task whose running attempt it is from: its worker is not silent. */
      heard?: string | undefined
      done: (outcome: Outcome) => void
    }
  | { kind: 'relay'; request: RelayRequest; done: (reply: RelayReply) => void }
  | { kind: 'live'; address: string; effectId: string; event: EventObject }
  /** Nothing to do but what a batch always does. */
  | { kind: 'wake' }

/** @param isMoving nothing that waits has been stepped: it goes to the next owner, in the order in which it was sent */
export function notServed(shard: number, isMoving: boolean): ErrorRecord {
  return isMoving
    ? errorRecord('moved', `shard ${shard} is moving to another node; try again`)
    : errorRecord('unavailable', `shard ${shard} is not served here now; try again`)
}

/** To the sender of what a shard broke on: not to be tried again, the next owner would break as well. */
export function brokeOnIt(shard: number): ErrorRecord {
  const why = `shard ${shard} stopped at this; nothing of it was applied, and the log has the details`
  return errorRecord('internal', why)
}

/** For the log: what it broke on, and where. */
export function traceOf(thrown: unknown): string {
  return thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)
}

export class Mailbox {
  readonly #limits: Pick<Limits, 'mailboxCountMax' | 'mailboxBytesMax'>
  #items: { item: MailItem; bytes: number }[] = []
  #first = 0
  #bytes = 0
  /** Since the last event of a callback. */
  #isDropping = false

  constructor(limits: Pick<Limits, 'mailboxCountMax' | 'mailboxBytesMax'>) {
    this.#limits = limits
  }

  get count(): number {
    return this.#items.length - this.#first
  }

  /** @param bytes the packed size of what arrived */
  push(item: MailItem, bytes: number): ErrorRecord | undefined {
    const { mailboxCountMax, mailboxBytesMax } = this.#limits
    if (this.count >= mailboxCountMax) {
      return errorRecord(
        'busy',
        `${this.count} commands wait already (mailboxCountMax ${mailboxCountMax}); try again`,
      )
    }
    if (this.#bytes + bytes > mailboxBytesMax && this.count > 0) {
      return errorRecord(
        'busy',
        `${this.#bytes} bytes wait already (mailboxBytesMax ${mailboxBytesMax}); try again`,
      )
    }
    this.#items.push({ item, bytes })
    this.#bytes += bytes
    return undefined
  }

  /** Nobody waits for an answer who could be told `busy`: an event too many is dropped, and it is said. */
  pushLive(item: Extract<MailItem, { kind: 'live' }>, log: Log): void {
    const refused = this.push(item, 0)
    if (refused && !this.#isDropping) {
      const { address, event } = item
      const why = `events of callbacks are dropped: ${refused.message}`
      log.warn({ address, event: event.type }, why)
    }
    this.#isDropping = refused !== undefined
  }

  /** The engine's own items are few by construction and are never refused. */
  pushInternal(item: MailItem): void {
    this.#items.push({ item, bytes: 0 })
  }

  shift(): MailItem | undefined {
    const entry = this.#items[this.#first]
    if (!entry) return undefined
    this.#first += 1
    this.#bytes -= entry.bytes
    if (this.#first === this.#items.length) {
      this.#items = []
      this.#first = 0
    } else if (this.#first > 1_024 && this.#first * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#first)
      this.#first = 0
    }
    return entry.item
  }

  drain(): MailItem[] {
    const items = this.#items.slice(this.#first).map((entry) => entry.item)
    this.#items = []
    this.#first = 0
    this.#bytes = 0
    return items
  }
}
