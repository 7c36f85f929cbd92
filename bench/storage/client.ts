/**
 * The client that drives the store. Decides: that it does as little as can be done, since it shares the cores
 * with what is measured: it sends a blob that it has, and counts the bytes of an answer without keeping them
 * (all connections read into one buffer). It knows no more of HTTP than the node answers.
 */
import { connect, type Socket } from 'node:net'

export interface Answer {
  status: number
  /** Of the body. */
  bytes: number
  /** The first bytes of the body. */
  text: string
}

const HEAD_END = '\r\n\r\n'
const PIECE = Buffer.allocUnsafeSlow(262_144)
/** What is kept of a body: ids and refusals fit. */
const TEXT_BYTES_MAX = 65_536

export class Client {
  readonly #port: number
  readonly #idle: Connection[] = []

  constructor(port: number) {
    this.#port = port
  }

  async call(method: string, path: string, body?: Buffer): Promise<Answer> {
    const connection = this.#idle.pop() ?? new Connection(this.#port)
    const head = `${method} ${path} HTTP/1.1\r\nhost: 127.0.0.1:${this.#port}\r\n`
    const length = body === undefined ? '' : `content-length: ${body.length}\r\n`
    const answer = await connection.ask(`${head}${length}\r\n`, body)
    this.#idle.push(connection)
    return answer
  }

  close(): void {
    for (const connection of this.#idle.splice(0)) connection.close()
  }
}

class Connection {
  readonly #socket: Socket
  #known = Buffer.alloc(0)
  #answer: (Answer & { length: number }) | undefined
  #resolve: ((answer: Answer) => void) | undefined
  #reject: ((error: Error) => void) | undefined

  constructor(port: number) {
    const callback = (bytes: number) => {
      this.#read(PIECE.subarray(0, bytes))
      return true
    }
    const onread = { buffer: PIECE, callback }
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true, onread })
    this.#socket.on('error', (error) => this.#reject?.(error))
    this.#socket.on('close', () => this.#reject?.(new Error('the node closed the connection')))
  }

  ask(head: string, body: Buffer | undefined): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
      this.#socket.write(head)
      if (body !== undefined) this.#socket.write(body)
    })
  }

  close(): void {
    this.#socket.destroy()
  }

  #read(piece: Buffer): void {
    const body = this.#answer ? piece : this.#begun(piece)
    const answer = this.#answer
    if (answer === undefined || body === undefined) return
    if (answer.bytes < TEXT_BYTES_MAX) answer.text += body.toString('latin1', 0, TEXT_BYTES_MAX)
    answer.bytes += body.length
    if (answer.bytes < answer.length) return
    this.#answer = undefined
    this.#resolve?.(answer)
  }

  /** @returns what of the piece is behind the head; undefined before its end */
  #begun(piece: Buffer): Buffer | undefined {
    const known = Buffer.concat([this.#known, piece])
    const end = known.indexOf(HEAD_END)
    this.#known = end < 0 ? known : Buffer.alloc(0)
    if (end < 0) return undefined
    const head = known.toString('latin1', 0, end)
    const [, status] = /^HTTP\/1\.1 (\d{3})/.exec(head) ?? []
    const [, length] = /\r\ncontent-length: (\d+)/i.exec(head) ?? []
    if (status === undefined || length === undefined) {
      this.#reject?.(new Error(`an answer of unknown length: ${head}`))
      return undefined
    }
    this.#answer = { status: Number(status), length: Number(length), bytes: 0, text: '' }
    return known.subarray(end + HEAD_END.length)
  }
}
