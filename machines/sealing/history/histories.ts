/**
 * Reading what was written of sectors that have ended. Decides: what can be asked, and the order. Leaves
 * to others: the sector that is worked on now (its thread has that), what people see.
 */
import {
  type ActorQuery,
  type ActorRow,
  type Client,
  formatAddress,
  parseAddress,
  TroupeError,
} from '../../../src/index.ts'
import type { PlanName } from '../plans/index.ts'
import type { Chapter, Chapters } from './chapter.ts'
import { CSV_HEADER, type ExportFormat, exportRows } from './export-rows.ts'
import { sealingHistory } from './sealing-history.ts'

/** Of the newest chapter of a sector. */
export interface HistoryFilter {
  worker?: string
  thread?: string
  plan?: PlanName
  end?: Chapter['end']
  /** Names of sectors that begin so: `s-t010000-`. */
  prefix?: string
  /** Unix ms: ended then or later. */
  since?: number
}

export interface HistorySummary {
  sector: string
  plan: string
  worker: string
  thread: string
  end: string
  /** Unix ms, of the newest chapter. */
  startedAt: number
  endedAt: number
  chapters: number
}

export interface SectorHistory extends Chapters {
  sector: string
}

export class Histories {
  readonly #client: Client

  constructor(client: Client) {
    this.#client = client
  }

  /** @throws TroupeError `not-found` when nothing is kept of it */
  async of(sector: string): Promise<SectorHistory> {
    const found = await this.#find(sector)
    if (found !== undefined) return found
    const why = `nothing is kept of ${sector}: it has not ended, or that is too long ago`
    throw new TroupeError('not-found', why)
  }

  /** What ended last comes first. */
  async *list(filter: HistoryFilter = {}): AsyncGenerator<HistorySummary, void, void> {
    for await (const row of this.#client.rows(queryOf(filter))) {
      const summary = summaryOf(row)
      if (summary.endedAt < (filter.since ?? Number.NEGATIVE_INFINITY)) return
      yield summary
    }
  }

  /** Lines without line ends, all entries of the sectors of a filter; read one sector at a time. */
  async *export(filter: HistoryFilter, format: ExportFormat): AsyncGenerator<string, void, void> {
    if (format === 'csv') yield CSV_HEADER
    for await (const { sector } of this.list(filter)) {
      const found = await this.#find(sector)
      // It was too old in the moment between.
      if (found !== undefined) yield* exportRows(found.chapters, format)
    }
  }

  async #find(sector: string): Promise<SectorHistory | undefined> {
    try {
      const address = formatAddress(sealingHistory.name, sector)
      const { context } = await this.#client.get(address)
      const { chapters, chaptersDropped } = context as SectorHistory
      return { sector, chapters, chaptersDropped }
    } catch (thrown) {
      if (thrown instanceof TroupeError && thrown.code === 'unknown-actor') return undefined
      throw thrown
    }
  }
}

function queryOf({ worker, thread, plan, end, prefix }: HistoryFilter): ActorQuery {
  const asked = Object.entries({ worker, thread, plan, end })
  const where = Object.fromEntries(
    asked.filter((pair): pair is [string, string] => pair[1] !== undefined),
  )
  return {
    filter: {
      machine: sealingHistory.name,
      ...(prefix === undefined ? {} : { idPrefix: prefix }),
      ...(Object.keys(where).length === 0 ? {} : { where }),
    },
    sort: { by: 'endedAt', descending: true },
  }
}

function summaryOf({ address, index }: ActorRow): HistorySummary {
  const text = (field: string) => String(index[field] ?? '')
  const count = (field: string) => Number(index[field] ?? 0)
  return {
    sector: parseAddress(address).id,
    plan: text('plan'),
    worker: text('worker'),
    thread: text('thread'),
    end: text('end'),
    startedAt: count('startedAt'),
    endedAt: count('endedAt'),
    chapters: count('chapters'),
  }
}
