/**
 * What a node of a cluster knows of it, for people. Decides: the form of the report. Every node hears all
 * others, so every node can be asked; it may be a moment behind.
 */
import type { ClusterStatus, View } from '../cluster/index.ts'
import type { ClusterReport, NodeReport, SeatReport, ShardReport } from './node.ts'

export function reportOf(status: ClusterStatus): ClusterReport {
  const { leader, view } = status
  return {
    leader: leader ?? null,
    view: view ? { leaderEpoch: view.leaderEpoch, version: view.version } : null,
    nodes: nodesOf(status),
    shards: status.shards.map(({ shard, waitsFor }) => shardOf(status, shard, waitsFor)),
  }
}

export function seatsOf({ shards }: ClusterStatus): SeatReport[] {
  return shards.map(({ shard, role, lag = null, takes }) => {
    const { handovers, takeovers, pauseMs = null } = takes
    return { shard, role, lag, handovers, takeovers, pauseMs }
  })
}

function nodesOf({ view, members }: ClusterStatus): NodeReport[] {
  const heard = new Map(members.map((beat) => [beat.name, beat]))
  const known = new Map([...(view?.members ?? []), ...members].map((one) => [one.name, one]))
  return [...known.values()]
    .map(({ name, zone, weight }) => ({
      ...{ name, zone, weight },
      isHeard: heard.has(name),
      isLeaving: heard.get(name)?.leaving ?? false,
      drain: drainOf(view, name),
      owns: namedIn(view?.owners, name),
      serves: heard.get(name)?.serves.length ?? 0,
      follows: namedIn(view?.standbys, name),
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}

function drainOf(view: View | undefined, name: string): NodeReport['drain'] {
  const drain = view?.wishes.drains.find(({ node }) => node === name)
  return drain ? { by: drain.by, at: drain.at } : null
}

function moveOf(view: View | undefined, shard: number): ShardReport['move'] {
  const move = view?.wishes.moves.find((one) => one.shard === shard)
  if (!move) return null
  const { to, isPinned, by, at } = move
  return { to, isPinned, by, at }
}

function namedIn(names: View['owners'] = [], name: string): number {
  return names.filter((one) => one === name).length
}

function shardOf({ view, members }: ClusterStatus, shard: number, waitsFor: string[]): ShardReport {
  const standby = view?.standbys[shard] ?? null
  const isOfShard = ([one]: readonly [number, number]) => one === shard
  const lags = members.find(({ name }) => name === standby)?.lags
  return {
    shard,
    owner: view?.owners[shard] ?? null,
    standby,
    servedBy: members.filter(({ serves }) => serves.some(isOfShard)).map(({ name }) => name),
    standbyLag: lags?.find(isOfShard)?.[1] ?? null,
    waitsFor,
    move: moveOf(view, shard),
  }
}
