/**
 * How routes with the paths of the old scheduler answer. Decides: that a refusal leaves with the old store's
 * number as its status and as a text with a code; how bodies with ids of 64 bits are read. Leaves to others:
 * what is answered.
 */
import { z } from 'zod'
import {
  type AppRequest,
  type AppResponse,
  type AppRoute,
  TroupeError,
} from '../../../../src/index.ts'
import {
  numberedAnswer,
  storageAnswer,
  storageParsers,
  vuidSchema,
} from '../../plane/codes/index.ts'
import { MOVE_TYPES, type MoveType } from '../moves/index.ts'

/** A place of a unit, as the old store writes it. */
export const placeSchema = z.object({
  vuid: vuidSchema,
  host: z.string().max(256).default(''),
  disk_id: z.int().min(0),
})

/** The old text misspells it, and tools have it from there. */
const MISSPELT = 'disk_repir'

/** An error that the old scheduler has no number for: a status of HTTP, and a code of its own. */
export class SeedRefusal extends Error {
  readonly status: number
  readonly code: string

  constructor(status: number, code: string, message: string) {
    super(message)
    this.status = status
    this.code = code
  }
}

/** A route with a path of the old scheduler. */
export function numbered(route: AppRoute): AppRoute {
  return {
    parsers: storageParsers,
    ...route,
    handle: (request: AppRequest) => route.handle(request).catch(refused),
  }
}

function refused(thrown: unknown): AppResponse {
  if (!(thrown instanceof SeedRefusal)) return numberedAnswer(thrown)
  const { status, code, message: error } = thrown
  return storageAnswer({ error, code }, status)
}

/** An answer without a body, as the old scheduler has it where there is nothing to say. */
export const done = z.string()
export const DONE: AppResponse = { body: '', headers: { 'cache-control': 'no-store' } }

/** @throws TroupeError `malformed` */
export function bodyOf<T>(schema: z.ZodType<T>, body: unknown): T {
  const read = schema.safeParse(body ?? {})
  if (read.success) return read.data
  throw new TroupeError('malformed', `illegal arguments: ${z.prettifyError(read.error)}`)
}

/** @throws SeedRefusal `illegal_type` */
export function moveTypeOf(text: string): MoveType {
  const type = MOVE_TYPES.find((one) => one === (text === MISSPELT ? 'disk_repair' : text))
  if (type !== undefined) return type
  throw new SeedRefusal(400, 'illegal_type', 'illegal task type')
}
