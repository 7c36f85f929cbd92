/**
 * A node's link to one nats-server: a TCP proxy between the two, so that a test can cut it.
 *
 * Decides: three ways to be cut, each direction by itself. `hold`: nothing passes and nothing is lost, as
 * where packets are dropped and sent again later; what was held arrives after `heal`. `swallow`: bytes are
 * taken and gone while the sender believes that they arrived, as behind a middlebox that forgot the
 * connection; such connections are closed by `heal`, since their streams have holes. `refuse`: connections
 * are closed and new ones not let in. Also: what passes to the server may be rewritten, for tests that take
 * a rule away.
 */
import { createServer, connect as dial, type Server, type Socket } from 'node:net'

export type Direction = 'to-server' | 'to-node'
/** What becomes of bytes in one direction. */
export type Passage = 'open' | 'hold' | 'swallow'

/** Of one connection: is given what the node sends, in pieces of any size, and gives what is sent on. */
export type Rewrite = (bytes: Buffer) => Buffer

export interface LinkOptions {
  /** Where the server listens. */
  port: number
  /** Made anew for each connection. */
  rewrite?: (() => Rewrite) | undefined
}

const HOST = '127.0.0.1'

export class Link {
  readonly #options: LinkOptions
  readonly #listener: Server
  readonly #connections = new Set<Connection>()
  readonly passages: Record<Direction, Passage> = { 'to-server': 'open', 'to-node': 'open' }
  #isRefused = false
  #port = 0

  private constructor(options: LinkOptions) {
    this.#options = options
    this.#listener = createServer((socket) => this.#accept(socket))
  }

  static async open(options: LinkOptions): Promise<Link> {
    const link = new Link(options)
    await new Promise<void>((resolve, reject) => {
      link.#listener.once('error', reject).listen(0, HOST, resolve)
    })
    link.#port = (link.#listener.address() as { port: number }).port
    return link
  }

  get port(): number {
    return this.#port
  }

  get url(): string {
    return `nats://${HOST}:${this.#port}`
  }

  /** New connections are cut as well: they are accepted, and nobody answers. */
  cut(direction: Direction | 'both', how: 'hold' | 'swallow' = 'hold'): void {
    for (const one of ['to-server', 'to-node'] as const) {
      if (direction === one || direction === 'both') this.passages[one] = how
    }
  }

  refuse(): void {
    this.#isRefused = true
    this.breakAll()
  }

  /** All connections are closed, and may be opened anew at once. */
  breakAll(): void {
    for (const connection of this.#connections) connection.close()
  }

  heal(): void {
    this.passages['to-server'] = 'open'
    this.passages['to-node'] = 'open'
    this.#isRefused = false
    for (const connection of [...this.#connections]) connection.healed()
  }

  async close(): Promise<void> {
    this.refuse()
    await new Promise<void>((resolve) => this.#listener.close(() => resolve()))
  }

  #accept(node: Socket): void {
    if (this.#isRefused) return void node.destroy()
    const server = dial(this.#options.port, HOST)
    const connection = new Connection(node, server, this.passages, this.#options.rewrite?.())
    this.#connections.add(connection)
    connection.ended = () => this.#connections.delete(connection)
  }
}

/** Two sockets; what one says goes to the other, as long as it may pass. */
class Connection {
  ended = (): void => {}
  readonly #sockets: readonly [node: Socket, server: Socket]
  readonly #held: (() => void)[] = []
  #hasHoles = false

  constructor(
    node: Socket,
    server: Socket,
    passages: Readonly<Record<Direction, Passage>>,
    rewrite: Rewrite = (bytes) => bytes,
  ) {
    this.#sockets = [node, server]
    this.#carry(node, server, () => passages['to-server'], rewrite)
    this.#carry(server, node, () => passages['to-node'])
    for (const socket of this.#sockets) {
      socket.setNoDelay(true)
      // Whoever has lost one side hears of it as the end of the other.
      socket.on('error', () => {})
      socket.once('close', () => this.#sideClosed(passages))
    }
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy()
    this.ended()
  }

  healed(): void {
    if (this.#hasHoles || this.#sockets.some(({ destroyed }) => destroyed)) return this.close()
    for (const go of this.#held.splice(0)) go()
  }

  /** While it is cut, the end of one side is something that the other cannot see either. */
  #sideClosed(passages: Readonly<Record<Direction, Passage>>): void {
    if (Object.values(passages).every((passage) => passage === 'open')) this.close()
  }

  #carry(
    from: Socket,
    to: Socket,
    passage: () => Passage,
    rewrite: Rewrite = (bytes) => bytes,
  ): void {
    from.on('data', (bytes: Buffer) => {
      const now = passage()
      if (now === 'swallow') {
        this.#hasHoles = true
      } else if (now === 'hold') {
        from.pause()
        this.#held.push(() => {
          pass(bytes)
          from.resume()
        })
      } else {
        pass(bytes)
      }
    })
    const pass = (bytes: Buffer) => {
      const sent = rewrite(bytes)
      if (sent.length === 0 || to.destroyed || to.write(sent)) return
      from.pause()
      to.once('drain', () => from.resume())
    }
  }
}
