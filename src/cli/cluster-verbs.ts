/**
 * `troupe cluster …`: who is there, who leads, who has what. Decides: what an operator sees first, which
 * is whatever is not as it should be.
 */
import type { Command } from 'commander'
import type { ClusterReport, ShardReport } from '../node/index.ts'
import { EXIT, UsageError } from './exit-codes.ts'
import type { Session } from './session.ts'
import { table } from './text.ts'
import type { AddVerb } from './verbs.ts'

/** With what the owners say of themselves. */
interface Shown extends ClusterReport {
  shards: (ShardReport & { slot: number | null })[]
}

const PATH = '/troupe/v1/cluster'

export function addClusterVerbs(program: Command, add: AddVerb): void {
  const cluster = program.command('cluster').description('the cluster that a node belongs to')
  add(cluster, 'status', 'whether everything is served; the exit code is 1 where it is not', {
    examples: ['troupe cluster status', 'troupe cluster status --json'],
    run: async (session) => {
      const report = await reportOf(session)
      const troubles = troublesOf(report)
      session.answer({ ...report, troubles }, () => statusLines(report, troubles, session))
      return troubles.length === 0 ? EXIT.ok : EXIT.failed
    },
  })
  add(cluster, 'nodes', 'every node, and how many shards it has', {
    examples: ['troupe cluster nodes'],
    run: async (session) => {
      session.answer(await reportOf(session), (report) => nodeLines(report, session))
    },
  })
  add(cluster, 'shards', 'every shard: its owner, its standby, and how far that is behind', {
    examples: ['troupe cluster shards'],
    run: async (session) => {
      const { shards } = await reportOf(session)
      session.answer({ shards }, () => shardLines(shards, session))
    },
  })
  add(cluster, 'leader', 'the node that places shards', {
    examples: ['troupe cluster leader'],
    run: async (session) => {
      session.answer((await reportOf(session)).leader, (leader) => [leader?.name ?? 'none'])
    },
  })
  add(cluster, 'give-up <node>', 'shards that wait for the records of a dead node go on without', {
    options: [['--yes', 'what only that node had is lost for good, and you know it']],
    examples: ['troupe cluster give-up n3 --yes'],
    run: async (session, [node = ''], { yes }) => {
      if (yes !== true) {
        throw new UsageError(
          `what only ${node} had is lost for good: start it again if you can, otherwise say --yes`,
        )
      }
      const request = { method: 'POST', path: `${PATH}/give-up`, body: { node } } as const
      session.answer(await session.ask<{ shards: number[] }>(request), ({ shards }) => [
        shards.length === 0
          ? `no shard waited for ${node}`
          : `without ${node} go on: shards ${shards.join(', ')}`,
      ])
    },
  })
}

function reportOf(session: Session): Promise<Shown> {
  return session.ask<Shown>({ method: 'GET', path: PATH })
}

/** Each in a line of its own; none where all is well. */
export function troublesOf({ leader, nodes, shards }: ClusterReport): string[] {
  const silent = nodes.filter(({ isHeard }) => !isHeard).map(({ name }) => name)
  const waiting = new Map<string, number[]>()
  for (const { shard, waitsFor } of shards) {
    for (const node of waitsFor) waiting.set(node, [...(waiting.get(node) ?? []), shard])
  }
  const unserved = shards.filter(({ servedBy }) => servedBy.length === 0)
  const alone = shards.filter(({ standby }) => standby === null)
  return [
    ...(leader ? [] : ['nobody leads']),
    ...(silent.length > 0 ? [`not heard: ${silent.join(', ')}`] : []),
    ...[...waiting].map(
      ([node, some]) =>
        `${countOf(some.length)} for the records of ${node}: start it, or give it up (troupe cluster give-up ${node})`,
    ),
    ...(unserved.length > 0 ? [`served by nobody now: ${listOf(unserved)}`] : []),
    ...(nodes.length > 1 && alone.length > 0 ? [`without a standby: ${listOf(alone)}`] : []),
  ]
}

function countOf(shards: number): string {
  return shards === 1 ? '1 shard waits' : `${shards} shards wait`
}

function listOf(shards: readonly ShardReport[]): string {
  return shards.map(({ shard }) => shard).join(', ')
}

function statusLines(
  report: ClusterReport,
  troubles: readonly string[],
  session: Session,
): string[] {
  const { leader, view, nodes, shards } = report
  const served = shards.filter(({ servedBy }) => servedBy.length > 0).length
  return [
    `leader  ${leader ? `${leader.name} (epoch ${leader.epoch})` : 'none'}`,
    `view    ${view ? `${view.leaderEpoch}.${view.version}` : 'none yet'}`,
    `nodes   ${nodes.filter(({ isHeard }) => isHeard).length} of ${nodes.length}`,
    `shards  ${served} of ${shards.length} served`,
    ...troubles.map((trouble) => session.paint('red', trouble)),
  ]
}

function nodeLines({ nodes, leader }: ClusterReport, session: Session): string[] {
  const cells = nodes.map((one) => [
    one.name,
    one.isHeard ? (one.isLeaving ? 'leaving' : 'up') : 'silent',
    one.name === leader?.name ? 'leader' : '',
    String(one.owns),
    String(one.serves),
    String(one.follows),
    one.zone ?? '',
    String(one.weight),
  ])
  const headings = ['NODE', 'STATE', 'ROLE', 'OWNS', 'SERVES', 'FOLLOWS', 'ZONE', 'WEIGHT']
  return table(headings, cells, session)
}

function shardLines(shards: Shown['shards'], session: Session): string[] {
  const cells = shards.map((one) => [
    String(one.shard),
    one.owner ?? 'none',
    one.servedBy.join(' ') || 'nobody',
    one.slot === null ? '?' : String(one.slot),
    one.standby ?? '',
    one.standby === null ? '' : (one.standbyLag?.toString() ?? '?'),
    one.waitsFor.join(' '),
  ])
  const headings = ['SHARD', 'OWNER', 'SERVED BY', 'SLOT', 'STANDBY', 'BEHIND', 'WAITS FOR']
  return table(headings, cells, session)
}
