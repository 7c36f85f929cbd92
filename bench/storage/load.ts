/**
 * Puts and gets of one size through a whole store, beside the bare library and bare files. Decides: the order
 * within a round, so that a busy moment of the machine is in the figures and in their limits.
 */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { codeModeOf } from '../../machines/storage/plane/codes/index.ts'
import { closedLoop, each, type Load } from '../measure.ts'
import { BareHops } from './bare-hops.ts'
import { BareFiles, BareLibrary } from './limits.ts'
import { StoreRig } from './store-rig.ts'

const ROUNDS = 5
/** Of the round, for each limit. */
const LIMIT_SHARE = 1 / 3
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
      const directory = join(data, `bare${round}`)
      const limits = await measureLimits(directory, { blob, hops }, params)
      rounds.push({ ...limits, ...(await measureStore(rig, blob, ids, params)) })
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

async function measureLimits(
  directory: string,
  { blob, hops }: { blob: Buffer; hops: BareHops },
  { mode, roundMs, atOnce }: StorageLoadParams,
): Promise<Pick<StorageRound, 'encode' | 'write' | 'read' | 'hops'>> {
  const ms = roundMs * LIMIT_SHARE
  const codeMode = codeModeOf(mode)
  const library = new BareLibrary(codeMode, blob)
  const files = await BareFiles.open(directory, codeMode, { blob, atOnce })
  const encode = await closedLoop(1, ms, async () => library.encode())
  const write = await closedLoop(atOnce, ms, (n) => files.write(n))
  const read = await closedLoop(atOnce, ms, (n) => files.read(n))
  await files.close()
  const passed = await closedLoop(atOnce, ms, () => hops.get())
  return {
    ...{ encode: encode.perSecond, write: write.perSecond, read: read.perSecond },
    hops: passed.perSecond,
  }
}

async function measureStore(
  rig: StoreRig,
  blob: Buffer,
  ids: string[],
  { mode, roundMs, atOnce }: StorageLoadParams,
): Promise<Pick<StorageRound, 'put' | 'get'>> {
  const put = await closedLoop(atOnce, roundMs, async () => ids.push(await rig.put(mode, blob)))
  const get = await closedLoop(atOnce, roundMs, async () => {
    const id = ids[Math.floor(Math.random() * ids.length)] ?? ''
    const bytes = await rig.get(id)
    if (bytes !== blob.length) throw new Error(`${bytes} of ${blob.length} bytes came`)
  })
  return { put, get }
}
