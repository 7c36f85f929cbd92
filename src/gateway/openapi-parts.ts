/**
 * The parts that an OpenAPI document is made of. Decides: how one operation is written, and that every
 * schema lies once, under a name, where it can refer to itself. Leaves to others: which operations
 * there are.
 */
import type { z } from 'zod'
import { type JsonSchema, jsonSchemaOf, type Role, TroupeError } from '../protocol/index.ts'

export type Operation = { readonly [keyword: string]: unknown }

export interface Parameter {
  name: string
  in: 'path'
}

export interface OperationParts {
  summary: string
  role: Role | 'public'
  tags?: readonly string[]
  parameters?: readonly Parameter[]
  query?: z.ZodRawShape
  headers?: readonly JsonSchema[]
  body?: JsonSchema
  bodyMedia?: string
  /** Of success; default 200. */
  status?: number
  answer?: JsonSchema
  /** The content type of an answer that is not JSON. */
  media?: string
}

const refToHeader = (name: string): JsonSchema => ({ $ref: `#/components/parameters/${name}` })

export const HEADERS = {
  command: refToHeader('idempotencyKey'),
  timeout: refToHeader('timeoutMs'),
  durability: refToHeader('durability'),
  author: refToHeader('author'),
  lastEventId: refToHeader('lastEventId'),
}

const header = (name: string, description: string, schema: JsonSchema): JsonSchema => ({
  name,
  in: 'header',
  required: false,
  description,
  schema,
})
const TEXT = { type: 'string' }

export const SHARED_HEADERS: JsonSchema = {
  idempotencyKey: header(
    'Idempotency-Key',
    'A command id, <unix ms>-<unique>: the same one is applied once',
    { type: 'string', pattern: '^[0-9]+-.+$' },
  ),
  timeoutMs: header('X-Troupe-Timeout-Ms', 'How long the caller waits', {
    type: 'integer',
    minimum: 1,
  }),
  durability: header('X-Troupe-Durability', 'What must be true before the answer leaves', {
    enum: ['flushed', 'journaled', 'flushed+journaled'],
  }),
  author: header('X-Troupe-Author', 'Who asks, where no users are configured', TEXT),
  lastEventId: header('Last-Event-ID', 'The id of the last event that was seen', TEXT),
}

const JSON_TYPE = 'application/json'
const ERROR_CONTENT = { [JSON_TYPE]: { schema: { $ref: '#/components/schemas/Error' } } }

export const SHARED_RESPONSES: JsonSchema = {
  error: {
    description: 'Refused; the error says what, where and what to do',
    content: ERROR_CONTENT,
  },
}

/** @param id unique in the document: the method and the path */
export function operationOf(id: string, given: OperationParts): Operation {
  const { summary, role, tags, parameters = [], query = {}, headers = [] } = given
  const { body, bodyMedia = JSON_TYPE, status = 200, answer = {}, media } = given
  const all = [
    ...parameters.map((one) => ({ ...one, required: true, schema: TEXT })),
    ...Object.entries(query).map(([name, schema]) => ({
      name,
      in: 'query',
      required: false,
      schema: querySchema(schema as z.ZodType),
    })),
    ...headers,
  ]
  return {
    operationId: id.replace(/[^A-Za-z0-9]+/g, '_').replace(/_$/, ''),
    summary,
    ...(tags ? { tags } : {}),
    ...(all.length > 0 ? { parameters: all } : {}),
    ...(body ? { requestBody: { content: { [bodyMedia]: { schema: body } } } } : {}),
    responses: {
      [status]: {
        description: 'Done',
        content: { [media ?? JSON_TYPE]: media ? { schema: TEXT } : { schema: answer } },
      },
      default: { $ref: '#/components/responses/error' },
    },
    ...(role === 'public' ? { security: [] } : {}),
    'x-troupe-role': role,
  }
}

/** Of a parameter: a text, whatever it is read as. */
function querySchema(schema: z.ZodType): JsonSchema {
  const outcome = jsonSchemaOf(schema)
  return 'schema' in outcome ? outcome.schema : TEXT
}

/** `/a/:id/*` as OpenAPI writes it. */
export function pathOf(route: string): { path: string; names: string[] } {
  const names: string[] = []
  const path = route.replace(/:([A-Za-z0-9_]+)|\*/g, (_all, name: string | undefined) => {
    names.push(name ?? 'rest')
    return `{${name ?? 'rest'}}`
  })
  return { path, names }
}

/** The schemas of a document, by name. */
export class Components {
  readonly #schemas = new Map<string, JsonSchema>()
  readonly #refs = new Map<z.ZodType, JsonSchema>()

  /** @param place for the error @throws TroupeError `invalid-config` for what JSON Schema cannot say */
  ref(name: string, schema: z.ZodType, place = name): JsonSchema {
    const known = this.#refs.get(schema)
    if (known) return known
    const ref = this.put(name, said(schema, place))
    this.#refs.set(schema, ref)
    return ref
  }

  put(name: string, schema: JsonSchema): JsonSchema {
    const free = this.#freeName(name)
    const root = `#/components/schemas/${free}`
    this.#schemas.set(free, moved(schema, root) as JsonSchema)
    return { $ref: root }
  }

  all(): JsonSchema {
    return Object.fromEntries(this.#schemas)
  }

  /** OpenAPI wants plain letters; types of events may be anything. */
  #freeName(name: string): string {
    const plain = name.replace(/[^A-Za-z0-9._-]/g, '_')
    let free = plain
    for (let n = 2; this.#schemas.has(free); n++) free = `${plain}_${n}`
    return free
  }
}

/** @throws TroupeError `invalid-config` */
export function said(schema: z.ZodType, place: string): JsonSchema {
  const outcome = jsonSchemaOf(schema)
  if ('schema' in outcome) return outcome.schema
  const { at, why } = outcome.unsayable
  const where = at === '' ? place : `${place}, field ${at}`
  throw new TroupeError('invalid-config', `${where}: no JSON Schema can say it: ${why}`)
}

/** Schemas refer to their own root, which now lies elsewhere. */
function moved(value: unknown, root: string): unknown {
  if (Array.isArray(value)) return value.map((one) => moved(one, root))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => {
      const isOwnRef = key === '$ref' && typeof inner === 'string' && /^#(\/\$defs\/|$)/.test(inner)
      return [key, isOwnRef ? `${root}${inner.slice(1)}` : moved(inner, root)]
    }),
  )
}
