/**
 * One crash run: load, kills at random moments, then quiet, then every checker over what is left.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SeededRandom } from '../../src/adapters/memory/index.ts'
import { until } from '../waiting.ts'
import { acknowledgedIsThere, nothingTwice } from './checkers/acknowledged-is-there.ts'
import { type HistoryEntry, historyWithoutGaps } from './checkers/history-without-gaps.ts'
import { timersOnceAndNotEarly } from './checkers/timers-once-and-not-early.ts'
import { type Acknowledged, post, runClient } from './clients.ts'
import { Victim } from './victim.ts'

export interface CrashRun {
  findings: string[]
  acknowledged: Acknowledged
}

const ACTORS = Array.from({ length: 12 }, (_, index) => `a${index}`)
const CLIENTS = 6
/** Kills fall between these many ms after the node is ready. */
const KILL_AFTER_MS: readonly [number, number] = [50, 900]
const QUIET_TIMEOUT_MS = 60_000

export async function crashRun(seed: number, kills: number): Promise<CrashRun> {
  const directory = mkdtempSync(join(tmpdir(), 'troupe-crash-'))
  const lineFile = join(directory, 'lines')
  const victim = await Victim.create(join(directory, 'data'))
  const random = seededFractions(seed)
  const acknowledged: Acknowledged = { adds: [], arms: [], tells: [], runs: [] }
  let stopped = false
  try {
    await victim.start()
    for (const id of ACTORS)
      await post({ url: victim.url, name: 'begin' }, `actors/ledger/${id}`, {})
    const clients = Array.from({ length: CLIENTS }, (_, index) =>
      runClient(
        {
          url: victim.url,
          name: `c${index}`,
          actors: ACTORS,
          lineFile,
          random: seededFractions(seed + index + 1),
          stopped: () => stopped,
        },
        acknowledged,
      ),
    )
    const [least, most] = KILL_AFTER_MS
    for (let kill = 0; kill < kills; kill++) {
      const killAt = performance.now() + least + random() * (most - least)
      await until(() => performance.now() >= killAt, { timeoutMs: most + 5_000 }, 'the next kill')
      await victim.kill()
      await victim.start()
    }
    stopped = true
    await Promise.all(clients)
    await quiet(victim.url, acknowledged)
    return { findings: await findings(victim.url, acknowledged, lineFile), acknowledged }
  } finally {
    stopped = true
    await victim.kill()
    rmSync(directory, { recursive: true, force: true })
  }
}

function seededFractions(seed: number): () => number {
  const random = new SeededRandom(seed)
  return () => random.fraction()
}

async function get(url: string, path: string): Promise<unknown> {
  const response = await fetch(`${url}/troupe/v1/${path}`, { signal: AbortSignal.timeout(10_000) })
  if (!response.ok) throw new Error(`GET ${path}: ${response.status} ${await response.text()}`)
  return response.json()
}

interface Ledger {
  turn: number
  timers: unknown[]
  context: { refs: string[]; told: string[]; fired: string[] }
}

/** Until every timer has fired, every tell has arrived and every command has ended. */
async function quiet(url: string, acknowledged: Acknowledged): Promise<void> {
  let open = ''
  await until(
    async () => {
      const ledgers = await Promise.all(
        ACTORS.map((id) => get(url, `actors/ledger/${id}`) as Promise<Ledger>),
      )
      const timers = ledgers.reduce((sum, ledger) => sum + ledger.timers.length, 0)
      const told = ledgers.reduce((sum, ledger) => sum + new Set(ledger.context.told).size, 0)
      const runs = (await get(url, 'count?machine=runner')) as
        | { condition: string; count: number }[]
        | { rows: { condition: string; count: number }[] }
      const rows = Array.isArray(runs) ? runs : runs.rows
      const running = rows
        .filter((row) => row.condition !== 'done')
        .map((row) => `${row.condition} ${row.count}`)
      open = `${timers} timers, ${acknowledged.tells.length - told} tells, runners: ${running.join(', ') || 'none'}`
      return timers === 0 && told >= acknowledged.tells.length && running.length === 0
    },
    { timeoutMs: QUIET_TIMEOUT_MS, every: 100 },
    () => `quiet; still open: ${open}`,
  )
}

async function findings(
  url: string,
  acknowledged: Acknowledged,
  lineFile: string,
): Promise<string[]> {
  const found: string[] = []
  for (const id of ACTORS) {
    const address = `ledger/${id}`
    const ledger = (await get(url, `actors/ledger/${id}`)) as Ledger
    const history = (await get(url, `actors/ledger/${id}/history?limit=1000`)) as
      | HistoryEntry[]
      | { rows: HistoryEntry[] }
    const entries = Array.isArray(history) ? history : history.rows
    const { refs, told, fired } = ledger.context
    const mine = <T extends { actor: string }>(all: readonly T[]) =>
      all.filter((entry) => entry.actor === id)
    found.push(
      ...acknowledgedIsThere(
        mine(acknowledged.adds).map(({ ref }) => ref),
        refs,
      ),
      ...nothingTwice(refs),
      ...acknowledgedIsThere(
        acknowledged.tells.filter(({ to }) => to === id).map(({ ref }) => ref),
        told,
      ),
      ...nothingTwice(told),
      ...historyWithoutGaps(address, ledger.turn, entries),
      ...timersOnceAndNotEarly(address, mine(acknowledged.arms), fired, entries),
    )
  }
  const lines =
    acknowledged.runs.length === 0 ? [] : readFileSync(lineFile, 'utf8').trim().split('\n')
  found.push(...acknowledgedIsThere(acknowledged.runs, lines), ...nothingTwice(lines))
  return found
}
