/** The verbs `troupe pools`. Decides: what a person types and reads. */
import { type AppVerb, TroupeError, toJson, type VerbCall } from '../../src/verbs.ts'
import type { HolderDetail, PoolDetail, PoolSummary } from './pools.ts'
import { textOf } from './semaphore.ts'

/** Of what somebody waits for; `--json` has all. */
const OPTIONS_SHOWN = 3

const UNITS_MS: readonly (readonly [string, number])[] = [
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
  ['ms', 1],
]

const SIZE = [
  { flags: '--slots <count>', description: 'units that may be out at a time; 1 is a lock' },
  { flags: '--limit <name=count...>', description: 'units that may be out of a name' },
  {
    flags: '--gap <name=duration...>',
    description: 'least time between two grants of a name: 500ms, 5s, 2m',
  },
  {
    flags: '--choice <name=options...>',
    description: 'what is asked for by that name: pc1=cpu0+gpu0,cpu1 is both of the first, or cpu1',
  },
]

export const poolVerbs: readonly AppVerb[] = [
  {
    path: ['pools', 'list'],
    summary: 'list the pools: slots, how many are out, how many wait',
    examples: ['troupe pools list'],
    run: list,
  },
  {
    path: ['pools', 'show'],
    summary: 'show who holds how much of a pool, and who waits',
    arguments: '<name>',
    examples: ['troupe pools show builds'],
    run: async (call) => {
      const { body } = await call.http({ method: 'GET', path: pathOf(call) })
      show(call, body as PoolDetail)
    },
  },
  {
    path: ['pools', 'create'],
    summary: 'make a pool: a durable semaphore, or with one slot a lock',
    arguments: '<name>',
    options: [...SIZE, { flags: '--waiters <count>', description: 'how many may wait (1000)' }],
    examples: [
      'troupe pools create builds --slots 8 --limit pc1=4 --gap pc1=5s',
      'troupe pools create deploy --slots 1',
    ],
    run: create,
  },
  {
    path: ['pools', 'resize'],
    summary: 'change the slots, limits, gaps or choices of a pool; whoever holds goes on',
    arguments: '<name>',
    options: SIZE,
    examples: ['troupe pools resize builds --slots 12 --limit pc1=4 pc2=8'],
    run: resize,
  },
  {
    path: ['pools', 'release'],
    summary: 'take back what a holder has, or its place among those who wait',
    arguments: '<name> <holder>',
    examples: ['troupe pools release builds job/42'],
    run: async (call) => {
      const body = { holder: call.arguments[1] ?? '' }
      await post(call, `${pathOf(call)}/release`, body)
    },
  },
]

async function list(call: VerbCall): Promise<void> {
  const { body } = await call.http({ method: 'GET', path: '/pools' })
  if (call.json) return call.print(toJson(body))
  const { pools } = body as { pools: PoolSummary[] }
  for (const { pool, status, slots, used, holders, waiters } of pools) {
    const state = status === 'active' ? '' : `  ${status}`
    call.print(`${pool}  ${used}/${slots} out  ${holders} hold  ${waiters} wait${state}`)
  }
  if (pools.length === 0) call.note('There are no pools yet: troupe pools create builds --slots 4')
}

async function create(call: VerbCall): Promise<void> {
  const { slots, ...names } = sizeOf(call)
  if (slots === undefined) {
    throw new TroupeError('malformed', '--slots is missing: how many units may be out at a time')
  }
  const waitersMax = countOf('--waiters', call.options['waiters'])
  await post(call, '/pools', { pool: call.arguments[0] ?? '', slots, ...names, waitersMax })
}

async function resize(call: VerbCall): Promise<void> {
  const size = sizeOf(call)
  if (Object.values(size).every((one) => one === undefined)) {
    const why =
      'say what to change: --slots <count>, --limit <name=count>, --gap <name=duration> or --choice <name=options>'
    throw new TroupeError('malformed', why)
  }
  await post(call, `${pathOf(call)}/resize`, size)
}

async function post(call: VerbCall, path: string, body: object): Promise<void> {
  const answer = await call.http({ method: 'POST', path, body })
  show(call, answer.body as PoolDetail)
}

function show(call: VerbCall, view: PoolDetail): void {
  if (call.json) return call.print(toJson(view))
  const { pool, status, slots, used, holders, waiters } = view
  const state = status === 'active' ? '' : `  ${status}`
  call.print(`${pool}  ${used}/${slots} out${state}`)
  for (const line of [...nameLines(view), ...choiceLines(view)]) call.print(line)
  for (const one of holders) {
    const { holder, units, names, token } = one
    const lease = leaseText(one, call.clock.now())
    call.print(`  holds  ${holder}  ${units}${namesText([names])}  token ${token}  ${lease}`)
  }
  for (const { holder, units, choice, anyOf, priority, ticket } of waiters) {
    const rank = priority === 0 ? '' : `  priority ${priority}`
    const what = choice === null ? namesText(anyOf) : ` of the choice ${choice}`
    call.print(`  waits  ${holder}  ${units}${what}  ticket ${ticket}${rank}`)
  }
}

function nameLines({ limits, gaps, gapped, usedByName }: PoolDetail): string[] {
  const limit = new Map(Object.entries(limits))
  const gap = new Map(Object.entries(gaps))
  return Object.entries(usedByName).map(([name, used]) => {
    const out = limit.has(name) ? `${used}/${limit.get(name)} out` : `${used} out`
    const gapMs = gap.get(name)
    const state = gapped.includes(name) ? ', not over yet' : ''
    return `  name ${name}  ${out}${gapMs === undefined ? '' : `  gap ${durationText(gapMs)}`}${state}`
  })
}

/** Who waits for one of them waits for what stands here. */
function choiceLines({ choices, waiters }: PoolDetail): string[] {
  return Object.entries(choices).map(([name, options]) => {
    const waiting = waiters.filter(({ choice }) => choice === name).length
    return `  choice ${name}  ${waiting} wait  ${textOf(options)}`
  })
}

function leaseText({ leaseMs, leaseUntil, leaseFrozenMs }: HolderDetail, now: number): string {
  if (leaseMs === 0) return 'until released'
  const lease = `lease ${leaseMs / 1_000} s`
  if (leaseFrozenMs !== undefined) {
    return `${lease}, stands still with ${secondsOf(leaseFrozenMs)} left`
  }
  if (leaseUntil === null) return lease
  return leaseUntil <= now
    ? `${lease}, ends now`
    : `${lease}, ends in ${secondsOf(leaseUntil - now)}`
}

function secondsOf(ms: number): string {
  return `${Math.ceil(ms / 1_000)} s`
}

function namesText(options: readonly (readonly string[])[]): string {
  const shown = textOf(options.slice(0, OPTIONS_SHOWN))
  const more = options.length > OPTIONS_SHOWN ? ` or ${options.length - OPTIONS_SHOWN} more` : ''
  return shown === '' ? '' : ` of ${shown}${more}`
}

interface Size {
  slots: number | undefined
  limits: Record<string, number> | undefined
  gaps: Record<string, number> | undefined
  choices: Record<string, string[][]> | undefined
}

function sizeOf({ options }: VerbCall): Size {
  return {
    slots: countOf('--slots', options['slots']),
    limits: perName('--limit', options['limit'], 'pc1=4', countOf),
    gaps: perName('--gap', options['gap'], 'pc1=5s', durationOf),
    choices: perName('--choice', options['choice'], 'pc1=cpu0+gpu0,cpu1', optionsIn),
  }
}

function perName<T>(
  flag: string,
  given: unknown,
  example: string,
  read: (flag: string, text: string) => T | undefined,
): Record<string, T> | undefined {
  if (given === undefined) return undefined
  const pairs = (given as readonly string[]).map((text): [string, T] => {
    const at = text.lastIndexOf('=')
    const value = at < 1 ? undefined : read(flag, text.slice(at + 1))
    if (value === undefined) {
      throw new TroupeError('malformed', `${flag} ${text}: write it as ${example}`)
    }
    return [text.slice(0, at), value]
  })
  return Object.fromEntries(pairs)
}

function countOf(flag: string, given: unknown): number | undefined {
  if (given === undefined) return undefined
  if (/^\d{1,7}$/.test(String(given))) return Number(given)
  throw new TroupeError('malformed', `${flag}: ${String(given)} is not a whole number`)
}

function durationOf(flag: string, text: string): number {
  const [, count, unit] = /^(\d{1,9})(ms|s|m|h)$/.exec(text) ?? []
  const unitMs = UNITS_MS.find(([name]) => name === unit)?.[1]
  if (unitMs !== undefined) return Number(count) * unitMs
  throw new TroupeError('malformed', `${flag}: ${text} is no duration such as 500ms, 5s or 2m`)
}

/** What a name may be the machine says. */
function optionsIn(_flag: string, text: string): string[][] {
  return text.split(',').map((option) => option.split('+'))
}

function durationText(ms: number): string {
  const [unit, unitMs] = UNITS_MS.find(([, size]) => ms % size === 0) ?? ['ms', 1]
  return `${ms / unitMs}${unit}`
}

function pathOf(call: VerbCall): string {
  return `/pools/${encodeURIComponent(call.arguments[0] ?? '')}`
}
