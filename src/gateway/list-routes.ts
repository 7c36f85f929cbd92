/**
 * Questions about many actors: lists, counts, the audit trail, dead letters, shards. Decides: how a
 * filter is written in a URL.
 */
import { z } from 'zod'
import type { HostedMachine } from '../machine/index.ts'
import type { TroupeNode } from '../node/index.ts'
import {
  type ActorFilter,
  type ActorQuery,
  canonicalAddress,
  type IndexValue,
  TroupeError,
} from '../protocol/index.ts'
import type { Exchange } from './exchange.ts'
import { explainEmpty, requireNoSecrets, requireState } from './filters.ts'
import { count, durationMs, flag, indexValueOf, readQuery } from './parameters.ts'
import { maskAudit, maskRow, secretsOf } from './secrets.ts'

const CONDITIONS = ['active', 'paused', 'parked', 'done', 'stopped'] as const

/** Of every list of actors; beside them `where.<field>=<value>`. */
export const FILTER_QUERY = {
  machine: z.string().optional(),
  state: z.string().optional(),
  tag: z.string().optional(),
  condition: z.enum(CONDITIONS, { error: `must be one of: ${CONDITIONS.join(', ')}` }).optional(),
  olderThan: durationMs.optional(),
  idPrefix: z.string().optional(),
  children: flag.optional(),
}
const NO_AGE = 'must not be given here: it changes by itself, as time passes'
/** Of a watch: a list that goes on. */
export const WATCH_QUERY = {
  ...FILTER_QUERY,
  olderThan: z.never({ error: NO_AGE }).optional(),
  /** False: only changes from now on, not the rows that are there. */
  rows: flag.optional(),
}
export const LIST_QUERY = {
  ...FILTER_QUERY,
  sort: z.string().optional(),
  desc: flag.optional(),
  limit: count.optional(),
  cursor: z.string().optional(),
}

export async function listActors(
  node: TroupeNode,
  { search, options }: Exchange,
): Promise<unknown> {
  const { plain, where } = splitWhere(search)
  const { sort, desc, limit, cursor, ...rest } = readQuery(plain, LIST_QUERY, 'invalid-query')
  if (cursor !== undefined && search.size > (limit === undefined ? 1 : 2)) {
    throw new TroupeError(
      'invalid-query',
      'a cursor belongs to its filter and sort order: give it alone, or with limit',
    )
  }
  if (sort === undefined && desc !== undefined) {
    throw new TroupeError('invalid-query', 'desc needs sort: what to sort by')
  }
  const query: ActorQuery = { filter: filterOf(rest, where) }
  if (sort !== undefined) query.sort = { by: sort, descending: desc ?? false }
  if (limit !== undefined) query.limit = limit
  if (cursor !== undefined) query.cursor = cursor
  const machine = machineOfFilter(node, query.filter)
  if (machine) requireNoSecrets(machine.definition, query)
  const page = await node.client.list(query, options)
  const isEmpty = page.rows.length === 0 && page.cursor === undefined && cursor === undefined
  if (machine && isEmpty) await explainEmpty(machine, query, node.client)
  return { ...page, rows: page.rows.map((row) => maskRow(row, secretsOf(node, row.address))) }
}

export async function countActors(
  node: TroupeNode,
  { search, options }: Exchange,
): Promise<unknown> {
  const { plain, where } = splitWhere(search)
  const filter = filterOf(readQuery(plain, FILTER_QUERY, 'invalid-query'), where)
  const machine = machineOfFilter(node, filter)
  const rows = await node.client.count(filter, options)
  if (machine && rows.length === 0) requireState(machine, filter)
  return { rows, total: rows.reduce((sum, row) => sum + row.count, 0) }
}

export const AUDIT_QUERY = {
  actor: z.string().optional(),
  limit: count.optional(),
  before: count.optional(),
}

export async function listAudit(node: TroupeNode, { search, options }: Exchange): Promise<unknown> {
  const { actor, limit, before } = readQuery(search, AUDIT_QUERY, 'invalid-query')
  const rows = await node.client.audit({
    ...options,
    ...(actor === undefined ? {} : { address: canonicalAddress(actor, node.limits) }),
    ...(limit === undefined ? {} : { limit }),
    ...(before === undefined ? {} : { before }),
  })
  return { rows: rows.map((row) => maskAudit(row, secretsOf(node, row.address))) }
}

export const DEAD_LETTER_QUERY = { limit: count.optional() }

export async function listDeadLetters(
  node: TroupeNode,
  { search, options }: Exchange,
): Promise<unknown> {
  const { limit } = readQuery(search, DEAD_LETTER_QUERY, 'invalid-query')
  return { rows: await node.client.deadLetters(limit, options) }
}

export async function listShards(
  node: TroupeNode,
  { search, options }: Exchange,
): Promise<unknown> {
  readQuery(search, {}, 'invalid-query')
  return { rows: await node.client.shards(options) }
}

/** `where.<field>=<value>` names fields of the machine's own; the rest has a fixed list. */
export function splitWhere(search: URLSearchParams): {
  plain: URLSearchParams
  where: Record<string, IndexValue>
} {
  const plain = new URLSearchParams()
  const where: Record<string, IndexValue> = {}
  for (const [name, value] of search) {
    if (!name.startsWith('where.')) {
      plain.append(name, value)
      continue
    }
    const field = name.slice('where.'.length)
    if (field === '' || field === '__proto__' || Object.hasOwn(where, field)) {
      throw new TroupeError('invalid-query', `"${name}" is not where.<field>, or is given twice`)
    }
    where[field] = indexValueOf(value)
  }
  return { plain, where }
}

export function filterOf(
  {
    olderThan,
    ...rest
  }: { olderThan?: number | undefined } & { [K in keyof ActorFilter]?: ActorFilter[K] | undefined },
  where: Record<string, IndexValue>,
): ActorFilter {
  const filter = Object.fromEntries(
    Object.entries(rest).filter(([, value]) => value !== undefined),
  ) as ActorFilter
  if (olderThan !== undefined) filter.olderThanMs = olderThan
  if (Object.keys(where).length > 0) filter.where = where
  return filter
}

/** An empty list would hide a typing error. @throws TroupeError `unknown-machine` */
export function machineOfFilter(
  node: TroupeNode,
  { machine }: ActorFilter,
): HostedMachine | undefined {
  if (machine === undefined) return undefined
  const hosted = node.machines.get(machine)
  if (hosted) return hosted
  const known = [...node.machines.keys()].join(', ') || 'none'
  throw new TroupeError(
    'unknown-machine',
    `no machine is named "${machine.slice(0, 80)}"; registered are: ${known}`,
  )
}
