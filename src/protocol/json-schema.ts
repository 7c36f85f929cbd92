/**
 * JSON Schema of zod schemas. Decides: how what callers send as JSON is described, and what cannot be.
 * What zod has no words for is never described as "anything": it has a place, and is refused there.
 *
 * Whole numbers of any size are `integer`, since our JSON carries bigints.
 */
import { z } from 'zod'

/** A JSON Schema, draft 2020-12; `$ref`s begin at its own root. */
export type JsonSchema = { readonly [keyword: string]: unknown }

export type JsonSchemaOutcome =
  | { schema: JsonSchema }
  /** `at` is a path as in `lines[].due`, empty for the whole; `why` in words. */
  | { unsayable: { at: string; why: string } }

/** What no text in JSON can be. */
const UNSAYABLE: ReadonlySet<string> = new Set([
  'custom',
  'date',
  'file',
  'function',
  'map',
  'nan',
  'promise',
  'set',
  'symbol',
  'transform',
  'undefined',
  'void',
])
const HINTS: Readonly<Record<string, string>> = {
  date: ': take z.iso.datetime(), or a number of milliseconds',
  map: ': take z.record()',
  set: ': take z.array()',
  undefined: ': take .optional()',
  void: ': take .optional()',
  custom: ' (z.custom, z.instanceof): take a schema of plain data, with .refine()',
}

/** Schemas are made once and asked for often. */
const known = new WeakMap<z.ZodType, JsonSchemaOutcome>()

/** What has to be sent to satisfy the schema. */
export function jsonSchemaOf(schema: z.ZodType): JsonSchemaOutcome {
  const made = known.get(schema) ?? describe(schema)
  known.set(schema, made)
  return made
}

function describe(schema: z.ZodType): JsonSchemaOutcome {
  let unsayable: { at: string; why: string } | undefined
  try {
    const { $schema: _draft, ...described } = z.toJSONSchema(schema, {
      io: 'input',
      unrepresentable: 'any',
      override: ({ zodSchema, jsonSchema, path }) => {
        const { type } = zodSchema._zod.def
        if (type === 'bigint') jsonSchema.type = 'integer'
        if (!UNSAYABLE.has(type) || unsayable) return
        unsayable = { at: pathText(path), why: `JSON has no ${type}${HINTS[type] ?? ''}` }
      },
    })
    return unsayable ? { unsayable } : { schema: described }
  } catch (cause) {
    return { unsayable: { at: '', why: (cause as Error).message } }
  }
}

/** From the place in the JSON Schema to the place in the data. */
function pathText(path: readonly (string | number)[]): string {
  let text = ''
  for (let at = 0; at < path.length; at++) {
    const word = path[at]
    if (word === 'properties') {
      at += 1
      text += `${text === '' ? '' : '.'}${path[at]}`
    } else if (word === 'items') text += '[]'
    else if (word === 'prefixItems') {
      at += 1
      text += `[${path[at]}]`
    } else if (word === 'additionalProperties') text += `${text === '' ? '' : '.'}*`
  }
  return text
}
