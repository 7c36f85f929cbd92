/**
 * How a blob is laid out over the units of a volume. Decides: the table of modes (reference sheet,
 * section 8) and what follows from it: which unit lies in which AZ, which units make up a local stripe,
 * how large a shard is. Leaves to others: the arithmetic over the bytes (`erasure`).
 *
 * Units stand in this order: data, parity, local parity. Each AZ has an equal run of each of them.
 */
import { refusal, type StorageRefusal } from './refusals.ts'

export interface CodeMode {
  id: number
  name: string
  kind: 'erasure' | 'replica'
  /** Data shards; for replicas the number of copies. */
  data: number
  parity: number
  /** Local parity, over the data and parity of one AZ. */
  local: number
  azs: number
  /** So many of the data and parity shards are on disk before a put is acknowledged. */
  putQuorum: number
  shardBytesMin: number
}

/** What is in one AZ of a mode with local parity. `locals` are the parity of `units`, in this order. */
export interface LocalStripe {
  az: number
  units: number[]
  locals: number[]
}

const SHARD_BYTES_MIN = 2048

type Row = [id: number, name: string, n: number, m: number, l: number, azs: number, quorum: number]

const ERASURE: readonly Row[] = [
  [1, 'EC15P12', 15, 12, 0, 3, 24],
  [2, 'EC6P6', 6, 6, 0, 3, 11],
  [3, 'EC16P20L2', 16, 20, 2, 2, 34],
  [4, 'EC6P10L2', 6, 10, 2, 2, 14],
  [5, 'EC6P3L3', 6, 3, 3, 3, 9],
  [6, 'EC6P6Align0', 6, 6, 0, 3, 11],
  [7, 'EC6P6Align512', 6, 6, 0, 3, 11],
  [8, 'EC4P4L2', 4, 4, 2, 2, 6],
  [9, 'EC12P4', 12, 4, 0, 1, 15],
  [10, 'EC16P4', 16, 4, 0, 1, 19],
  [11, 'EC3P3', 3, 3, 0, 1, 5],
  [12, 'EC10P4', 10, 4, 0, 1, 13],
  [13, 'EC6P3', 6, 3, 0, 1, 8],
  [14, 'EC12P9', 12, 9, 0, 3, 20],
  [15, 'EC24P8', 24, 8, 0, 1, 30],
  [200, 'EC6P6L9', 6, 6, 9, 3, 11],
  [201, 'EC6P8L10', 6, 8, 10, 2, 13],
]

const REPLICAS: readonly Row[] = [
  [100, 'Replica3', 3, 0, 0, 3, 3],
  [101, 'Replica3OneAZ', 3, 0, 0, 1, 3],
  [202, 'Replica4TwoAZ', 4, 0, 0, 2, 3],
]

/** Of the modes whose smallest shard is another than that of all others. */
const SHARD_BYTES_MIN_OF: Readonly<Record<string, number>> = {
  EC6P6Align0: 0,
  EC6P6Align512: 512,
  EC6P8L10: 0,
}

export const CODE_MODES: readonly CodeMode[] = [
  ...ERASURE.map((row) => modeOf(row, 'erasure')),
  ...REPLICAS.map((row) => modeOf(row, 'replica')),
].sort((a, b) => a.id - b.id)

function modeOf(
  [id, name, data, parity, local, azs, putQuorum]: Row,
  kind: CodeMode['kind'],
): CodeMode {
  // A copy is as large as its blob.
  const shardBytesMin = kind === 'replica' ? 0 : (SHARD_BYTES_MIN_OF[name] ?? SHARD_BYTES_MIN)
  return { id, name, kind, data, parity, local, azs, putQuorum, shardBytesMin }
}

const byName = new Map(CODE_MODES.map((mode) => [mode.name, mode]))
const byId = new Map(CODE_MODES.map((mode) => [mode.id, mode]))

/** @throws StorageRefusal 674 */
export function codeModeOf(idOrName: number | string): CodeMode {
  const mode = typeof idOrName === 'number' ? byId.get(idOrName) : byName.get(idOrName)
  if (mode) return mode
  throw unknownMode(idOrName)
}

function unknownMode(idOrName: number | string): StorageRefusal {
  const known = CODE_MODES.map(({ name }) => name).join(', ')
  const given = String(idOrName).slice(0, 60)
  return refusal(674, `there is no code mode ${given}; there are: ${known}`)
}

export function unitCount({ data, parity, local }: CodeMode): number {
  return data + parity + local
}

/** How many whole shards make up the blob: of data and parity, or any copy. */
export function readsNeeded({ kind, data }: CodeMode): number {
  return kind === 'replica' ? 1 : data
}

export function azOfUnit({ data, parity, local, azs }: CodeMode, index: number): number {
  if (index < data) return Math.floor((index * azs) / data)
  if (index < data + parity) return Math.floor(((index - data) * azs) / parity)
  return Math.floor(((index - data - parity) * azs) / local)
}

/** Empty where a mode has no local parity. */
export function localStripes(mode: CodeMode): readonly LocalStripe[] {
  if (mode.local === 0) return []
  const shards = mode.data + mode.parity
  const all = Array.from({ length: unitCount(mode) }, (_, index) => index)
  return Array.from({ length: mode.azs }, (_, az) => {
    const inAz = all.filter((index) => azOfUnit(mode, index) === az)
    return {
      az,
      units: inAz.filter((index) => index < shards),
      locals: inAz.filter((index) => index >= shards),
    }
  })
}

export function shardBytesOf({ kind, data, shardBytesMin }: CodeMode, blobBytes: number): number {
  if (kind === 'replica') return blobBytes
  return Math.max(shardBytesMin, Math.ceil(blobBytes / data))
}
