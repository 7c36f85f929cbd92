/** A sector manager that says yes to everything, over HTTP; it hands out so many sectors and then none. */
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

/** 2 KiB, see the room `venus`. */
const PROOF_TYPE = 5
const MINER = 1_000
const BYTES_32 = Buffer.alloc(32, 7).toString('base64')

export class FakeManager {
  /** How many sectors there are yet to give. */
  sectors = 0
  /** In the order in which they came: the method without `Venus.`, and its parameters. */
  readonly calls: { method: string; params: unknown[] }[] = []
  /** Methods that answer something else. */
  readonly answers = new Map<string, (params: unknown[]) => unknown>()
  readonly #server: Server
  #number = 0

  private constructor(server: Server) {
    this.#server = server
  }

  static async start(): Promise<FakeManager> {
    const server = createServer()
    const manager = new FakeManager(server)
    server.on('request', (request: IncomingMessage, response) => {
      void bodyOf(request).then((text) => {
        const { id, method, params } = JSON.parse(text)
        const result = manager.#answer(String(method).replace('Venus.', ''), params)
        response.setHeader('content-type', 'application/json')
        response.end(JSON.stringify({ jsonrpc: '2.0', id, result }))
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return manager
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  count(method: string): number {
    return this.calls.filter((one) => one.method === method).length
  }

  last(method: string): unknown[] | undefined {
    return this.calls.findLast((one) => one.method === method)?.params
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #answer(method: string, params: unknown[]): unknown {
    this.calls.push({ method, params })
    const other = this.answers.get(method)
    if (other) return other(params)
    switch (method) {
      case 'AllocateSector':
        return this.#allocate()
      case 'AssignTicket':
        return { Ticket: BYTES_32, Epoch: 1 }
      case 'WaitSeed':
        return { ShouldWait: false, Delay: 0, Seed: { Seed: BYTES_32, Epoch: 2 } }
      case 'SubmitPreCommit':
      case 'SubmitProof':
        return { Res: 1, Desc: null }
      case 'PollPreCommitState':
      case 'PollProofState':
        return { State: 3, Desc: null }
      case 'StoreReserveSpace':
      case 'StoreBasicInfo':
        return { Name: 'long', Path: null, Meta: null }
      case 'SubmitPersistedEx':
        return true
      case 'ReportState':
        return { ID: params[0], Finalized: false, AbortReason: '' }
      default:
        return {}
    }
  }

  #allocate(): unknown {
    if (this.sectors === 0) return null
    this.sectors -= 1
    this.#number += 1
    return { ID: { Miner: MINER, Number: this.#number }, ProofType: PROOF_TYPE }
  }
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('utf8')
}
