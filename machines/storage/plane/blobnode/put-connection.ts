/**
 * A connection on which shards come to be put. Decides: that a body goes from the socket to where it is held without
 * Node's parser of HTTP, which makes a buffer of each piece and drives a stream with it (6 MiB in nine bodies took it
 * 5.2 ms of CPU, and 2.7 without); that this is for requests of the one form that `bulk-connection.ts` sends, and
 * that a connection with any other is Node's from there on, with all that came. Leaves to others: who may call
 * (`http-server.ts`), what is done with the bodies (`calls.ts`).
 */
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { storageJson } from '../codes/index.ts'
import { brokenOff, type HeldExchange, targetOf } from './exchange.ts'
import { callNamed, HELD_CALLS, type HeldCall } from './paths.ts'

export interface PutConnectionDeps {
  /** Answers it; never rejects. */
  answer(call: HeldCall, exchange: HeldExchange): Promise<void>
  /** The connection is somebody else's. Nothing was taken from it that is not put back. */
  handOver(socket: Socket): void
  onEnd(connection: PutConnection): void
  /** Until the first bytes come. */
  firstMsMax: number
  /** Between two requests. */
  idleMsMax: number
  /** Without a byte, while one is under way. */
  stillMsMax: number
  /** Of a whole body. */
  requestMsMax: number
}

interface PutHead {
  call: HeldCall
  target: string
  authorization: string | undefined
  /** Of the body. */
  length: number
  /** Of the head. */
  bytes: number
}

const HEAD_END = '\r\n\r\n'
const FIRST_LINE = /^POST (\/[!-~]+) HTTP\/1\.1$/
/** With any other a request may mean more than is looked at here. */
const HEADER = /^(host|content-length|authorization): ([!-~](?:[ -~]*[!-~])?)$/

export class PutConnection {
  readonly #socket: Socket
  readonly #deps: PutConnectionDeps
  #exchange: PutExchange | undefined
  /** What came of the next request before this one was answered. */
  #next: Buffer | undefined
  #isEnding = false

  constructor(socket: Socket, deps: PutConnectionDeps) {
    this.#socket = socket
    this.#deps = deps
    socket.setTimeout(deps.firstMsMax)
    socket.on('data', this.#onData)
    socket.on('timeout', this.cut)
    socket.on('error', this.cut)
    // Whoever ends its half waits for no answer.
    socket.on('end', this.cut)
    socket.on('close', this.#onClose)
  }

  /** Takes no further request. */
  end(): void {
    this.#isEnding = true
    if (this.#exchange === undefined) this.cut()
  }

  readonly cut = (): void => {
    this.#socket.destroy()
  }

  readonly #onData = (piece: Buffer): void => {
    const exchange = this.#exchange
    if (exchange === undefined) return this.#begin(piece)
    const rest = exchange.take(piece)
    if (rest.length === 0) return
    // It was refused, and this was the last of its body.
    if (this.#exchange === undefined) return this.#begin(rest)
    this.#next = this.#next ? Buffer.concat([this.#next, rest]) : rest
    this.#socket.pause()
  }

  readonly #onClose = (): void => {
    this.#exchange?.brokeOff()
    this.#deps.onEnd(this)
  }

  #begin(piece: Buffer): void {
    if (this.#isEnding) return
    const head = putHeadOf(piece)
    if (head === undefined) return this.#handOver(piece)
    const { answer, stillMsMax, requestMsMax } = this.#deps
    this.#socket.setTimeout(stillMsMax)
    const exchange = new PutExchange(this.#socket, head, requestMsMax, () => this.#ended())
    this.#exchange = exchange
    void answer(head.call, exchange)
    if (piece.length > head.bytes) this.#onData(piece.subarray(head.bytes))
  }

  #ended(): void {
    this.#exchange = undefined
    if (this.#isEnding) return void this.#socket.end()
    this.#socket.setTimeout(this.#deps.idleMsMax)
    const next = this.#next
    this.#next = undefined
    if (next === undefined) return
    this.#socket.resume()
    this.#begin(next)
  }

  #handOver(piece: Buffer): void {
    const socket = this.#socket
    socket.off('data', this.#onData)
    socket.off('timeout', this.cut)
    socket.off('error', this.cut)
    socket.off('end', this.cut)
    socket.off('close', this.#onClose)
    socket.setTimeout(0)
    this.#deps.onEnd(this)
    socket.pause()
    socket.unshift(piece)
    this.#deps.handOver(socket)
    socket.resume()
  }
}

/** Undefined for any other request, and for one whose head has not come as a whole. */
function putHeadOf(piece: Buffer): PutHead | undefined {
  const end = piece.indexOf(HEAD_END)
  if (end < 0) return undefined
  const [first = '', ...lines] = piece.toString('latin1', 0, end).split('\r\n')
  const target = FIRST_LINE.exec(first)?.[1]
  const call = target === undefined ? undefined : callNamed(target)
  if (target === undefined || !isHeldCall(call)) return undefined
  const headers = new Map<string, string>()
  for (const line of lines) {
    const [, name = '', value = ''] = HEADER.exec(line) ?? []
    if (name === '' || headers.has(name)) return undefined
    headers.set(name, value)
  }
  const length = headers.get('content-length') ?? ''
  const isFit = /^\d{1,9}$/.test(length) && Number(length) <= HELD_CALLS[call]
  if (!isFit || !headers.has('host')) return undefined
  const authorization = headers.get('authorization')
  return { call, target, authorization, length: Number(length), bytes: end + HEAD_END.length }
}

function isHeldCall(call: string | undefined): call is HeldCall {
  return call !== undefined && Object.hasOwn(HELD_CALLS, call)
}

class PutExchange implements HeldExchange {
  readonly method = 'POST'
  readonly path: string
  readonly query: URLSearchParams
  readonly #socket: Socket
  readonly #head: PutHead
  readonly #onEnd: () => void
  readonly #late: NodeJS.Timeout
  /** Of the body, what has not come yet. */
  #left: number
  /** What came before somebody wanted it. */
  #early: Buffer[] = []
  #body:
    | { memory: Buffer; resolve: (body: Buffer) => void; reject: (why: Error) => void }
    | undefined
  #isAnswered = false

  /** @param onEnd it is answered, and nothing of it is still to come */
  constructor(socket: Socket, head: PutHead, msMax: number, onEnd: () => void) {
    const { path, query } = targetOf(head.target)
    this.path = path
    this.query = query
    this.#socket = socket
    this.#head = head
    this.#left = head.length
    this.#onEnd = onEnd
    this.#late = setTimeout(() => socket.destroy(), msMax)
  }

  header(name: 'authorization' | 'origin' | 'content-length'): string | undefined {
    if (name === 'content-length') return String(this.#head.length)
    return name === 'authorization' ? this.#head.authorization : undefined
  }

  readonly isGone = (): boolean => this.#socket.destroyed

  whole(memory: Buffer): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.#body = { memory, resolve, reject }
      const early = this.#early
      this.#early = []
      this.#left += early.reduce((sum, piece) => sum + piece.length, 0)
      if (this.isGone()) return this.brokeOff()
      for (const piece of early) this.take(piece)
      if (early.length > 0) this.#socket.resume()
      if (this.#head.length === 0) this.#came()
    })
  }

  /** @returns what is behind the body */
  take(piece: Buffer): Buffer {
    const own = piece.length > this.#left ? piece.subarray(0, this.#left) : piece
    const at = this.#head.length - this.#left
    this.#left -= own.length
    if (this.#body) own.copy(this.#body.memory, at)
    else if (!this.#isAnswered && own.length > 0) {
      this.#early.push(own)
      this.#socket.pause()
    }
    if (this.#left === 0 && own.length > 0) this.#came()
    return piece.subarray(own.length)
  }

  /** The connection has ended. */
  brokeOff(): void {
    clearTimeout(this.#late)
    this.#body?.reject(brokenOff(this.#head.length - this.#left, this.#head.length))
  }

  json(value: unknown, status = 200): void {
    this.#answer(status, storageJson(value))
  }

  fail({ status, text }: { status: number; text: string }): void {
    this.#answer(status, text)
  }

  #answer(status: number, text: string): void {
    if (this.isGone()) return
    const body = Buffer.byteLength(text)
    const head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'unknown'}\r\ncontent-type: application/json\r\ncontent-length: ${body}\r\n\r\n`
    this.#socket.write(head + text)
    this.#isAnswered = true
    // Who was refused may still be sending: that is read, and dropped.
    this.#body = undefined
    this.#early = []
    this.#socket.resume()
    if (this.#left > 0) return
    clearTimeout(this.#late)
    this.#onEnd()
  }

  #came(): void {
    clearTimeout(this.#late)
    if (this.#isAnswered) return this.#onEnd()
    this.#body?.resolve(this.#body.memory)
  }
}
