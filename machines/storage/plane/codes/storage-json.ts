/**
 * JSON with whole numbers of 64 bits as plain numbers in full digits, as the store's protocol has them.
 * Decides: how they are written and read without losing a digit. Leaves to others: which fields are ids
 * (`vuidSchema`, `bidSchema`); the platform's own form of bigints is read, too, but not written.
 */
import { type AppResponse, type AppRoute, fromJson } from '../../../../src/index.ts'

/** Bigints as bare numbers; all else as `JSON.stringify` has it. */
export function storageJson(value: unknown): string {
  return written(value) ?? 'null'
}

function written(value: unknown): string | undefined {
  if (typeof value === 'bigint') return value.toString()
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(storageJson).join(',')}]`
  if ('toJSON' in value && typeof value.toJSON === 'function') return written(value.toJSON())
  const fields = Object.entries(value).flatMap(([key, field]) => {
    const text = written(field)
    return text === undefined ? [] : [`${JSON.stringify(key)}:${text}`]
  })
  return `{${fields.join(',')}}`
}

/** Only a run of so many digits can be more than a number holds. */
const DIGITS_MANY = /\d{16}/
const STRING_OR_NUMBER = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*/g
const WHOLE = /^-?[1-9]\d*$/

/** Whole numbers that a number cannot hold become bigints. @throws TroupeError `malformed` */
export function parseStorageJson(text: string): unknown {
  if (!DIGITS_MANY.test(text)) return fromJson(text)
  return fromJson(
    text.replace(STRING_OR_NUMBER, (token) =>
      WHOLE.test(token) && !Number.isSafeInteger(Number(token)) ? `{"$bigint":"${token}"}` : token,
    ),
  )
}

/** An answer of a route of the platform. */
export function storageAnswer(value: unknown, status = 200): AppResponse {
  return {
    status,
    headers: { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' },
    body: storageJson(value),
  }
}

/** For a route of the platform whose body holds such numbers: `{ parsers: storageParsers, … }`. */
export const storageParsers: NonNullable<AppRoute['parsers']> = {
  'application/json': (bytes) => parseStorageJson(Buffer.from(bytes).toString('utf8')),
}
