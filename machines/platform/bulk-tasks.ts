/**
 * The tasks of a bulk: find the next page of actors, and ask each of a page.
 *
 * Decides: what a page holds, that an actor is asked under the same command id however often its page is
 * run, and what is made of an id that is too old to be known. Leaves to others: that a page is committed
 * before it is run (`bulk.ts`), what is asked (`bulk-operation.ts`).
 */
import { createHash } from 'node:crypto'
import { z } from 'zod'
import {
  type Client,
  formatCommandId,
  nodeOf,
  type TaskAttempt,
  TaskError,
  type TaskNode,
  TroupeError,
  task,
} from '../../src/index.ts'
import {
  applyTo,
  type BulkFilter,
  type BulkOperation,
  bulkFilter,
  bulkOperation,
  expectationOf,
  isMeant,
  isMeantRow,
  type Outcome,
  requirePossible,
} from './bulk-operation.ts'
import { paced } from './bulk-pace.ts'
import { noTally, type Tally, tallied, tally } from './bulk-tally.ts'

/** The addresses of a page stand in the record of the bulk, twice for a moment: as a page and as an input. */
const PAGE_BYTES_MAX = 64 * 1024
/** Rows asked for at a time. */
const SCAN_COUNT = 50
/** Under way at a time: so many share a commit where they share a shard. */
const AT_ONCE = 64
/** So many without an answer are no accident: the rest of the page waits for the next attempt. */
const UNANSWERED_MAX = 10
/** Rows that an estimate looks at where no counts are kept. */
const ESTIMATE_COUNT_MAX = 10_000
const HISTORY_COUNT = 200

const QUEUE = 'bulk'
/** About five minutes; then it parks, and an operator resumes it. */
const RETRY = { attemptsMax: 14, initialMs: 500, backoffMaxMs: 30_000 }

export const bulkPage = z.object({
  /** Unix ms: part of the command ids. */
  at: z.int().min(0),
  addresses: z.array(z.string()),
})
export type BulkPage = z.infer<typeof bulkPage>

export const bulkTotal = z.object({
  count: z.int().min(0),
  /** There may be more. */
  isLeast: z.boolean(),
})
export type BulkTotal = z.infer<typeof bulkTotal>

const listInput = z.object({
  operation: bulkOperation,
  filter: bulkFilter,
  countMax: z.int().min(1),
  /** Null for the first page. */
  cursor: z.string().nullable(),
})

export interface BulkListed extends BulkPage {
  /** Null: there are no more. */
  cursor: string | null
  /** With the first page. */
  begun?: { author: string; total: BulkTotal }
}

export const bulkList = task<z.infer<typeof listInput>, BulkListed>({
  name: 'bulk-list',
  queue: QUEUE,
  runsOn: 'node',
  input: listInput,
  retry: RETRY,
  run: (attempt) => told(() => list(attempt)),
})

const runInput = z.object({
  operation: bulkOperation,
  filter: bulkFilter,
  author: z.string(),
  perSecond: z.number().min(1),
  page: bulkPage,
})

export interface BulkRan extends Tally {
  /** Certainly not applied, under an id that is too old: they need another. */
  again: string[]
  at: number
}

export const bulkRun = task<z.infer<typeof runInput>, BulkRan>({
  name: 'bulk-run',
  queue: QUEUE,
  runsOn: 'node',
  input: runInput,
  retry: RETRY,
  run: (attempt) => told(() => run(attempt)),
})

/** What no repetition can help is for an operator. */
async function told<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (thrown) {
    if (!(thrown instanceof TroupeError) || thrown.retry) throw thrown
    const { code, message } = thrown
    throw new TaskError('permanent', message, { code, cause: thrown })
  }
}

async function list(attempt: TaskAttempt<z.infer<typeof listInput>>): Promise<BulkListed> {
  const node = nodeOf(attempt)
  const { operation, filter, cursor, countMax } = attempt.input
  requirePossible(node.machines, operation, filter)
  const begun =
    cursor === null
      ? {
          author: await authorOf(node.client, attempt.address),
          total: await estimate(node, operation, filter),
        }
      : undefined
  const found = await nextPage(node, operation, filter, { cursor, countMax }, (address) => {
    attempt.signal.throwIfAborted()
    // To pause or cancel itself would leave its page without a receipt.
    return address !== attempt.address
  })
  return { ...found, at: node.clock.now(), ...(begun === undefined ? {} : { begun }) }
}

/** Who started it: the history says so, and nobody can write it. */
async function authorOf(client: Client, address: string): Promise<string> {
  const first = (await client.history(address, { limit: HISTORY_COUNT })).at(-1)
  if (first?.cause === 'start') return first.by
  throw new TaskError('permanent', `the history of ${address} no longer says who started it`)
}

/** The next actors that the operation can mean, from a cursor on. */
export async function nextPage(
  { client, limits }: Pick<TaskNode, 'client' | 'limits'>,
  operation: BulkOperation,
  filter: BulkFilter,
  { cursor, countMax }: { cursor: string | null; countMax: number },
  isWanted: (address: string) => boolean = () => true,
): Promise<{ addresses: string[]; cursor: string | null }> {
  const addresses: string[] = []
  let bytes = 0
  let after = cursor
  do {
    const limit = Math.min(countMax - addresses.length, SCAN_COUNT, limits.pageCountMax)
    const found = await client.scan({ filter, limit, ...(after === null ? {} : { cursor: after }) })
    for (const row of found.rows) {
      if (!isWanted(row.address) || !isMeantRow(operation, row)) continue
      addresses.push(row.address)
      bytes += row.address.length
    }
    after = found.cursor ?? null
  } while (after !== null && addresses.length < countMax && bytes < PAGE_BYTES_MAX)
  return { addresses, cursor: after }
}

/** From the counts that are kept, or by looking at so many. */
export async function estimate(
  { client, limits }: Pick<TaskNode, 'client' | 'limits'>,
  operation: BulkOperation,
  filter: BulkFilter,
): Promise<BulkTotal> {
  const { where, idPrefix, olderThanMs } = filter
  if (where === undefined && idPrefix === undefined && olderThanMs === undefined) {
    const rows = await client.count(filter)
    const meant = rows.filter(({ condition }) => isMeant(operation, condition))
    return { count: meant.reduce((sum, row) => sum + row.count, 0), isLeast: false }
  }
  let cursor: string | undefined
  let count = 0
  let looked = 0
  do {
    const limit = Math.min(1_000, limits.pageCountMax)
    const found = await client.scan({ filter, limit, ...(cursor === undefined ? {} : { cursor }) })
    count += found.rows.filter((row) => isMeantRow(operation, row)).length
    looked += found.rows.length
    cursor = found.cursor
  } while (cursor !== undefined && looked < ESTIMATE_COUNT_MAX)
  return { count, isLeast: cursor !== undefined }
}

async function run(attempt: TaskAttempt<z.infer<typeof runInput>>): Promise<BulkRan> {
  const node = nodeOf(attempt)
  const { signal, address: bulk } = attempt
  const { operation, filter, author, perSecond, page: present } = attempt.input
  const client = node.client.as(author)
  const id = formatCommandId(present.at, uniqueOf(bulk))
  const when = expectationOf(filter)
  const again: string[] = []
  const unanswered: string[] = []
  let sum: Tally = noTally()
  const pace = { perSecond, atOnce: AT_ONCE, clock: node.clock, signal }
  await paced(present.addresses, pace, async (address) => {
    if (unanswered.length >= UNANSWERED_MAX) return
    let outcome = await applyTo(client, address, operation, { id, when })
    if (outcome.kind === 'expired') outcome = await recall(node, address, present.at, id)
    if (outcome.kind === 'unanswered') unanswered.push(`${address}: ${outcome.message}`)
    else if (outcome.kind === 'expired') again.push(address)
    else sum = tallied(sum, tally(address, outcome))
    // The record of the bulk names only the first of them.
    if (outcome.kind === 'failed' || outcome.kind === 'skipped') {
      attempt.log({ bulk, address, code: outcome.code }, outcome.message)
    }
    attempt.progress({ asked: sum.done + sum.skipped + sum.failed, of: present.addresses.length })
  })
  signal.throwIfAborted()
  if (unanswered.length > 0) throw new TaskError('temporary', unanswered[0] ?? '')
  return { ...sum, again, at: node.clock.now() }
}

/**
 * Of a command whose id is forgotten, as when the bulk was cut off for longer than ids are known. What was
 * applied is a turn under its id; `expired` is what certainly was not.
 */
async function recall(
  { client, limits }: TaskNode,
  address: string,
  at: number,
  id: string,
): Promise<Outcome> {
  try {
    const turns = await client.history(address, { limit: HISTORY_COUNT })
    if (turns.some(({ commandId }) => commandId === id)) {
      return { kind: 'done', kept: 0, tasksRunning: 0 }
    }
    const { kept } = await client.get(address)
    const oldest = turns.at(-1)
    const isWhole = oldest !== undefined && oldest.at < at - limits.clockSkewMaxMs
    if (kept === 0 && (isWhole || oldest?.cause === 'start')) return { kind: 'expired' }
    const message = 'the bulk was cut off for too long: it is not known whether this was applied'
    return { kind: 'failed', code: 'expired', message }
  } catch (thrown) {
    if (!(thrown instanceof TroupeError)) throw thrown
    const { code, message, retry } = thrown
    return retry ? { kind: 'unanswered', message } : { kind: 'skipped', code, message }
  }
}

const UNIQUE = /^[\x21-\x7e]{1,128}$/

/** So that the audit trail says which bulk it was. Ids are told apart actor by actor. */
function uniqueOf(bulk: string): string {
  return UNIQUE.test(bulk) ? bulk : createHash('sha256').update(bulk).digest('hex')
}
