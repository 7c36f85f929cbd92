/**
 * The one codec that shapes Troupe's bytes, on the wire and on disk.
 *
 * Decides: msgpack with inline record definitions, so that every pack is complete in itself (a row
 * has the same bytes in a journal and in a store), Maps, Sets, Dates and bigints survive.
 * Leaves to others: which shapes are packed; the JSON form for people (`json.ts`).
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
