/**
 * Keys of a file that its schema does not know. Decides: what is nearly a key of ours is a typing error
 * and stops the start, since a setting that is silently not there costs sectors; anything else may be of
 * a program that knows more, and is only told. Pure.
 */
import { z } from 'zod'

export interface UnknownKey {
  /** `processors.limitation.concurent`. */
  path: string
  /** What was probably meant. */
  near?: string
}

/** Letters that may be wrong, of longer names. */
const EDITS_MAX = 2
/** Short names are near to everything. */
const LETTERS_PER_EDIT = 3

/** Takes them out of `value`, which is the caller's own copy. */
export function takeUnknownKeys(schema: z.ZodType, value: unknown): UnknownKey[] {
  const { error } = schema.safeParse(value)
  const found: UnknownKey[] = []
  for (const issue of error?.issues ?? []) {
    if (issue.code !== 'unrecognized_keys') continue
    const known = keysAt(schema, issue.path)
    const holder = issue.path.reduce<unknown>(
      (inner, key) => (inner as Record<PropertyKey, unknown>)[key],
      value,
    )
    for (const key of issue.keys) {
      delete (holder as Record<string, unknown>)[key]
      const near = nearestOf(key, known)
      const path = pathText([...issue.path, key])
      found.push(near === undefined ? { path } : { path, near })
    }
  }
  return found
}

/** `sealing_thread[1].location`. */
export function pathText(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === 'number') return `${text}[${key}]`
    return text === '' ? String(key) : `${text}.${String(key)}`
  }, '')
}

/** The keys of the object that stands at a path of a schema. */
function keysAt(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  let inner = unwrapped(schema)
  for (const key of path) {
    if (inner instanceof z.ZodObject) inner = unwrapped(inner.shape[String(key)])
    else if (inner instanceof z.ZodArray) inner = unwrapped(inner.element as z.ZodType)
    else return []
  }
  return inner instanceof z.ZodObject ? Object.keys(inner.shape) : []
}

function unwrapped(schema: z.ZodType | undefined): z.ZodType | undefined {
  let inner = schema
  while (inner instanceof z.ZodOptional) inner = inner.unwrap() as z.ZodType
  return inner
}

/** Of the known names the one that was probably meant. */
export function nearestOf(given: string, known: readonly string[]): string | undefined {
  const most = Math.min(EDITS_MAX, Math.floor(given.length / LETTERS_PER_EDIT))
  const [best] = known
    .map((name) => ({ name, edits: editsBetween(normal(given), normal(name)) }))
    .sort((a, b) => a.edits - b.edits)
  return best !== undefined && best.edits <= most ? best.name : undefined
}

/** People mix these up. */
function normal(name: string): string {
  return name.toLowerCase().replaceAll('-', '_')
}

/** How many letters have to be changed, added or taken away (Levenshtein). */
function editsBetween(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const swap = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(swap, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}
