/**
 * Whether a world in calm has come to rest, and what its stores hold then. Decides: what "everything
 * is drained" means, and that a store is compared with a replay of its journal row by row.
 */

import type { Store, StoreRow } from '../../src/ports/index.ts'
import { unpack } from '../../src/protocol/index.ts'
import { TABLE } from '../../src/shard/keys.ts'
import type { ActorFact } from './events.ts'
import type { World } from './world.ts'

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
  const { guest } = world.around
  const guests = new Set(guest?.machines.map(({ name }) => name))
  for (const actor of world.mirror.all()) {
    if (guests.has(actor.address.slice(0, actor.address.indexOf('/')))) continue
    const why = restlessness(actor, world.base.now())
    if (why !== undefined) return `${actor.address} ${why}`
  }
  return guest?.restlessness()
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

/** What keeps an actor from being at rest; `now` as its shard counts. */
export function restlessness(actor: ActorFact, now: number): string | undefined {
  if (actor.status !== 'active') return undefined
  if (actor.paused || actor.parked !== null) return 'is paused or parked'
  if (actor.kept > 0) return `keeps ${actor.kept} events`
  const [task] = actor.tasks
  if (task) return `has a task that is ${task.state}`
  const timer = actor.timers.find(({ kind }) => kind === 'event')
  if (timer) return `has a timer due ${Math.round(timer.dueAt - now)} ms from now`
  return undefined
}

/** Of each owner at the end: whether its rows are what its journal says. */
export function endStores(world: World): void {
  for (let shard = 0; shard < world.parameters.shards; shard++) {
    const last = world.mirror.chains.get(shard)?.at(-1)?.slot ?? 0
    for (const node of world.nodes) {
      if (!node.serves(shard) || !node.store) continue
      const appliedSlot = appliedOf(node.store, shard)
      // One that does not know yet that it is no longer the owner is behind.
      if (appliedSlot !== last) continue
      const differs = world.archive.difference(shard, last, rowsOf(node.store, shard)) ?? null
      world.recorder.add({ kind: 'end-store', node: node.name, shard, appliedSlot, differs })
    }
  }
}

/** Journaled, the slot that the rows show; embedded, the last batch. */
export function appliedOf(store: Store, shard: number): number {
  for (const table of [TABLE.applied, TABLE.meta]) {
    const bytes = store.get(Uint8Array.of(shard >> 8, shard & 0xff, table))
    if (bytes) return (unpack(bytes) as [number])[0]
  }
  return 0
}

export function rowsOf(store: Store, shard: number): Iterable<StoreRow> {
  const from = Uint8Array.of(shard >> 8, shard & 0xff, 0)
  const to = Uint8Array.of(shard >> 8, shard & 0xff, 0xff)
  return store.range({ from, to })
}
