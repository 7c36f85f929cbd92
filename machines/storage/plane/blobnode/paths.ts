/**
 * The calls of a blobnode and their paths, as the reference has them (`/shard/put/diskid/1/vuid/…`).
 * Decides: which there are, and that every id in a path is checked before anybody sees it. Leaves to
 * others: what the calls do (`calls.ts`).
 */
import { z } from 'zod'
import { bidSchema, refusal, type StorageRefusal, vuidSchema } from '../codes/index.ts'

const DISK_ID_MAX = 4_294_967_295
/** A list of so many is some 100 KiB of JSON, and takes this process a few milliseconds. */
export const LIST_COUNT_MAX = 1_000
/** Of a copy: what is asked for fits into a few hundred KiB. */
export const COPY_COUNT_MAX = 4_096
/** Up to here a body is held until it is there: then no slow sender keeps a slot of the disk. */
export const HELD_BYTES_MAX = 1_048_576
/** Of many in one call: each side holds them whole. */
export const MANY_BYTES_MAX = 8_388_608
/** What stands in such a body beside them: three numbers for each. */
export const MANY_LINE_BYTES_MAX = COPY_COUNT_MAX * 48
/** Of one shard. A piece of it only is held in memory, so this bounds how long a disk is busy with one. */
export const SHARD_BYTES_MAX = 1_073_741_824

const digits = z
  .string()
  .regex(/^\d{1,16}$/)
  .transform(Number)

/** What may stand in a path, and the refusal of what does not fit. */
const PARTS = {
  diskid: [digits.pipe(z.int().min(1).max(DISK_ID_MAX)), 614],
  vuid: [vuidSchema, 600],
  bid: [bidSchema, 657],
  /** Where a list begins: 0 for its first page. */
  startbid: [
    z
      .literal('0')
      .transform(() => 0n)
      .or(bidSchema),
    657,
  ],
  size: [digits.pipe(z.int().max(SHARD_BYTES_MAX)), 652],
  /** Which shards: 0 for all, or their flag. */
  status: [digits.pipe(z.int().max(2)), 600],
  count: [digits.pipe(z.int().min(1).max(LIST_COUNT_MAX)), 656],
} as const

type PartName = keyof typeof PARTS

const CHUNK = ['diskid', 'vuid'] as const
const SHARD = ['diskid', 'vuid', 'bid'] as const

/** By their first words. */
export const CALLS = {
  'chunk/create': { method: 'POST', parts: CHUNK },
  'chunk/readonly': { method: 'POST', parts: CHUNK },
  'chunk/readwrite': { method: 'POST', parts: CHUNK },
  'chunk/release': { method: 'POST', parts: CHUNK },
  'chunk/stat': { method: 'GET', parts: CHUNK },
  'chunk/list': { method: 'GET', parts: ['diskid'] },
  'shard/put': { method: 'POST', parts: [...SHARD, 'size'] },
  'shard/get': { method: 'GET', parts: SHARD },
  'shard/stat': { method: 'GET', parts: SHARD },
  'shard/list': { method: 'GET', parts: [...CHUNK, 'startbid', 'status', 'count'] },
  /** Many in one body, one behind the other. */
  'shards/get': { method: 'POST', parts: CHUNK },
  'shards/put': { method: 'POST', parts: CHUNK },
  /** Into this chunk, from another one that the body names. */
  'shard/copy': { method: 'POST', parts: CHUNK },
  /** As a list, and each shard of it is looked at; a page ends where it takes too long. */
  'shard/verify': { method: 'GET', parts: [...CHUNK, 'startbid', 'count'] },
  'shard/markdelete': { method: 'POST', parts: SHARD },
  'shard/delete': { method: 'POST', parts: SHARD },
} as const satisfies Record<string, { method: 'GET' | 'POST'; parts: readonly PartName[] }>

export type CallName = keyof typeof CALLS
/** Calls whose bodies are held whole, up to so many bytes. */
export const HELD_CALLS = {
  'shard/put': HELD_BYTES_MAX,
  'shards/put': MANY_LINE_BYTES_MAX + MANY_BYTES_MAX,
} as const satisfies Partial<Record<CallName, number>>

export type HeldCall = keyof typeof HELD_CALLS
export type CallParts<TCall extends CallName> = {
  [TPart in (typeof CALLS)[TCall]['parts'][number]]: z.output<(typeof PARTS)[TPart][0]>
}

/** The path of a call; what stands in it is the caller's own. */
export function pathOf<TCall extends CallName>(call: TCall, parts: CallParts<TCall>): string {
  const given: Partial<Record<PartName, number | bigint>> = parts
  const names: readonly PartName[] = CALLS[call].parts
  return `/${call}${names.map((name) => `/${name}/${given[name]}`).join('')}`
}

/** The call that a path names; undefined when there is none. */
export function callNamed(path: string): CallName | undefined {
  const [, group, verb] = path.split('/', 3)
  const name = `${group}/${verb}`
  return Object.hasOwn(CALLS, name) ? (name as CallName) : undefined
}

/** @throws StorageRefusal 600, 614, 652, 656, 657 */
export function partsOf<TCall extends CallName>(call: TCall, path: string): CallParts<TCall> {
  const words = path.split('/').slice(3)
  const names: readonly PartName[] = CALLS[call].parts
  const fits =
    words.length === 2 * names.length && names.every((name, at) => words[2 * at] === name)
  if (!fits) {
    throw refusal(600, `wanted is /${call}${names.map((name) => `/${name}/:${name}`).join('')}`)
  }
  const entries = names.map((name, at) => [name, partOf(name, words[2 * at + 1] ?? '')])
  return Object.fromEntries(entries) as CallParts<TCall>
}

function partOf(name: PartName, text: string): number | bigint {
  const [schema, status] = PARTS[name]
  const parsed = schema.safeParse(text)
  if (parsed.success) return parsed.data
  throw wrongPart(status, name, text, parsed.error)
}

function wrongPart(status: number, name: string, text: string, error: z.ZodError): StorageRefusal {
  const why = error.issues[0]?.message ?? 'it cannot be read'
  return refusal(status, `${name} "${text.slice(0, 40)}": ${why}`)
}
