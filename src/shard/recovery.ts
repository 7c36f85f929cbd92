/**
 * What a new owner reads of a shard before it serves. Decides: nothing of an actor is read but what
 * must start by itself; actors are loaded when they are wanted.
 */
import { machineOf, unpack } from '../protocol/index.ts'
import type { ChildStart, Delivery, Release } from './batch.ts'
import type { ShardContext } from './context.ts'
import { logicAt } from './heads.ts'
import {
  metaKey,
  nameOfKey,
  outboxKey,
  parseOutboxKey,
  peerOfKey,
  TABLE,
  tableRange,
} from './keys.ts'
import { type Lineage, unpackEnd } from './lineage.ts'
import { decodeTaskRow, type TaskRow } from './task-rows.ts'

/** The newest message of a channel that took effect here. */
export interface LastInbound {
  lineage: Lineage
  last: number
}

export type LiveStart = Omit<Extract<Release, { kind: 'live-start' }>, 'kind'>

export interface RecoveredShard {
  lastTime: number
  dedupeFloor: number
  inbound: Map<number, LastInbound>
  carried: (Delivery | ChildStart)[]
  /** The number of the row of the first of them. */
  carriedFrom: number
  draining: string[]
  tasks: (TaskRow & { taskId: string })[]
  live: LiveStart[]
}

export function readShard(context: ShardContext): RecoveredShard {
  const { shard, store } = context
  const meta = store.get(metaKey(shard))
  const [, lastTime, dedupeFloor] = meta ? (unpack(meta) as [number, number, number]) : [0, 0, 0]
  const inbound = new Map<number, LastInbound>()
  for (const { key, value } of store.range(tableRange(shard, TABLE.inbound))) {
    const { lineage, number: last } = unpackEnd(value)
    inbound.set(peerOfKey(key), { lineage, last })
  }
  const own = { from: outboxKey(shard, shard, 0), to: outboxKey(shard, shard + 1, 0) }
  const carriedRows = [...store.range(own)]
  const carried = carriedRows.map(({ value }) => unpack(value) as Delivery | ChildStart)
  const carriedFrom = carriedRows[0] ? parseOutboxKey(carriedRows[0].key).sequence : 1
  const draining = [...store.range(tableRange(shard, TABLE.draining))].map(({ key }) =>
    nameOfKey(key),
  )
  const tasks = [...store.range(tableRange(shard, TABLE.task))].map(({ key, value }) => ({
    taskId: nameOfKey(key),
    ...decodeTaskRow(value),
  }))
  const live = readLive(context)
  return { lastTime, dedupeFloor, inbound, carried, carriedFrom, draining, tasks, live }
}

/** Callbacks and observables begin anew with a new owner. */
function readLive(context: ShardContext): LiveStart[] {
  const { shard, store, heads, machines } = context
  const starts: LiveStart[] = []
  for (const { key, value } of store.range(tableRange(shard, TABLE.live))) {
    const [address, childId, src, input] = unpack(value) as [string, string, string, unknown]
    const head = heads.get(address)
    const hosted = machines.get(machineOf(address))
    const logic = head && hosted ? logicAt(hosted.chart, head.sources) : undefined
    const source = logic?.kind === 'chart' ? logic.chart.sources.get(src) : undefined
    const runs = head?.children.some((child) => child.childId === childId && !child.done)
    if (!runs || source?.kind !== 'live') continue
    starts.push({ address, childId, effectId: nameOfKey(key), logic: source.logic, input })
  }
  return starts
}
