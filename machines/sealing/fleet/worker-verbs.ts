/**
 * The verb `troupe sealing worker`: one worker by its own interface. Decides: what a person types and reads,
 * in our form and in that of v0.2. Leaves to others: the calls.
 */
import { type AppVerb, TroupeError, toJson, type VerbCall, wait } from '../../../src/index.ts'
import {
  type AnyWorkerRow,
  type ControlAnswer,
  type ControlRequest,
  type ShownThread,
  UnknownCall,
  type WorkerClient,
} from '../daemon/index.ts'
import { threadNameOf } from '../thread/index.ts'
import { foreignLines, oldRowOf } from './foreign-rows.ts'
import { oldControlLine, oldThreadLine } from './old-forms.ts'
import { ageText, tableLines, terminalColumns } from './tables.ts'
import { threadLines } from './thread-table.ts'
import { FORMAT_OPTION, isOldForm, TOKEN_OPTION } from './verb-options.ts'
import { TARGET_OPTIONS, targetOf } from './worker-target.ts'

const ACTIONS = ['list', 'pause', 'resume', 'drain', 'undrain', 'quarantine', 'health'] as const
type Action = (typeof ACTIONS)[number]

/** As the platform has it: it does not fit the present condition. */
const CONFLICT = 5
const FAILED = 1
const DRAIN_POLL_MS = 500

export const workerVerb: AppVerb = {
  path: ['sealing', 'worker'],
  summary: `look after the threads of one worker: ${ACTIONS.join(', ')}`,
  arguments: '<action>',
  options: [
    ...TARGET_OPTIONS,
    TOKEN_OPTION,
    { flags: '--index <number>', description: 'which thread (pause, resume)' },
    { flags: '--state <state>', description: 'go on at this state (resume)' },
    { flags: '--retry', description: 'try the present step anew, also while it runs (resume)' },
    { flags: '--force', description: 'also to what throws a live sector away (resume)' },
    { flags: '--dry-run', description: 'only say what would happen (resume)' },
    { flags: '--reason <text>', description: 'for the history (pause)' },
    { flags: '--wait', description: 'until all threads have finished (drain)' },
    { flags: '--acknowledge <name>', description: 'these data may be deleted (quarantine)' },
    FORMAT_OPTION,
  ],
  examples: [
    'troupe sealing worker -c worker.toml list',
    'troupe sealing worker -c worker.toml pause --index 0 --reason "new disks"',
    'troupe sealing worker -c worker.toml resume --index 0',
    'troupe sealing worker -c worker.toml resume --index 0 --state TreeDBuilt --dry-run',
    'troupe sealing worker -c worker.toml drain --wait   # the daemon ends then; once started it works again',
    'troupe sealing worker -c worker.toml quarantine   # data of aborted sectors, deleted some days later',
    'troupe sealing worker --host 10.0.0.7:17890 --worker-token-file token list --format v0.2',
  ],
  run: runWorkerVerb,
}

async function runWorkerVerb(call: VerbCall): Promise<number> {
  const given = call.arguments[0]
  const action = ACTIONS.find((one) => one === given)
  if (action === undefined) {
    const why = `"${given}" is none of: ${ACTIONS.join(', ')}`
    throw new TroupeError('malformed', why)
  }
  const worker = targetOf(call)
  const run: Record<Action, () => Promise<number>> = {
    list: () => list(call, worker),
    pause: () => control(call, worker, { action: 'pause', ...pauseOf(call), index: indexOf(call) }),
    resume: () =>
      control(call, worker, { action: 'resume', ...resumeOf(call), index: indexOf(call) }),
    drain: () => drain(call, worker, false),
    undrain: () => drain(call, worker, true),
    quarantine: () => quarantine(call, worker),
    health: () => health(call, worker),
  }
  return run[action]()
}

async function list(call: VerbCall, worker: WorkerClient): Promise<number> {
  if (isOldForm(call)) {
    const rows = await worker.call('WorkerList')
    if (call.json) call.print(toJson(rows))
    else for (const row of rows) call.print(oldThreadLine(oldRowOf(row)))
    return 0
  }
  await showThreads(call, worker)
  return 0
}

/** In our form. */
export async function showThreads(call: VerbCall, worker: WorkerClient): Promise<void> {
  const threads = await ownOr(
    () => worker.call('WorkerThreads'),
    async () => undefined,
  )
  const shown = threads ?? (await worker.call('WorkerList'))
  if (call.json) return call.print(toJson(shown))
  if (shown.length === 0) return call.note('The worker has no threads.')
  const columns = terminalColumns()
  const lines =
    threads === undefined
      ? foreignLines(shown as readonly AnyWorkerRow[], columns)
      : threadLines(threads, call.clock.now(), columns)
  for (const line of lines) call.print(line)
}

/** Workers of another make know the calls of old only. */
async function ownOr<T>(own: () => Promise<T>, foreign: () => Promise<T>): Promise<T> {
  try {
    return await own()
  } catch (thrown) {
    if (thrown instanceof UnknownCall) return foreign()
    throw thrown
  }
}

/** Asks one thread, and says what became of it. */
export async function control(
  call: VerbCall,
  worker: WorkerClient,
  request: ControlRequest,
): Promise<number> {
  if (isOldForm(call)) {
    const isDone = await oldControl(worker, request)
    call.note(oldControlLine(request.action, request.index, isDone))
    return 0
  }
  return controlInFull(call, worker, request)
}

/** In our form. @returns the exit code */
export async function controlInFull(
  call: VerbCall,
  worker: WorkerClient,
  request: ControlRequest,
): Promise<number> {
  const thread = `#${request.index}`
  const answer = await ownOr(
    () => worker.call('WorkerControl', request),
    () => foreignControl(call, worker, request),
  )
  return answered(call, thread, answer)
}

/** Nothing is asked of a worker that it would do otherwise than was meant. */
async function foreignControl(
  call: VerbCall,
  worker: WorkerClient,
  request: ControlRequest,
): Promise<ControlAnswer> {
  if (request.action === 'resume' && (request.retry || request.force || request.dryRun)) {
    const why = 'this worker is of another make: it has no --retry, --force or --dry-run'
    throw new TroupeError('conflict', why)
  }
  if (request.action === 'pause' && request.reason !== undefined)
    call.note('this worker is of another make: it keeps no reason')
  if (await oldControl(worker, request)) return { ok: true }
  const message = 'the worker says no, and does not say why'
  return { refused: 'refused', message }
}

/** As old tools ask. */
export function oldControl(worker: WorkerClient, request: ControlRequest): Promise<boolean> {
  return request.action === 'pause'
    ? worker.call('WorkerPause', request.index)
    : worker.call('WorkerResume', request.index, request.state ?? null)
}

/** @returns the exit code */
export function answered(call: VerbCall, thread: string, answer: ControlAnswer): number {
  if (call.json) call.print(toJson(answer))
  else if ('refused' in answer) call.note(`${thread}: ${answer['refused']}: ${answer['message']}`)
  else call.print(`${thread}: ${doneText(answer)}`)
  return 'refused' in answer ? CONFLICT : 0
}

function doneText(answer: Record<string, unknown>): string {
  const { state, condition, pausing, already, move } = answer
  const words = [condition === undefined ? 'done' : `${String(condition)} in ${String(state)}`]
  if (pausing === true) words.push('it pauses when the running step has ended')
  if (already === true) words.push('nothing has changed')
  if (typeof move === 'object' && move !== null) words.push(moveText(move))
  return words.join('; ')
}

function moveText(move: object): string {
  const { dryRun, from, to, sets, stage, hint } = move as Record<string, unknown>
  const flags = Array.isArray(sets) && sets.length > 0 ? `, sets ${sets.join(', ')}` : ''
  const step = stage === null || stage === undefined ? '' : `, then ${String(stage)}`
  const told = typeof hint === 'string' ? ` (${hint})` : ''
  const verb = dryRun === true ? 'would go' : 'goes'
  return `${verb} from ${String(from)} to ${String(to)}${step}${flags}${told}`
}

async function drain(call: VerbCall, worker: WorkerClient, isUndone: boolean): Promise<number> {
  const given = isUndone ? { by: authorOf(), undo: true } : { by: authorOf() }
  const counts = await worker.call('WorkerDrain', given)
  if (!isUndone && call.options['wait'] === true) return waitForDrain(call, worker)
  if (call.json) call.print(toJson(counts))
  else if (isUndone) call.print('the worker takes sectors again')
  else {
    const { drained, threads } = counts
    call.print(`${drained} of ${threads} threads are drained; the daemon ends when all are`)
    for (const line of heldUpBy(await worker.call('WorkerThreads'))) call.note(line)
  }
  return 0
}

async function waitForDrain(call: VerbCall, worker: WorkerClient): Promise<number> {
  let isDone = false
  const told = new Set<string>()
  while (!call.signal.aborted) {
    try {
      const threads = await worker.call('WorkerThreads')
      const left = threads.filter(({ condition }) => condition !== 'drained')
      isDone = left.length === 0
      for (const line of heldUpBy(left).filter((one) => !told.has(one))) {
        told.add(line)
        call.note(line)
      }
      call.progress('drained', threads.length - left.length, threads.length)
    } catch (thrown) {
      if (!(thrown instanceof TroupeError) || thrown.code !== 'unavailable') throw thrown
      if (call.json) call.print(toJson({ drained: isDone }))
      else if (isDone)
        call.print('the worker is drained and has ended; started again it works again')
      else call.note('the worker does not answer any more, though its threads had not finished')
      return isDone ? 0 : FAILED
    }
    await wait(call, DRAIN_POLL_MS)
  }
  return FAILED
}

/** Threads that do not finish their sector until somebody says how they go on. */
function heldUpBy(threads: readonly ShownThread[]): string[] {
  return threads
    .filter(({ condition }) => condition === 'parked' || condition === 'paused')
    .map((thread) => {
      const { index, condition, state, sector } = thread
      const place = `#${index} ${threadNameOf(thread)} is ${condition} in ${state}`
      const what = sector === null ? '' : ` with ${sector}`
      return `${place}${what} and holds the drain up: resume --index ${index}, or resume it with --state Aborted`
    })
}

async function quarantine(call: VerbCall, worker: WorkerClient): Promise<number> {
  const name = call.options['acknowledge']
  const given = { by: authorOf(), ...(typeof name === 'string' ? { acknowledge: name } : {}) }
  const { quarantined } = await worker.call('WorkerQuarantine', given)
  if (call.json) call.print(toJson({ quarantined }))
  else if (quarantined.length === 0) call.note('Nothing is in quarantine.')
  else {
    const now = call.clock.now()
    const rows = quarantined.map(({ acknowledged, at, location, reason, ...one }) => ({
      cells: [one.name, one.sector, ageText(now - at), acknowledged ? 'yes' : 'no', location],
      below: reason,
    }))
    const headings = ['NAME', 'SECTOR', 'AGE', 'ACKNOWLEDGED', 'STORE']
    for (const line of tableLines(headings, rows, terminalColumns())) call.print(line)
  }
  return 0
}

async function health(call: VerbCall, worker: WorkerClient): Promise<number> {
  call.print(toJson(await worker.call('WorkerHealth'), call.json ? undefined : 2))
  return 0
}

/** @throws TroupeError `malformed` */
export function indexOf(call: VerbCall, given: unknown = call.options['index']): number {
  const index = typeof given === 'string' && /^\d{1,6}$/.test(given) ? Number(given) : Number.NaN
  if (!Number.isNaN(index)) return index
  throw new TroupeError('malformed', `"${String(given ?? '')}" is no number of a thread: --index 0`)
}

export function pauseOf({ options }: VerbCall) {
  const reason = options['reason']
  return { by: authorOf(), ...(typeof reason === 'string' ? { reason } : {}) }
}

export function resumeOf({ options }: VerbCall) {
  const { state, retry, force, dryRun } = options
  return {
    by: authorOf(),
    ...(typeof state === 'string' ? { state } : {}),
    ...(retry === true ? { retry: true } : {}),
    ...(force === true ? { force: true } : {}),
    ...(dryRun === true ? { dryRun: true } : {}),
  }
}

/** Who the history names. */
export function authorOf(): string {
  return (process.env['TROUPE_AUTHOR'] ?? process.env['USER'] ?? 'operator').slice(0, 100)
}
