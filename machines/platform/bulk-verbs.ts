/** The verbs `troupe actors bulk`. Decides: what a person types, is asked and reads. */
import { type AppVerb, toJson, type VerbCall, wait } from '../../src/verbs.ts'
import type { BulkOperation } from './bulk-operation.ts'
import { countText, detailLines, previewLines, summaryLine } from './bulk-text.ts'
import { countOf, eventOf, filterOf, given, pauseOf, textOf } from './bulk-words.ts'
import type { BulkDetail, BulkPreview, BulkSummary } from './bulks.ts'

type Options = NonNullable<AppVerb['options']>

const FILTER: Options = [
  { flags: '--machine <name>', description: 'of this machine (needed)' },
  { flags: '--state <path>', description: 'in a state or below it' },
  { flags: '--tag <tag>', description: 'whose state has a tag' },
  { flags: '--condition <c>', description: 'active, paused, parked, done or stopped' },
  { flags: '--id-prefix <text>', description: 'whose ids begin so' },
  { flags: '--where <field=value...>', description: 'whose indexed fields have values' },
  {
    flags: '--older-than <duration>',
    description: 'in their state for at least so long: 90s, 10m, 2h, 1d',
  },
  { flags: '--children', description: 'children too' },
]
const HOW: Options = [
  { flags: '--per-second <count>', description: 'so many actors a second (100)' },
  { flags: '--id <id>', description: 'a name for this bulk; without it one is made' },
  { flags: '--dry-run', description: 'say how many there are and change nothing' },
  { flags: '--yes', description: 'do not ask' },
  { flags: '--wait', description: 'until it has ended' },
]
const REASON: Options[number] = { flags: '--reason <text>', description: 'for the history' }
const POLL_MS = 300
const FAILED = 1

export const bulkVerbs: readonly AppVerb[] = [
  {
    path: ['actors', 'bulk', 'pause'],
    summary: 'pause every actor of a filter',
    options: [
      ...FILTER,
      REASON,
      { flags: '--interrupt', description: 'cancel running tasks' },
      { flags: '--freeze-timers', description: 'timers stand still instead of being kept' },
      ...HOW,
    ],
    examples: [
      'troupe actors bulk pause --machine job --state active.running --where app=demo --dry-run',
      'troupe actors bulk pause --machine order --tag billing --reason "bank is down" --wait',
    ],
    run: (call) => begin(call, pauseOf(call)),
  },
  {
    path: ['actors', 'bulk', 'resume'],
    summary: 'resume every paused or parked actor of a filter',
    options: [...FILTER, { flags: '--at-state <path>', description: 'at this state' }, ...HOW],
    examples: [
      'troupe actors bulk resume --machine order --condition paused --yes',
      'troupe actors bulk resume --machine order --condition parked --at-state open --per-second 10',
    ],
    run: (call) => begin(call, { op: 'resume', ...given('state', textOf(call, 'atState')) }),
  },
  {
    path: ['actors', 'bulk', 'retry'],
    summary: 'have every actor of a filter enter its state again, so that its tasks run anew',
    options: [...FILTER, ...HOW],
    examples: ['troupe actors bulk retry --machine job --condition parked --per-second 5 --wait'],
    run: (call) => begin(call, { op: 'retry' }),
  },
  {
    path: ['actors', 'bulk', 'cancel'],
    summary: 'stop every actor of a filter for good',
    options: [...FILTER, REASON, ...HOW],
    examples: ['troupe actors bulk cancel --machine order --state cart --older-than 30d'],
    run: (call) => begin(call, { op: 'cancel', ...given('reason', textOf(call, 'reason')) }),
  },
  {
    path: ['actors', 'bulk', 'send'],
    summary: 'send an event to every actor of a filter: its type and a JSON payload',
    arguments: '<event> [payload]',
    options: [...FILTER, ...HOW],
    examples: [`troupe actors bulk send REMIND '{"by":"mail"}' --machine order --state unpaid`],
    run: (call) => begin(call, { op: 'send', event: eventOf(call) }),
  },
  {
    path: ['actors', 'bulk', 'list'],
    summary: 'list what was done in bulk, the newest first',
    examples: ['troupe actors bulk list'],
    run: list,
  },
  {
    path: ['actors', 'bulk', 'show'],
    summary: 'show how far a bulk is; once it has ended, its receipt',
    arguments: '<id>',
    options: [{ flags: '--wait', description: 'until it has ended' }],
    examples: ['troupe actors bulk show mi8x2k9q --wait'],
    run: async (call) => {
      if (call.options['wait'] === true) return follow(call, call.arguments[0] ?? '')
      const { body } = await call.http({ method: 'GET', path: pathOf(call.arguments[0] ?? '') })
      show(call, body as BulkDetail)
      return 0
    },
  },
  {
    path: ['actors', 'bulk', 'stop'],
    summary: 'stop a bulk behind the page under way; what it did stays done',
    arguments: '<id>',
    options: [{ flags: '--wait', description: 'until it has ended' }],
    examples: ['troupe actors bulk stop mi8x2k9q --wait'],
    run: async (call) => {
      const id = call.arguments[0] ?? ''
      const { body } = await call.http({ method: 'POST', path: `${pathOf(id)}/stop` })
      if (call.options['wait'] === true) return follow(call, id)
      show(call, body as BulkDetail)
      return 0
    },
  },
]

async function begin(call: VerbCall, operation: BulkOperation): Promise<number> {
  const { dryRun, yes, wait: isWaiting } = call.options
  const body = {
    ...{ operation, filter: filterOf(call) },
    ...given('perSecond', countOf(call, 'perSecond', '--per-second')),
    ...given('id', textOf(call, 'id')),
  }
  const asked = await call.http({ method: 'POST', path: '/bulk', body: { ...body, dryRun: true } })
  const preview = asked.body as BulkPreview
  if (dryRun === true || preview.first.length === 0) {
    if (call.json) call.print(toJson(preview))
    else for (const line of previewLines(preview, operation)) call.print(line)
    return 0
  }
  if (yes !== true) {
    for (const line of previewLines(preview, operation)) call.note(line)
    if (!(await call.confirm(`${operation.op} ${countText(preview)}?`))) {
      call.note('nothing was changed')
      return FAILED
    }
  }
  const begun = (await call.http({ method: 'POST', path: '/bulk', body })).body as BulkDetail
  if (isWaiting === true) return follow(call, begun.id)
  show(call, begun)
  call.note(`watch it: troupe actors bulk show ${begun.id} --wait`)
  call.note(`stop it: troupe actors bulk stop ${begun.id}`)
  return 0
}

/** Until it has ended. Whoever stops waiting leaves it to itself. */
async function follow(call: VerbCall, id: string): Promise<number> {
  for (;;) {
    const { body } = await call.http({ method: 'GET', path: pathOf(id) })
    const detail = body as BulkDetail
    const { status, total, done, skipped, failed, asked } = detail
    const isMoving = status === 'listing' || status === 'running'
    if (!isMoving && status !== 'paused') {
      show(call, detail)
      return status === 'completed' && failed === 0 ? 0 : FAILED
    }
    const past = done + skipped + failed + asked
    call.progress(`${detail.operation.op} ${status}`, past, Math.max(past, total?.count ?? 0))
    await wait(call, POLL_MS)
    if (call.signal.aborted) return 0
  }
}

async function list(call: VerbCall): Promise<void> {
  const { body } = await call.http({ method: 'GET', path: '/bulk' })
  if (call.json) return call.print(toJson(body))
  const { bulks } = body as { bulks: BulkSummary[] }
  for (const one of bulks) call.print(summaryLine(one))
  if (bulks.length === 0) call.note('Nothing was done in bulk yet: troupe actors bulk pause --help')
}

function show(call: VerbCall, detail: BulkDetail): void {
  if (call.json) call.print(toJson(detail))
  else for (const line of detailLines(detail)) call.print(line)
}

function pathOf(id: string): string {
  return `/bulk/${encodeURIComponent(id)}`
}
