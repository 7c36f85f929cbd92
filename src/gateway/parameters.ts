/**
 * What stands in a URL or a small body, checked once at the rim by zod. Decides: that unknown and
 * repeated parameters are errors with a suggestion, and how indexed values are written.
 */
import { z } from 'zod'
import { type ErrorCode, type IndexValue, nearest, TroupeError } from '../protocol/index.ts'
import { notADuration, parseDurationMs } from './duration.ts'

/** `90s`, `10m`, `2h`, `1d`; a bare number is milliseconds. */
export const durationMs = z.string().transform((text, context) => {
  const spanMs = parseDurationMs(text)
  if (spanMs !== undefined) return spanMs
  context.addIssue(notADuration(text))
  return z.NEVER
})

export const count = z.string().transform((text, context) => {
  if (!/^\d{1,15}$/.test(text)) {
    context.addIssue(`must be a whole number from 0, not "${text.slice(0, 40)}"`)
    return z.NEVER
  }
  return Number(text)
})

/** `?dryRun` and `?dryRun=true` are the same. */
export const flag = z
  .enum(['', 'true', 'false'], { error: 'must be true or false' })
  .transform((text) => text !== 'false')

/**
 * An indexed value: what reads as JSON's number, true, false or null is that, everything else is
 * text; quotes make text of anything (`"42"`).
 */
export function indexValueOf(text: string): IndexValue {
  if (!/^(?:-?\d+(?:\.\d+)?(?:e[+-]?\d+)?|true|false|null|".*")$/is.test(text)) return text
  try {
    return JSON.parse(text) as IndexValue
  } catch {
    return text
  }
}

/** Reads the query string. @throws TroupeError of the given code, naming the parameter */
export function readQuery<TShape extends z.ZodRawShape>(
  search: URLSearchParams,
  shape: TShape,
  code: ErrorCode = 'malformed',
): z.infer<z.ZodObject<TShape, z.core.$strict>> {
  const given: Record<string, string> = {}
  for (const [name, value] of search) {
    if (Object.hasOwn(given, name))
      throw new TroupeError(code, `the parameter "${name}" is given twice`)
    if (!Object.hasOwn(shape, name))
      throw new TroupeError(code, unknownName('parameter', name, Object.keys(shape)))
    given[name] = value
  }
  return checked(z.strictObject(shape), given, code, 'parameter') as z.infer<
    z.ZodObject<TShape, z.core.$strict>
  >
}

/** Reads a small JSON body. @throws TroupeError `malformed`, naming the field */
export function readFields<TShape extends z.ZodRawShape>(
  body: unknown,
  shape: TShape,
): z.infer<z.ZodObject<TShape, z.core.$strict>> {
  if (body !== undefined && (typeof body !== 'object' || body === null || Array.isArray(body))) {
    throw new TroupeError(
      'malformed',
      `the body must be a JSON object with: ${Object.keys(shape).join(', ')}`,
    )
  }
  const unknown = Object.keys(body ?? {}).find((name) => !Object.hasOwn(shape, name))
  if (unknown !== undefined) {
    throw new TroupeError('malformed', unknownName('field', unknown, Object.keys(shape)))
  }
  return checked(z.strictObject(shape), body ?? {}, 'malformed', 'field') as z.infer<
    z.ZodObject<TShape, z.core.$strict>
  >
}

/** @throws TroupeError of the given code, naming what is wrong */
export function checked(schema: z.ZodType, value: unknown, code: ErrorCode, what: string): unknown {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const issue = result.error.issues[0]
  const name = issue?.path.join('.') ?? ''
  const where = name === '' ? 'what was sent' : `the ${what} "${name}"`
  throw new TroupeError(code, `${where} ${wanted(issue?.message ?? 'is invalid')}`)
}

function wanted(message: string): string {
  return /^must /.test(message) ? message : `is not what is wanted: ${message}`
}

/** A typing error, with what was meant and all that there is. */
export function unknownName(what: string, name: string, known: readonly string[]): string {
  const near = nearest(name, known)
  const hint = near === undefined ? '' : `; did you mean "${near}"?`
  const list = known.length === 0 ? 'there are none here' : `known are: ${known.join(', ')}`
  return `there is no ${what} "${name.slice(0, 60)}"${hint} (${list})`
}
