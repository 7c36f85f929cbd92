/**
 * A shard's part of lists, counts and trails. Decides: which rows answer a question and in which
 * order. Every part is bounded by `scanCountMax`: a page may be short and still have a successor.
 */
import { isInState, tagsOf } from '../machine/index.ts'
import type { StoreRange } from '../ports/index.ts'
import {
  type ActorFilter,
  type AuditView,
  type DeadLetterView,
  type Durability,
  type ErrorRecord,
  errorRecord,
  formatAddress,
  type Outcome,
  type ShardAudit,
  type ShardDeadLetters,
  type ShardPage,
  type ShardQuery,
  type ShardStatus,
  toErrorRecord,
  unpack,
} from '../protocol/index.ts'
import type { ShardContext } from './context.ts'
import type { Counters } from './counters.ts'
import {
  addressOfFieldSuffix,
  addressOfSinceSuffix,
  type CounterName,
  fieldPrefix,
  indexValueBytes,
  statePrefix,
} from './index-keys.ts'
import { actorKey, prefixEnd, sequencedBound, TABLE, tableRange } from './keys.ts'
import { conditionOf, type Head } from './records.ts'
import { actorRow } from './views.ts'

export function answerQuery(
  shard: ShardContext,
  counters: Counters,
  query: ShardQuery,
  status: () => ShardStatus,
  durability: Durability,
): Outcome {
  switch (query.kind) {
    case 'actors': {
      const page = listActors(shard, counters, query)
      return 'error' in page ? page : { ok: page, durability }
    }
    case 'count': {
      const { where, idPrefix, olderThanMs } = query.filter
      if (where !== undefined || idPrefix !== undefined || olderThanMs !== undefined) {
        const why = 'counts are kept by machine, state, tag and condition only: list instead'
        return { error: errorRecord('invalid-query', why) }
      }
      const counts = counters.rows((name) => matchesName(shard, name, query.filter))
      return { ok: { counts }, durability }
    }
    case 'audit':
      return { ok: auditPage(shard, query), durability }
    case 'dead-letters':
      return { ok: deadLetterPage(shard, query), durability }
    case 'status':
      return { ok: status(), durability }
  }
}

type ActorsQuery = Extract<ShardQuery, { kind: 'actors' }>

/** One ordered source of candidates: keys of a range, each with a sort key and an address. */
interface Source {
  range: StoreRange
  sortKeyOf: (key: Uint8Array) => Uint8Array
  addressOf: (sortKey: Uint8Array) => string
}

function listActors(
  shard: ShardContext,
  counters: Counters,
  query: ActorsQuery,
): ShardPage | { error: ErrorRecord } {
  const { idPrefix } = query.filter
  if (idPrefix !== undefined) {
    const encoded = encodedPrefix(idPrefix)
    if (typeof encoded !== 'string') return encoded
    query = { ...query, filter: { ...query.filter, idPrefix: encoded } }
  }
  const unindexed = unindexedField(shard, query)
  if (unindexed) return unindexed
  const sources = sourcesOf(shard, counters, query)
  if ('error' in sources) return sources
  const { limit } = query
  const rows: ShardPage['rows'] = []
  let scanned = 0
  for (const { sortKey, address } of merge(shard, sources, query)) {
    scanned += 1
    const head = shard.heads.peek(address)
    if (head && matches(shard, head, query.filter)) rows.push({ sortKey, row: actorRow(head) })
    if (rows.length >= limit || scanned >= shard.limits.scanCountMax) return { rows, next: sortKey }
  }
  return { rows }
}

/** An empty page would hide a typing error. Which fields an `index` gives, only its actors know. */
function unindexedField(
  shard: ShardContext,
  { filter, sort }: ActorsQuery,
): { error: ErrorRecord } | undefined {
  const hosted = filter.machine === undefined ? undefined : shard.machines.get(filter.machine)
  if (!hosted || hosted.definition.index) return undefined
  const by = OF_EVERY_ACTOR.has(sort.by) ? [] : [sort.by]
  const [field] = [...Object.keys(filter.where ?? {}), ...by]
  if (field === undefined) return undefined
  const why = `${filter.machine} indexes no fields, so not "${field}" either`
  return { error: errorRecord('invalid-query', why) }
}

const OF_EVERY_ACTOR: ReadonlySet<string> = new Set(['id', 'since'])

/** Ids stand in addresses with their escapes, character by character. */
function encodedPrefix(idPrefix: string): string | { error: ErrorRecord } {
  try {
    return idPrefix && formatAddress('m', idPrefix).slice('m/'.length)
  } catch (thrown) {
    return { error: errorRecord('invalid-query', `idPrefix: ${toErrorRecord(thrown).message}`) }
  }
}

function sourcesOf(
  shard: ShardContext,
  counters: Counters,
  { filter, sort }: ActorsQuery,
): Source[] | { error: ErrorRecord } {
  const [field, value] = Object.entries(filter.where ?? {})[0] ?? []
  if (sort.by === 'since') return stateSources(shard, counters, filter)
  if (sort.by === 'id' && field === undefined) return [addressSource(shard, filter)]
  if (filter.machine === undefined) {
    return {
      error: errorRecord(
        'invalid-query',
        `a list by an indexed field needs a machine: ${sort.by === 'id' ? field : sort.by}`,
      ),
    }
  }
  if (sort.by === 'id') {
    const prefix = Buffer.concat([
      fieldPrefix(shard.shard, filter.machine, field ?? ''),
      indexValueBytes(value ?? null),
    ])
    return [
      prefixSource(prefix, prefix.length, (sortKey) => Buffer.from(sortKey).toString('latin1')),
    ]
  }
  const prefix = fieldPrefix(shard.shard, filter.machine, sort.by)
  return [prefixSource(prefix, prefix.length, addressOfFieldSuffix)]
}

function prefixSource(prefix: Buffer, skip: number, addressOf: Source['addressOf']): Source {
  return {
    range: { from: prefix, to: prefixEnd(prefix) },
    sortKeyOf: (key) => key.subarray(skip),
    addressOf,
  }
}

function addressSource(shard: ShardContext, filter: ActorFilter): Source {
  const { from, to } = tableRange(shard.shard, TABLE.actor)
  const addressOf = (sortKey: Uint8Array) => Buffer.from(sortKey).toString('latin1')
  const sortKeyOf = (key: Uint8Array) => key.subarray(3)
  if (filter.machine === undefined) return { range: { from, to }, sortKeyOf, addressOf }
  const prefix = actorKey(shard.shard, `${filter.machine}/${filter.idPrefix ?? ''}`)
  return { range: { from: prefix, to: prefixEnd(prefix) }, sortKeyOf, addressOf }
}

/** One source per position that matches: each is in the order of age already. */
function stateSources(shard: ShardContext, counters: Counters, filter: ActorFilter): Source[] {
  return counters
    .all()
    .filter((name) => matchesName(shard, name, filter))
    .map(({ machine, condition, state }) => {
      const prefix = statePrefix(shard.shard, machine, condition, state)
      return prefixSource(prefix, prefix.length, addressOfSinceSuffix)
    })
}

/** Whether a counted position can hold actors that the filter wants. */
function matchesName(shard: ShardContext, name: CounterName, filter: ActorFilter): boolean {
  const child = name.machine.includes('/')
  if (child && !filter.children) return false
  const root = child ? name.machine.slice(0, name.machine.indexOf('/')) : name.machine
  if (filter.machine !== undefined && filter.machine !== root) return false
  if (filter.condition !== undefined && filter.condition !== name.condition) return false
  if (filter.state !== undefined && !isInState(name.state, filter.state)) return false
  if (filter.tag !== undefined) {
    const chart = child ? undefined : shard.machines.get(root)?.chart
    if (!chart || !tagsOf(chart.machine, name.state).includes(filter.tag)) return false
  }
  return true
}

/** Whether a filter finds an actor; its `idPrefix` is encoded. */
export function matches(shard: ShardContext, head: Head, filter: ActorFilter): boolean {
  const name = { machine: head.kindName, condition: conditionOf(head), state: head.stateText }
  if (!matchesName(shard, name, filter)) return false
  if (filter.olderThanMs !== undefined && shard.clock.now() - head.since < filter.olderThanMs)
    return false
  if (filter.idPrefix !== undefined) {
    const id = head.address.slice(head.address.indexOf('/') + 1)
    if (!id.startsWith(filter.idPrefix)) return false
  }
  return Object.entries(filter.where ?? {}).every(([field, value]) => head.index[field] === value)
}

/** Merges sources that are each in order; few, so the smallest is found by looking at all. */
function* merge(
  shard: ShardContext,
  sources: readonly Source[],
  { sort, after }: ActorsQuery,
): Generator<{ sortKey: Uint8Array; address: string }> {
  const reverse = sort.descending === true
  const cursors = sources.flatMap((source) => {
    const rows = shard.store.range(bounded(source, after, reverse))[Symbol.iterator]()
    const first = rows.next()
    return first.done ? [] : [{ source, rows, sortKey: source.sortKeyOf(first.value.key) }]
  })
  while (cursors.length > 0) {
    let best = cursors[0]
    for (const cursor of cursors) {
      const order = Buffer.compare(cursor.sortKey, best?.sortKey ?? cursor.sortKey)
      if (reverse ? order > 0 : order < 0) best = cursor
    }
    if (!best) return
    yield { sortKey: best.sortKey, address: best.source.addressOf(best.sortKey) }
    const next = best.rows.next()
    if (next.done) cursors.splice(cursors.indexOf(best), 1)
    else best.sortKey = best.source.sortKeyOf(next.value.key)
  }
}

/** The part of a source that comes after a sort key. */
function bounded(source: Source, after: Uint8Array | undefined, reverse: boolean): StoreRange {
  const range: StoreRange = { ...source.range, reverse }
  if (!after) return range
  const skipped = source.range.from.length - source.sortKeyOf(source.range.from).length
  const at = Buffer.concat([source.range.from.subarray(0, skipped), after])
  if (reverse) return { ...range, to: at }
  return { ...range, from: Buffer.concat([at, Buffer.from([0])]) }
}

/** Bounded in rows looked at and in bytes answered: a trail of one actor may lie far apart. */
function auditPage(shard: ShardContext, query: Extract<ShardQuery, { kind: 'audit' }>): ShardAudit {
  const { scanCountMax, payloadBytesMax } = shard.limits
  const { limit, before, after } = query
  const { from, to } = tableRange(shard.shard, TABLE.audit)
  let end = before === undefined ? to : sequencedBound(shard.shard, TABLE.audit, before)
  if (after !== undefined) end = Buffer.concat([from, after])
  const rows: AuditView[] = []
  let scanned = 0
  let bytes = 0
  for (const { key, value } of shard.store.range({ from, to: end, reverse: true })) {
    scanned += 1
    const row = auditView(key, value)
    if (query.address === undefined || query.address === row.address) {
      rows.push(row)
      bytes += value.length
    }
    // One more of the largest still fits a transport's payload limit.
    if (rows.length >= limit || scanned >= scanCountMax || bytes >= payloadBytesMax / 2) {
      return { rows, next: key.subarray(from.length) }
    }
  }
  return { rows }
}

function auditView(key: Uint8Array, value: Uint8Array): AuditView {
  const [address, author, operation, commandId, detail, before, after] = unpack(value) as [
    string,
    string,
    string,
    string,
    unknown,
    string | null,
    string | null,
  ]
  return { at: timeOf(key), address, author, operation, commandId, detail, before, after }
}

/** Bounded in bytes answered: a message may be as large as a command. */
function deadLetterPage(
  shard: ShardContext,
  { limit, after }: Extract<ShardQuery, { kind: 'dead-letters' }>,
): ShardDeadLetters {
  const { from, to } = tableRange(shard.shard, TABLE.deadLetter)
  const end = after === undefined ? to : Buffer.concat([from, after])
  const rows: DeadLetterView[] = []
  let bytes = 0
  for (const { key, value } of shard.store.range({ from, to: end, reverse: true })) {
    const [sender, target, event, error] = unpack(value) as [string, string, unknown, ErrorRecord]
    rows.push({ at: timeOf(key), from: sender, to: target, event, error })
    bytes += value.length
    if (rows.length >= limit || bytes >= shard.limits.payloadBytesMax / 2) {
      return { rows, next: key.subarray(from.length) }
    }
  }
  return { rows }
}

function timeOf(key: Uint8Array): number {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).readUIntBE(3, 6)
}
