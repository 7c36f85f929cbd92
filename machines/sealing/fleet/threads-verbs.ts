/**
 * The verbs `troupe sealing threads`: threads of all workers. Decides: which are meant by a filter, wherever
 * they live, that many are asked at a rate, and what the receipt says. Threads that live on the node are
 * asked there; a worker that keeps its threads to itself is found by its pings and asked itself.
 */
import { type AppVerb, TroupeError, toJson, type VerbCall, wait } from '../../../src/index.ts'
import {
  type ControlAnswer,
  type ControlRequest,
  UnknownCall,
  type WorkerClient,
} from '../daemon/index.ts'
import type { PingSummary } from '../manager/index.ts'
import { PLANS, SECTOR_STATES } from '../plans/index.ts'
import { CONDITIONS, type ThreadRow } from '../thread/index.ts'
import { terminalColumns } from './tables.ts'
import { fleetLines } from './thread-table.ts'
import { TOKEN_HOST_OPTION, TOKEN_OPTION } from './verb-options.ts'
import { clientAt } from './worker-target.ts'
import { pauseOf, resumeOf } from './worker-verbs.ts'

const FILTER_OPTIONS = [
  { flags: '--worker <name>', description: 'of this worker' },
  { flags: '--state <state>', description: 'whose sector is in this state' },
  { flags: '--condition <c>', description: 'running, waiting, paused, parked, drained, …' },
  { flags: '--plan <plan>', description: 'of this plan' },
  { flags: '--sector <name>', description: 'with this sector' },
  TOKEN_OPTION,
  TOKEN_HOST_OPTION,
] as const
const HOW_OPTIONS = [
  { flags: '--per-second <count>', description: 'so many threads a second (10)' },
  { flags: '--dry-run', description: 'say which they are and change nothing' },
  { flags: '--yes', description: 'do not ask' },
] as const

/** What a thread does next costs a machine; a mistake can be stopped before it is everywhere. */
const PER_SECOND = 10
const PER_SECOND_MAX = 1_000
/** Workers asked at a time; one that is away costs its time-out. */
const WORKERS_AT_ONCE = 16
const FAILED = 1

export const threadsVerbs: readonly AppVerb[] = [
  {
    path: ['sealing', 'threads', 'list'],
    summary: 'the threads of all workers',
    options: FILTER_OPTIONS,
    examples: [
      'troupe sealing threads list',
      'troupe sealing threads list --condition parked --state C1Done',
    ],
    run: list,
  },
  {
    path: ['sealing', 'threads', 'pause'],
    summary: 'pause all threads of a filter',
    options: [
      ...FILTER_OPTIONS,
      { flags: '--reason <text>', description: 'for the history' },
      ...HOW_OPTIONS,
    ],
    examples: ['troupe sealing threads pause --worker w1 --reason "new disks" --yes'],
    run: (call) => many(call, 'pause'),
  },
  {
    path: ['sealing', 'threads', 'resume'],
    summary: 'have all threads of a filter go on that are paused or parked',
    options: [
      ...FILTER_OPTIONS,
      { flags: '--at-state <state>', description: 'at this state' },
      { flags: '--force', description: 'also to what throws a live sector away' },
      ...HOW_OPTIONS,
    ],
    examples: [
      'troupe sealing threads resume --condition parked --state C1Done --per-second 2',
      'troupe sealing threads resume --worker w1 --dry-run',
    ],
    run: (call) => many(call, 'resume'),
  },
]

/** A thread, and whom to ask; undefined: the node. */
interface Found {
  row: ThreadRow
  worker?: WorkerClient
}

async function list(call: VerbCall): Promise<void> {
  const { found, silent, foreign } = await find(call)
  const threads = found.map(({ row }) => row)
  if (call.json) return call.print(toJson({ threads, silent, foreign }))
  if (threads.length === 0) call.note('There are no such threads.')
  else for (const line of fleetLines(threads, call.clock.now(), terminalColumns())) call.print(line)
  for (const one of silent) call.note(`${one.worker}: ${one.why}`)
  for (const one of foreign) call.note(foreignText(one))
}

interface Silent {
  worker: string
  why: string
}

/** A worker of another make: it does not tell enough of its threads to stand in a list of ours. */
interface Foreign {
  worker: string
  dest: string
}

function foreignText({ worker, dest }: Foreign): string {
  return `${worker} at ${dest} is of another make; its threads: troupe util worker info ${worker}`
}

/** All threads that are meant, and the workers that say nothing of theirs. */
interface Findings {
  found: Found[]
  silent: Silent[]
  foreign: Foreign[]
}

async function find(call: VerbCall): Promise<Findings> {
  const filter = filterOf(call)
  const { worker } = filter
  const here = await call.http({ method: 'GET', path: '/sealing/threads', query: { worker } })
  const rows = (here.body as { threads: ThreadRow[] }).threads
  const pinged = await call.http({ method: 'GET', path: '/sealing/workers' })
  const known = new Set(rows.map((row) => row.worker))
  const apart = (pinged.body as { workers: PingSummary[] }).workers.filter(
    ({ name, threads }) =>
      !known.has(name) && threads > 0 && (worker === undefined || name === worker),
  )
  const fleet: Findings = { found: rows.map((row) => ({ row })), silent: [], foreign: [] }
  for (let at = 0; at < apart.length; at += WORKERS_AT_ONCE) {
    const some = apart.slice(at, at + WORKERS_AT_ONCE)
    await Promise.all(some.map((one) => askWorker(call, one, fleet)))
  }
  const found = fleet.found.filter(({ row }) => isMeant(row, filter)).sort(byPlace)
  return { ...fleet, found }
}

async function askWorker(
  call: VerbCall,
  { name, dest }: PingSummary,
  { found, silent, foreign }: Findings,
): Promise<void> {
  try {
    const worker = clientAt(call, dest)
    for (const row of await worker.call('WorkerThreads')) found.push({ row, worker })
  } catch (thrown) {
    if (!(thrown instanceof TroupeError)) throw thrown
    if (thrown instanceof UnknownCall) foreign.push({ worker: name, dest })
    else silent.push({ worker: name, why: thrown.message })
  }
}

const KNOWN: Readonly<Record<string, readonly string[] | undefined>> = {
  state: SECTOR_STATES,
  condition: CONDITIONS,
  plan: PLANS,
}

type Filter = Partial<Record<'worker' | 'state' | 'condition' | 'plan' | 'sector', string>>

function filterOf({ options }: VerbCall): Filter {
  const filter: Filter = {}
  for (const field of ['worker', 'state', 'condition', 'plan', 'sector'] as const) {
    const given = options[field]
    if (typeof given !== 'string') continue
    const known = KNOWN[field]
    // A mistyped one would mean nobody, and look as if all were well.
    if (known !== undefined && !known.includes(given)) {
      throw new TroupeError('malformed', `--${field} ${given}: it is one of: ${known.join(', ')}`)
    }
    filter[field] = given
  }
  return filter
}

function isMeant(row: ThreadRow, filter: Filter): boolean {
  return Object.entries(filter).every(([field, value]) => row[field as keyof Filter] === value)
}

/** Made once: made for each comparison, thousands of threads would take seconds. */
const NAMES = new Intl.Collator('en', { numeric: true })

function byPlace({ row: a }: Found, { row: b }: Found): number {
  return NAMES.compare(a.worker, b.worker) || a.index - b.index
}

interface Receipt {
  done: number
  /** It was so before. */
  already: number
  refused: Record<string, number>
  failed: number
  /** The first of what went wrong. */
  examples: string[]
  isStopped: boolean
}

const EXAMPLES_MAX = 10

async function many(call: VerbCall, action: 'pause' | 'resume'): Promise<number> {
  const perSecond = perSecondOf(call)
  const { found, silent, foreign } = await find(call)
  // Whoever runs needs no word to go on.
  const meant = action === 'resume' ? found.filter(({ row }) => row.paused) : found
  for (const one of silent) call.note(`left out: ${one.worker}: ${one.why}`)
  for (const one of foreign) call.note(`left out: ${foreignText(one)}`)
  const isWhole = silent.length + foreign.length === 0
  if (meant.length === 0) {
    call.note('There are no such threads.')
    return isWhole ? 0 : FAILED
  }
  const isDry = call.options['dryRun'] === true
  if (isDry && call.options['atState'] === undefined) {
    const names = meant.map(({ row }) => row.thread)
    if (call.json) call.print(toJson({ dryRun: true, action, threads: names }))
    else for (const name of names) call.print(`would ${action} ${name}`)
    return 0
  }
  if (!isDry && call.options['yes'] !== true) {
    if (!(await call.confirm(`${action} ${meant.length} threads?`))) {
      call.note('nothing was changed')
      return FAILED
    }
  }
  const receipt = await askAll(call, action, meant, perSecond)
  return show(call, action, receipt, { silent, foreign })
}

async function askAll(
  call: VerbCall,
  action: 'pause' | 'resume',
  meant: readonly Found[],
  perSecond: number,
): Promise<Receipt> {
  const receipt: Receipt = {
    ...{ done: 0, already: 0, refused: {}, failed: 0, examples: [] },
    isStopped: false,
  }
  const startedAt = call.clock.monotonic()
  for (const [at, one] of meant.entries()) {
    const aheadMs = startedAt + (at * 1_000) / perSecond - call.clock.monotonic()
    if (aheadMs > 0) await wait(call, aheadMs)
    if (call.signal.aborted) {
      receipt.isStopped = true
      break
    }
    await askOne(call, action, one, receipt)
    call.progress(action, at + 1, meant.length)
  }
  return receipt
}

async function askOne(
  call: VerbCall,
  action: 'pause' | 'resume',
  { row, worker }: Found,
  receipt: Receipt,
): Promise<void> {
  const said = (why: string) => {
    if (receipt.examples.length < EXAMPLES_MAX) receipt.examples.push(`${row.thread}: ${why}`)
  }
  try {
    const answer = await ask(call, action, row, worker)
    if ('refused' in answer) {
      const code = String(answer['refused'])
      receipt.refused[code] = (receipt.refused[code] ?? 0) + 1
      said(String(answer['message']))
    } else if (answer['already'] === true) receipt.already += 1
    else receipt.done += 1
  } catch (thrown) {
    if (!(thrown instanceof TroupeError)) throw thrown
    receipt.failed += 1
    said(thrown.message)
  }
}

async function ask(
  call: VerbCall,
  action: 'pause' | 'resume',
  { thread, index }: ThreadRow,
  worker: WorkerClient | undefined,
): Promise<ControlAnswer> {
  const state = call.options['atState']
  // `--state` is of the filter here.
  const { state: _filter, ...resumed } = resumeOf(call)
  const given = {
    ...(action === 'pause' ? pauseOf(call) : resumed),
    ...(action === 'resume' && typeof state === 'string' ? { state } : {}),
  }
  if (worker !== undefined) {
    return worker.call('WorkerControl', { action, index, ...given } as ControlRequest)
  }
  const { by: _by, ...body } = given
  const path = '/sealing/threads'
  const answer = await call.http({ method: 'POST', path, body: { action, thread, ...body } })
  return answer.body as ControlAnswer
}

/** @returns the exit code */
function show(
  call: VerbCall,
  action: string,
  receipt: Receipt,
  leftOut: Pick<Findings, 'silent' | 'foreign'>,
): number {
  const refused = Object.values(receipt.refused).reduce((sum, count) => sum + count, 0)
  const isWhole = refused === 0 && receipt.failed === 0 && !receipt.isStopped
  if (call.json) call.print(toJson({ action, ...receipt, ...leftOut }))
  else {
    const parts = [`${action}: ${receipt.done} done`]
    if (receipt.already > 0) parts.push(`${receipt.already} were so already`)
    if (refused > 0) parts.push(`${refused} refused`)
    if (receipt.failed > 0) parts.push(`${receipt.failed} failed`)
    if (receipt.isStopped) parts.push('stopped before the end')
    call.print(parts.join(', '))
    for (const example of receipt.examples) call.note(example)
  }
  const isOfAll = leftOut.silent.length + leftOut.foreign.length === 0
  return isWhole && isOfAll ? 0 : FAILED
}

function perSecondOf({ options }: VerbCall): number {
  const given = options['perSecond'] ?? String(PER_SECOND)
  const count = typeof given === 'string' && /^\d{1,4}$/.test(given) ? Number(given) : 0
  if (count >= 1 && count <= PER_SECOND_MAX) return count
  throw new TroupeError('malformed', `--per-second is a number from 1 to ${PER_SECOND_MAX}`)
}
