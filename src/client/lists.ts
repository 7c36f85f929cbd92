/**
 * One list out of the parts of all shards. Decides: the merge and the cursor. A cursor holds where
 * each shard goes on, and the query that it belongs to. A part that a transport cannot carry in one
 * message is asked for again with half of its rows.
 */
import {
  type ActorFilter,
  type ActorQuery,
  type ActorRow,
  type ActorScan,
  type ActorSort,
  type AuditView,
  type CountRow,
  canonicalAddress,
  type DeadLetterView,
  type Page,
  pack,
  type ShardCount,
  type ShardPage,
  type ShardQuery,
  type ShardStatus,
  shardOf,
  TroupeError,
  unpack,
} from '../protocol/index.ts'
import type { Router } from './router.ts'

/** What every question about many actors may say. */
export interface ReadOptions {
  /** How long to try and to wait, in ms, for all shards together. Default: `requestTimeoutMs`. */
  timeoutMs?: number
}

/** Where the shards stand: by shard, the sort key after which to go on; absent when it has no more. */
interface Cursor {
  filter: ActorFilter
  sort: ActorSort
  after: [shard: number, sortKey: Uint8Array | null][]
}

/** Where a scan goes on. */
interface ScanCursor {
  filter: ActorFilter
  shard: number
  after: Uint8Array | null
}

const PAGE_COUNT_DEFAULT = 100

/** Shards asked at a time: more would only queue. */
const SHARDS_AT_ONCE = 16

export async function listActors(
  router: Router,
  query: ActorQuery,
  options: ReadOptions,
): Promise<Page<ActorRow>> {
  const { shardCount } = router.deps
  const limit = pageLimit(router, query.limit)
  const cursor = query.cursor === undefined ? undefined : decodeCursor(query.cursor, shardCount)
  const filter = cursor?.filter ?? query.filter
  const sort = cursor?.sort ?? query.sort ?? { by: defaultSort(filter) }
  const starts =
    cursor?.after ?? Array.from({ length: shardCount }, (_, shard) => [shard, null] as const)
  const asking = new Asking(router, endOf(router, options))
  const parts = await eachShard(starts, async ([shard, after]) => {
    const query = { kind: 'actors' as const, filter, sort, limit, ...afterOf(after) }
    return { shard, after, page: await asking.ask<ShardPage>(shard, query) }
  })
  return mergePages(parts, filter, sort, limit)
}

/**
 * Shard by shard, for who wants all that there are: a list in order asks every shard for every page.
 * A page may be short, or empty, and still have a successor.
 */
export async function scanActors(
  router: Router,
  query: ActorScan,
  options: ReadOptions,
): Promise<Page<ActorRow>> {
  const { shardCount, clock } = router.deps
  const limit = pageLimit(router, query.limit)
  const cursor = query.cursor === undefined ? undefined : decodeScan(query.cursor, shardCount)
  const filter = cursor?.filter ?? query.filter
  const end = endOf(router, options)
  const asking = new Asking(router, end)
  const rows: ActorRow[] = []
  let { shard, after } = cursor ?? { shard: 0, after: null }
  while (shard < shardCount) {
    const left = { sort: { by: 'id' }, limit: limit - rows.length, ...afterOf(after) }
    const page = await asking.ask<ShardPage>(shard, { kind: 'actors', filter, ...left })
    for (const { row } of page.rows) rows.push(row)
    after = page.next ?? null
    if (after === null) shard += 1
    if (rows.length >= limit || clock.monotonic() >= end) break
  }
  if (shard >= shardCount) return { rows }
  return { rows, cursor: encodeCursor({ filter, shard, after } satisfies ScanCursor) }
}

function afterOf(after: Uint8Array | null): { after?: Uint8Array } {
  return after === null ? {} : { after }
}

/** A question whose answer is rows. */
type RowsQuery = Extract<ShardQuery, { limit: number }>

/** The questions of one call. Rows are alike: what was too much for one answer is not asked for again. */
class Asking {
  readonly #router: Router
  readonly #end: number
  #rowsMax = Number.POSITIVE_INFINITY

  constructor(router: Router, end: number) {
    this.#router = router
    this.#end = end
  }

  get isOver(): boolean {
    return this.#router.deps.clock.monotonic() >= this.#end
  }

  async ask<T>(shard: number, query: RowsQuery): Promise<T> {
    for (;;) {
      const limit = Math.min(query.limit, this.#rowsMax)
      try {
        return (await this.#router.query(shard, { ...query, limit }, this.#end)) as T
      } catch (thrown) {
        const isTooLarge = thrown instanceof TroupeError && thrown.code === 'too-large'
        if (!isTooLarge || limit <= 1) throw thrown
        this.#rowsMax = Math.min(this.#rowsMax, Math.floor(limit / 2))
      }
    }
  }
}

/** @throws TroupeError `invalid-query` */
function pageLimit(router: Router, asked: number | undefined): number {
  const { pageCountMax } = router.deps.limits
  const limit = asked ?? Math.min(PAGE_COUNT_DEFAULT, pageCountMax)
  if (Number.isSafeInteger(limit) && limit >= 1 && limit <= pageCountMax) return limit
  throw new TroupeError(
    'invalid-query',
    `limit is a whole number from 1 to ${pageCountMax} (pageCountMax), not ${String(limit)}`,
  )
}

/** By age where a position is asked for: that is what its index is ordered by. */
function defaultSort(filter: ActorFilter): string {
  const positioned = filter.state ?? filter.tag ?? filter.condition ?? filter.olderThanMs
  return positioned === undefined || filter.where !== undefined ? 'id' : 'since'
}

interface Part {
  shard: number
  after: Uint8Array | null
  page: ShardPage
}

/**
 * Takes rows in order until the page is full, or until a shard that stopped early would have to say
 * what comes next: rows beyond that point could be out of order.
 */
function mergePages(
  parts: readonly Part[],
  filter: ActorFilter,
  sort: ActorSort,
  limit: number,
): Page<ActorRow> {
  const sign = sort.descending ? -1 : 1
  const compare = (a: Uint8Array, b: Uint8Array) => sign * Buffer.compare(a, b)
  let bound: Uint8Array | undefined
  for (const { page } of parts) {
    if (page.next && (!bound || compare(page.next, bound) < 0)) bound = page.next
  }
  const found = parts
    .flatMap(({ shard, page }) => page.rows.map((entry) => ({ shard, ...entry })))
    .filter((entry) => !bound || compare(entry.sortKey, bound) <= 0)
    .sort((a, b) => compare(a.sortKey, b.sortKey))
  const taken = found.slice(0, limit)
  const takenOf = new Map<number, { count: number; last: Uint8Array }>()
  for (const { shard, sortKey } of taken) {
    takenOf.set(shard, { count: (takenOf.get(shard)?.count ?? 0) + 1, last: sortKey })
  }
  const after: Cursor['after'] = []
  for (const part of parts) {
    const own = takenOf.get(part.shard)
    if ((own?.count ?? 0) < part.page.rows.length) after.push([part.shard, own?.last ?? part.after])
    else if (part.page.next) after.push([part.shard, part.page.next])
  }
  const page: Page<ActorRow> = { rows: taken.map((entry) => entry.row) }
  if (after.length > 0) page.cursor = encodeCursor({ filter, sort, after })
  return page
}

function encodeCursor(cursor: Cursor | ScanCursor): string {
  return Buffer.from(pack(cursor)).toString('base64url')
}

function decodeCursor(text: string, shardCount: number): Cursor {
  return decoded(
    text,
    ({ filter, sort, after }: Cursor) =>
      typeof sort.by === 'string' &&
      isObject(filter) &&
      after.every(([shard, sortKey]) => isPlace(shard, sortKey, shardCount)),
  )
}

function decodeScan(text: string, shardCount: number): ScanCursor {
  return decoded(
    text,
    ({ filter, shard, after }: ScanCursor) => isObject(filter) && isPlace(shard, after, shardCount),
  )
}

/** @throws TroupeError `invalid-query` */
function decoded<T>(text: string, isWellFormed: (cursor: T) => boolean): T {
  try {
    const cursor = unpack(Buffer.from(text, 'base64url')) as T
    if (isWellFormed(cursor)) return cursor
  } catch {
    // Falls through: whatever it is, it is not ours.
  }
  throw new TroupeError('invalid-query', 'the cursor is not one that a list returned')
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null
}

function isPlace(shard: number, sortKey: Uint8Array | null, shardCount: number): boolean {
  const isShard = Number.isInteger(shard) && shard >= 0 && shard < shardCount
  return isShard && (sortKey === null || sortKey instanceof Uint8Array)
}

export async function countActors(
  router: Router,
  filter: ActorFilter,
  options: ReadOptions,
): Promise<CountRow[]> {
  const parts = await allShards<ShardCount>(router, { kind: 'count', filter }, options)
  const totals = new Map<string, CountRow>()
  for (const row of parts.flatMap((part) => part.counts)) {
    const key = `${row.machine}\0${row.condition}\0${row.state}`
    const total = totals.get(key)
    if (total) total.count += row.count
    else totals.set(key, { ...row })
  }
  return [...totals.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row)
}

/** What an audit trail may be asked for. */
export interface AuditOptions extends ReadOptions {
  address?: string
  /** Rows at most, the newest first; default 100, at most `pageCountMax`. */
  limit?: number
  /** Unix ms: only what is older. */
  before?: number
}

export async function listAudit(router: Router, options: AuditOptions): Promise<AuditView[]> {
  const { limits, shardCount } = router.deps
  const { before } = options
  const limit = pageLimit(router, options.limit)
  const asking = new Asking(router, endOf(router, options))
  const address =
    options.address === undefined ? undefined : canonicalAddress(options.address, limits)
  const query = {
    kind: 'audit' as const,
    limit,
    ...(before === undefined ? {} : { before }),
    ...(address === undefined ? {} : { address }),
  }
  const shards = address === undefined ? everyShard(router) : [shardOf(address, shardCount)]
  return newestOf<AuditView>(shards, query, asking)
}

export function listDeadLetters(
  router: Router,
  asked: number | undefined,
  options: ReadOptions,
): Promise<DeadLetterView[]> {
  const limit = pageLimit(router, asked)
  const asking = new Asking(router, endOf(router, options))
  return newestOf<DeadLetterView>(everyShard(router), { kind: 'dead-letters', limit }, asking)
}

type NewestQuery = Exclude<RowsQuery, { kind: 'actors' }>

/** The newest rows of all shards, the newest first. */
async function newestOf<Row extends { at: number }>(
  shards: readonly number[],
  query: NewestQuery,
  asking: Asking,
): Promise<Row[]> {
  const parts = await eachShard(shards, (shard) => newestOfShard<Row>(shard, query, asking))
  return parts
    .flat()
    .sort((a, b) => b.at - a.at)
    .slice(0, query.limit)
}

/** A shard gives as much as one answer may hold: it is asked until there are enough. */
async function newestOfShard<Row>(
  shard: number,
  query: NewestQuery,
  asking: Asking,
): Promise<Row[]> {
  const found: Row[] = []
  for (let after: Uint8Array | undefined; ; ) {
    const limit = query.limit - found.length
    const asked = { ...query, limit, ...(after === undefined ? {} : { after }) }
    const { rows, next } = await asking.ask<{ rows: Row[]; next?: Uint8Array }>(shard, asked)
    found.push(...rows)
    if (next === undefined || found.length >= query.limit) return found
    if (asking.isOver) {
      throw new TroupeError(
        'no-answer',
        'there is too much to be read to its end in the time given: ask for fewer rows, or give it more',
      )
    }
    after = next
  }
}

export function shardStatuses(router: Router, options: ReadOptions): Promise<ShardStatus[]> {
  return allShards<ShardStatus>(router, { kind: 'status' }, options)
}

function allShards<T>(router: Router, query: ShardQuery, options: ReadOptions): Promise<T[]> {
  const end = endOf(router, options)
  return eachShard(everyShard(router), (shard) => router.query(shard, query, end) as Promise<T>)
}

function everyShard(router: Router): number[] {
  return Array.from({ length: router.deps.shardCount }, (_, shard) => shard)
}

function endOf(router: Router, { timeoutMs }: ReadOptions): number {
  return router.endOf(timeoutMs ?? router.deps.limits.requestTimeoutMs)
}

async function eachShard<TItem, T>(
  items: readonly TItem[],
  ask: (item: TItem) => Promise<T>,
): Promise<T[]> {
  const answers: T[] = []
  for (let at = 0; at < items.length; at += SHARDS_AT_ONCE) {
    answers.push(...(await Promise.all(items.slice(at, at + SHARDS_AT_ONCE).map(ask))))
  }
  return answers
}
