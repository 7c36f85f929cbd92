/**
 * What operators wish of the placement: nodes that are to be empty, shards that are to be elsewhere. They
 * stand in the view: so they are as durable as it is, and every node and every leader knows them.
 *
 * Decides: their form, what an order makes of them, and what they mean to the placement. Leaves to
 * others: whether an order can be followed (orders.ts), and how a shard gets there (planning.ts).
 */
import { isNodeName } from '../protocol/index.ts'
import { type Member, type Pins, takesShards } from './placement.ts'

/** Who wished it, and when (unix ms). */
interface Wish {
  readonly by: string
  readonly at: number
}

/** The node is to have no shards. It holds until it is taken back, whatever restarts meanwhile. */
export interface Drain extends Wish {
  readonly node: string
}

/** The shard is to be that node's. */
export interface Move extends Wish {
  readonly shard: number
  readonly to: string
  /** It holds until it is taken back; otherwise until the shard is there and may stay. */
  readonly isPinned: boolean
}

export interface Wishes {
  /** In the order of names. */
  readonly drains: readonly Drain[]
  /** In the order of shards, one of each at most. */
  readonly moves: readonly Move[]
}

export const NO_WISHES: Wishes = Object.freeze({ drains: [], moves: [] })

export interface DrainOrder {
  kind: 'drain' | 'undrain'
  node: string
  by: string
}

export interface MoveOrder {
  kind: 'move'
  shard: number
  to: string
  isPinned: boolean
  by: string
}

export interface UnpinOrder {
  kind: 'unpin'
  shard: number
  by: string
}

export type Order = DrainOrder | MoveOrder | UnpinOrder

/** Who wished the same before stays the one who did. */
export function ordered(wishes: Wishes, order: Order, at: number): Wishes {
  switch (order.kind) {
    case 'drain':
    case 'undrain':
      return { ...wishes, drains: drainsBy(wishes.drains, order, at) }
    case 'move':
      return { ...wishes, moves: movesBy(wishes.moves, order, at) }
    case 'unpin':
      return { ...wishes, moves: wishes.moves.filter(({ shard }) => shard !== order.shard) }
  }
}

function drainsBy(drains: readonly Drain[], { kind, node, by }: DrainOrder, at: number) {
  if (kind === 'undrain') return drains.filter((one) => one.node !== node)
  if (drains.some((one) => one.node === node)) return drains
  return [...drains, { node, by, at }].sort((a, b) => (a.node < b.node ? -1 : 1))
}

function movesBy(moves: readonly Move[], { shard, to, isPinned, by }: MoveOrder, at: number) {
  // Who is pinned there stays so: to be moved there takes nothing back.
  const isSo = (one: Move) => one.shard === shard && one.to === to && (one.isPinned || !isPinned)
  if (moves.some(isSo)) return moves
  const others = moves.filter((one) => one.shard !== shard)
  return [...others, { shard, to, isPinned, by, at }].sort((a, b) => a.shard - b.shard)
}

/** Whoever is to be drained is on its way out, for the placement, though it stays. */
export function asWished(members: readonly Member[], { drains }: Wishes): Member[] {
  const drained = new Set(drains.map(({ node }) => node))
  return members.map((one) => (drained.has(one.name) ? { ...one, leaving: true } : one))
}

export function pinsOf(moves: readonly Move[]): Pins {
  return new Map(moves.map(({ shard, to }) => [shard, to]))
}

/** Of those that are no pins, the ones whose node is gone or takes nothing: nobody waits for it. */
export function isVain(move: Move, members: readonly Member[]): boolean {
  if (move.isPinned) return false
  const to = members.find(({ name }) => name === move.to)
  return to === undefined || !takesShards(to)
}

export function wishFields({ drains, moves }: Wishes): unknown[] {
  return [
    drains.map(({ node, by, at }) => [node, by, at]),
    moves.map(({ shard, to, isPinned, by, at }) => [shard, to, isPinned, by, at]),
  ]
}

/** Undefined for what are no wishes. */
export function wishesOf(fields: unknown, shardCount: number): Wishes | undefined {
  const [drains, moves] = listOf(fields)
  const read = {
    drains: listOf(drains).map(drainOf),
    moves: listOf(moves).map((one) => moveOf(one, shardCount)),
  }
  const isWhole = Array.isArray(drains) && Array.isArray(moves)
  const all = [...read.drains, ...read.moves]
  return isWhole && !all.includes(undefined) ? (read as Wishes) : undefined
}

function drainOf(fields: unknown): Drain | undefined {
  const [node, by, at] = listOf(fields)
  return isName(node) && isWish(by, at) ? { node, by: by as string, at: at as number } : undefined
}

function moveOf(fields: unknown, shardCount: number): Move | undefined {
  const [shard, to, isPinned, by, at] = listOf(fields)
  const isShard = Number.isSafeInteger(shard) && Number(shard) >= 0 && Number(shard) < shardCount
  if (!isShard || !isName(to) || !isWish(by, at)) return undefined
  const wish = { by: by as string, at: at as number }
  return { shard: shard as number, to, isPinned: isPinned === true, ...wish }
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && isNodeName(value)
}

function isWish(by: unknown, at: unknown): boolean {
  return typeof by === 'string' && typeof at === 'number' && Number.isFinite(at)
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? (value as unknown[]) : []
}
