/**
 * `npm run bench [-- [scenario…] [--quick] [--json FILE] [--data DIR] [--node-flags FLAGS]]`: what Troupe does
 * on this machine, against limits that are measured in the same run.
 *
 * Decides: the order, and what is printed. Ratios count; absolute figures are those of the machine.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { bundleCommand, makeWorkplace } from './build.ts'
import type { Bench } from './parts.ts'
import { demandTable, printReport, type Report } from './report.ts'
import { cluster } from './scenarios/cluster.ts'
import { failover } from './scenarios/failover.ts'
import { growth } from './scenarios/growth.ts'
import { jobs } from './scenarios/jobs.ts'
import { passive } from './scenarios/passive.ts'
import { profile } from './scenarios/profile.ts'
import { recovery } from './scenarios/recovery.ts'
import { sealing } from './scenarios/sealing.ts'
import { semispace } from './scenarios/semispace.ts'
import { storage } from './scenarios/storage.ts'
import { storageMovesScenario } from './scenarios/storage-moves.ts'
import { timers } from './scenarios/timers.ts'
import { transitions } from './scenarios/transitions.ts'
import { loadText, printSurroundings, surroundings } from './surroundings.ts'

const SCENARIOS: Readonly<Record<string, (bench: Bench) => Promise<Report>>> = {
  transitions,
  passive,
  timers,
  jobs,
  sealing,
  storage,
  'storage-moves': storageMovesScenario,
  profile,
  semispace,
  cluster,
  failover,
  recovery,
  growth,
}
const USUAL = ['transitions', 'passive', 'timers', 'jobs', 'profile']

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      quick: { type: 'boolean', default: false },
      json: { type: 'string' },
      data: { type: 'string' },
      'node-flags': { type: 'string', default: shippedFlags() },
    },
  })
  const names = positionals.length > 0 ? positionals : USUAL
  const unknown = names.filter((name) => !Object.hasOwn(SCENARIOS, name))
  if (unknown.length > 0) {
    const known = Object.keys(SCENARIOS).join(', ')
    throw new Error(`there is no scenario ${unknown.join(', ')}; there are: ${known}`)
  }
  const place = makeWorkplace(values.data)
  process.once('SIGINT', () => {
    place.remove()
    process.exit(130)
  })
  const flags = values['node-flags'].split(' ').filter((flag) => flag !== '')
  const bench: Bench = {
    child: place.child,
    data: place.data,
    nodeFlags: flags,
    quick: values.quick,
    progress: (line) => process.stderr.write(`… ${line}\n`),
  }
  try {
    await bundleCommand(place)
    await runAll(bench, names, values.json)
  } finally {
    place.remove()
  }
}

/** Those of `npm start`: what is measured is what ships. */
function shippedFlags(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8')
  const { scripts } = JSON.parse(text) as { scripts: { start: string } }
  return scripts.start
    .split(' ')
    .filter((word) => word.startsWith('--'))
    .join(' ')
}

async function runAll(bench: Bench, names: string[], json: string | undefined): Promise<void> {
  const about = surroundings(bench.data, [...bench.nodeFlags])
  process.stdout.write(printSurroundings(about))
  const reports: Report[] = []
  const startedAt = performance.now()
  for (const name of names) {
    const report = await SCENARIOS[name]!(bench)
    report.notes.push(`load average ${loadText(loadavg())} after it`)
    reports.push(report)
    process.stdout.write(printReport(report))
  }
  const demands = reports.flatMap((report) => report.demands)
  const missed = demands.filter(({ pass }) => !pass).length
  const seconds = ((performance.now() - startedAt) / 1_000).toFixed(0)
  process.stdout.write(`== all demands: ${demands.length - missed} met, ${missed} missed\n`)
  if (demands.length > 0) process.stdout.write(`${demandTable(demands)}\n`)
  process.stdout.write(`  median of rounds (smallest–largest); ${seconds} s\n`)
  if (bench.quick) process.stdout.write('  --quick: the figures mean nothing\n')
  if (json !== undefined) {
    writeFileSync(json, `${JSON.stringify({ surroundings: about, reports }, null, 2)}\n`)
  }
}

main().catch((thrown: unknown) => {
  process.stderr.write(`${thrown instanceof Error ? thrown.message : String(thrown)}\n`)
  process.exitCode = 1
})
