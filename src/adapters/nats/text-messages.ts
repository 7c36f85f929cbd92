/**
 * Messages of text that nobody answers: there is one for every transition.
 *
 * Decides: that they are written in the words of the NATS protocol, one text for all of a turn of the event loop.
 * The library makes three arrays of bytes of each, which costs several times what the message itself does.
 * Leaves to others: whether there is a connection, and what may stand in a subject (transport.ts).
 */
import type { NatsConnection } from 'nats'

/** Of the library's own parts; its version is fixed in package.json because of it. */
interface Inner {
  protocol: { sendCommand(text: string): void }
}

/** What is larger is handed on at once, so that a batch of large messages is not held twice. */
const TEXT_CHARS_MAX = 65_536

export class TextMessages {
  readonly #nats: NatsConnection & Inner
  readonly #maySend: () => boolean
  #text = ''

  constructor(nats: NatsConnection, maySend: () => boolean) {
    this.#nats = nats as NatsConnection & Inner
    this.#maySend = maySend
  }

  /** @param bytes of the payload, as UTF-8 */
  add(subject: string, payload: string, bytes: number): void {
    if (this.#text === '') queueMicrotask(() => this.flush())
    this.#text += `PUB ${subject} ${bytes}\r\n${payload}\r\n`
    if (this.#text.length > TEXT_CHARS_MAX) this.flush()
  }

  /** Before its transport says anything else, so that all of it arrives in its order. */
  flush(): void {
    if (this.#text === '') return
    const text = this.#text
    this.#text = ''
    if (this.#maySend()) this.#nats.protocol.sendCommand(text)
  }
}
