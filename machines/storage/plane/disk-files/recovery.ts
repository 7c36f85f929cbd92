/**
 * What a chunk file holds when it is opened. Decides: what of the last batch, the only one that a crash or
 * a loss of power can tear, was never acknowledged and is as if it had never been written; all else that
 * cannot be read is damage, and is said to be. What is torn at the end is cut off; what is torn before
 * something good is marked as void, so that the next one who opens the file does not take it for damage.
 *
 * A record of the last batch whose bytes are wrong may also have been damaged later, on a disk that was not
 * closed: the two look the same. A `flushed` record, or the beginning of another batch behind it, rules the
 * first one out.
 */
import type { ChunkFile } from './chunk-file.ts'
import { isFull } from './disk-health.ts'
import {
  type ChunkRecord,
  encodeBare,
  endOf,
  FIRST_RECORD_AT,
  nextAt,
  PAGE_BYTES,
  placed,
  roundUp,
} from './record.ts'
import { type Span, scanRecords } from './scan.ts'
import { shardIsRight } from './shard-bytes.ts'

export interface Recovery {
  /** In the order in which they count. */
  records: ChunkRecord[]
  /** What was acknowledged and cannot even be named any more. */
  damage: Span[]
  /** Where the next batch goes. */
  tail: number
}

interface Judgement extends Recovery {
  /** Where the batch begins that may be torn. */
  batchAt: number
  /** In between what is good. */
  torn: Span[]
  /** How long the file is to be. */
  fileBytes: number
  /** What is there may not be on the disk yet. */
  mustFlush: boolean
}

/** The file is as it says when it returns, also after a loss of power. */
export async function recoverChunk(file: ChunkFile): Promise<Recovery> {
  const { disk } = file
  const judged = await judge(file)
  const { records, damage, tail, fileBytes, torn } = judged
  if ((await disk.size()) > fileBytes) await disk.truncate(fileBytes)
  if (judged.mustFlush) await disk.sync()
  if (torn.length === 0) return { records, damage, tail }
  try {
    return { records, damage, tail: await writeVoids(file, tail, torn) }
  } catch (thrown) {
    if (!isFull(thrown)) throw thrown
    // There is no room even for that. Of a batch that is torn, nothing was acknowledged.
    await disk.truncate(judged.batchAt)
    await disk.sync()
    return recoverChunk(file)
  }
}

async function judge(file: ChunkFile): Promise<Judgement> {
  const { records, holes, fileBytes } = await scanRecords(file.disk, file.head.salt)
  const voids = records.filter(({ kind }) => kind === 'void').map(spanOfVoid)
  const valid = records.filter(({ at }) => !isWithin(at, voids))
  const unread = holes.filter(({ from }) => !isWithin(from, voids))

  const last = valid.at(-1)
  const batchAt = last?.batchAt ?? FIRST_RECORD_AT
  const isFlushed = last?.isLast === true && fileBytes > endOf(last)
  const isTorn = ({ from, to }: Span) => to === fileBytes || (!isFlushed && from >= batchAt)
  const torn = unread.filter(isTorn)
  const good: ChunkRecord[] = []
  for (const record of valid) {
    const isDoubtful = !isFlushed && record.at >= batchAt && record.kind === 'shard'
    if (!isDoubtful || (await shardIsRight(file.disk, record))) good.push(record)
    else torn.push({ from: record.at, to: endOf(record) })
  }
  const end = good.at(-1)
  const endAt = end === undefined ? FIRST_RECORD_AT : endOf(end)
  const isAtRest = end?.kind === 'flushed'
  const tail = isAtRest ? end.at : roundUp(endAt, PAGE_BYTES)
  // Whoever reads it next looks for the rest of the batch there.
  if (end?.isLast === false && endAt < tail) torn.push({ from: endAt, to: tail })
  return {
    records: good,
    damage: unread.filter((span) => !isTorn(span)),
    torn: torn.filter(({ from }) => from < tail),
    ...{ batchAt, tail, fileBytes: endAt, mustFlush: !isAtRest },
  }
}

/** @returns the tail behind them */
async function writeVoids(file: ChunkFile, at: number, spans: readonly Span[]): Promise<number> {
  const voids: ChunkRecord[] = []
  for (const { from, to } of spans) {
    const last = voids.at(-1)
    const body = { bid: 0n, size: to - from, dataAt: from, crc: 0, isMarked: false }
    voids.push(placed({ kind: 'void', ...body }, last ? endOf(last) : at, at))
  }
  const last = voids.at(-1)!
  last.isLast = true
  const { disk, head } = file
  await disk.write(
    voids.map((record) => encodeBare(record, head.salt)),
    at,
  )
  return nextAt(last)
}

function spanOfVoid({ dataAt, size }: ChunkRecord): Span {
  return { from: dataAt, to: dataAt + size }
}

function isWithin(at: number, spans: readonly Span[]): boolean {
  return spans.some(({ from, to }) => at >= from && at < to)
}
