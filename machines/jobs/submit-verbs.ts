/** The verbs that say what a job is: `submit` and `modify`. Their flags are the same. */
import { type AppVerb, TroupeError, toJson, type VerbCall } from '../../src/verbs.ts'
import { describe, idOf } from './job-calls.ts'
import type { JobView } from './job-view.ts'
import { contentOf } from './quote.ts'

type Options = NonNullable<AppVerb['options']>

/** Without defaults: what is not given is not changed. */
const SETTINGS: Options = [
  { flags: '--group <number>', description: 'the worker group that runs it' },
  { flags: '--executor <name>', description: 'on whose behalf it runs' },
  { flags: '--type <type>', description: 'its job type, as the configuration names them' },
  { flags: '--priority <number>', description: 'larger first within its group; 1 unless given' },
  {
    flags: '--queue-timeout <seconds>',
    description: 'fail when no worker has begun it by then; 0 waits for ever',
  },
  { flags: '--run-timeout <seconds>', description: 'end a run that takes longer; 0 lets it run' },
  { flags: '--retries <count>', description: 'further attempts when the command fails' },
  { flags: '--timeout-retries <count>', description: 'further attempts when it takes too long' },
  {
    flags: '--lost-retries <count>',
    description: 'further attempts when it cannot be begun or its worker is lost; 4 unless given',
  },
  {
    flags: '--retry-interval <seconds>',
    description: 'from one attempt to the next; 3 unless given',
  },
  { flags: '--callback <url>', description: 'told of its start and its end; empty takes it away' },
  {
    flags: '--on-worker-lost <policy>',
    description: 'wait, rerun or park when its worker falls silent; park unless given',
  },
]

export const submitVerbs: readonly AppVerb[] = [
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
      ...SETTINGS,
    ],
    examples: [
      "troupe jobs submit --name nightly -- 'du -s /tmp | sort -n'",
      "troupe jobs submit --name copy --run-timeout 60 --retries 2 -- cp 'a file' /tmp",
    ],
    run: submit,
  },
  {
    path: ['jobs', 'modify'],
    summary: 'change a job: at once before it runs, otherwise from its next attempt on',
    arguments: '<id> [command...]',
    options: SETTINGS,
    examples: ['troupe jobs modify 7 --priority 9', "troupe jobs modify 7 -- 'echo better'"],
    run: modify,
  },
]

function settingsOf({ options }: VerbCall): Record<string, unknown> {
  const { group, executor, type, priority, callback, onWorkerLost } = options
  return {
    group,
    executor,
    type,
    priority,
    onWorkerLost,
    callbackUrl: callback,
    expiredTime: options['queueTimeout'],
    runTimeout: options['runTimeout'],
    failedAttempts: options['retries'],
    timeoutAttempts: options['timeoutRetries'],
    lostAttempts: options['lostRetries'],
    failedInterval: options['retryInterval'],
  }
}

async function submit(call: VerbCall): Promise<void> {
  const { name, app } = call.options as Record<string, string | undefined>
  const content = contentOf(call.arguments)
  const [firstWord = 'job'] = content.trim().split(/\s/)
  const request = { name: name ?? firstWord.slice(0, 64), app, content, ...settingsOf(call) }
  const { body } = await call.http({ method: 'POST', path: '/jobs', body: request })
  if (call.json) return call.print(toJson(body))
  const { jobId } = body as { jobId: number }
  call.print(String(jobId))
  call.note(`Follow it: troupe jobs log ${jobId} -f`)
}

async function modify(call: VerbCall): Promise<void> {
  const [, ...words] = call.arguments
  const settings = settingsOf(call)
  const request = words.length === 0 ? settings : { ...settings, content: contentOf(words) }
  if (Object.values(request).every((value) => value === undefined))
    throw new TroupeError(
      'malformed',
      'nothing is given to be changed: name an option, or a command',
    )
  const path = `/jobs/${idOf(call)}`
  const { body } = await call.http({ method: 'PATCH', path, body: request })
  if (call.json) return call.print(toJson(body))
  for (const line of describe(body as JobView)) call.print(line)
}
