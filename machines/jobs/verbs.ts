/**
 * The verbs `troupe apps` and `troupe jobs`. Decides: what a person types and reads; everything they
 * do goes through the routes of `operator-routes.ts`.
 */
import { type AppVerb, TroupeError, toJson, type VerbCall } from '../../src/index.ts'
import type { JobView, StreamPart } from './jobs.ts'
import { contentOf } from './quote.ts'

const JOB = '<id>'
const SUCCEEDED = 0
const FAILED = 1
/** How often a log that is followed is asked for more, and how long one wait for an end lasts. */
const FOLLOW_MS = 250
const WAIT_MS = 25_000

export const verbs: readonly AppVerb[] = [
  {
    path: ['apps', 'add'],
    summary: 'add an app, which may then submit jobs over HTTP; prints its key',
    arguments: '<name>',
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
  {
    path: ['jobs', 'submit'],
    summary: 'submit a command; prints the id of the job',
    arguments: '<command...>',
    options: [
      {
        flags: '--name <name>',
        description: 'what people call it (default: the first word of the command)',
      },
      { flags: '--app <name>', description: 'the app that it belongs to', default: 'default' },
      { flags: '--group <number>', description: 'the worker group that runs it', default: '1' },
      { flags: '--executor <name>', description: 'on whose behalf it runs' },
      { flags: '--type <type>', description: 'its job type, as the configuration names them' },
      {
        flags: '--on-worker-lost <policy>',
        description: 'wait, rerun or park when its worker falls silent',
        default: 'park',
      },
    ],
    examples: [
      "troupe jobs submit --name nightly -- 'du -s /tmp | sort -n'",
      "troupe jobs submit --name copy -- cp 'a file' /tmp",
    ],
    run: submit,
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
    ],
    examples: ['troupe jobs log 7 -f', 'troupe jobs log 7 --stderr --lines 20'],
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
    path: ['jobs', 'kill'],
    summary: 'end a job that waits or runs, with its whole process group',
    arguments: JOB,
    examples: ['troupe jobs kill 7'],
    run: killJob,
  },
]

async function addApp(call: VerbCall): Promise<void> {
  const { body } = await call.http({
    method: 'POST',
    path: '/jobs/apps',
    body: { name: call.arguments[0] },
  })
  if (call.json) return call.print(toJson(body))
  const { name, appKey } = body as { name: string; appKey: string }
  call.print(appKey)
  call.note(
    `This is the key of app ${name}. It is not shown again; whoever knows it acts as the app.`,
  )
  call.note(`A token made of it: troupe apps token ${name}`)
}

async function listApps(call: VerbCall): Promise<void> {
  const { body } = await call.http({ method: 'GET', path: '/jobs/apps' })
  if (call.json) return call.print(toJson(body))
  const { apps } = body as { apps: { name: string; status: string; createdAt: number }[] }
  for (const { name, status, createdAt } of apps) {
    call.print(`${name}  ${status}  since ${new Date(createdAt).toISOString()}`)
  }
  if (apps.length === 0) call.note('There are no apps yet: troupe apps add NAME')
}

async function printToken(call: VerbCall): Promise<void> {
  const path = `/jobs/apps/${encodeURIComponent(call.arguments[0] ?? '')}/token`
  const { body } = await call.http({ method: 'POST', path })
  call.print(call.json ? toJson(body) : (body as { token: string }).token)
}

async function submit(call: VerbCall): Promise<void> {
  const { name, app, group, executor, type, onWorkerLost } = call.options as Record<
    string,
    string | undefined
  >
  const content = contentOf(call.arguments)
  const [firstWord = 'job'] = content.trim().split(/\s/)
  const request = {
    name: name ?? firstWord.slice(0, 64),
    app,
    group,
    executor,
    type,
    onWorkerLost,
    content,
  }
  const { body } = await call.http({ method: 'POST', path: '/jobs', body: request })
  if (call.json) return call.print(toJson(body))
  const { jobId } = body as { jobId: number }
  call.print(String(jobId))
  call.note(`Follow it: troupe jobs log ${jobId} -f`)
}

async function showStatus(call: VerbCall): Promise<number> {
  const waits = call.options['wait'] === true
  const view = waits ? await viewWhenEnded(call) : await viewOf(call, 0)
  if (call.json) call.print(toJson(view))
  else for (const line of describe(view)) call.print(line)
  // Who does not wait has asked for the status only, and has got it.
  return waits ? exitCodeOf(view) : SUCCEEDED
}

/** A job's own exit code stands in its status: these numbers mean other things here. */
function exitCodeOf({ status }: JobView): number {
  return status === 'success' ? SUCCEEDED : FAILED
}

function describe(view: JobView): string[] {
  const { jobId, status, message, jobName, appName, groupId, executor, jobType, exit } = view
  const time = (ms: number) => new Date(ms).toISOString()
  const lines = [
    // It may quote what a worker met; nothing in it may move the cursor.
    `job ${jobId} (${jobName}): ${status}${message === '' ? '' : `, ${message.replace(/\p{Cc}/gu, ' ')}`}`,
    `  app ${appName}, group ${groupId}, type ${jobType}${executor === '' ? '' : `, for ${executor}`}`,
    `  submitted  ${time(view.submittedAt)}`,
  ]
  if (exit) {
    lines.push(
      `  ran        ${time(exit.startedAt)} to ${time(exit.endedAt)} (${exit.endedAt - exit.startedAt} ms)`,
    )
    lines.push(`  wrote      ${exit.stdoutBytes} bytes to stdout, ${exit.stderrBytes} to stderr`)
  }
  if (status === 'stopped')
    lines.push(`  next       troupe actors resume job/${jobId}, or troupe jobs kill ${jobId}`)
  if (status === 'failed') lines.push(`  next       troupe jobs log ${jobId} --stderr --lines 20`)
  return lines
}

async function killJob(call: VerbCall): Promise<void> {
  const { body } = await call.http({ method: 'POST', path: `/jobs/${idOf(call)}/kill` })
  if (call.json) return call.print(toJson(body))
  for (const line of describe(body as JobView)) call.print(line)
}

async function printResult(call: VerbCall): Promise<number> {
  const view = await viewWhenEnded(call)
  let text = ''
  const write = (chunk: string) => {
    if (call.json) text += chunk
    else call.write(chunk)
  }
  await copyStream(call, 'stdout', { follow: false }, write)
  if (call.json) call.print(toJson({ ...view, stdout: text }))
  else if (view.status !== 'success') call.note(`Note: ${describe(view)[0]}`)
  return exitCodeOf(view)
}

async function printLog(call: VerbCall): Promise<void> {
  const { stdout, stderr, follow, lines } = call.options
  const tail = typeof lines === 'string' ? lines : undefined
  const how = { follow: follow === true, tail }
  const streams =
    stderr === stdout
      ? (['stdout', 'stderr'] as const)
      : stderr
        ? (['stderr'] as const)
        : (['stdout'] as const)
  if (call.json) {
    const texts: Record<string, string> = {}
    await Promise.all(
      streams.map((stream) => {
        texts[stream] = ''
        return copyStream(call, stream, how, (chunk) => (texts[stream] += chunk))
      }),
    )
    return call.print(toJson({ ...(await viewOf(call, 0)), ...texts }))
  }
  const both = streams.length === 2
  await Promise.all(
    streams.map((stream) =>
      copyStream(
        call,
        stream,
        how,
        both && stream === 'stderr' ? toStderr(call) : (chunk) => call.write(chunk),
      ),
    ),
  )
}

/** `note` writes whole lines: what has no end yet waits for it. */
function toStderr(call: VerbCall): (chunk: string, isLast: boolean) => void {
  let open = ''
  return (chunk, isLast) => {
    const lines = (open + chunk).split('\n')
    open = lines.pop() ?? ''
    for (const line of lines) call.note(line)
    if (isLast && open !== '') call.note(open)
  }
}

/** From the beginning, or `tail` lines before the end, to what is there now, or to the end of the job. */
async function copyStream(
  call: VerbCall,
  stream: 'stdout' | 'stderr',
  how: { follow: boolean; tail?: string | undefined },
  write: (chunk: string, isLast: boolean) => void,
): Promise<void> {
  let offset: number | undefined
  for (;;) {
    const at = offset === undefined ? { tail: how.tail } : { offset: String(offset) }
    const query = { stream, ...at }
    const { body } = await call.http({ method: 'GET', path: `/jobs/${idOf(call)}/log`, query })
    const part = body as StreamPart
    // A tail tells by lines where to begin and may stop short of the end.
    const isLast = part.isEnd || (!how.follow && (part.text === '' || part.offset >= part.size))
    write(part.text, isLast)
    offset = part.offset
    if (isLast || call.signal.aborted) return
    if (part.text === '') await pause(call)
  }
}

function pause({ clock, signal }: VerbCall): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      cancel()
      signal.removeEventListener('abort', done)
      resolve()
    }
    const cancel = clock.after(FOLLOW_MS, done)
    signal.addEventListener('abort', done, { once: true })
  })
}

async function viewWhenEnded(call: VerbCall): Promise<JobView> {
  for (;;) {
    const view = await viewOf(call, WAIT_MS)
    if (view.isFinal || call.signal.aborted) return view
    if (view.status === 'stopped') return view
  }
}

async function viewOf(call: VerbCall, waitMs: number): Promise<JobView> {
  const query = waitMs > 0 ? { waitMs: String(waitMs) } : {}
  const { body } = await call.http({ method: 'GET', path: `/jobs/${idOf(call)}`, query })
  return body as JobView
}

/** @throws TroupeError `malformed` */
function idOf(call: VerbCall): string {
  const [id = ''] = call.arguments
  if (/^[1-9]\d{0,15}$/.test(id)) return id
  throw new TroupeError(
    'malformed',
    `"${id.slice(0, 40)}" is not the id of a job: it is a whole number, as troupe jobs submit prints it`,
  )
}
