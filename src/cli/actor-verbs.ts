/**
 * `troupe actors …`: what an operator does with actors. Decides: the verbs, their options and
 * examples; each is one call of the gateway's generic API.
 */
import type { Command } from 'commander'
import type { VerbRequest } from '../node/index.ts'
import type {
  ActorRow,
  ActorView,
  CountRow,
  DryRunView,
  HistoryView,
  LegalEventView,
  OperatorReceipt,
  TurnView,
} from '../protocol/index.ts'
import { fromJson } from '../protocol/light.ts'
import {
  actorPage,
  actorTable,
  dryRunLines,
  eventTable,
  historyTable,
  receiptLines,
  turnLines,
} from './actor-text.ts'
import { addAudit } from './audit-verb.ts'
import { verbClock } from './clock.ts'
import { UsageError } from './exit-codes.ts'
import { actorPath } from './node-answers.ts'
import type { Session } from './session.ts'
import { table } from './text.ts'
import type { AddVerb, Flags } from './verbs.ts'
import { addWatchVerb } from './watch-verb.ts'

const PAUSE_POLL_MS = 200

export function addActorVerbs(actors: Command, add: AddVerb): void {
  addReads(actors, add)
  addLists(actors, add)
  addCounts(actors, add)
  addAudit(actors, 'troupe actors audit', add)
  addWatchVerb(actors, add, WATCH_OPTIONS, filterOf)
  addCommands(actors, add)
  addPause(actors, add)
  addRepairs(actors, add)
  addEnds(actors, add)
}

function addReads(actors: Command, add: AddVerb): void {
  add(actors, 'get <actor>', 'everything about one actor', {
    examples: ['troupe actors get order/7', 'troupe actors get order/7/payment   # a child'],
    run: async (session, [actor = '']) => {
      const view = await session.ask<ActorView>({ method: 'GET', path: actorPath(actor) })
      session.answer(view, () => actorPage(view, session.paint, verbClock.now()))
    },
  })
  add(actors, 'history <actor>', 'its transitions, the newest first', {
    options: [
      ['--limit <n>', 'at most so many'],
      ['--before <turn>', 'those before a turn'],
    ],
    examples: ['troupe actors history order/7 --limit 5'],
    run: async (session, [actor = ''], { limit, before }) => {
      const query = { limit: text(limit), before: text(before) }
      const rows = await session.ask<HistoryView[]>({
        method: 'GET',
        path: actorPath(actor, 'history'),
        query,
      })
      session.answer(rows, () => historyTable(rows, session, verbClock.now()))
    },
  })
  add(actors, 'events <actor>', 'the events that its present state has transitions for', {
    examples: ['troupe actors events order/7'],
    run: async (session, [actor = '']) => {
      const rows = await session.ask<LegalEventView[]>({
        method: 'GET',
        path: actorPath(actor, 'events'),
      })
      session.answer(rows, () => eventTable(rows, session))
    },
  })
}

/** What counts are kept by. */
const COUNT_OPTIONS: readonly (readonly [string, string])[] = [
  ['--machine <name>', 'of one machine'],
  ['--state <path>', 'in a state or below it'],
  ['--tag <tag>', 'whose state has a tag'],
  ['--condition <c>', 'active, paused, parked, done or stopped'],
  ['--children', 'children too'],
]
/** An age changes by itself, so it cannot be watched. */
const WATCH_OPTIONS: readonly (readonly [string, string])[] = [
  ...COUNT_OPTIONS,
  ['--id-prefix <text>', 'whose ids begin so'],
  ['--where <field=value...>', 'whose indexed fields have values (needs --machine)'],
]
const LIST_OPTIONS: readonly (readonly [string, string])[] = [
  ...WATCH_OPTIONS,
  ['--older-than <duration>', 'in their state for at least so long: 90s, 10m, 2h, 1d'],
]

function addLists(actors: Command, add: AddVerb): void {
  add(actors, 'list', 'actors, filtered and sorted', {
    options: [
      ...LIST_OPTIONS,
      ['--sort <field>', 'id, since, or an indexed field'],
      ['--desc', 'the other way round (needs --sort)'],
      ['--limit <n>', 'rows of the page (100)'],
      ['--cursor <cursor>', 'go on where a page ended'],
    ],
    examples: [
      'troupe actors list --machine job --state active --older-than 10m',
      'troupe actors list --condition parked',
      'troupe actors list --machine order --where customer=ann --sort amount --desc',
      'troupe actors list --nats nats://10.0.0.1:4222 --cluster main --user reader',
    ],
    run: async (session, _arguments, flags) => {
      const { sort, desc, limit, cursor } = flags
      const query = {
        ...filterOf(flags),
        sort: text(sort),
        desc: yes(desc),
        limit: text(limit),
        cursor: text(cursor),
      }
      const page = await session.ask<{ rows: ActorRow[]; cursor?: string }>({
        method: 'GET',
        path: '/troupe/v1/actors',
        query,
      })
      session.answer(page, () => {
        if (page.rows.length === 0 && page.cursor === undefined) return ['no actors']
        const lines = actorTable(page.rows, session, verbClock.now())
        if (page.cursor !== undefined)
          lines.push('', `there are more: troupe actors list --cursor ${page.cursor}`)
        return lines
      })
    },
  })
}

function addCounts(actors: Command, add: AddVerb): void {
  add(actors, 'count', 'how many, by machine, state and condition', {
    options: COUNT_OPTIONS,
    examples: ['troupe actors count --machine job'],
    run: async (session, _arguments, flags) => {
      const counts = await session.ask<{ rows: CountRow[]; total: number }>({
        method: 'GET',
        path: '/troupe/v1/count',
        query: filterOf(flags),
      })
      session.answer(counts, () => {
        const cells = counts.rows.map((row) => [
          String(row.count),
          row.machine,
          row.state,
          row.condition,
        ])
        return [
          ...table(['COUNT', 'MACHINE', 'STATE', 'CONDITION'], cells, session),
          `${counts.total} in all`,
        ]
      })
    },
  })
}

const DRY_RUN = ['--dry-run', 'say what would happen and change nothing'] as const

function addCommands(actors: Command, add: AddVerb): void {
  add(actors, 'start <actor> [input]', 'make an actor; the input is JSON', {
    options: [DRY_RUN],
    examples: [`troupe actors start order/7 '{"customer":"ann"}'`],
    run: (session, [actor = '', input], flags) =>
      change<TurnView>(
        session,
        flags,
        { method: 'POST', path: actorPath(actor), body: jsonOf(input, 'input') },
        (view) => turnLines(view, session.paint),
      ),
  })
  add(
    actors,
    'send <actor> <event> [payload]',
    'send an event: its type and a JSON payload, or all of it as JSON',
    {
      options: [DRY_RUN],
      examples: [
        'troupe actors send order/7 PAY',
        `troupe actors send order/7 OPEN '{"amount":5}'`,
        `troupe actors send order/7 '{"type":"OPEN","amount":5}'`,
      ],
      run: (session, [actor = '', event = '', payload], flags) =>
        change<TurnView>(
          session,
          flags,
          { method: 'POST', path: actorPath(actor, 'send'), body: eventOf(event, payload) },
          (view) => turnLines(view, session.paint),
        ),
    },
  )
}

function addRepairs(actors: Command, add: AddVerb): void {
  add(
    actors,
    'resume <actor>',
    'go on: where it was, by trying its state again, or at another state',
    {
      options: [
        ['--state <path>', 'at this state'],
        ['--retry', 'enter its present state again, so that its tasks run again'],
        DRY_RUN,
      ],
      examples: [
        'troupe actors resume order/7',
        'troupe actors resume order/7 --retry',
        'troupe actors resume order/7 --state open --dry-run',
      ],
      run: (session, [actor = ''], flags) => {
        const body = { state: text(flags['state']), retry: flags['retry'] }
        return operate(session, flags, actor, 'resume', body)
      },
    },
  )
  add(actors, 'patch <actor> <merge>', 'change its context by a JSON merge patch (RFC 7396)', {
    options: [DRY_RUN],
    examples: [`troupe actors patch order/7 '{"amount":6}' --dry-run`],
    run: (session, [actor = '', merge], flags) =>
      change<OperatorReceipt>(
        session,
        flags,
        { method: 'PATCH', path: actorPath(actor), body: jsonOf(merge, 'merge') },
        (receipt) => receiptLines(receipt, session.paint),
      ),
  })
}

function addEnds(actors: Command, add: AddVerb): void {
  add(
    actors,
    'cancel <actor>',
    'stop it for good: its tasks and timers end, its record stays for a while',
    {
      options: [['--reason <text>', 'for the history'], DRY_RUN],
      examples: ['troupe actors cancel order/7 --reason "ordered twice"'],
      run: (session, [actor = ''], flags) =>
        operate(session, flags, actor, 'cancel', { reason: text(flags['reason']) }),
    },
  )
  add(actors, 'delete <actor>', 'remove it and its history', {
    options: [DRY_RUN],
    examples: ['troupe actors delete order/7'],
    run: (session, [actor = ''], flags) =>
      change<OperatorReceipt>(
        session,
        flags,
        { method: 'DELETE', path: actorPath(actor) },
        (receipt) => [`${receipt.address}  deleted`],
      ),
  })
}

function addPause(actors: Command, add: AddVerb): void {
  add(actors, 'pause <actor>', 'hold it: events are kept in order, running tasks finish', {
    options: [
      ['--reason <text>', 'for those who find it paused'],
      ['--interrupt', 'cancel running tasks'],
      ['--freeze-timers', 'timers stand still instead of being kept when due'],
      ['--wait', 'until no task of it runs any more'],
      DRY_RUN,
    ],
    examples: ['troupe actors pause order/7 --reason "check the address" --wait'],
    run: async (session, [actor = ''], flags) => {
      const timers = flags['freezeTimers'] === true ? 'freeze' : undefined
      const body = { reason: text(flags['reason']), interrupt: flags['interrupt'], timers }
      await operate(session, flags, actor, 'pause', body)
      if (flags['wait'] !== true || flags['dryRun'] === true) return
      while (!session.signal.aborted) {
        const view = await session.ask<ActorView>({ method: 'GET', path: actorPath(actor) })
        if (!view.paused?.pausing) return
        await new Promise<void>((resolve) => verbClock.after(PAUSE_POLL_MS, resolve))
      }
    },
  })
}

function operate(
  session: Session,
  flags: Flags,
  actor: string,
  verb: string,
  body: Record<string, unknown>,
): Promise<void> {
  const request: VerbRequest = { method: 'POST', path: actorPath(actor, verb), body }
  return change<OperatorReceipt>(session, flags, request, (receipt) =>
    receiptLines(receipt, session.paint),
  )
}

async function change<T>(
  session: Session,
  flags: Flags,
  request: VerbRequest,
  lines: (view: T) => string[],
): Promise<void> {
  if (flags['dryRun'] !== true) {
    const view = await session.ask<T>(request)
    return session.answer(view, lines)
  }
  const view = await session.ask<DryRunView>({ ...request, query: { dryRun: 'true' } })
  session.answer(view, () => dryRunLines(view, session.paint))
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

function yes(value: unknown): string | undefined {
  return value === true ? 'true' : undefined
}

function filterOf(flags: Flags): Record<string, string | undefined> {
  const filter: Record<string, string | undefined> = {
    machine: text(flags['machine']),
    state: text(flags['state']),
    tag: text(flags['tag']),
    condition: text(flags['condition']),
    olderThan: text(flags['olderThan']),
    idPrefix: text(flags['idPrefix']),
    children: yes(flags['children']),
  }
  for (const one of (flags['where'] as string[] | undefined) ?? []) {
    const equals = one.indexOf('=')
    if (equals < 1) throw new UsageError(`--where: "${one}" is not FIELD=VALUE`)
    filter[`where.${one.slice(0, equals)}`] = one.slice(equals + 1)
  }
  return filter
}

function jsonOf(given: string | undefined, what: string): unknown {
  if (given === undefined) return undefined
  try {
    return fromJson(given)
  } catch (thrown) {
    throw new UsageError(
      `${what}: ${(thrown as Error).message}; in a shell, put it into single quotes: '{"amount":5}'`,
    )
  }
}

function eventOf(event: string, payload: string | undefined): unknown {
  if (event.trimStart().startsWith('{')) {
    if (payload !== undefined)
      throw new UsageError('event: it is JSON already; leave out the payload')
    return jsonOf(event, 'event')
  }
  const fields = jsonOf(payload, 'payload') ?? {}
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) {
    throw new UsageError('payload: it must be a JSON object')
  }
  return { ...fields, type: event }
}
