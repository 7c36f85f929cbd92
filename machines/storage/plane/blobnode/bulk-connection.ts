/**
 * One kept connection on which shards travel over plain HTTP/1.1. Decides: how an answer is read: its head into
 * a small buffer that all connections have together, its body to where it stays, without a copy. Node's own client
 * makes two buffers of each piece and drives two streams with it, which took four times as much CPU as this
 * (2,000 and 500 µs for 1 MB), and collections of garbage beside it. It knows only what a blobnode answers: a
 * status and a body of a told length. Leaves to others: which connection is used, time (`bulk-calls.ts`).
 */
import { connect, type Socket } from 'node:net'

export interface BulkAnswer {
  status: number
  headers: Readonly<Record<string, string>>
  body: Buffer
  /** False: the connection broke off in the middle of the body, and `body` is what had come. */
  isWhole: boolean
}

/** Nothing has come of an answer when the connection went: perhaps it had gone before the request. */
export class NoAnswer extends Error {
  readonly code: string

  constructor({ code, message }: NodeJS.ErrnoException) {
    super(message)
    this.code = code ?? message
  }
}

/** What answers speaks otherwise than a blobnode does. */
export class WrongAnswer extends Error {}

const HEAD_BYTES_MAX = 16_384
const HEAD_END = '\r\n\r\n'
/** For heads, and what of a body comes with one. Filled and emptied within one turn, so one will do for all connections. */
const PIECE = Buffer.allocUnsafeSlow(4_096)

export interface BulkCall {
  head: string
  body?: readonly Uint8Array[] | undefined
  answerBytesMax: number
  /** Where the body of a 200 goes, if it is as long. */
  into?: Uint8Array | undefined
}

interface Call extends BulkCall {
  resolve: (answer: BulkAnswer) => void
  reject: (thrown: unknown) => void
}

interface Answering extends BulkAnswer {
  at: number
  isLast: boolean
}

export class BulkConnection {
  readonly #socket: Socket
  #call: Call | undefined
  #head: Buffer = Buffer.alloc(0)
  #answer: Answering | undefined
  /** It has answered before. */
  isUsed = false

  /** @param onEnd it can be used no more */
  constructor(place: { host: string; port: number }, onEnd: () => void) {
    const callback = (bytes: number, buffer: Uint8Array) => {
      this.#read(bytes, buffer)
      return true
    }
    // Asked for anew after each piece: it is never the rest of a body that somebody has by now.
    const buffer = () => this.#rest ?? PIECE
    this.#socket = connect({ ...place, noDelay: true, onread: { buffer, callback } })
    this.#socket.on('timeout', () => this.#socket.destroy())
    this.#socket.on('error', (error) => this.#broken(error))
    this.#socket.on('close', () => {
      this.#broken(Object.assign(new Error('the connection ended'), { code: 'ECONNRESET' }))
      onEnd()
    })
  }

  get isOpen(): boolean {
    return !this.#socket.destroyed && this.#socket.writable
  }

  /** One at a time. @throws NoAnswer, WrongAnswer, what it was cut with */
  ask(call: BulkCall): Promise<BulkAnswer> {
    return new Promise((resolve, reject) => {
      this.#call = { ...call, resolve, reject }
      const socket = this.#socket
      socket.setTimeout(0)
      socket.ref()
      socket.cork()
      socket.write(call.head, 'latin1')
      for (const part of call.body ?? []) socket.write(part)
      socket.uncork()
    })
  }

  /** Ends itself when nobody uses it for so long; keeps no process alive until then. */
  rest(ms: number): void {
    this.#socket.setTimeout(ms)
    this.#socket.unref()
  }

  cut(thrown?: Error): void {
    const call = this.#call
    this.#call = undefined
    this.#socket.destroy()
    call?.reject(thrown)
  }

  /** Of the body, what has not come yet. */
  get #rest(): Buffer | undefined {
    return this.#answer?.body.subarray(this.#answer.at)
  }

  #read(bytes: number, buffer: Uint8Array): void {
    if (this.#call === undefined) return this.cut()
    try {
      if (this.#answer) return this.#came(this.#answer, bytes)
      const body = this.#begun(Buffer.from(buffer.buffer, buffer.byteOffset, bytes))
      if (this.#answer && body) this.#add(this.#answer, body)
    } catch (thrown) {
      this.cut(thrown as Error)
    }
  }

  /** @returns what of the piece is behind the head; undefined before its end */
  #begun(piece: Buffer): Buffer | undefined {
    const known = Buffer.concat([this.#head, piece])
    const end = known.indexOf(HEAD_END)
    if (end < 0) {
      if (known.length > HEAD_BYTES_MAX) throw new WrongAnswer('its head is too long')
      this.#head = known
      return undefined
    }
    this.#head = Buffer.alloc(0)
    this.#answer = answerOf(known.toString('latin1', 0, end), this.#call)
    return known.subarray(end + HEAD_END.length)
  }

  #add(answer: Answering, piece: Buffer): void {
    if (answer.at + piece.length > answer.body.length)
      throw new WrongAnswer('it sends more than it said')
    this.#came(answer, piece.copy(answer.body, answer.at))
  }

  #came(answer: Answering, bytes: number): void {
    answer.at += bytes
    if (answer.at === answer.body.length) this.#told(answer, true)
  }

  #told({ status, headers, body, at, isLast }: Answering, isWhole: boolean): void {
    const call = this.#call
    this.#call = undefined
    this.#answer = undefined
    this.isUsed = true
    if (isLast || !isWhole) this.#socket.destroy()
    call?.resolve({ status, headers, body: body.subarray(0, at), isWhole })
  }

  #broken(error: Error): void {
    if (this.#call === undefined) return
    if (this.#answer) this.#told(this.#answer, false)
    else this.cut(new NoAnswer(error))
  }
}

/** @throws WrongAnswer */
function answerOf(head: string, call: BulkCall | undefined): Answering {
  const { answerBytesMax: bytesMax = 0, into } = call ?? {}
  const [first = '', ...lines] = head.split('\r\n')
  const [, digits] = /^HTTP\/1\.1 ([2-9]\d\d)(?: |$)/.exec(first) ?? []
  const headers = Object.fromEntries(
    lines.map((line) => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
    }),
  )
  const length = headers['content-length'] ?? ''
  if (digits === undefined || !/^\d{1,15}$/.test(length) || headers['transfer-encoding'])
    throw new WrongAnswer('it does not say how long its answer is')
  const bytes = Number(length)
  if (bytes > bytesMax) throw new WrongAnswer(`it answers more than ${bytesMax} bytes`)
  const isMeant = Number(digits) === 200 && into?.length === bytes
  return {
    ...{ status: Number(digits), headers, isWhole: false, at: 0 },
    body: isMeant ? viewOf(into) : Buffer.allocUnsafe(bytes),
    isLast: headers['connection']?.toLowerCase() === 'close',
  }
}

function viewOf({ buffer, byteOffset, length }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, length)
}
