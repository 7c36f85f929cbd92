/**
 * Whether a world in calm has come to rest, and what its stores hold then. Decides: what "everything
 * is drained" means, and that a store is compared with a replay of its journal row by row.
 */

import type { Store } from '../../src/ports/index.ts'
import { unpack } from '../../src/protocol/index.ts'
import { TABLE } from '../../src/shard/keys.ts'
import { decodeRecord } from '../../src/shard/slot-records.ts'
import type { ActorFact } from './events.ts'
import type { World } from './world.ts'

/** What only the journaled path keeps. */
const OWN_TABLES: readonly number[] = [TABLE.applied, TABLE.tail, TABLE.quarantine]

/** Undefined when nothing is left to do; otherwise the first thing that is. */
export function drainedOrWhy(world: World): string | undefined {
  const open = world.callers.find((caller) => caller.open.size > 0)
  if (open) return `${open.name} waits for ${[...open.open][0]}`
  const busy = world.workers.find((worker) => worker.open > 0)
  if (busy) return `${busy.name} is at work`
  for (let shard = 0; shard < world.parameters.shards; shard++) {
    const serving = world.nodes.filter((node) => node.serves(shard))
    if (serving.length === 0) return `nobody serves shard ${shard}${goneView(world)}`
    const [row] = world.mirror.outbox(shard)
    if (row !== undefined) return `shard ${shard} keeps a message: ${row}`
  }
  for (const actor of world.mirror.all()) {
    const why = restlessness(world, actor)
    if (why !== undefined) return `${actor.address} ${why}`
  }
  return undefined
}

/** Whether a node remembers a view that is newer than the one the others have. */
function goneView(world: World): string {
  const numbers = world.nodes.map(({ name, describe }) => ({
    name,
    number: describe()?.viewNumber ?? 0,
  }))
  const lowest = Math.min(...numbers.map(({ number }) => number))
  const ahead = numbers.find(({ number }) => number > lowest)
  return ahead ? `; ${ahead.name} has seen a view that is gone` : ''
}

function restlessness(world: World, actor: ActorFact): string | undefined {
  if (actor.status !== 'active') return undefined
  if (actor.paused || actor.parked !== null) return 'is paused or parked'
  if (actor.kept > 0) return `keeps ${actor.kept} events`
  const [task] = actor.tasks
  if (task) return `has a task that is ${task.state}`
  const now = world.base.now()
  const timer = actor.timers.find(({ kind }) => kind === 'event')
  if (timer) return `has a timer due ${Math.round(timer.dueAt - now)} ms from now`
  return undefined
}

/** Of each owner at the end: whether its rows are what its journal says. */
export function endStores(world: World): void {
  for (let shard = 0; shard < world.parameters.shards; shard++) {
    const slots = world.around.journal.slots(shard)
    const last = slots.at(-1)?.slot ?? 0
    for (const node of world.nodes) {
      if (!node.serves(shard) || !node.store) continue
      const appliedSlot = appliedOf(node.store, shard)
      // One that does not know yet that it is no longer the owner is behind.
      if (appliedSlot !== last) continue
      const differs = difference(
        rowsOf(node.store, shard),
        replay(slots.map(({ record }) => record)),
      )
      world.recorder.add({ kind: 'end-store', node: node.name, shard, appliedSlot, differs })
    }
  }
}

function appliedOf(store: Store, shard: number): number {
  const bytes = store.get(Uint8Array.of(shard >> 8, shard & 0xff, TABLE.applied))
  return bytes ? (unpack(bytes) as [number])[0] : 0
}

function replay(records: readonly Uint8Array[]): Map<string, string> {
  const rows = new Map<string, string>()
  for (const bytes of records) {
    const record = decodeRecord(bytes)
    if (record.kind !== 'batch') continue
    for (const [key, value] of record.writes) {
      if (value === null) rows.delete(hex(key))
      else rows.set(hex(key), hex(value))
    }
  }
  return rows
}

function rowsOf(store: Store, shard: number): Map<string, string> {
  const rows = new Map<string, string>()
  const from = Uint8Array.of(shard >> 8, shard & 0xff, 0)
  const to = Uint8Array.of(shard >> 8, shard & 0xff, 0xff)
  for (const { key, value } of store.range({ from, to })) {
    if (!OWN_TABLES.includes(key[2] ?? 0)) rows.set(hex(key), hex(value))
  }
  return rows
}

function difference(rows: Map<string, string>, replayed: Map<string, string>): string | null {
  for (const [key, value] of replayed) {
    const held = rows.get(key)
    if (held === undefined) return `the store lacks row ${key}`
    if (held !== value) return `the store holds other bytes in row ${key}`
  }
  for (const key of rows.keys()) if (!replayed.has(key)) return `the store has row ${key} beside`
  return null
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
