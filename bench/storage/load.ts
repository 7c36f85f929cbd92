/**
 * Puts and gets of one size through a whole store, beside the bare library, bare files and bare hops. Decides: the
 * order within a round, so that a busy moment of the machine is in the figures and in their limits.
 */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { codeModeOf } from '../../machines/storage/plane/codes/index.ts'
import { closedLoop, each, type Load } from '../measure.ts'
import { BareHops } from './bare-hops.ts'
import { BareFiles, BareLibrary } from './limits.ts'
import { StoreRig } from './store-rig.ts'

const ROUNDS = 5
/** Of the round, for each limit, twice. */
const LIMIT_SHARE = 1 / 6
/** Until the code of all processes is compiled as well as it will be; of small blobs, which leave the disks alone. */
const WARM_PUTS = 800
const WARM_BLOB_BYTES = 65_536

export interface StorageLoadParams {
  data: string
  roundMs: number
  mode: string
  blobBytes: number
  /** Under way at a time. */
  atOnce: number
  nodeFlags: readonly string[]
}

export interface StorageRound {
  put: Load
  get: Load
  /** Blobs a second. */
  encode: number
  write: number
  read: number
  /** Of two bare hops: what a get through a node cannot be faster than. */
  hops: number
}

export async function storageLoad(params: StorageLoadParams): Promise<StorageRound[]> {
  const { data, mode, blobBytes, nodeFlags } = params
  const rig = await StoreRig.open(join(data, 'store'), nodeFlags)
  const hops = await BareHops.open(join(data, 'hops'), codeModeOf(mode), blobBytes)
  try {
    const blob = randomBytes(blobBytes)
    await warmUp(rig, params)
    const ids: string[] = []
    const rounds: StorageRound[] = []
    for (let round = 0; round < ROUNDS; round++) {
      const limits = await Limits.open(join(data, `bare${round}`), { blob, hops }, params)
      const put = await limits.around(['encode', 'write'], () => puts(rig, blob, ids, params))
      const get = await limits.around(['read', 'hops'], () => gets(rig, blob, ids, params))
      await limits.close()
      rounds.push({ put, get, ...limits.perSecond() })
    }
    return rounds
  } finally {
    await hops.close()
    await rig.close()
  }
}

async function warmUp(rig: StoreRig, { mode, atOnce }: StorageLoadParams): Promise<void> {
  const blob = randomBytes(WARM_BLOB_BYTES)
  const ids: string[] = []
  await each(WARM_PUTS, atOnce, async () => ids.push(await rig.put(mode, blob)))
  await each(WARM_PUTS, atOnce, (n) => rig.get(ids[n] ?? ''))
}

function puts(
  rig: StoreRig,
  blob: Buffer,
  ids: string[],
  { mode, atOnce, roundMs }: StorageLoadParams,
): Promise<Load> {
  return closedLoop(atOnce, roundMs, async () => ids.push(await rig.put(mode, blob)))
}

function gets(
  rig: StoreRig,
  blob: Buffer,
  ids: readonly string[],
  { atOnce, roundMs }: StorageLoadParams,
): Promise<Load> {
  return closedLoop(atOnce, roundMs, async () => {
    const bytes = await rig.get(ids[Math.floor(Math.random() * ids.length)] ?? '')
    if (bytes !== blob.length) throw new Error(`${bytes} of ${blob.length} bytes came`)
  })
}

type Limit = 'encode' | 'write' | 'read' | 'hops'

/** Each is measured before and behind what is held against it: a machine that slows down meanwhile slows both. */
class Limits {
  readonly #files: BareFiles
  readonly #measures: Record<Limit, () => Promise<Load>>
  readonly #seen: Record<Limit, number[]> = { encode: [], write: [], read: [], hops: [] }

  private constructor(files: BareFiles, measures: Record<Limit, () => Promise<Load>>) {
    this.#files = files
    this.#measures = measures
  }

  static async open(
    directory: string,
    { blob, hops }: { blob: Buffer; hops: BareHops },
    { mode, roundMs, atOnce }: StorageLoadParams,
  ): Promise<Limits> {
    const ms = roundMs * LIMIT_SHARE
    const codeMode = codeModeOf(mode)
    const library = new BareLibrary(codeMode, { blob, atOnce })
    const files = await BareFiles.open(directory, codeMode, { blob, atOnce })
    return new Limits(files, {
      encode: () => closedLoop(1, ms, async (n) => library.encode(n)),
      write: () => closedLoop(atOnce, ms, (n) => files.write(n)),
      read: () => closedLoop(atOnce, ms, (n) => files.read(n)),
      hops: () => closedLoop(atOnce, ms, () => hops.get()),
    })
  }

  async around(limits: readonly Limit[], measure: () => Promise<Load>): Promise<Load> {
    for (const limit of limits) await this.#measure(limit)
    const load = await measure()
    for (const limit of limits) await this.#measure(limit)
    return load
  }

  perSecond(): Record<Limit, number> {
    const mean = (limit: Limit) => {
      const seen = this.#seen[limit]
      return seen.reduce((sum, one) => sum + one, 0) / seen.length
    }
    return { encode: mean('encode'), write: mean('write'), read: mean('read'), hops: mean('hops') }
  }

  close(): Promise<void> {
    return this.#files.close()
  }

  async #measure(limit: Limit): Promise<void> {
    this.#seen[limit].push((await this.#measures[limit]()).perSecond)
  }
}
