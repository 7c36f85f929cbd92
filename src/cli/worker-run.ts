/**
 * What `troupe worker` does, until it is told to go. Decides: what each signal means. Leaves to others: which
 * way it takes (`worker-place.ts`), everything a worker does.
 */
import { hostname } from 'node:os'
import { resolve } from 'node:path'
import { notADuration, parseDurationMs } from '../gateway/light.ts'
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
import { locate, nameOfHost } from './settings.ts'
import type { Terminal } from './terminal.ts'
import { loadUserApps } from './user-apps.ts'
import type { WorkerFlags } from './worker-flags.ts'
import { placeOf, workerFileOf } from './worker-place.ts'

const SLOTS_MAX = 10_000

/** Resolves with the exit code. @throws TroupeError, UsageError */
export async function runWorker(
  shipped: readonly App[],
  flags: WorkerFlags,
  terminal: Terminal,
): Promise<number> {
  const apps = [...shipped, ...(await loadUserApps(flags.app ?? [], terminal.cwd))]
  const file = workerFileOf(flags, terminal)
  try {
    const config = file?.config.apps ?? {}
    const options = { ...optionsOf(flags, apps, terminal), ...placeOf(flags, file, terminal) }
    return await serve({ ...options, config }, flags, terminal)
  } catch (thrown) {
    throw file === undefined ? thrown : locate(thrown, file, {})
  }
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
  const spanMs = parseDurationMs(text)
  if (spanMs !== undefined) return spanMs
  throw new UsageError(`--drain-timeout: ${notADuration(text)}`)
}
