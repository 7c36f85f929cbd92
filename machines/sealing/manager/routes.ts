/**
 * The manager over HTTP: JSON-RPC for workers, the piece store, and what its verbs call. Decides: the
 * paths, what they take and answer. The platform's roles guard all of them: a worker's token stands in
 * `rpc_client.headers` of its configuration.
 */
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import type { z } from 'zod'
import { type AppContext, type AppRequest, type AppRoute, TroupeError } from '../../../src/index.ts'
import { answersOf, type Caller, type WdPoStPort } from './calls.ts'
import type { ChainPort } from './chain-port.ts'
import { TASK_HEADER } from './client.ts'
import { type ManagerConfig, pieceBytesMaxOf } from './config.ts'
import { type ContentChecks, proverChecks, trusting, withinReach } from './content-checks.ts'
import { Operators } from './operators.ts'
import { Pieces } from './pieces.ts'
import * as shapes from './route-shapes.ts'
import { answerRpc, MANAGER_IS_OFF } from './rpc.ts'
import { Sectors } from './sectors.ts'
import { Storage } from './storage.ts'
import { WorkerPings } from './worker-list.ts'

/** A proof of 480 KiB and all that stands around it. */
const RPC_BYTES_MAX = 4 * 1024 * 1024
/** Base64 of `PIECE_BYTES_MAX`, and a little. */
const DEAL_BYTES_MAX = 24 * 1024 * 1024
const TASK_CHARS_MAX = 2_000

export interface ManagerRoutesDeps {
  /** Null: this node has no manager, and says so. */
  config: ManagerConfig | null
  chain: ChainPort
  jobs: WdPoStPort
  /** Default: the reference prover's. */
  content?: ContentChecks
}

type Context = Pick<AppContext, 'client' | 'clock' | 'log' | 'directory'>

export function managerRoutes(context: Context, deps: ManagerRoutesDeps): AppRoute[] {
  const { chain, jobs } = deps
  const config = deps.config?.enabled ? deps.config : null
  const isJudged = config?.policy.verifyContent ?? false
  const content = isJudged ? withinReach(deps.content ?? proverChecks) : trusting
  const { client, clock, log } = context
  const pieces = new Pieces(
    config?.pieceStore ?? join(context.directory, 'pieces'),
    pieceBytesMaxOf(config),
  )
  const answers = config && answersOf({ client, clock, log, config, chain, jobs, content })
  const operators = config && new Operators({ client, clock, config, content, pieces })
  const storage =
    config && new Storage({ client, clock, log, config, sectors: new Sectors(client) })
  const rpc = async (request: AppRequest) => {
    const body = await answerRpc({ answers, log }, request.body as Uint8Array, callerOf(request))
    return body === undefined ? { status: 204 } : { body }
  }
  return [
    // At a listener of its own, where managers of the Venus family are expected, with the path or without.
    { ...rpcRoute('/rpc/v0', rpc), listenerOnly: true },
    { ...rpcRoute('/', rpc), listenerOnly: true },
    rpcRoute('/sealing/rpc/v0', rpc),
    ...pieceRoutes(pieces),
    ...sectorRoutes(() => required(operators)),
    ...dealRoutes(() => required(operators)),
    {
      method: 'GET',
      path: '/sealing/stores',
      summary: 'the long-term stores of sealed sectors',
      schemas: { answer: shapes.storeList },
      handle: async () => ({ body: { stores: await required(storage).list() } }),
    },
    ...workerRoutes(new WorkerPings(client)),
  ]
}

function rpcRoute(path: string, handle: AppRoute['handle']): AppRoute {
  return {
    method: 'POST',
    path,
    // Read here, so that what cannot be read is answered in JSON-RPC as well.
    body: 'raw',
    bodyBytesMax: RPC_BYTES_MAX,
    isFrequent: true,
    summary: 'JSON-RPC 2.0 of sector managers (Venus.*), for sealing workers',
    schemas: { answer: shapes.rpcAnswers },
    handle,
  }
}

function pieceRoutes(pieces: Pieces): AppRoute[] {
  return [
    {
      method: 'GET',
      path: '/piecestore/:cid',
      summary: 'the bytes of a piece',
      handle: async (request) => {
        const { bytes, size } = await pieces.read(part(request, 'cid'))
        return { headers: { 'content-length': String(size) }, body: bytes }
      },
    },
    {
      method: 'PUT',
      path: '/piecestore/:cid',
      body: 'stream',
      summary: 'bring the bytes of a piece, as workers do that unseal one',
      schemas: { answer: shapes.pieceStored },
      handle: async (request) => {
        const announced = Number(request.headers['content-length'] ?? 0)
        const content = request.body as Readable
        const bytes = await pieces.write(part(request, 'cid'), content, announced)
        return { body: { bytes } }
      },
    },
  ]
}

function sectorRoutes(operators: () => Operators): AppRoute[] {
  const change = (
    verb: string,
    summary: string,
    body: z.ZodType,
    act: (all: Operators, name: string, request: AppRequest) => Promise<unknown>,
  ): AppRoute => ({
    method: 'POST',
    path: `/sealing/sectors/:sector/${verb}`,
    summary,
    schemas: { body, answer: shapes.sectorView },
    handle: async (request) => ({ body: await act(operators(), part(request, 'sector'), request) }),
  })
  return [
    {
      method: 'GET',
      path: '/sealing/sectors',
      summary: 'sectors of this manager, by number',
      schemas: { query: shapes.sectorQuery, answer: shapes.sectorList },
      handle: async ({ query }) => {
        const asked = shapes.sectorQuery.parse(Object.fromEntries(query))
        return { body: await operators().sectors(asked) }
      },
    },
    {
      method: 'GET',
      path: '/sealing/sectors/:sector',
      summary: 'all that the manager knows of a sector',
      schemas: { answer: shapes.sectorView },
      handle: async (request) => ({ body: await operators().sector(part(request, 'sector')) }),
    },
    {
      method: 'GET',
      path: '/sealing/sectors/:sector/proof',
      summary: 'the proof of a sector as it was submitted',
      schemas: { answer: shapes.proofView },
      handle: async (request) => ({ body: await operators().proof(part(request, 'sector')) }),
    },
    change('abort', 'give a sector up; its worker is told', shapes.abortion, (all, name, request) =>
      all.abort(name, request.body as z.infer<typeof shapes.abortion>, request.author),
    ),
    change('finalize', 'take a sector as done', shapes.reasoned, (all, name, request) => {
      const { reason } = request.body as z.infer<typeof shapes.reasoned>
      return all.finalize(name, reason, request.author)
    }),
    change('rebuild', 'have a sector made again', shapes.nothing, (all, name, { author }) =>
      all.rebuild(name, author),
    ),
    change('unseal', 'have a piece brought back', shapes.unsealing, (all, name, request) =>
      all.unseal(name, request.body as z.infer<typeof shapes.unsealing>, request.author),
    ),
  ]
}

function dealRoutes(operators: () => Operators): AppRoute[] {
  return [
    {
      method: 'GET',
      path: '/sealing/deals/:miner',
      summary: 'deals that wait for a sector, or are in one that is not finalized',
      schemas: { answer: shapes.dealList },
      handle: async (request) => ({ body: { deals: await operators().deals(minerIn(request)) } }),
    },
    {
      method: 'POST',
      path: '/sealing/deals/:miner',
      bodyBytesMax: DEAL_BYTES_MAX,
      summary: 'add a deal: a payload, or so many random bytes',
      schemas: { body: shapes.dealAddition, answer: shapes.dealAdded, status: 201 },
      handle: async (request) => {
        const { base64, sizeBytes } = request.body as z.infer<typeof shapes.dealAddition>
        const payload =
          base64 === undefined ? { sizeBytes: sizeBytes ?? 0 } : Buffer.from(base64, 'base64')
        const body = await operators().addDeal(minerIn(request), payload, request.author)
        return { status: 201, body }
      },
    },
  ]
}

function workerRoutes(workers: WorkerPings): AppRoute[] {
  return [
    {
      method: 'GET',
      path: '/sealing/workers',
      summary: 'the sealing workers that ping this manager',
      schemas: { answer: shapes.pingList },
      handle: async () => ({ body: { workers: await workers.list() } }),
    },
    {
      method: 'GET',
      path: '/sealing/workers/:name',
      summary: 'a sealing worker, as it pinged last',
      schemas: { answer: shapes.pingSummary },
      handle: async (request) => ({ body: await workers.get(part(request, 'name')) }),
    },
    {
      method: 'DELETE',
      path: '/sealing/workers/:name',
      summary: 'forget a sealing worker until it pings again',
      schemas: { answer: shapes.nothing },
      handle: async (request) => {
        await workers.remove(part(request, 'name'), request.author)
        return { body: {} }
      },
    },
  ]
}

function callerOf({ headers }: AppRequest): Caller {
  const given = headers[TASK_HEADER]
  return typeof given === 'string' && given !== '' && given.length <= TASK_CHARS_MAX
    ? { taskId: given }
    : { taskId: null }
}

function part({ params }: AppRequest, name: string): string {
  return params[name] ?? ''
}

function minerIn(request: AppRequest): number {
  const text = part(request, 'miner')
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw new TroupeError('malformed', `"${text.slice(0, 32)}" is no miner: write its number`)
}

/** @throws TroupeError `conflict` */
function required<T>(part: T | null): T {
  if (part) return part
  throw new TroupeError('conflict', MANAGER_IS_OFF)
}
