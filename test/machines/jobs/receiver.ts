/** A program that is told of jobs: it remembers what it got, and answers as it is told to. */
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Received {
  /** Unix ms. */
  at: number
  path: string
  headers: IncomingHttpHeaders
  text: string
  body: Record<string, unknown>
}

export class Receiver {
  readonly received: Received[] = []
  /** Statuses of the next answers. */
  readonly answers: number[] = []
  /** The status of all others. */
  usual = 200
  /** Where answers of 3xx lead. */
  location = ''
  readonly #server: Server

  private constructor(server: Server) {
    this.#server = server
  }

  static async open(): Promise<Receiver> {
    const server = createServer()
    const receiver = new Receiver(server)
    server.on('request', (request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        const text = Buffer.concat(chunks).toString()
        const body = JSON.parse(text || '{}') as Record<string, unknown>
        const { url: path = '', headers } = request
        receiver.received.push({ at: Date.now(), path, headers, text, body })
        const status = receiver.answers.shift() ?? receiver.usual
        response.writeHead(
          status,
          status >= 300 && status < 400 ? { location: receiver.location } : {},
        )
        response.end()
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return receiver
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}
