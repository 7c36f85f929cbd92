/**
 * A cluster in words. Decides: what counts as trouble, what an operator is told to do next, and how nodes
 * and shards look in tables.
 */
import type { ClusterReport, LeaderReport, NodeReport, ShardReport } from '../node/index.ts'
import { counted, type Look, table } from './text.ts'

/** With what the leader and the owners say of themselves. */
export interface Shown extends ClusterReport {
  shards: (ShardReport & { slot: number | null; epoch: number | null })[]
  plans: LeaderReport | null
}

/** Each in a line of its own, with what to do; none where all is well. */
export function troublesOf(shown: Shown): string[] {
  const { leader, nodes, shards, plans } = shown
  const silent = nodes.filter(({ isHeard }) => !isHeard).map(({ name }) => name)
  const alone = shards.filter(({ standby }) => standby === null)
  const takers = nodes.filter((one) => one.isHeard && takesShards(one))
  return [
    ...(leader
      ? []
      : ['nobody leads: nodes elect one within seconds; if not, look whether NATS answers them']),
    ...(leader && !plans ? [`${leader.name} leads, and does not answer: look at its log`] : []),
    ...(silent.length > 0
      ? [`not heard: ${silent.join(', ')}; start them again: their shards go to others meanwhile`]
      : []),
    ...waitsForRecords(shards),
    ...unplacedOf(plans),
    ...unservedOf(shown),
    ...(takers.length > 1 && alone.length > 0 ? [`without a standby: ${listOf(alone)}`] : []),
  ]
}

function takesShards({ isLeaving, drain, weight }: NodeReport): boolean {
  return !isLeaving && drain === null && weight > 0
}

function waitsForRecords(shards: readonly ShardReport[]): string[] {
  const waiting = new Map<string, number[]>()
  for (const { shard, waitsFor } of shards) {
    for (const node of waitsFor) waiting.set(node, [...(waiting.get(node) ?? []), shard])
  }
  return [...waiting].map(([node, some]) => {
    const wait = some.length === 1 ? '1 shard waits' : `${some.length} shards wait`
    return `${wait} for the records of ${node}: start it, or give it up (troupe cluster give-up ${node})`
  })
}

/** Those of one reason together. */
function unplacedOf(plans: LeaderReport | null): string[] {
  const reasons = new Map<string, { shards: number[]; keptBy: string | null }>()
  for (const { shard, keptBy, why } of plans?.unplaced ?? []) {
    const reason = why.join('; ')
    const same = reasons.get(`${keptBy}: ${reason}`) ?? { shards: [], keptBy }
    reasons.set(`${keptBy}: ${reason}`, { ...same, shards: [...same.shards, shard] })
  }
  return [...reasons].map(([key, { shards, keptBy }]) => {
    const why = key.slice(key.indexOf(': ') + 2)
    const who = keptBy === null ? 'nobody' : `nobody but ${keptBy}`
    return `${who} can take: ${shards.join(', ')} (${why}); start a node that can, or undo a drain (troupe cluster drain NODE --undo)`
  })
}

/** Of those that are nobody's by the leader's word it is said already. */
function unservedOf({ shards, plans }: Shown): string[] {
  const known = new Set(plans?.unplaced.map(({ shard }) => shard))
  const unserved = shards.filter(
    ({ servedBy, shard }) => servedBy.length === 0 && !known.has(shard),
  )
  if (unserved.length === 0) return []
  const takers = new Set(unserved.flatMap(({ owner }) => owner ?? []))
  const who = takers.size > 0 ? `; ${[...takers].sort().join(', ')} to take them` : ''
  return [`served by nobody now: ${listOf(unserved)}${who}`]
}

function listOf(shards: readonly ShardReport[]): string {
  return shards.map(({ shard }) => shard).join(', ')
}

export function statusLines(shown: Shown, troubles: readonly string[], look: Look): string[] {
  const { leader, view, nodes, shards } = shown
  const served = shards.filter(({ servedBy }) => servedBy.length > 0).length
  return [
    `leader  ${leader ? `${leader.name} (epoch ${leader.epoch})` : 'none'}`,
    `view    ${view ? `${view.leaderEpoch}.${view.version}` : 'none yet'}`,
    `nodes   ${nodes.filter(({ isHeard }) => isHeard).length} of ${nodes.length}`,
    `shards  ${served} of ${shards.length} served`,
    ...underWay(shown).map((line) => look.paint('yellow', line)),
    ...troubles.map((trouble) => look.paint('red', trouble)),
  ]
}

/** What goes on, and waits for what. */
function underWay({ nodes, shards, plans }: Shown): string[] {
  const drains = nodes.flatMap((one) =>
    one.drain === null ? [] : [`${one.name} is ${stateOf(one)} (by ${one.drain.by})`],
  )
  const pins = shards.filter(({ move }) => move?.isPinned)
  const handovers = plans?.handovers ?? []
  const waits = (['standby', 'turn', 'claim'] as const).flatMap((what) => {
    const some = handovers.filter(({ waitsFor }) => waitsFor === what)
    const behind = Math.max(0, ...some.map(({ lag }) => lag ?? 0))
    const more =
      what === 'standby' && behind > 0 ? ` (up to ${counted(behind, 'slot')} behind)` : ''
    return some.length > 0 ? [`${some.length} ${WAITS[what]}${more}`] : []
  })
  const moving = `on their way: ${counted(handovers.length, 'shard')}: ${waits.join(', ')}`
  return [
    ...drains,
    ...(pins.length > 0 ? [`pinned: ${listOf(pins)}`] : []),
    ...(handovers.length > 0 ? [moving] : []),
    ...(plans?.proposed ? ['a new view is on its way to the registry'] : []),
  ]
}

const WAITS = {
  standby: 'until the new owner has what the old one wrote',
  turn: 'for others to arrive, or to be caught up with, first',
  claim: 'until the new owner has claimed them',
} as const

export function nodeLines({ nodes, leader }: ClusterReport, look: Look): string[] {
  const cells = nodes.map((one) => [
    one.name,
    stateOf(one),
    one.name === leader?.name ? 'leader' : '',
    String(one.owns),
    String(one.serves),
    String(one.follows),
    one.zone ?? '',
    String(one.weight),
    one.drain === null ? '' : `${one.drain.by}, ${new Date(one.drain.at).toISOString()}`,
  ])
  const counts = ['OWNS', 'SERVES', 'FOLLOWS']
  const headings = ['NODE', 'STATE', 'ROLE', ...counts, 'ZONE', 'WEIGHT', 'DRAINED BY']
  return table(headings, cells, look)
}

/** How many shards a node still has, by the view or by its own word. */
export function leftOn({ owns, serves }: NodeReport): number {
  return Math.max(owns, serves)
}

function stateOf(node: NodeReport): string {
  if (!node.isHeard) return 'silent'
  if (node.isLeaving) return 'leaving'
  if (node.drain === null) return 'up'
  const left = leftOn(node)
  return left === 0 ? 'drained' : `draining ${left} left`
}

export function shardLines(shards: Shown['shards'], look: Look): string[] {
  const cells = shards.map((one) => [
    String(one.shard),
    one.owner ?? 'none',
    one.servedBy.join(' ') || 'nobody',
    one.epoch?.toString() ?? '?',
    one.slot?.toString() ?? '?',
    one.standby ?? '',
    one.standby === null ? '' : (one.standbyLag?.toString() ?? '?'),
    one.waitsFor.join(' '),
    one.move === null ? '' : `${one.move.isPinned ? 'pinned' : 'goes'} to ${one.move.to}`,
  ])
  const headings = ['SHARD', 'OWNER', 'SERVED BY', 'EPOCH', 'SLOT', 'STANDBY', 'BEHIND']
  return table([...headings, 'WAITS FOR', 'WISH'], cells, look)
}

/** What an order changes; nothing is a word, too. */
export function changeLines(
  changes: readonly { shard: number; from: string | null; to: string | null }[],
  isDryRun: boolean,
): string[] {
  if (changes.length === 0) return ['no shard gets another owner']
  const will = isDryRun ? 'would go' : 'goes'
  return changes.map(
    ({ shard, from, to }) => `${shard} ${will} from ${from ?? 'nobody'} to ${to ?? 'nobody'}`,
  )
}
