/**
 * Objects over HTTP. Decides: paths, statuses and headers. An answer always says how long it is, so that
 * one that breaks off is never taken for whole. Leaves to others: what is done (`put.ts`, `get.ts`,
 * `delete.ts`).
 */
import type { Readable } from 'node:stream'
import { z } from 'zod'
import {
  type AppRequest,
  type AppResponse,
  type AppRoute,
  TroupeError,
} from '../../../../src/index.ts'
import { codeModeOf } from '../codes/index.ts'
import { type BlobId, parseBlobId } from './blob-id.ts'
import { piecesOf } from './body-pieces.ts'
import { rangeOf } from './byte-range.ts'
import { type DeleteDeps, deleteObject } from './delete.ts'
import { type GetDeps, openObject } from './get.ts'
import { Budget } from './lanes.ts'
import type { ByteRange } from './ports.ts'
import { type PutDeps, putObject } from './put.ts'

/** What reading, writing and deleting need; one set for a node. */
export type AccessDeps = Omit<PutDeps & GetDeps & DeleteDeps, 'budget'> & {
  /** Of a put that names no mode. */
  modeDefault: string
}

const putQuery = z.object({
  mode: z.string().optional().describe('code mode, such as EC6P3; default: as configured'),
})
const putAnswer = z.object({
  id: z.string().describe('says all of where the object is; keep it: nobody else has it'),
  size: z.int().describe('bytes'),
  mode: z.string(),
})
const deleteAnswer = z.object({
  id: z.string(),
  status: z.enum(['deleted', 'accepted']),
})

const TYPE = 'application/octet-stream'

export function accessRoutes(deps: AccessDeps): AppRoute[] {
  const objects = new Objects(deps)
  const path = '/blob/:id'
  return [
    {
      method: 'PUT',
      path: '/blob',
      body: 'stream',
      isFrequent: true,
      summary: 'store an object; answers its id when it is on disk at the quorum of its mode',
      schemas: { query: putQuery, answer: putAnswer, status: 201 },
      handle: (request) => objects.put(request),
    },
    {
      method: 'GET',
      path,
      isFrequent: true,
      summary: 'the bytes of an object, or one range of them',
      handle: (request) => objects.get(request),
    },
    {
      method: 'HEAD',
      path,
      isFrequent: true,
      summary: 'how large an object is, and whether it can be read',
      handle: (request) => objects.head(request),
    },
    {
      method: 'DELETE',
      path,
      isFrequent: true,
      summary: 'delete an object; 202 where units that are away will follow',
      schemas: { answer: deleteAnswer },
      handle: (request) => objects.delete(request),
    },
  ]
}

class Objects {
  readonly #deps: AccessDeps & GetDeps & PutDeps
  readonly #deletes: Budget

  constructor(deps: AccessDeps) {
    this.#deps = { ...deps, budget: new Budget(deps.limits.bytesUnderWayMax) }
    this.#deletes = new Budget(deps.limits.deletesMax)
  }

  async put({ body, headers, query, signal }: AppRequest): Promise<AppResponse> {
    const mode = codeModeOf(query.get('mode') ?? this.#deps.modeDefault)
    const announced = headers['content-length']
    const { id, size } = await putObject(this.#deps, piecesOf(body as Readable), {
      ...{ mode, signal },
      ...(announced === undefined ? {} : { announced: Number(announced) }),
    })
    const location = `/blob/${id}`
    return { status: 201, headers: { location }, body: { id, size, mode: mode.name } }
  }

  async get(request: AppRequest): Promise<AppResponse> {
    const { id, range, isPart } = askedFor(request)
    if (range === null) return unsatisfiable(id)
    const body = await openObject(this.#deps, id, range, request.signal)
    return { status: isPart ? 206 : 200, headers: headersOf(id, range, isPart), body }
  }

  /** It is read at its begin, since only that tells whether it is there. */
  async head(request: AppRequest): Promise<AppResponse> {
    const { id, range, isPart } = askedFor(request)
    if (range === null) return unsatisfiable(id)
    const begin = { from: range.from, to: Math.min(range.from + 1, range.to) }
    const stream = await openObject(this.#deps, id, begin, request.signal)
    stream.destroy()
    return { status: isPart ? 206 : 200, headers: headersOf(id, range, isPart) }
  }

  async delete({ params, signal }: AppRequest): Promise<AppResponse> {
    const text = params['id'] ?? ''
    const id = parseBlobId(text)
    const { deletesMax } = this.#deps.limits
    if (!this.#deletes.tryTake(1)) {
      const why = `${deletesMax} deletes are under way (deletesMax)`
      throw new TroupeError('busy', `${why}; try again in a moment`)
    }
    try {
      const status = await deleteObject(this.#deps, id, signal)
      if (status === 'absent') throw new TroupeError('not-found', 'there is no such object')
      return { status: status === 'accepted' ? 202 : 200, body: { id: text, status } }
    } finally {
      this.#deletes.give(1)
    }
  }
}

/** @throws TroupeError `malformed` */
function askedFor({ params, headers }: AppRequest): {
  id: BlobId
  range: ByteRange | null
  isPart: boolean
} {
  const id = parseBlobId(params['id'] ?? '')
  const header = headers['range']
  const asked = rangeOf(typeof header === 'string' ? header : undefined, id.size)
  const isPart = asked !== undefined
  return { id, range: isPart ? asked : { from: 0, to: id.size }, isPart }
}

function headersOf(
  { size }: BlobId,
  { from, to }: ByteRange,
  isPart: boolean,
): Record<string, string> {
  return {
    'content-type': TYPE,
    'content-length': String(to - from),
    'accept-ranges': 'bytes',
    ...(isPart ? { 'content-range': `bytes ${from}-${to - 1}/${size}` } : {}),
  }
}

function unsatisfiable({ size }: BlobId): AppResponse {
  const why = `the object has ${size} bytes, and none in that range`
  const { code, message, retry } = new TroupeError('malformed', why)
  return {
    status: 416,
    headers: { 'content-range': `bytes */${size}` },
    body: { error: { code, message, retry } },
  }
}
