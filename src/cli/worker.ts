/**
 * `troupe worker`: a worker in a process of its own, until it is told to go. Decides: its words and what
 * each signal means. Leaves to others: which way it takes (`worker-place.ts`), everything a worker does.
 */
import { hostname } from 'node:os'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { durationMs } from '../gateway/index.ts'
import {
  type App,
  createWorker,
  openLog,
  type WorkerOptions,
  type WorkerProcess,
} from '../node/index.ts'
import { isNodeName, LOG_LEVELS, TroupeError, toJson } from '../protocol/index.ts'
import { EXIT, signalExitCode, UsageError } from './exit-codes.ts'
import { readableLog } from './log-lines.ts'
import { URL_DEFAULT } from './node-api.ts'
import { locate, nameOfHost } from './settings.ts'
import type { Terminal } from './terminal.ts'
import { loadUserApps } from './user-apps.ts'
import { type Outcome, withExamples } from './verbs.ts'
import { KEY_VARIABLE, type PlaceFlags, placeOf, workerFileOf } from './worker-place.ts'

interface WorkerFlags extends PlaceFlags {
  group: string
  slots: string
  name?: string
  data: string
  advertise?: string
  loadMax?: string
  memoryMin?: string
  drainTimeout: string
  handOver?: boolean
  takeOver?: boolean
  app?: string[]
  logLevel?: string
  json?: boolean
}

const SLOTS_MAX = 10_000

export function addWorker(
  program: Command,
  shipped: readonly App[],
  appFiles: readonly string[],
  terminal: Terminal,
  outcome: Outcome,
): void {
  const command = program
    .command('worker')
    .description('run tasks here for a node that may be elsewhere; until Ctrl-C')
    .option('--server <url>', `a node that it serves (or TROUPE_HTTP; ${URL_DEFAULT})`)
    .option('--group <name>', 'its group of workers', '1')
    .option('--key <key>', `the key of the group; better: --key-file, or ${KEY_VARIABLE}`)
    .option('--key-file <file>', 'a file with the key; read again when the key is refused')
    .option(
      '--nats <urls>',
      'instead of a node and a key: the NATS servers of a cluster, which let it in (or TROUPE_NATS)',
    )
    .option('--cluster <name>', 'of these servers (or TROUPE_CLUSTER; troupe)')
    .option('--user <name>', 'of NATS (or TROUPE_NATS_USER; TROUPE_NATS_PASSWORD_FILE)')
    .option('--creds <file>', 'of a user of NATS, as nsc writes it (or TROUPE_NATS_CREDS)')
    .option('--slots <count>', 'how many tasks it runs at a time', '8')
    .option(
      '--name <name>',
      "of this worker, unique in the cluster (the host's name and the group)",
    )
    .option('--data <dir>', 'where it keeps what it runs', '.worker')
    .option('--advertise <ip:port>', 'where it is, for people who look at the list of workers')
    .option('--load-max <load>', 'takes nothing new above this load average (of one minute)')
    .option('--memory-min <size>', 'takes nothing new with less memory available: 500M, 2G')
    .option(
      '--drain-timeout <duration>',
      'how long a stop waits for what runs; what still runs then goes on by itself',
      '10m',
    )
    .option('--hand-over', 'a stop waits for nothing: the next start goes on with what runs')
    .option('--take-over', 'take over from the worker that uses this directory now')
    .option('--app <file...>', 'modules of your own tasks, JavaScript or TypeScript')
    .option(
      '--config <file>',
      'YAML: the section apps (what its jobs may run), nats (servers and user) and cluster',
    )
    .option('--log-level <level>', 'debug, info, warn, error or silent (info)')
    .option('--json', 'print what it is as JSON')
  withExamples(command, [
    'troupe workers groups add 2 > key',
    'troupe worker --server http://10.0.0.1:9800 --group 2 --key-file key --slots 8',
    'troupe worker --group 2 --key-file key --take-over   # a new version of it',
    'troupe worker --nats nats://10.0.0.1:4222 --cluster main --group 2',
  ])
  command.action(async () => {
    const flags = command.opts<WorkerFlags>()
    const apps = [
      ...shipped,
      ...(await loadUserApps([...appFiles, ...(flags.app ?? [])], terminal.cwd)),
    ]
    const file = workerFileOf(flags, terminal)
    try {
      const config = file?.config.apps ?? {}
      const options = { ...optionsOf(flags, apps, terminal), ...placeOf(flags, file, terminal) }
      outcome.code = await serve({ ...options, config }, flags, terminal)
    } catch (thrown) {
      throw file === undefined ? thrown : locate(thrown, file, {})
    }
  })
}

/** Resolves with the exit code once it has stopped. */
async function serve(
  options: WorkerOptions,
  flags: WorkerFlags,
  terminal: Terminal,
): Promise<number> {
  const drainMs = durationOf(flags.drainTimeout)
  const giveUp = new AbortController()
  let worker: WorkerProcess | undefined
  let asked = 0
  let tell = (_signal: string) => {}
  const ended = new Promise<string>((resolveEnded) => {
    tell = resolveEnded
  })
  const forget = terminal.onSignal(
    (signal) => {
      asked += 1
      giveUp.abort()
      // The first waits for what runs, the second leaves it to itself, the third is the end.
      if (asked > 2) terminal.exit(signalExitCode(signal))
      if (asked > 1) void worker?.stop()
      tell(signal)
    },
    ['SIGINT', 'SIGTERM', 'SIGUSR2'],
  )
  try {
    worker = await createWorker({ ...options, signal: giveUp.signal })
    greet(worker, options, flags, terminal)
    const end = await Promise.race([ended, worker.lost])
    if (end instanceof TroupeError) {
      terminal.writeError(
        `${end.message}; this one takes nothing new, and ends when what it runs has\n`,
      )
      // As if a signal had come.
      asked += 1
      await worker.drain(drainMs)
      throw end
    }
    if (flags.handOver || end === 'SIGUSR2') await worker.stop()
    else await worker.drain(drainMs)
    return EXIT.ok
  } catch (thrown) {
    // Whoever stops a worker that waits for its cluster is told of nothing that went wrong.
    const isPassing = thrown instanceof TroupeError && thrown.retry
    if (worker === undefined && giveUp.signal.aborted && isPassing) return EXIT.ok
    throw thrown
  } finally {
    forget()
  }
}

function greet(
  { name }: WorkerProcess,
  { server, nats, cluster, group, slots, dataDirectory }: WorkerOptions,
  { json }: WorkerFlags,
  terminal: Terminal,
): void {
  const place = nats === undefined ? { server } : { nats: nats.servers, cluster }
  const facts = { name, ...place, group, slots, data: dataDirectory }
  const where = nats === undefined ? server : `the cluster ${cluster} on ${nats.servers.join(', ')}`
  terminal.write(
    json
      ? `${toJson(facts)}\n`
      : `troupe worker ${name} serves group ${group} of ${where} with ${slots} slots\n`,
  )
}

function optionsOf(flags: WorkerFlags, apps: readonly App[], terminal: Terminal): WorkerOptions {
  const { group, data, advertise, takeOver, loadMax, memoryMin } = flags
  const level = LOG_LEVELS.find((one) => one === (flags.logLevel ?? 'info'))
  if (!level) throw new UsageError(`--log-level is one of: ${LOG_LEVELS.join(', ')}`)
  if (advertise !== undefined && !/^\S{1,128}$/.test(advertise)) {
    throw new UsageError(`--advertise: "${advertise}" is not an address such as 10.0.0.7:9801`)
  }
  return {
    group,
    name: nameOf(flags),
    dataDirectory: resolve(terminal.cwd, data),
    takeOver: takeOver === true,
    slots: countOf('--slots', flags.slots, SLOTS_MAX),
    ...(advertise === undefined ? {} : { address: advertise }),
    apps,
    acceptance: {
      ...(loadMax === undefined ? {} : { loadMax: loadOf(loadMax) }),
      ...(memoryMin === undefined ? {} : { memoryMinBytes: bytesOf(memoryMin) }),
    },
    log: openLog({
      level,
      ...(terminal.isErrorTty ? { destination: readableLog(terminal) } : {}),
    }),
  }
}

function nameOf({ name, group }: WorkerFlags): string {
  if (name === undefined) return `${nameOfHost(hostname()).slice(0, 40)}-${group}`.slice(0, 64)
  if (isNodeName(name)) return name
  throw new UsageError(
    `--name: "${name}" is not a letter or digit and at most 63 letters, digits, "_" or "-"`,
  )
}

function countOf(flag: string, text: string, max: number): number {
  const count = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
  if (count >= 1 && count <= max) return count
  throw new UsageError(`${flag}: "${text}" is not a whole number from 1 to ${max}`)
}

function loadOf(text: string): number {
  const load = /^\d+(\.\d+)?$/.test(text) ? Number(text) : 0
  if (load > 0) return load
  throw new UsageError(`--load-max: "${text}" is not a load average such as 6.5`)
}

const UNITS: Readonly<Record<string, number>> = { '': 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3 }

function bytesOf(text: string): number {
  const [, digits, unit = ''] = /^(\d{1,12})([KMG]?)$/i.exec(text) ?? []
  if (digits !== undefined) return Number(digits) * (UNITS[unit.toUpperCase()] ?? 1)
  throw new UsageError(`--memory-min: "${text}" is not a size such as 500M or 2G`)
}

function durationOf(text: string): number {
  const parsed = durationMs.safeParse(text)
  if (parsed.success) return parsed.data
  throw new UsageError(`--drain-timeout: ${parsed.error.issues[0]?.message ?? 'not a duration'}`)
}
