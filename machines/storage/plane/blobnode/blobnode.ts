/**
 * A blobnode: the disks of one host behind one door. Decides: the order of start and end, and that each disk
 * stands on its own. A kill leaves nothing behind that the next start does not take up.
 * Leaves to others: the parts.
 */
import { type Clock, type Log, systemClock, TroupeError } from '../../../../src/index.ts'
import { refusal } from '../codes/index.ts'
import { BufferPool } from './buffer-pool.ts'
import { ByteBudget } from './byte-budget.ts'
import { diskOfPath, handleCall, handleHeld } from './calls.ts'
import { BlobnodeClient, TIMEOUT_MS } from './client.ts'
import type { SlotLimits } from './disk-slots.ts'
import type { DiskOpener } from './disk-store.ts'
import { type BlobnodeCalls, BlobnodeServer } from './http-server.ts'
import { keepFreedMemory } from './kept-memory.ts'
import { metricsText } from './metrics-text.ts'
import { type FarChunks, NearChunks } from './near-chunks.ts'
import type { NodeCall } from './node-calls.ts'
import { isWildcard, type Place, urlOf } from './places.ts'
import { Registration } from './registration.ts'
import { type DiskPlace, type DiskReport, ServedDisk } from './served-disk.ts'

export interface BlobnodeOptions {
  host: string
  rack: string
  idc: string
  disks: readonly DiskPlace[]
  listen: Place
  /** Where others call it; needed where it listens on all addresses. Default: where it listens. */
  advertise?: string | undefined
  token?: string | undefined
  /** The largest chunk, and what one has whose maker says nothing. */
  chunkBytesMax: number
}

export interface BlobnodeDeps {
  /** The way to a node. */
  call: NodeCall
  openDisk: DiskOpener
  log: Log
  clock?: Clock
  slots?: SlotLimits
  heartbeatMs?: number
  probeMsMax?: number
  closeMsMax?: number
}

/** What is not open by then comes while the others serve. */
const START_MS_MAX = 30_000
/** Of all bodies at a time: those who wait for a slot of a disk, and those whom slow readers take. */
const HELD_BYTES_MAX = 268_435_456

export class Blobnode {
  readonly #options: BlobnodeOptions
  readonly #deps: BlobnodeDeps
  readonly #clock: Clock
  readonly #disks: ReadonlyMap<number, ServedDisk>
  readonly #held = new ByteBudget(HELD_BYTES_MAX)
  readonly #buffers = new BufferPool()
  /** Other blobnodes, from which shards are copied. */
  readonly #peers: BlobnodeClient
  #server: BlobnodeServer | undefined
  #registration: Registration | undefined

  /** @throws TroupeError `invalid-config` */
  constructor(options: BlobnodeOptions, deps: BlobnodeDeps) {
    this.#options = options
    this.#deps = deps
    this.#clock = deps.clock ?? systemClock()
    this.#peers = new BlobnodeClient({ token: options.token })
    const { openDisk, log, slots, probeMsMax, closeMsMax } = deps
    const diskDeps = {
      ...{ open: openDisk, clock: this.#clock, log },
      onBroken: () => void this.#registration?.now(),
      ...(slots === undefined ? {} : { slots }),
      ...(probeMsMax === undefined ? {} : { probeMsMax }),
      ...(closeMsMax === undefined ? {} : { closeMsMax }),
    }
    const disks = options.disks.map((disk) => new ServedDisk(disk, diskDeps))
    this.#disks = new Map(disks.map((disk) => [disk.id, disk]))
    const { listen, advertise } = options
    if (isWildcard(listen.host) && advertise === undefined) {
      const why = `${listen.host} is no address that others can call: say --advertise http://HOST:PORT`
      throw new TroupeError('invalid-config', why)
    }
  }

  /** Where others call it. */
  get address(): string {
    return this.#options.advertise ?? urlOf(this.#server?.place ?? this.#options.listen)
  }

  /**
   * Resolves when it listens and each disk, and a node, has been tried once; never fails for one of those.
   * @throws TroupeError `invalid-config`, `unavailable` when it cannot listen
   */
  async start(signal?: AbortSignal): Promise<void> {
    const { listen, token, host, rack, idc } = this.#options
    const { log, call, heartbeatMs } = this.#deps
    keepFreedMemory()
    this.#server = await BlobnodeServer.listen({ ...listen, token, calls: this.#calls(), log })
    const { address } = this
    const registration = new Registration({
      ...{ address, host, rack, idc, call, log, clock: this.#clock },
      disks: [...this.#disks.values()],
      ...(heartbeatMs === undefined ? {} : { heartbeatMs }),
    })
    this.#registration = registration
    const opened = [...this.#disks.values()].map((disk) => disk.open())
    await this.#within(Promise.all(opened), signal)
    await this.#within(registration.now(), signal)
    log.info({ address, disks: this.#disks.size }, 'the blobnode serves')
  }

  /** Takes nothing new, finishes what runs, closes the disks. */
  async stop(): Promise<void> {
    await Promise.all([this.#server?.close(), this.#registration?.stop()])
    this.#peers.close()
    await Promise.all([...this.#disks.values()].map((disk) => disk.close()))
    this.#deps.log.info({}, 'the blobnode has stopped')
  }

  /** For a worker in this process; `far` is its way to all other blobnodes. */
  chunks(far: FarChunks, timeoutMs = TIMEOUT_MS): NearChunks {
    const buffers = this.#buffers
    const near = { address: () => this.address, disks: this.#disks, buffers, clock: this.#clock }
    return new NearChunks({ far, timeoutMs, ...near })
  }

  async report(): Promise<Record<string, unknown>> {
    const { host, rack, idc } = this.#options
    const node = this.#registration?.report() ?? null
    const disks = await this.#diskReports()
    return { address: this.address, host, rack, idc, node, held_bytes: this.#held.bytes, disks }
  }

  #calls(): BlobnodeCalls {
    const { chunkBytesMax } = this.#options
    const disk = (id: number) => this.#disk(id)
    const chunks = this.chunks(this.#peers)
    const memory = { held: this.#held, buffers: this.#buffers }
    const deps = { disk, ...memory, chunkBytesMax, clock: this.#clock, chunks }
    return {
      call: (name, exchange) => handleCall(name, exchange, deps),
      held: (name, exchange) => handleHeld(name, exchange, deps),
      stat: () => this.report(),
      metrics: async () => metricsText(await this.#diskReports()),
      refused: (path, status) => this.#refused(path, status),
    }
  }

  /** @throws StorageRefusal 611 */
  #disk(id: number): ServedDisk {
    const disk = this.#disks.get(id)
    if (disk !== undefined) return disk
    const own = [...this.#disks.keys()].join(', ')
    throw refusal(611, `disk ${id} is not here: the disks of this blobnode are ${own}`)
  }

  #refused(path: string, status: number): void {
    const refusals = this.#disks.get(diskOfPath(path) ?? 0)?.counters.refusals
    if (refusals) refusals[status] = (refusals[status] ?? 0) + 1
  }

  #diskReports(): Promise<DiskReport[]> {
    return Promise.all([...this.#disks.values()].map((disk) => disk.report()))
  }

  #within(work: Promise<unknown>, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const goOn = () => {
        cancel()
        signal?.removeEventListener('abort', goOn)
        resolve()
      }
      const cancel = this.#clock.after(START_MS_MAX, goOn)
      signal?.addEventListener('abort', goOn)
      if (signal?.aborted) goOn()
      void work.then(goOn)
    })
  }
}
