/** The fields by which a machine has its actors indexed. Decides: what they may be, and how many. */
import type { HostedMachine } from '../machine/index.ts'
import type { IndexValue } from '../protocol/index.ts'
import { NO_INDEX } from './records.ts'

/** Each is up to two rows of a turn, and its name is part of their keys. */
const INDEX_FIELDS_MAX = 32
const INDEX_NAME_BYTES_MAX = 128
const INDEXED_TYPES: ReadonlySet<string> = new Set(['string', 'number', 'boolean'])

/** A context of another version may be beyond what `index` can read: then it stands in no index. */
export function indexOfStored(
  hosted: HostedMachine,
  sources: readonly string[],
  context: unknown,
): Readonly<Record<string, IndexValue>> {
  try {
    return indexOf(hosted, sources, context)
  } catch {
    return NO_INDEX
  }
}

/**
 * Only root actors are indexed by their machine's fields.
 * @throws what `index` throws, or that it gave too much, or something that has no order
 */
export function indexOf(
  hosted: HostedMachine,
  sources: readonly string[],
  context: unknown,
): Readonly<Record<string, IndexValue>> {
  const fields = hosted.definition.index
  if (!fields || sources.length > 0) return NO_INDEX
  const index: Record<string, IndexValue> = {}
  const given = Object.entries(fields(context))
  if (given.length > INDEX_FIELDS_MAX)
    throw new Error(
      `it gave ${given.length} fields; an actor is indexed by at most ${INDEX_FIELDS_MAX}`,
    )
  for (const [field, value] of given) {
    if (Buffer.byteLength(field) > INDEX_NAME_BYTES_MAX)
      throw new Error(`the name of a field has at most ${INDEX_NAME_BYTES_MAX} bytes`)
    if (value !== undefined && value !== null && !INDEXED_TYPES.has(typeof value))
      throw new Error(`the index field "${field}" is not a text, a number, a boolean or null`)
    index[field] = value ?? null
  }
  return index
}
