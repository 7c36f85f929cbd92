/** A real node with the built-in manager and the simulated chain behind a real gateway; it restarts. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { commitmentOfSector, ManagerClient } from '../../../../machines/sealing/manager/index.ts'
import {
  type AllocatedSector,
  CHAIN_STATES,
  type ParamsOf,
  type ResultOf,
  SUBMIT_RESULTS,
  sectorName,
} from '../../../../machines/sealing/venus/index.ts'
import { createGateway, type Gateway } from '../../../../src/gateway/index.ts'
import { type App, createNode, type TroupeNode } from '../../../../src/index.ts'
import { type Ran, type RunInit, run } from '../../../cli/rig.ts'
import { until } from '../../../waiting.ts'
import { type ManagerAppOptions, managerApp } from './manager-app.ts'

export const SECTOR_BYTES = 2_048
export const SPEC = { AllowedMiners: [], AllowedProofTypes: [] }
export const ANY_DEALS = { MaxDeals: null, MinUsedSpace: null }
export { MINER } from './manager-app.ts'

/** Below the main address of a node. */
export const RPC_PATH = '/sealing/rpc/v0'

export class ManagerRig {
  readonly directory: string
  readonly #options: ManagerAppOptions
  #node: TroupeNode | undefined
  #gateway: Gateway | undefined

  private constructor(directory: string, options: ManagerAppOptions) {
    this.directory = directory
    this.#options = options
  }

  static async create(options: ManagerAppOptions = {}): Promise<ManagerRig> {
    const rig = new ManagerRig(await mkdtemp(join(tmpdir(), 'troupe-manager-')), options)
    await mkdir(join(rig.directory, 'long'))
    await rig.start()
    return rig
  }

  get node(): TroupeNode {
    if (!this.#node) throw new Error('the node is not started')
    return this.#node
  }

  get url(): string {
    return this.#gateway?.url ?? ''
  }

  /** Where workers expect a manager: a listener of its own. */
  get managerUrl(): string {
    return this.#gateway?.listeners[0]?.url ?? ''
  }

  get app(): App {
    return managerApp(this.directory, this.#options)
  }

  async start(): Promise<void> {
    const dataDirectory = join(this.directory, 'node')
    this.#node = await createNode({ dataDirectory, apps: [this.app] })
    this.#gateway = await createGateway({
      node: this.#node,
      port: 0,
      graceMs: 200,
      listeners: [{ app: 'sealing', port: 0 }],
    })
  }

  async stop(): Promise<void> {
    await this.#gateway?.close()
    await this.#node?.stop()
  }

  async restart(): Promise<void> {
    await this.stop()
    await this.start()
  }

  async close(): Promise<void> {
    await this.stop()
    await rm(this.directory, { recursive: true, force: true, maxRetries: 5 })
  }

  get client(): ManagerClient {
    return new ManagerClient({ address: this.managerUrl, timeoutMs: 20_000 })
  }

  troupe(words: readonly string[], init: RunInit = {}): Promise<Ran> {
    return run([...words, '--http', this.url], { apps: [this.app], ...init })
  }

  /** What is not JSON-RPC's own business. */
  async raw(body: string, headers: Record<string, string> = {}): Promise<unknown> {
    const response = await fetch(`${this.url}${RPC_PATH}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body,
    })
    const text = await response.text()
    return text === '' ? response.status : JSON.parse(text)
  }

  async allocate(taskId?: string): Promise<AllocatedSector> {
    const context = taskId === undefined ? {} : { taskId }
    const sector = await this.client.call('AllocateSector', [SPEC], context)
    if (!sector) throw new Error('no sector was allocated')
    return sector
  }

  /** Words for `Res`. */
  async preCommit(sector: AllocatedSector, options: PreCommitOptions = {}): Promise<string> {
    const { reset = false, commR = base64('r'), deals = [] } = options
    const ticket = options.ticket ?? (await this.client.call('AssignTicket', [sector.ID]))
    const commD = options.commD ?? dataCommitment(deals)
    const info = { CommR: commR, CommD: commD, Ticket: ticket }
    return wordFor(await this.client.call('SubmitPreCommit', [sector, info, reset]))
  }

  async prove({ ID }: AllocatedSector, proof = 'good', reset = false): Promise<string> {
    const given = { Proof: Buffer.from(proof).toString('base64') }
    return wordFor(await this.client.call('SubmitProof', [ID, given, reset]))
  }

  async lands(name: 'PollPreCommitState' | 'PollProofState', { ID }: AllocatedSector) {
    let last: unknown
    await until(
      async () => {
        const { State } = await this.client.call(name, [ID])
        last = CHAIN_STATES[State]
        return last === 'Landed'
      },
      { timeoutMs: 20_000 },
      () => `${name} to be Landed; it is ${String(last)}`,
    )
  }

  async seeded({ ID }: AllocatedSector): Promise<void> {
    await until(
      async () => !(await this.client.call('WaitSeed', [ID])).ShouldWait,
      { timeoutMs: 20_000 },
      'the seed',
    )
  }

  /** Its files, as a worker has brought them there. */
  async store({ ID }: AllocatedSector, folder = '', bytes = SECTOR_BYTES): Promise<void> {
    const name = sectorName(ID)
    const [sealed, cache] = folder === '' ? ['sealed', 'cache'] : ['update', 'update-cache']
    const long = join(this.directory, 'long')
    await mkdir(join(long, sealed), { recursive: true })
    await mkdir(join(long, cache, name), { recursive: true })
    await writeFile(join(long, sealed, name), Buffer.alloc(bytes))
    await writeFile(join(long, cache, name, 'p_aux'), Buffer.alloc(64))
  }

  /** From its allocation to its end. */
  async sealed(deals?: ResultOf<'AcquireDeals'>): Promise<AllocatedSector> {
    const sector = await this.allocate()
    const pieces = deals ?? []
    await this.preCommit(sector, { deals: pieces })
    await this.lands('PollPreCommitState', sector)
    await this.client.call('StoreReserveSpace', [sector.ID, SECTOR_BYTES, ['long']])
    await this.store(sector)
    await this.client.call('SubmitPersistedEx', [sector.ID, 'long', false])
    await this.seeded(sector)
    await this.prove(sector)
    await this.client.call('ReportFinalized', [sector.ID])
    return sector
  }

  async record({ ID }: AllocatedSector) {
    const { context } = await this.node.client.get(`sealing-sector/${sectorName(ID)}`)
    return context as Record<string, unknown> & { standing: string }
  }
}

export interface PreCommitOptions {
  reset?: boolean
  commR?: string
  commD?: string
  ticket?: ParamsOf<'SubmitPreCommit'>[1]['Ticket']
  deals?: ResultOf<'AcquireDeals'>
}

/** 32 bytes of it. */
export function base64(letter: string): string {
  return Buffer.alloc(32, letter).toString('base64')
}

export function dataCommitment(deals: ResultOf<'AcquireDeals'>): string {
  return Buffer.from(commitmentOfSector(deals, SECTOR_BYTES) ?? '', 'hex').toString('base64')
}

function wordFor({ Res }: { Res: number }): string {
  return SUBMIT_RESULTS[Res] ?? String(Res)
}
