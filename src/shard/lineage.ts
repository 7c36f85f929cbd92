/**
 * The generations of a shard and of its channels.
 *
 * A shard that goes on without records that nobody has any more has forgotten messages that it sent: it
 * gives their numbers again, to others. Each time a generation begins, and every channel says with what
 * number. Decides: up to which number sender and receiver mean the same messages, whatever each of them
 * has forgotten, and how generations are drawn. Leaves to others: when one begins (taking.ts,
 * channels.ts), and what follows at the receiver (inbound.ts).
 */
import type { Random, Store, StoreWrite } from '../ports/index.ts'
import { pack, unpack } from '../protocol/index.ts'
import { generationKey, packNumber, TABLE, tableRange, unpackNumber } from './keys.ts'

/** A generation, and the number of its first message. */
export type Branch = readonly [generation: number, from: number]

/** In the order in which they began, without the first: that begins with message 1. */
export type Lineage = readonly Branch[]

const FIRST_GENERATION = 1

export function generationOf(lineage: Lineage): number {
  return lineage.at(-1)?.[0] ?? FIRST_GENERATION
}

/** Those of the shard that are not in it begin now, with the next message. */
export function extended(lineage: Lineage, generations: readonly number[], next: number): Lineage {
  const begun = generations.slice(lineage.length)
  return begun.length === 0 ? lineage : [...lineage, ...begun.map((one): Branch => [one, next])]
}

/**
 * The last message that both know by its number; undefined when what was sent is not newer than what is
 * known: its sender was deposed, or has forgotten what it told before.
 */
export function commonUpTo(known: Lineage, sent: Lineage): number | undefined {
  let common = 0
  while (common < sent.length && sent[common]![0] === known[common]?.[0]) common += 1
  if (common === sent.length && common === known.length) return Number.POSITIVE_INFINITY
  if (generationOf(sent) <= generationOf(known)) return undefined
  return Math.min(...sent.slice(common).map(([, from]) => from)) - 1
}

/** One end of a channel: the next number of its sender, or the last of its receiver. */
export function packEnd(number: number, lineage: Lineage): Uint8Array {
  const end = [generationOf(lineage), number]
  return pack(lineage.length === 0 ? end : [...end, lineage])
}

export function unpackEnd(bytes: Uint8Array): { number: number; lineage: Lineage } {
  const [, number, lineage = []] = unpack(bytes) as [number, number, Lineage?]
  return { number, lineage }
}

/** In the order in which they began. */
export function generationsOf(shard: number, store: Store): number[] {
  return [...store.range(tableRange(shard, TABLE.generation))].map(({ value }) =>
    unpackNumber(value),
  )
}

export function generationsIn(writes: readonly StoreWrite[]): number[] {
  return writes.flatMap(([key, value]) =>
    key[2] === TABLE.generation && value ? [unpackNumber(value)] : [],
  )
}

export function generationRow(shard: number, slot: number, generation: number): StoreWrite {
  return [generationKey(shard, slot), packNumber(generation)]
}

/** By how much one exceeds all before it, at most: 2^21 of them fit into a number. */
const STEP_MAX = 2 ** 32

/** Drawn, and not counted: one that was forgotten with the messages of it must not come again. */
export function newGeneration(known: readonly number[], random: Random): number {
  const newest = Math.max(FIRST_GENERATION, ...known)
  return newest + 1 + Math.floor(random.fraction() * STEP_MAX)
}
