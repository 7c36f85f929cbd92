/** What people and programs do with bulks. Decides: what a bulk is called, and what is shown of it. */
import { z } from 'zod'
import {
  type ActorRow,
  type ActorView,
  type AppContext,
  type Client,
  formatAddress,
  parseAddress,
  TroupeError,
} from '../../src/index.ts'
import { type BulkContext, type BulkInput, bulkInput } from './bulk.ts'
import { type BulkFilter, requirePossible, requireState } from './bulk-operation.ts'
import type { Tally } from './bulk-tally.ts'
import { type BulkTotal, estimate, nextPage } from './bulk-tasks.ts'

const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/
/** Shown of what it would do. */
const FIRST_COUNT = 10

export const bulkRequest = bulkInput.extend({
  /** A name of the caller's own: the same one does not begin a second bulk. */
  id: z.string().optional(),
  /** Say how many there are, and begin nothing. */
  dryRun: z.boolean().optional(),
})

export interface BulkPreview {
  dryRun: true
  total: BulkTotal
  /** The first that it would ask. */
  first: string[]
}

export const bulkSummary = z.object({
  id: z.string(),
  /** Anything between is the actor's own: `paused`, or `parked` by a failure until it is resumed. */
  status: z.enum(['listing', 'running', 'paused', 'parked', 'completed', 'stopped', 'cancelled']),
  op: z.string(),
  machine: z.string(),
  author: z.string().nullable(),
  total: z.number().nullable(),
  done: z.number(),
  skipped: z.number(),
  failed: z.number(),
})
export type BulkSummary = z.infer<typeof bulkSummary>

export interface BulkDetail extends Tally {
  id: string
  status: BulkSummary['status']
  operation: BulkContext['operation']
  filter: BulkFilter
  perSecond: number
  author: string | null
  total: BulkContext['total']
  /** Of the page under way, asked so far. */
  asked: number
  /** True once a stop was asked for: the page under way is the last. */
  isStopping: boolean
  /** Why it is parked. */
  problem?: string
  createdAt: number
  updatedAt: number
}

type Deps = Pick<AppContext, 'client' | 'machines' | 'limits' | 'clock'>

export class Bulks {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /** @throws TroupeError as `requirePossible` does */
  async preview(input: BulkInput): Promise<BulkPreview> {
    const { operation, filter } = input
    requirePossible(this.#deps.machines, operation, filter)
    const total = await estimate(this.#deps, operation, filter)
    const place = { cursor: null, countMax: FIRST_COUNT }
    const { addresses } = await nextPage(this.#deps, operation, filter, place)
    // To find nobody there may be a typing error.
    if (addresses.length === 0) this.#requireStateOf(filter)
    return { dryRun: true, total, first: addresses }
  }

  /** @throws TroupeError as `preview` does, `already-exists`, `malformed` for the id */
  async begin(input: BulkInput, id: string | undefined, author: string): Promise<BulkDetail> {
    await this.preview(input)
    // Sorts by time, and can be typed.
    const name = id ?? this.#deps.clock.now().toString(36)
    await this.#deps.client.as(author).start(addressOf(name), input)
    return this.view(name)
  }

  /** The newest first. */
  async list(): Promise<BulkSummary[]> {
    const bulks: (BulkSummary & { createdAt: number })[] = []
    let cursor: string | undefined
    do {
      const query = { filter: { machine: 'bulk' }, ...(cursor === undefined ? {} : { cursor }) }
      const page = await this.#deps.client.scan(query)
      for (const row of page.rows) bulks.push({ ...summaryOf(row), createdAt: row.createdAt })
      cursor = page.cursor
    } while (cursor !== undefined)
    return bulks
      .sort((a, b) => b.createdAt - a.createdAt)
      .map(({ createdAt: _createdAt, ...summary }) => summary)
  }

  /** @throws TroupeError `not-found` */
  async view(id: string): Promise<BulkDetail> {
    return detailOf(await named(id, this.#deps.client.get(addressOf(id))))
  }

  /** The page under way is the last. @throws TroupeError `not-found`, `finished` */
  async stop(id: string, author: string): Promise<BulkDetail> {
    const client: Client = this.#deps.client.as(author)
    await named(id, client.send(addressOf(id), { type: 'STOP' }))
    return this.view(id)
  }

  #requireStateOf({ machine, state, children }: BulkFilter): void {
    const chart = this.#deps.machines.get(machine)?.chart
    // Children have charts of their own.
    if (state !== undefined && !children) requireState(machine, chart?.states ?? [], state)
  }
}

function summaryOf({ address, index, ...row }: ActorRow): BulkSummary {
  return {
    id: parseAddress(address).id,
    status: statusOf(row, index['stopped'] === true),
    op: String(index['op']),
    machine: String(index['machine']),
    author: index['author'] === undefined ? null : String(index['author']),
    total: index['total'] === undefined ? null : Number(index['total']),
    ...{ done: Number(index['done']), skipped: Number(index['skipped']) },
    failed: Number(index['failed']),
  }
}

function statusOf(
  { status, value, paused, parked }: Pick<ActorView, 'status' | 'value'> & Held,
  isStopped: boolean,
): BulkSummary['status'] {
  if (status === 'stopped') return 'cancelled'
  if (status === 'done') return isStopped ? 'stopped' : 'completed'
  if (parked) return 'parked'
  if (paused) return 'paused'
  return value === 'listing' ? 'listing' : 'running'
}

/** As rows of lists and views of actors both say it. */
interface Held {
  paused?: unknown
  parked?: unknown
}

function detailOf(view: ActorView): BulkDetail {
  const { address, context, parked, createdAt, updatedAt, tasks } = view
  const { payload: _payload, page: _page, cursor: _cursor, ...shown } = context as BulkContext
  const progress = tasks[0]?.progress as { asked?: number } | undefined
  return {
    id: parseAddress(address).id,
    status: statusOf(view, shown.isStopping),
    ...shown,
    asked: progress?.asked ?? 0,
    ...(parked ? { problem: parked.error.message } : {}),
    ...{ createdAt, updatedAt },
  }
}

async function named<T>(id: string, work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (thrown) {
    if (!(thrown instanceof TroupeError) || thrown.code !== 'unknown-actor') throw thrown
    throw new TroupeError('not-found', `there is no bulk ${id}: see troupe actors bulk list`)
  }
}

function addressOf(id: string): string {
  if (NAME.test(id)) return formatAddress('bulk', id)
  const why = `"${id.slice(0, 64)}" cannot name a bulk: a letter or digit and at most 63 letters, digits, "_", "." or "-"`
  throw new TroupeError('malformed', why)
}
