/**
 * The verbs `troupe apps` and `troupe jobs`. Decides: what a person types and reads; everything they
 * do goes through the routes of `operator-routes.ts`.
 */
import { type AppVerb, plainTable, toJson, type VerbCall } from '../../src/verbs.ts'
import { addApp, listApps, printToken } from './app-verbs.ts'
import { describe, exitCodeOf, idOf, SUCCEEDED, viewOf, viewWhenEnded } from './job-calls.ts'
import type { JobRow, JobView } from './job-view.ts'
import { printBytes, printLog, printResult } from './log-verbs.ts'
import { LEGACY } from './statuses.ts'
import { submitVerbs } from './submit-verbs.ts'

const JOB = '<id>'
const ATTEMPT = { flags: '--attempt <number>', description: 'of this attempt (the newest)' }

export const verbs: readonly AppVerb[] = [
  {
    path: ['apps', 'add'],
    summary: 'add an app, which may then submit jobs over HTTP; prints its key',
    arguments: '<name>',
    options: [
      { flags: '--admin', description: 'it may also take workers out of service over HTTP' },
    ],
    examples: ['troupe apps add reports'],
    run: addApp,
  },
  {
    path: ['apps', 'list'],
    summary: 'list the apps',
    examples: ['troupe apps list'],
    run: listApps,
  },
  {
    path: ['apps', 'token'],
    summary: 'print a token of an app, good for three minutes',
    arguments: '<name>',
    examples: [
      'curl -d token=$(troupe apps token reports) -d name=reports -d jobId=7 http://127.0.0.1:9800/server/jobstatus',
    ],
    run: printToken,
  },
  ...submitVerbs,
  {
    path: ['jobs', 'list'],
    summary: 'list jobs, those first that changed last',
    options: [
      {
        flags: '--status <status>',
        description: `one of ${Object.keys(LEGACY).join(', ')}`,
      },
      { flags: '--app <name>', description: 'only of this app' },
      { flags: '--name <name>', description: 'only of this name' },
      { flags: '--executor <name>', description: 'only on this behalf' },
      { flags: '--group <number>', description: 'only of this worker group' },
      { flags: '--limit <count>', description: 'at most so many', default: '50' },
    ],
    examples: ['troupe jobs list --status failed', 'troupe jobs list --app reports --limit 500'],
    run: listJobs,
  },
  {
    path: ['jobs', 'status'],
    summary: 'show a job, and why it is as it is',
    arguments: JOB,
    options: [
      { flags: '--wait', description: 'wait until it has ended; exit code 1 unless it succeeds' },
    ],
    examples: ['troupe jobs status 7 --wait'],
    run: showStatus,
  },
  {
    path: ['jobs', 'log'],
    summary: 'print what a job writes: its stdout on stdout, its stderr on stderr',
    arguments: JOB,
    options: [
      { flags: '-f, --follow', description: 'go on until the job has ended' },
      { flags: '--stdout', description: 'only its stdout' },
      { flags: '--stderr', description: 'only its stderr, on stdout' },
      { flags: '--lines <count>', description: 'begin so many lines before the end' },
      ATTEMPT,
    ],
    examples: [
      'troupe jobs log 7 -f',
      'troupe jobs log 7 --stderr --lines 20',
      'troupe jobs log 7 --attempt 1',
    ],
    run: printLog,
  },
  {
    path: ['jobs', 'result'],
    summary: 'wait for a job and print its stdout; exit code 1 unless it succeeds',
    arguments: JOB,
    examples: ['troupe jobs result 7 > rows.txt'],
    run: printResult,
  },
  {
    path: ['jobs', 'download'],
    summary: 'write all that a job has printed on its stdout, byte by byte, to standard output',
    arguments: JOB,
    options: [ATTEMPT],
    examples: ['troupe jobs download 7 > rows.bin'],
    run: printBytes,
  },
  {
    path: ['jobs', 'kill'],
    summary: 'end a job that waits or runs, with its whole process group',
    arguments: JOB,
    examples: ['troupe jobs kill 7'],
    run: (call) => act(call, 'kill'),
  },
  {
    path: ['jobs', 'rerun'],
    summary: 'run a job that has ended once more, under the same id',
    arguments: JOB,
    examples: ['troupe jobs rerun 7'],
    run: (call) => act(call, 'rerun'),
  },
  {
    path: ['jobs', 'remove'],
    summary: 'take a job away that does not run',
    arguments: JOB,
    examples: ['troupe jobs remove 7'],
    run: (call) => act(call, 'remove'),
  },
]

async function showStatus(call: VerbCall): Promise<number> {
  const waits = call.options['wait'] === true
  const view = waits ? await viewWhenEnded(call) : await viewOf(call, 0)
  if (call.json) call.print(toJson(view))
  else for (const line of describe(view)) call.print(line)
  // Who does not wait has asked for the status only, and has got it.
  return waits ? exitCodeOf(view) : SUCCEEDED
}

async function listJobs(call: VerbCall): Promise<void> {
  const { status, app, name, executor, group, limit } = call.options as Record<
    string,
    string | undefined
  >
  const query = { status, app, name, executor, group, limit }
  const { body } = await call.http({ method: 'GET', path: '/jobs', query })
  if (call.json) return call.print(toJson(body))
  const { jobs, cursor } = body as { jobs: JobRow[]; cursor?: string }
  if (jobs.length === 0) return call.note('There are no such jobs.')
  const now = call.clock.now()
  const cells = jobs.map((row) => [
    String(row.jobId),
    row.status,
    ageOf(now - row.since),
    row.jobName,
    row.appName,
    String(row.groupId),
    row.executor,
    row.message,
  ])
  const headings = ['ID', 'STATUS', 'FOR', 'NAME', 'APP', 'GROUP', 'EXECUTOR', 'WHY']
  for (const line of plainTable(headings, cells)) call.print(line)
  if (cursor !== undefined) call.note('There are more: --limit shows up to 1000.')
}

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
] as const

function ageOf(ms: number): string {
  const [unit, unitMs] = UNITS.find(([, length]) => ms >= length) ?? ['s', 1_000]
  return `${Math.max(0, Math.floor(ms / unitMs))}${unit}`
}

async function act(call: VerbCall, action: 'kill' | 'rerun' | 'remove'): Promise<void> {
  const { body } = await call.http({ method: 'POST', path: `/jobs/${idOf(call)}/${action}` })
  if (call.json) return call.print(toJson(body))
  for (const line of describe(body as JobView)) call.print(line)
}
