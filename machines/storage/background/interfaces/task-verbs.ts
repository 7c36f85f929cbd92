/** The verbs `troupe storage tasks` and `troupe storage migrate`. Decides: what a person types and reads. */
import {
  type AppVerb,
  byteSize,
  oneLine,
  plainTable,
  TroupeError,
  toJson,
  type VerbCall,
  wait,
} from '../../../../src/verbs.ts'
import { askStore } from '../../plane/verb-calls.ts'
import { ageText, factLines } from '../../plane/verb-text.ts'
import { barText, waitText } from './verb-lines.ts'

const PATH = '/storage/tasks'
const ID = '<id>'
const COUNT = 100
const LOOK_MS = 500
/** It ended, and nothing was moved. */
const NOT_MOVED_EXIT_CODE = 5
const TYPES = 'balance, disk_drop, disk_repair or manual_migrate'

export const taskVerbs: readonly AppVerb[] = [
  {
    path: ['storage', 'tasks', 'list'],
    summary: 'list the tasks that move units: how far they are, what they wait for',
    options: [
      { flags: '--type <type>', description: TYPES },
      { flags: '--state <s>', description: 'inited, preparing, prepared, parked, finished, …' },
      { flags: '--disk <id>', description: 'from this disk' },
      { flags: '--volume <vid>', description: 'of this volume' },
      { flags: '--limit <n>', description: `how many at most (${COUNT})` },
    ],
    examples: ['troupe storage tasks list', 'troupe storage tasks list --type disk_drop --disk 7'],
    run: list,
  },
  {
    path: ['storage', 'tasks', 'info'],
    summary: 'show a task; its history: troupe actors history migrate-task/<id>',
    arguments: ID,
    examples: ['troupe storage tasks info balance-2678-387752-cg08egoi5d8une4a6cp0'],
    run: async (call) => showTask(call, await taskOf(call, call.arguments[0] ?? '')),
  },
  change('pause', 'let a task stand where it is'),
  change('resume', 'let a task that is paused or parked go on'),
  change('cancel', 'give a task up; what it reserved is given back'),
  change('retry', 'try now what a task waits to try again'),
  {
    path: ['storage', 'tasks', 'priority'],
    summary: 'let a task come before others of its type: higher ones first, 0 is the usual',
    arguments: '<id> <priority>',
    examples: ['troupe storage tasks priority ID 10'],
    run: (call) => act(call, 'priority', { priority: wholeOf(call.arguments[1], '<priority>') }),
  },
  {
    path: ['storage', 'migrate'],
    summary: 'move a unit to another disk; prints the id of the task that does it',
    arguments: '<vuid>',
    options: [
      {
        flags: '--no-direct-download',
        description: 'make it up of the other units, and read nothing of the old one',
      },
      { flags: '--priority <n>', description: 'higher ones come first (0)' },
      { flags: '--wait', description: 'until it has ended, with how far it is' },
    ],
    examples: [
      'troupe storage migrate 4395630596',
      'troupe storage migrate 4395630596 --no-direct-download --wait',
    ],
    run: migrate,
  },
]

function change(verb: string, summary: string): AppVerb {
  return {
    path: ['storage', 'tasks', verb],
    ...{ summary, arguments: ID, examples: [`troupe storage tasks ${verb} ID`] },
    run: (call) => act(call, verb, {}),
  }
}

/** As the routes answer. */
interface TaskRow {
  task_id: string
  task_type: string
  state: number
  at: string
  condition: string
  vid: number
  source_vuid_text: string
  source_disk_id: number
  destination_disk_id: number | null
  priority: number
  worker: string | null
  progress: number
  why: string | null
  until: number | null
  updated_at: number
}

interface TaskDetail extends TaskRow {
  mode: string | null
  source_idc: string
  reason: string | null
  destination_vuid_text: string | null
  forbidden_direct_download: boolean
  worker_redo_cnt: number
  finish_advance_reason: string
  last_error: string | null
  lease_until: number | null
  created_at: number
  stat: { done_size: number; done_count: number; total_size: number; total_count: number }
}

const HEADINGS = [
  ...['TASK', 'STATE', 'VOLUME', 'FROM', 'TO', 'PRIORITY', 'WORKER', 'DONE', 'FOR', 'WAITS FOR'],
]

async function list(call: VerbCall): Promise<void> {
  const { type, state, disk, volume, limit } = call.options as Record<string, string | undefined>
  const query = { type, state, disk, vid: volume, count: limit }
  const body = await askStore(call, { method: 'GET', path: PATH, query })
  if (call.json) return call.print(toJson(body))
  const { tasks, cursor } = body as { tasks: TaskRow[]; cursor?: string }
  if (tasks.length === 0) return call.note('There are no such tasks.')
  const now = call.clock.now()
  for (const line of plainTable(
    HEADINGS,
    tasks.map((task) => rowOf(task, now)),
  ))
    call.print(line)
  if (cursor !== undefined) call.note('There are more: --limit 1000 shows up to that many.')
}

function rowOf(task: TaskRow, now: number): string[] {
  const { task_id, vid, source_disk_id, destination_disk_id, priority, worker, progress } = task
  return [
    ...[task_id, standingOf(task), String(vid), `disk ${source_disk_id}`],
    ...[destination_disk_id === null ? '' : `disk ${destination_disk_id}`, String(priority)],
    ...[worker ?? '', `${progress}%`, ageText(now - task.updated_at)],
    oneLine(waitText(task.why, task.until, now)),
  ]
}

function standingOf({ at, condition }: TaskRow): string {
  return condition === 'active' || condition === 'finished' ? at : `${at}, ${condition}`
}

async function taskOf(call: VerbCall, id: string): Promise<TaskDetail> {
  const path = `${PATH}/${encodeURIComponent(id)}`
  return (await askStore(call, { method: 'GET', path })) as TaskDetail
}

function showTask(call: VerbCall, task: TaskDetail): void {
  if (call.json) return call.print(toJson(task))
  const now = call.clock.now()
  const { done_size, total_size, done_count, total_count } = task.stat
  const to = task.destination_disk_id === null ? '' : ` to disk ${task.destination_disk_id}`
  const facts: [string, string][] = [
    ['state', `${standingOf(task)} (${task.state}), ${ageText(now - task.updated_at)}`],
    ['unit', `${task.source_vuid_text} of volume ${task.vid}${task.mode ? `, ${task.mode}` : ''}`],
    ['way', `disk ${task.source_disk_id} in ${oneLine(task.source_idc)}${to}`],
    ['copied', `${barText(done_size, total_size)}  ${done_count} of ${total_count} shards`],
    ['bytes', `${byteSize(done_size)} of ${byteSize(total_size)}`],
    ['priority', String(task.priority)],
  ]
  if (task.reason !== null) facts.push(['asked for', oneLine(task.reason)])
  if (task.forbidden_direct_download) facts.push(['reads', 'the other units only'])
  if (task.worker !== null) facts.push(['worker', oneLine(task.worker)])
  if (task.worker_redo_cnt > 0) facts.push(['done anew', `${task.worker_redo_cnt} times`])
  if (task.why !== null) facts.push(['waits for', oneLine(waitText(task.why, task.until, now))])
  if (task.finish_advance_reason !== '')
    facts.push(['ended for', oneLine(task.finish_advance_reason)])
  if (task.last_error !== null) facts.push(['last error', oneLine(task.last_error)])
  call.print(task.task_id)
  for (const line of factLines(facts)) call.print(line)
}

async function act(call: VerbCall, verb: string, body: object): Promise<void> {
  const path = `${PATH}/${encodeURIComponent(call.arguments[0] ?? '')}/${verb}`
  const task = (await askStore(call, { method: 'POST', path, body })) as TaskDetail
  call.print(call.json ? toJson(task) : `${task.task_id}  ${standingOf(task)}`)
}

async function migrate(call: VerbCall): Promise<number> {
  const [vuid = ''] = call.arguments
  const { priority, directDownload } = call.options
  const body = {
    vuid,
    direct_download: directDownload !== false,
    ...(priority === undefined ? {} : { priority: wholeOf(String(priority), '--priority') }),
  }
  const path = '/manual/migrate/task/add'
  const { task_id: id } = (await askStore(call, { method: 'POST', path, body })) as {
    task_id: string
  }
  if (call.options['wait'] !== true) {
    call.print(call.json ? toJson({ task_id: id }) : id)
    return 0
  }
  return follow(call, id)
}

const ENDED: ReadonlySet<string> = new Set(['finished', 'finished_in_advance', 'cancelled'])

/** Until it has ended, or a person has to look at it: by its own word, or since the platform has parked it. */
async function follow(call: VerbCall, id: string): Promise<number> {
  for (;;) {
    const task = await taskOf(call, id)
    const [at = ''] = task.at.split('.')
    const isParked = at === 'parked' || task.condition === 'parked'
    if (ENDED.has(at) || isParked || call.signal.aborted) {
      showTask(call, task)
      return at === 'finished' ? 0 : NOT_MOVED_EXIT_CODE
    }
    const waits = task.why === null ? '' : `: ${oneLine(task.why)}`
    call.progress(`${task.at}${waits}`, task.stat.done_size, Math.max(1, task.stat.total_size))
    await wait(call, LOOK_MS)
  }
}

/** @throws TroupeError `malformed` */
function wholeOf(text: string | undefined, what: string): number {
  if (text !== undefined && /^-?\d{1,9}$/.test(text)) return Number(text)
  throw new TroupeError('malformed', `${what}: "${text ?? ''}" is no whole number`)
}
