/**
 * HTTP without a network: requests to a server of this process, over a pair of streams. So whoever comes
 * another way meets the same routes, with all that HTTP has of back-pressure and broken connections.
 * Decides: how such a connection begins and ends.
 */
import { request as httpRequest, type IncomingMessage, type Server } from 'node:http'
import { type Duplex, duplexPair } from 'node:stream'

export interface InnerRequest {
  method: string
  /** As it stands in the first line. */
  path: string
  headers: Readonly<Record<string, string>>
  body: Uint8Array
}

/** What stands in the log in the place of an address. */
const REMOTE = 'transport'

export class InnerConnections {
  readonly #server: Server
  readonly #open = new Set<Duplex>()

  constructor(server: Server) {
    this.#server = server
  }

  /** Destroying the answer is what a client does that hangs up. */
  request({ method, path, headers, body }: InnerRequest): Promise<IncomingMessage> {
    const length = { 'content-length': String(body.length) }
    return new Promise((resolve, reject) => {
      const outgoing = httpRequest(
        {
          ...{ method, path },
          headers: { host: REMOTE, ...headers, ...(body.length > 0 ? length : {}) },
          createConnection: () => this.#connect(),
        },
        resolve,
      )
      outgoing.on('error', reject)
      outgoing.end(body)
    })
  }

  /** Breaks off whatever is under way. */
  cut(): void {
    for (const here of this.#open) here.destroy(new Error('the connection was cut'))
  }

  #connect(): Duplex {
    const [here, there] = duplexPair()
    Object.assign(there, { remoteAddress: REMOTE })
    this.#open.add(here)
    here.once('close', () => {
      this.#open.delete(here)
      there.destroy()
    })
    there.once('close', () => {
      // What was written to the end is read to the end.
      if (!there.writableFinished) here.destroy(new Error('the connection was closed'))
    })
    // Whoever reads has learned it, or reads no more.
    for (const side of [here, there]) side.on('error', () => {})
    this.#server.emit('connection', there)
    return here
  }
}
