/**
 * What new versions of machines would do to the live actors. Decides: where actors are read from (a data directory,
 * or a node), and how the answer looks. Leaves to others: the words of the verb (roll-out-verb.ts).
 */
import {
  type App,
  checkRollOut,
  RollOutCheck,
  type RollOutReport,
  type RollOutRow,
} from '../node/index.ts'
import { type ActorRow, type ActorView, TroupeError } from '../protocol/index.ts'
import { dataOf } from './data-directory.ts'
import { EXIT } from './exit-codes.ts'
import { actorPath } from './node-answers.ts'
import { ProgressBar } from './progress.ts'
import type { Session } from './session.ts'
import { counted, table } from './text.ts'
import { loadUserApps } from './user-apps.ts'
import type { Flags, LoadApps } from './verbs.ts'

/** Views asked for at a time. */
const ASKED_AT_ONCE = 8
const PAGE_ROWS = 1_000

const OUTCOMES: Readonly<Record<RollOutRow['outcome'], string>> = {
  stays: 'stays',
  migrates: 'migrates',
  'goes-on': 'goes on (was parked)',
  finished: 'finished',
  parks: 'WOULD BE PARKED',
  newer: 'OF A NEWER VERSION',
  unreadable: 'UNREADABLE',
}

/** @param apps those that `troupe start` would have @returns the exit code */
export async function checkMachines(
  session: Session,
  flags: Flags,
  apps: LoadApps,
): Promise<number> {
  const files = (flags['app'] as string[] | undefined) ?? []
  const all = [...(await apps()), ...(await loadUserApps(files, session.terminal.cwd))]
  const isLocal = flags['data'] !== undefined || flags['config'] !== undefined
  const report = isLocal
    ? await checkData(session, all, flags)
    : await checkNode(session, new RollOutCheck(all))
  session.answer({ ok: report.stuck === 0, ...report }, () => linesOf(session, report))
  return report.stuck === 0 ? EXIT.ok : EXIT.failed
}

async function checkData(
  session: Session,
  apps: readonly App[],
  flags: Flags,
): Promise<RollOutReport> {
  const bar = new ProgressBar(session.terminal, !session.json)
  try {
    const options = { progress: bar.update, signal: session.signal }
    return await checkRollOut(apps, dataOf(session, flags), options)
  } finally {
    bar.end()
  }
}

async function checkNode(session: Session, check: RollOutCheck): Promise<RollOutReport> {
  const bar = new ProgressBar(session.terminal, !session.json)
  const names = [...check.machines.keys()]
  try {
    for (const [index, machine] of names.entries()) {
      for await (const rows of pagesOf(session, machine)) {
        await lookAt(session, check, rows)
        bar.update('check', index + 1, names.length)
      }
    }
  } finally {
    bar.end()
  }
  return check.report()
}

async function* pagesOf(session: Session, machine: string): AsyncGenerator<ActorRow[]> {
  let query: Record<string, string> = { machine, limit: String(PAGE_ROWS) }
  for (;;) {
    const page = await pageOf(session, query)
    if (!page) return
    yield page.rows
    if (page.cursor === undefined) return
    query = { cursor: page.cursor, limit: String(PAGE_ROWS) }
  }
}

/** Undefined of a machine that the node does not have: it is new, and has no actors. */
async function pageOf(
  session: Session,
  query: Record<string, string>,
): Promise<{ rows: ActorRow[]; cursor?: string } | undefined> {
  try {
    return await session.ask({ method: 'GET', path: '/troupe/v1/actors', query })
  } catch (thrown) {
    if (thrown instanceof TroupeError && thrown.code === 'unknown-machine') return undefined
    throw thrown
  }
}

async function lookAt(
  session: Session,
  check: RollOutCheck,
  rows: readonly ActorRow[],
): Promise<void> {
  for (let at = 0; at < rows.length; at += ASKED_AT_ONCE) {
    const views = await Promise.all(
      rows.slice(at, at + ASKED_AT_ONCE).map(({ address }) => viewOf(session, address)),
    )
    for (const view of views) if (view) check.lookAtView(view)
  }
}

/** Undefined when it has gone since it was listed. */
async function viewOf(session: Session, address: string): Promise<ActorView | undefined> {
  try {
    return await session.ask<ActorView>({ method: 'GET', path: actorPath(address) })
  } catch (thrown) {
    if (thrown instanceof TroupeError && thrown.code === 'unknown-actor') return undefined
    throw thrown
  }
}

function linesOf(session: Session, { rows, actors, stuck, unknown }: RollOutReport): string[] {
  const { paint } = session
  const cells = rows.map((row) => [
    row.machine,
    row.version === 0 ? '?' : String(row.version),
    row.to === undefined ? row.state : `${row.state} → ${row.to}`,
    OUTCOMES[row.outcome],
    String(row.count),
    row.why === undefined ? '' : `${row.why}; such as ${row.examples.join(' ')}`,
  ])
  const lines = rows.length === 0 ? [] : table(HEADINGS, cells, session)
  for (const [machine, count] of Object.entries(unknown)) {
    lines.push(
      `no machine "${machine}" here: ${counted(count, 'actor')} would be left as they are, asleep`,
    )
  }
  const verdict =
    stuck === 0
      ? paint('green', 'all of them go on')
      : paint('red', `${stuck} of them would not go on`)
  return [...lines, `${counted(actors, 'actor')}; ${verdict}`]
}

const HEADINGS = ['MACHINE', 'VERSION', 'STATE', 'OUTCOME', 'COUNT', 'WHY'] as const
