/**
 * The one codec that shapes Troupe's bytes, on the wire and on disk, and the JSON form for people.
 *
 * Decides: msgpack with inline record definitions, so that every pack is complete in itself (a row
 * has the same bytes in a journal and in a store), Maps, Sets, Dates and bigints survive.
 * Leaves to others: which shapes are packed.
 */
import { C1, Packr } from 'msgpackr'
import { TroupeError } from './errors.ts'

const packr = new Packr({
  useRecords: true,
  useBigIntExtension: true,
  moreTypes: true,
  // Values live longer than the message that they came in.
  copyBuffers: true,
})
// Left alone, msgpackr packs a function as `undefined`: a context would lose it silently.
Object.assign(packr, {
  writeFunction() {
    throw new Error('a function cannot be stored or sent')
  },
})

/** What packed bytes are called where they travel as the body of a request. */
export const PACKED_TYPE = 'application/x-msgpack'

/**
 * Packs a value into bytes of its own.
 * @throws TroupeError `malformed` for functions, symbols and circular references
 */
export function pack(value: unknown): Uint8Array {
  try {
    return packr.pack(value)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new TroupeError('malformed', `the value cannot be packed: ${why}`, { cause })
  }
}

/** @throws TroupeError `malformed` when the bytes are not one complete pack */
export function unpack(bytes: Uint8Array): unknown {
  try {
    const value: unknown = packr.unpack(bytes)
    // The byte that msgpack never uses comes back as an object of its own.
    if (value === C1) throw new Error('the first byte is 0xc1')
    return value
  } catch (cause) {
    throw new TroupeError('malformed', 'the bytes are not a message of Troupe', { cause })
  }
}

/** Packs that stand one after the other. @throws TroupeError `malformed` */
export function unpackAll(bytes: Uint8Array): unknown[] {
  try {
    return (packr.unpackMultiple(bytes) ?? []) as unknown[]
  } catch (cause) {
    throw new TroupeError('malformed', 'the bytes are not messages of Troupe', { cause })
  }
}

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

/** Events and requests of people: what is that short cannot nest too deep either. */
const SHORT_LENGTH_MAX = 4_096

/** With which every tag begins, as it is or escaped. */
const TAG_SIGN = /\$|\\u0024/

/** Reads `toJson`'s form back. @throws TroupeError `malformed` */
export function fromJson(text: string): unknown {
  try {
    // A reviver makes it several times as dear: without the sign of a tag there is nothing to revive.
    // What nests too deep for our functions is refused by it, so that it is left out for short texts only.
    if (text.length <= SHORT_LENGTH_MAX && !TAG_SIGN.test(text)) return JSON.parse(text)
    return JSON.parse(text, reviver)
  } catch (cause) {
    throw new TroupeError('malformed', `not JSON: ${(cause as Error).message}`, { cause })
  }
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
