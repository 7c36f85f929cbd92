/**
 * The verbs `troupe util worker`: workers by the name that they ping under. Decides: what a person types and
 * reads, in our form and in that of v0.2. The list is the node's, the rest is asked of the worker itself.
 */
import { type AppVerb, TroupeError, toJson, type VerbCall } from '../../../src/verbs.ts'
import { parseDuration } from '../daemon/durations.ts'
import type { PingSummary } from '../manager/worker-list.ts'
import type { PingedWorker } from './old-forms.ts'
import { ageText, tableLines, terminalColumns } from './tables.ts'
import { FORMAT_OPTION, isOldForm, TOKEN_HOST_OPTION, TOKEN_OPTION } from './verb-options.ts'

const NAME = '<name-or-address>'
const EXPIRATION = '10m'

export const utilVerbs: readonly AppVerb[] = [
  {
    path: ['util', 'worker', 'list'],
    summary: 'the workers that ping this node',
    options: [
      {
        flags: '--expiration <duration>',
        description: 'mark who is silent for longer',
        default: EXPIRATION,
      },
      FORMAT_OPTION,
    ],
    examples: ['troupe util worker list', 'troupe util worker list --format v0.2'],
    run: list,
  },
  {
    path: ['util', 'worker', 'info'],
    summary: 'the threads of a worker',
    arguments: NAME,
    options: [TOKEN_OPTION, TOKEN_HOST_OPTION, FORMAT_OPTION],
    examples: ['troupe util worker info 127.0.0.1', 'troupe util worker info 10.0.0.7:17890'],
    run: async (call) => (await utilCalls()).info(call, nameOf(call)),
  },
  {
    path: ['util', 'worker', 'pause'],
    summary: 'pause a thread of a worker',
    arguments: `${NAME} <index>`,
    options: [
      TOKEN_OPTION,
      TOKEN_HOST_OPTION,
      { flags: '--reason <text>', description: 'for the history' },
      FORMAT_OPTION,
    ],
    examples: ['troupe util worker pause 127.0.0.1 0'],
    run: async (call) => (await utilCalls()).control(call, nameOf(call), 'pause'),
  },
  {
    path: ['util', 'worker', 'resume'],
    summary: 'have a paused thread of a worker go on, where it stands or at a state',
    arguments: `${NAME} <index> [state]`,
    options: [
      TOKEN_OPTION,
      TOKEN_HOST_OPTION,
      { flags: '--retry', description: 'try the present step anew, also while it runs' },
      { flags: '--force', description: 'also to what throws a live sector away' },
      { flags: '--dry-run', description: 'only say what would happen' },
      FORMAT_OPTION,
    ],
    examples: [
      'troupe util worker resume 127.0.0.1 0',
      'troupe util worker resume w1 0 TreeDBuilt',
    ],
    run: async (call) => (await utilCalls()).control(call, nameOf(call), 'resume'),
  },
  {
    path: ['util', 'worker', 'remove'],
    summary: 'take a worker off the list that is gone for good',
    arguments: '<name>',
    examples: ['troupe util worker remove 10.0.0.7'],
    run: remove,
  },
]

/** What speaks to workers: loaded when it is wanted, for the list must be there at once. */
const utilCalls = () => import('./util-calls.ts')

async function list(call: VerbCall): Promise<void> {
  const expirationMs = parseDuration(String(call.options['expiration'] ?? EXPIRATION))
  const { body } = await call.http({ method: 'GET', path: '/sealing/workers' })
  const { workers } = body as { workers: PingSummary[] }
  if (call.json) return call.print(toJson(body))
  const now = call.clock.now()
  const lines = isOldForm(call)
    ? await oldLines(workers, now, expirationMs)
    : workerLines(workers, now, expirationMs)
  call.write(`${lines.join('\n')}\n`)
}

async function oldLines(
  workers: readonly PingSummary[],
  now: number,
  expirationMs: number,
): Promise<string[]> {
  const { oldWorkerLines } = await import('./old-forms.ts')
  return oldWorkerLines(
    workers.map((one) => pingedOf(one, now)),
    expirationMs,
  )
}

function pingedOf({ name, dest, lastPing, ...counts }: PingSummary, now: number): PingedWorker {
  const { threads: Threads, empty: Empty, paused: Paused, errors: Errors } = counts
  const summary = { Threads, Empty, Paused, Errors }
  return { name, dest, summary, sinceMs: Math.max(0, now - lastPing) }
}

function workerLines(workers: readonly PingSummary[], now: number, expirationMs: number): string[] {
  const headings = [
    ...['NAME', 'DEST', 'VERSION', 'THREADS', 'RUNNING', 'WAITING', 'EMPTY', 'PAUSED', 'ERRORS'],
    'LAST PING',
  ]
  const rows = workers.map((worker) => {
    const { name, dest, version, threads, running, waiting, empty, paused, errors } = worker
    const sinceMs = Math.max(0, now - worker.lastPing)
    const told = [threads, running, waiting, empty, paused, errors]
    const silence = `${ageText(sinceMs)} ago${sinceMs > expirationMs ? ' (silent)' : ''}`
    return { cells: [name, dest, version, ...told.map((one) => String(one ?? '-')), silence] }
  })
  return tableLines(headings, rows, terminalColumns())
}

async function remove(call: VerbCall): Promise<void> {
  const name = nameOf(call)
  const path = `/sealing/workers/${encodeURIComponent(name)}`
  await call.http({ method: 'DELETE', path })
  if (call.json) call.print(toJson({ removed: name }))
  else call.print(`${name} is off the list; it comes back if it still pings`)
}

function nameOf({ arguments: [name] }: VerbCall): string {
  if (name !== undefined && name !== '') return name
  throw new TroupeError('malformed', 'name a worker: see troupe util worker list')
}
