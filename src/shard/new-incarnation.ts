/**
 * What a store that was restored from a backup is made into, before anybody serves it.
 *
 * Decides: that what was begun in the time that is taken back has no hold on it. A running attempt gets
 * a token that nobody has, so its result is refused; a task that must not run twice parks its actor
 * when its lease is over, since the worker that is waited for belongs to that time. Births change and
 * slots go ahead, so that no effect id of that time is given again: outside systems may remember them.
 * Leaves to others: reading and writing the rows.
 */
import type { Random, StoreRow } from '../ports/index.ts'
import { pack, unpack } from '../protocol/index.ts'
import { metaKey, TABLE } from './keys.ts'
import { decodeActor, encodeActor, type TaskEntry } from './records.ts'

/** More batches than a shard commits in the time between a backup and its restore. */
const SLOTS_AHEAD = 2 ** 32
/** A birth is named in every effect id: it stays short however often a store is restored. */
const MARK = '~'
const MARK_CHARS = 6

export interface Incarnation {
  /** The end of all births; new with every restore. */
  readonly mark: string
  readonly random: Random
}

export function newIncarnation(random: Random): Incarnation {
  const mark = random
    .id()
    .replaceAll(/[^A-Za-z0-9]/g, '0')
    .slice(0, MARK_CHARS)
  return { mark: MARK + mark, random }
}

/** The row as it is to be; undefined when it stays as it is. */
export function reincarnated(
  { key, value }: StoreRow,
  incarnation: Incarnation,
): Uint8Array | undefined {
  const table = key[2]
  if (table === TABLE.actor) return actorAnew(value, incarnation)
  if (table !== TABLE.meta || key.length !== metaKey(0).length) return undefined
  const [slot, ...rest] = unpack(value) as [number, ...unknown[]]
  return pack([slot + SLOTS_AHEAD, ...rest])
}

function actorAnew(bytes: Uint8Array, { mark, random }: Incarnation): Uint8Array {
  const { record, stored } = decodeActor(bytes)
  const [birth = ''] = record.birth.split(MARK)
  const tasks = record.tasks.map((task) =>
    task.state === 'running' ? orphaned(task, random) : task,
  )
  return encodeActor({ ...record, birth: birth + mark, tasks }, stored)
}

function orphaned(task: TaskEntry, random: Random): TaskEntry {
  const onWorkerLost = task.onWorkerLost === 'wait' ? 'park' : task.onWorkerLost
  return { ...task, token: random.id(), onWorkerLost }
}
