/**
 * The one codec that shapes Troupe's bytes, on the wire and on disk.
 *
 * Decides: plain msgpack, so that every pack is complete in itself (a row has the same bytes in a journal and
 * in a store) and others can read it; Maps, Sets, Dates and bigints survive.
 * Leaves to others: which shapes are packed; the JSON form for people (`json.ts`).
 *
 * msgpackr's records would save a fifth of an actor's bytes; but in packs that are complete in themselves each
 * defines its shapes anew, which takes twice the time of naming the fields.
 */
import { addExtension, C1, Packr } from 'msgpackr'
import { TroupeError } from './errors.ts'

const packr = new Packr({
  useRecords: false,
  variableMapSize: true,
  useBigIntExtension: true,
  moreTypes: true,
  // Values live longer than the message that they came in.
  copyBuffers: true,
})

/** A Map on its way into a pack: what msgpack calls a map is an object here. */
class MapEntries {
  /** Key, value, key, value…: a level less to nest than pairs. */
  readonly entries: readonly unknown[]

  constructor(map: Map<unknown, unknown>) {
    this.entries = [...map].flatMap(([key, value]) => [withoutMaps(key), withoutMaps(value)])
  }
}

addExtension({
  Class: MapEntries,
  type: 0x4d,
  write: ({ entries }: MapEntries) => entries,
  read: (entries: unknown[]) => {
    const map = new Map<unknown, unknown>()
    for (let i = 0; i < entries.length; i += 2) map.set(entries[i], entries[i + 1])
    return map
  },
})

/** Thrown where a Map is met: few values have one, and to look for it in all of them costs as much as a pack. */
const MET_MAP = new Error('a Map cannot be stored below an object of that kind')
Object.defineProperty(packr, 'mapAsEmptyObject', {
  get() {
    throw MET_MAP
  },
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
    return packed(value)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new TroupeError('malformed', `the value cannot be packed: ${why}`, { cause })
  }
}

function packed(value: unknown): Uint8Array {
  try {
    return packr.pack(value)
  } catch (thrown) {
    if (thrown !== MET_MAP) throw thrown
    return packr.pack(withoutMaps(value))
  }
}

/** The same with its Maps as `MapEntries`. */
function withoutMaps(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(withoutMaps)
  if (value instanceof Set) return new Set([...value].map(withoutMaps))
  if (value instanceof Map) return new MapEntries(value)
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withoutMaps(inner)]))
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
