/**
 * The one codec that shapes Troupe's bytes, on the wire and on disk, and the JSON form for people.
 *
 * Decides: msgpack with inline record definitions, so that every pack is complete in itself (a row
 * has the same bytes in a journal and in a store), Maps, Sets, Dates and bigints survive.
 * Leaves to others: which shapes are packed.
 */
import { Packr } from 'msgpackr'
import { TroupeError } from './errors.ts'

const packr = new Packr({ useRecords: true, useBigIntExtension: true, moreTypes: true })

/** Packs a value into bytes of its own. Functions and symbols are refused by the packer. */
export function pack(value: unknown): Uint8Array {
  return packr.pack(value)
}

/** @throws TroupeError `malformed` when the bytes are not one complete pack */
export function unpack(bytes: Uint8Array): unknown {
  try {
    return packr.unpack(bytes)
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

/** JSON with bigints as `{"$bigint":"123"}`, Maps, Sets and bytes likewise; no digit is lost. */
export function toJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, replacer, indent)
}

function replacer(this: unknown, key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return { $bigint: value.toString() }
  if (value instanceof Map) return { $map: [...value] }
  if (value instanceof Set) return { $set: [...value] }
  // The holder has the bytes themselves; a Buffer's own toJSON has already changed `value`.
  const held = (this as Record<string, unknown>)[key]
  if (held instanceof Uint8Array) return { $bytes: Buffer.from(held).toString('base64') }
  return value
}

/** Reads `toJson`'s form back. @throws TroupeError `malformed` */
export function fromJson(text: string): unknown {
  try {
    return JSON.parse(text, reviver)
  } catch (cause) {
    throw new TroupeError('malformed', `not JSON: ${(cause as Error).message}`, { cause })
  }
}

function reviver(_key: string, value: unknown): unknown {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return value
  const keys = Object.keys(value)
  if (keys.length !== 1) return value
  const tagged = value as Record<string, unknown>
  if (typeof tagged['$bigint'] === 'string') return BigInt(tagged['$bigint'])
  if (Array.isArray(tagged['$map'])) return new Map(tagged['$map'] as [unknown, unknown][])
  if (Array.isArray(tagged['$set'])) return new Set(tagged['$set'])
  if (typeof tagged['$bytes'] === 'string') return Buffer.from(tagged['$bytes'], 'base64')
  return value
}
