/**
 * What the new chunk is to hold: the benchmark. Decides: from which answers that follows, and what is left out.
 *
 * All units are asked what they have, and their lists are read side by side, so that only the table of what is
 * wanted is ever held whole. A blob of which any unit says that it is deleted is left out, and so is one that
 * cannot be made up and is not in the chunk that moves: it was a put that failed, or it is lost. Nothing is
 * destroyed by that: where the old chunk can be read, all it has goes along.
 *
 * So many units have to answer that a blob which was acknowledged shows on enough of them. Units whose disks
 * are gone never will: if they alone are missing, what can be made up of the others is all there is.
 */
import type { ShardInfo } from '../../plane/blobnode/index.ts'
import { type CodeMode, nothingIsThere, readsNeeded } from '../../plane/codes/index.ts'
import { canRebuild } from '../../plane/erasure/index.ts'
import { messageOf } from '../../plane/why.ts'
import { type ListDeps, shardsOf } from './chunk-list.ts'
import { SourceFailed } from './failures.ts'
import type { MovePlan, Unit } from './move-task.ts'
import { type ShardRow, ShardTable } from './shard-table.ts'

/** The list of one unit, and how far it is read. */
interface Cursor {
  unit: Unit
  pages: AsyncGenerator<readonly ShardInfo[], void, undefined>
  page: readonly ShardInfo[]
  at: number
}

/**
 * @param onLeftOut is told of each blob that is neither deleted nor taken along
 * @throws SourceFailed when too few units answer, or one breaks off
 */
export async function benchmarkOf(
  plan: MovePlan,
  deps: ListDeps,
  onLeftOut: (bid: bigint, why: string) => void,
): Promise<ShardTable> {
  // A broken disk has nothing to say.
  const asked = plan.units.filter((unit) => !(plan.isRepair && unit === plan.source))
  const begun = await Promise.all(asked.map((unit) => beginning(unit, deps)))
  deps.signal.throwIfAborted()
  const cursors = begun.filter((one) => 'page' in one)
  const silent = begun.filter((one) => 'why' in one)
  requireEnough(plan, cursors, silent)
  const kept = keeping(plan)
  const table = new ShardTable()
  for (;;) {
    const row = nextRow(plan, cursors)
    if (row === undefined) break
    if (row !== 'deleted' && kept(row)) table.add(row)
    else if (row !== 'deleted') onLeftOut(row.bid, 'too few units have it')
    const read = cursors.filter(isRead)
    if (read.length > 0) await Promise.all(read.map((cursor) => turn(cursor, deps)))
  }
  return table
}

interface Silent {
  isGone: boolean
  why: string
}

async function beginning(unit: Unit, deps: ListDeps): Promise<Cursor | Silent> {
  const pages = shardsOf(unit, deps)
  try {
    const first = await pages.next()
    return { unit, pages, page: first.value ?? [], at: 0 }
  } catch (thrown) {
    return { isGone: nothingIsThere(thrown), why: `${nameOf(unit)}: ${messageOf(thrown)}` }
  }
}

function requireEnough(
  { mode }: MovePlan,
  cursors: readonly Cursor[],
  silent: readonly Silent[],
): void {
  const global = cursors.filter(({ unit }) => unit.index < mode.data + mode.parity).length
  const sure = readsNeeded(mode) + mode.data + mode.parity - mode.putQuorum
  const enough = silent.every(({ isGone }) => isGone) ? readsNeeded(mode) : sure
  if (global >= enough) return
  const whys = silent.map(({ why }) => why).join('; ')
  throw new SourceFailed(`${global} units answer, and ${enough} have to: ${whys}`)
}

/** Whether a blob is taken along; which units have it is mostly the same as of the last one. */
function keeping({ mode, source, isRepair }: MovePlan): (row: ShardRow) => boolean {
  const known = new Map<bigint, boolean>()
  return ({ units }) => {
    const before = known.get(units)
    if (before !== undefined) return before
    const has = unitsOf(units)
    const others = has.filter((index) => index !== source.index)
    const isKept =
      (!isRepair && has.includes(source.index)) || canRebuild(mode, others, [source.index])
    known.set(units, isKept)
    return isKept
  }
}

/** The shards of the lowest bid that is not read yet, put together. */
function nextRow(plan: MovePlan, cursors: readonly Cursor[]): ShardRow | 'deleted' | undefined {
  let bid: bigint | undefined
  for (const { page, at } of cursors) {
    const next = page[at]?.bid
    if (next !== undefined && (bid === undefined || next < bid)) bid = next
  }
  if (bid === undefined) return undefined
  const found: Found[] = []
  for (const cursor of cursors) {
    const shard = cursor.page[cursor.at]
    if (shard?.bid !== bid) continue
    cursor.at += 1
    found.push({ index: cursor.unit.index, shard })
  }
  return rowOf(bid, found, plan.source.index)
}

interface Found {
  index: number
  shard: Pick<ShardInfo, 'size' | 'crc' | 'flag'>
}

/** Pure. Shards of another size than most have are not of this blob. */
export function rowOf(
  bid: bigint,
  found: readonly Found[],
  sourceIndex: number,
): ShardRow | 'deleted' {
  if (found.some(({ shard }) => shard.flag === 2)) return 'deleted'
  const size = mostCommon(found.map(({ shard }) => shard.size))
  let units = 0n
  let crc = 0
  for (const { index, shard } of found) {
    if (shard.size !== size) continue
    units |= 1n << BigInt(index)
    if (index === sourceIndex) crc = shard.crc
  }
  return { bid, size, crc, units }
}

function mostCommon(sizes: readonly number[]): number {
  const [first = 0] = sizes
  if (sizes.every((size) => size === first)) return first
  const counts = new Map<number, number>()
  for (const size of sizes) counts.set(size, (counts.get(size) ?? 0) + 1)
  return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0] ?? first
}

function isRead({ page, at }: Cursor): boolean {
  return page.length > 0 && at === page.length
}

async function turn(cursor: Cursor, { signal }: ListDeps): Promise<void> {
  try {
    const next = await cursor.pages.next()
    cursor.page = next.value ?? []
    cursor.at = 0
  } catch (thrown) {
    signal.throwIfAborted()
    throw new SourceFailed(`${nameOf(cursor.unit)} broke off its list: ${messageOf(thrown)}`)
  }
}

/** The units of a row, ascending. */
export function unitsOf(units: bigint): number[] {
  const indexes: number[] = []
  for (let index = 0, left = units; left > 0n; index += 1, left >>= 1n) {
    if (left & 1n) indexes.push(index)
  }
  return indexes
}

export function nameOf({ index, diskId, address }: Unit): string {
  return `unit ${index} on disk ${diskId} of ${address}`
}

/** So many read-only chunks leave no put its quorum. */
export function readonlyNeeded({ data, parity, local, putQuorum }: CodeMode): number {
  return Math.max(parity + local + 1, data + parity - putQuorum + 1)
}
