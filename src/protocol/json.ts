/**
 * The JSON form of values, for people and their programs. Decides: how what JSON has no form for is written
 * and read back. Leaves to others: Troupe's own bytes (`codec.ts`).
 */
import { TroupeError } from './errors.ts'

/**
 * JSON with bigints as `{"$bigint":"123"}`, Maps (`$map`), Sets (`$set`) and bytes (`$bytes`, base64)
 * likewise; no digit is lost. An object that looks like one of these is written as
 * `{"$plain":[key,value]}`. Undefined becomes null, as everywhere in JSON.
 */
export function toJson(value: unknown, indent?: number): string {
  // A replacer makes it twice as dear, and most of what is said needs none.
  if (isPlain(value, PLAIN_DEPTH_MAX)) return JSON.stringify(value ?? null, undefined, indent)
  return JSON.stringify(value ?? null, replacer, indent)
}

/** Deeper values are written with the replacer: so is what contains itself. */
const PLAIN_DEPTH_MAX = 16

/** Whether JSON has a form of its own for all of it. */
function isPlain(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) {
    return typeof value !== 'bigint' && typeof value !== 'function'
  }
  if (depth === 0) return false
  if (Array.isArray(value)) return value.every((inner) => isPlain(inner, depth - 1))
  if (Object.getPrototypeOf(value) !== Object.prototype) return false
  let count = 0
  let isTag = false
  for (const key in value) {
    if (!isPlain((value as Record<string, unknown>)[key], depth - 1)) return false
    count += 1
    isTag = TAGS.has(key)
  }
  return count !== 1 || !isTag
}

const TAGS = new Set(['$bigint', '$map', '$set', '$bytes', '$plain'])

function replacer(this: unknown, key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return { $bigint: value.toString() }
  if (value instanceof Map) return { $map: [...value] }
  if (value instanceof Set) return { $set: [...value] }
  // The holder has the bytes themselves; a Buffer's own toJSON has already changed `value`.
  const held = (this as Record<string, unknown>)[key]
  if (held instanceof Uint8Array) return { $bytes: Buffer.from(held).toString('base64') }
  return isTagged(value) ? { $plain: Object.entries(value)[0] } : value
}

function isTagged(value: unknown): value is object {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const [first, ...others] = Object.keys(value)
  return first !== undefined && others.length === 0 && TAGS.has(first)
}

/** What opens no more lists and objects cannot nest too deep either: an event, a page of a list. */
const OPENED_MAX = 4_096

/** With which every tag begins, as it is or escaped. */
const TAG_SIGN = /\$|\\u0024/

/** Reads `toJson`'s form back. @throws TroupeError `malformed` */
export function fromJson(text: string): unknown {
  try {
    // A reviver makes it several times as dear: without the sign of a tag there is nothing to revive.
    // What nests too deep for our functions is refused by it, so that it is left out for flat texts only.
    if (opensFew(text) && !TAG_SIGN.test(text)) return JSON.parse(text)
    return JSON.parse(text, reviver)
  } catch (cause) {
    throw new TroupeError('malformed', `not JSON: ${(cause as Error).message}`, { cause })
  }
}

function opensFew(text: string): boolean {
  if (text.length <= OPENED_MAX) return true
  let opened = 0
  for (const sign of '{[') {
    for (let at = text.indexOf(sign); at >= 0; at = text.indexOf(sign, at + 1)) {
      opened += 1
      if (opened > OPENED_MAX) return false
    }
  }
  return true
}

function reviver(_key: string, value: unknown): unknown {
  if (!isTagged(value)) return value
  const tagged = value as Record<string, unknown>
  if (typeof tagged['$bigint'] === 'string') return BigInt(tagged['$bigint'])
  if (Array.isArray(tagged['$map'])) return new Map(tagged['$map'] as [unknown, unknown][])
  if (Array.isArray(tagged['$set'])) return new Set(tagged['$set'])
  if (Array.isArray(tagged['$plain'])) return Object.fromEntries([tagged['$plain']])
  if (typeof tagged['$bytes'] === 'string') return Buffer.from(tagged['$bytes'], 'base64')
  return value
}
