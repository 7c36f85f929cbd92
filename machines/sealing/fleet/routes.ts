/** What the fleet's verbs call on a node. Decides: the paths, what they take and what they answer. */
import { Readable } from 'node:stream'
import { z } from 'zod'
import { type AppRequest, type AppRoute, type Client, TroupeError } from '../../../src/index.ts'
import { controlAnswer } from '../daemon/index.ts'
import {
  EXPORT_FORMATS,
  Histories,
  type HistoryFilter,
  type HistorySummary,
} from '../history/index.ts'
import type { Fleet } from './fleet.ts'
import * as shapes from './route-shapes.ts'

/** Sectors in one answer; an export has no such end. */
const SECTORS_MAX = 1_000
const SECTORS_DEFAULT = '100'

export function fleetRoutes(fleet: Fleet, client: Client): AppRoute[] {
  const histories = new Histories(client)
  return [
    {
      method: 'GET',
      path: '/sealing/threads',
      summary: 'the sealing threads that live here',
      schemas: { query: shapes.threadQuery, answer: shapes.threadList },
      handle: async (request) => ({
        body: { threads: await fleet.threads(read(shapes.threadQuery, request)) },
      }),
    },
    {
      method: 'POST',
      path: '/sealing/threads',
      summary: 'pause a sealing thread, or have it go on',
      schemas: { body: shapes.threadCommand, answer: controlAnswer },
      handle: async ({ body, author }) => ({
        body: await fleet.control(body as z.output<typeof shapes.threadCommand>, author),
      }),
    },
    ...historyRoutes(fleet, histories),
  ]
}

function historyRoutes(fleet: Fleet, histories: Histories): AppRoute[] {
  return [
    {
      method: 'GET',
      path: '/sealing/history',
      summary: 'sectors that have ended, the newest first',
      schemas: {
        query: shapes.historyQuery.extend({ limit: z.string().optional() }),
        answer: shapes.historyList,
      },
      handle: async (request) => {
        const limit = Number(request.query.get('limit') ?? SECTORS_DEFAULT)
        if (!(limit >= 1 && limit <= SECTORS_MAX)) {
          throw new TroupeError('malformed', `limit is a number from 1 to ${SECTORS_MAX}`)
        }
        const sectors: HistorySummary[] = []
        for await (const one of histories.list(filterOf(request))) {
          if (sectors.length >= limit) return { body: { sectors, hasMore: true } }
          sectors.push(one)
        }
        return { body: { sectors, hasMore: false } }
      },
    },
    {
      method: 'GET',
      path: '/sealing/history/:sector',
      summary: 'what became of a sector, and what is done about it now',
      schemas: { answer: shapes.sectorStory },
      handle: async ({ params }) => ({ body: await fleet.story(params['sector'] ?? '') }),
    },
    {
      method: 'GET',
      path: '/sealing/history-export',
      summary: 'every transition of the sectors that have ended, a line each',
      schemas: {
        query: shapes.historyQuery.extend({ format: z.enum(EXPORT_FORMATS) }),
        answer: shapes.exportText,
      },
      handle: async (request) => {
        const format = EXPORT_FORMATS.find((one) => one === request.query.get('format')) ?? 'jsonl'
        const lines = histories.export(filterOf(request), format)
        const type = format === 'csv' ? 'text/csv; charset=utf-8' : 'application/x-ndjson'
        return { headers: { 'content-type': type }, body: Readable.from(ended(lines)) }
      },
    },
  ]
}

async function* ended(lines: AsyncIterable<string>): AsyncGenerator<string, void, void> {
  for await (const line of lines) yield `${line}\n`
}

function filterOf(request: AppRequest): HistoryFilter {
  const { since, ...rest } = read(shapes.historyQuery, request)
  const given = Object.entries({
    ...rest,
    ...(since === undefined ? {} : { since: Number(since) }),
  })
  return Object.fromEntries(given.filter(([, value]) => value !== undefined))
}

/** The gateway has checked it; here it gets its type. */
function read<TSchema extends z.ZodType>(
  schema: TSchema,
  { query }: AppRequest,
): z.output<TSchema> {
  return schema.parse(Object.fromEntries(query))
}
