/** Asks for so many bytes over a bare socket, and takes them as cheaply as Node.js can. */
import { connect, type Socket } from 'node:net'

/** Of all readers of this process: what arrives is copied out of it, or only counted. */
const PIECE = Buffer.allocUnsafeSlow(262_144)

interface Reading {
  bytes: number
  into: Buffer | undefined
  at: number
  resolve: () => void
  reject: (error: Error) => void
}

export class BareReader {
  readonly #socket: Socket
  #reading: Reading | undefined

  constructor(port: number) {
    const callback = (bytes: number) => {
      this.#arrived(bytes)
      return true
    }
    const onread = { buffer: PIECE, callback }
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true, onread })
    this.#socket.on('error', (error) => this.#reading?.reject(error))
    this.#socket.on('close', () => this.#reading?.reject(new Error('the connection was closed')))
  }

  /** One at a time. @param into without it they are only counted */
  read(bytes: number, into?: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#reading = { bytes, into, at: 0, resolve, reject }
      this.#socket.write('x')
    })
  }

  close(): void {
    this.#socket.destroy()
  }

  #arrived(bytes: number): void {
    const reading = this.#reading
    if (!reading) return
    if (reading.into) PIECE.copy(reading.into, reading.at, 0, bytes)
    reading.at += bytes
    if (reading.at < reading.bytes) return
    this.#reading = undefined
    reading.resolve()
  }
}
