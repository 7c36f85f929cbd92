/** Reading an OpenAPI document in tests: whether a schema is JSON Schema 2020-12, and whether a value fits one. */
import { z } from 'zod'

export type Json = Record<string, unknown>

const count = z.int().min(0)
const types = z.enum(['null', 'boolean', 'object', 'array', 'number', 'string', 'integer'])
const pattern = z.string().refine((text) => new RegExp(text, 'u'))
const some = z.array(z.lazy(() => schema)).min(1)
const named = z.record(
  z.string(),
  z.lazy(() => schema),
)
const one = z.lazy(() => schema)

/** The vocabularies of 2020-12 as far as we write them; a word that is not known is a mistake. */
const schema: z.ZodType = z.union([
  z.boolean(),
  z
    .strictObject({
      $ref: z.string().startsWith('#/'),
      $defs: named,
      type: z.union([types, z.array(types).min(1)]),
      enum: z.array(z.unknown()).min(1),
      const: z.unknown(),
      properties: named,
      patternProperties: named,
      additionalProperties: one,
      propertyNames: one,
      required: z.array(z.string()),
      minProperties: count,
      maxProperties: count,
      items: one,
      prefixItems: some,
      minItems: count,
      maxItems: count,
      uniqueItems: z.boolean(),
      anyOf: some,
      oneOf: some,
      allOf: some,
      not: one,
      minimum: z.number(),
      maximum: z.number(),
      exclusiveMinimum: z.number(),
      exclusiveMaximum: z.number(),
      multipleOf: z.number().positive(),
      minLength: count,
      maxLength: count,
      pattern,
      format: z.string(),
      contentEncoding: z.string(),
      title: z.string(),
      description: z.string(),
      default: z.unknown(),
      examples: z.array(z.unknown()),
    })
    .partial(),
])

/** @throws ZodError */
export function requireJsonSchema(value: unknown): void {
  schema.parse(value)
}

export function at(document: unknown, pointer: string): unknown {
  const parts = pointer.slice(2).split('/')
  return parts.reduce<unknown>((json, part) => (json as Json | undefined)?.[part], document)
}

/** What a value must be, with nothing beside what is described. */
export function validatorOf(document: unknown, given: unknown): z.ZodType {
  const defs: Json = {}
  const nameOf = (ref: string) => ref.replace(/[^A-Za-z0-9]/g, '_')
  const closed = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(closed)
    if (typeof value !== 'object' || value === null) return value
    const { $ref, $defs: _inner, ...rest } = value as Json
    if (typeof $ref === 'string') {
      const name = nameOf($ref)
      if (!Object.hasOwn(defs, name)) {
        // Before it is followed: it may come back to itself.
        defs[name] = {}
        defs[name] = closed(at(document, $ref))
      }
      return { $ref: `#/$defs/${name}` }
    }
    const isOpen = rest['properties'] !== undefined && rest['additionalProperties'] === undefined
    const parts = Object.entries(rest).map(([key, inner]) => [key, closed(inner)])
    return { ...Object.fromEntries(parts), ...(isOpen ? { additionalProperties: false } : {}) }
  }
  const root = closed(given) as Json
  return z.fromJSONSchema({ ...root, $defs: defs } as Parameters<typeof z.fromJSONSchema>[0])
}
