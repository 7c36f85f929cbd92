/**
 * `troupe cluster …`: who is there, who leads, who has what, and what operators want to be otherwise.
 * Decides: the words, and that an order is done when it is taken, or with `--wait` when it is so. Leaves to
 * others: how it looks (cluster-text.ts).
 */
import type { Command } from 'commander'
import type { OwnerChange } from '../node/index.ts'
import { verbClock } from './clock.ts'
import {
  changeLines,
  leftOn,
  nodeLines,
  type Shown,
  shardLines,
  statusLines,
  troublesOf,
} from './cluster-text.ts'
import { EXIT, UsageError } from './exit-codes.ts'
import { ProgressBar } from './progress.ts'
import type { Session } from './session.ts'
import type { AddVerb, Flags } from './verbs.ts'

const PATH = '/troupe/v1/cluster'
const LOOK_MS = 500

const DRY_RUN = ['--dry-run', 'tell what would happen, and do nothing'] as const
const WAIT = ['--wait', 'until it is so'] as const

export function addClusterVerbs(cluster: Command, add: AddVerb): void {
  addLooks(cluster, add)
  addDrain(cluster, add)
  addMoves(cluster, add)
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

function addLooks(cluster: Command, add: AddVerb): void {
  add(
    cluster,
    'status',
    'whether everything is served, and what to do; the exit code is 1 if not',
    {
      examples: ['troupe cluster status', 'troupe cluster status --json'],
      run: async (session) => {
        const shown = await look(session)
        const troubles = troublesOf(shown)
        session.answer({ ...shown, troubles }, () => statusLines(shown, troubles, session))
        return troubles.length === 0 ? EXIT.ok : EXIT.failed
      },
    },
  )
  add(cluster, 'nodes', 'every node, and how many shards it has', {
    examples: ['troupe cluster nodes'],
    run: async (session) => {
      session.answer(await look(session), (shown) => nodeLines(shown, session))
    },
  })
  add(cluster, 'shards', 'every shard: its owner, its standby, and how far that is behind', {
    examples: ['troupe cluster shards'],
    run: async (session) => {
      const { shards } = await look(session)
      session.answer({ shards }, () => shardLines(shards, session))
    },
  })
  add(cluster, 'leader', 'the node that places shards', {
    examples: ['troupe cluster leader'],
    run: async (session) => {
      session.answer((await look(session)).leader, (leader) => [leader?.name ?? 'none'])
    },
  })
}

function addDrain(cluster: Command, add: AddVerb): void {
  add(cluster, 'drain <node>', 'all shards of a node go to others; it goes on without any', {
    options: [['--undo', 'it takes shards again'], WAIT, DRY_RUN],
    examples: [
      'troupe cluster drain n3 --wait   # before work on its machine, also across restarts',
      'troupe cluster drain n3 --undo',
    ],
    run: async (session, [node = ''], flags) => {
      const isUndo = flags['undo'] === true
      const { changes } = await order(session, isUndo ? 'undrain' : 'drain', { node }, flags)
      const isWaiting = flags['wait'] === true && flags['dryRun'] !== true
      if (isWaiting && !isUndo) await untilDrained(session, node)
      if (isWaiting && isUndo) await untilPlaced(session)
      if (session.signal.aborted) return
      session.answer({ node, changes }, () => {
        if (flags['dryRun'] === true) return changeLines(changes, true)
        if (isUndo) return [`${node} takes shards again`]
        return [isWaiting ? `${node} is drained` : `${node} is drained of ${changes.length} shards`]
      })
    },
  })
}

function addMoves(cluster: Command, add: AddVerb): void {
  add(cluster, 'move <shard> <node>', 'a shard goes to that node, which follows it first', {
    options: [['--pin', 'it stays there until it is unpinned'], WAIT, DRY_RUN],
    examples: ['troupe cluster move 5 n3', 'troupe cluster move 5 n3 --pin --wait'],
    run: async (session, [shard = '', node = ''], flags) => {
      const body = { shard: shardOf(shard), node, pin: flags['pin'] === true }
      const { changes } = await order(session, 'move', body, flags)
      const isDryRun = flags['dryRun'] === true
      if (flags['wait'] === true && !isDryRun) await untilPlaced(session)
      if (session.signal.aborted) return
      session.answer({ changes }, () => changeLines(changes, isDryRun))
    },
  })
  add(cluster, 'unpin <shard>', 'a shard that was pinned goes where the others do', {
    options: [DRY_RUN],
    examples: ['troupe cluster unpin 5'],
    run: async (session, [shard = ''], flags) => {
      const { changes } = await order(session, 'unpin', { shard: shardOf(shard) }, flags)
      session.answer({ changes }, () => changeLines(changes, flags['dryRun'] === true))
    },
  })
}

function shardOf(text: string): number {
  if (/^\d{1,6}$/.test(text)) return Number(text)
  throw new UsageError(`shard: "${text}" is no number of a shard (see troupe cluster shards)`)
}

function look(session: Session): Promise<Shown> {
  return session.ask<Shown>({ method: 'GET', path: PATH })
}

function order(
  session: Session,
  name: string,
  body: Record<string, unknown>,
  flags: Flags,
): Promise<{ changes: OwnerChange[] }> {
  const query = flags['dryRun'] === true ? { dryRun: 'true' } : {}
  return session.ask({ method: 'POST', path: `${PATH}/${name}`, query, body })
}

function untilDrained(session: Session, name: string): Promise<void> {
  return waitUntil(session, `drain ${name}`, ({ nodes }) => {
    const node = nodes.find((one) => one.name === name)
    return node ? leftOn(node) : 0
  })
}

/** Nothing is on its way any more. */
function untilPlaced(session: Session): Promise<void> {
  return waitUntil(session, 'hand over', ({ plans }) =>
    plans === null || plans.proposed !== null ? 1 : plans.handovers.length,
  )
}

/** Looks until nothing is left, and draws how far it is; what stands in the way is said once. */
async function waitUntil(
  session: Session,
  step: string,
  left: (shown: Shown) => number,
): Promise<void> {
  const bar = new ProgressBar(session.terminal, !session.json)
  const told = new Set<string>()
  let all = 0
  try {
    while (!session.signal.aborted) {
      const shown = await look(session)
      const count = left(shown)
      if (count === 0) return
      all = Math.max(all, count)
      for (const trouble of troublesOf(shown)) {
        if (told.has(trouble)) continue
        told.add(trouble)
        bar.end()
        session.terminal.writeError(`${trouble}\n`)
      }
      bar.update(step, all - count, all)
      await new Promise<void>((resolve) => verbClock.after(LOOK_MS, resolve))
    }
  } finally {
    bar.end()
  }
}
