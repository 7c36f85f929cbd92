/** The verbs `troupe pools`. Decides: what a person types and reads. */
import { type AppVerb, TroupeError, toJson, type VerbCall } from '../../src/index.ts'
import type { HolderDetail, PoolDetail, PoolSummary } from './pools.ts'

const SIZE = [
  { flags: '--slots <count>', description: 'units that may be out at a time; 1 is a lock' },
  { flags: '--limit <stage=count...>', description: 'units that may be out per stage' },
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
    options: [...SIZE, { flags: '--waiters <count>', description: 'how many may wait (300)' }],
    examples: [
      'troupe pools create builds --slots 8 --limit pc1=4',
      'troupe pools create deploy --slots 1',
    ],
    run: create,
  },
  {
    path: ['pools', 'resize'],
    summary: 'change the slots of a pool or its limits; whoever holds goes on',
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
  const { slots, limits } = sizeOf(call)
  if (slots === undefined) {
    throw new TroupeError('malformed', '--slots is missing: how many units may be out at a time')
  }
  const waitersMax = countOf('--waiters', call.options['waiters'])
  await post(call, '/pools', { pool: call.arguments[0] ?? '', slots, limits, waitersMax })
}

async function resize(call: VerbCall): Promise<void> {
  const size = sizeOf(call)
  if (size.slots === undefined && size.limits === undefined) {
    throw new TroupeError(
      'malformed',
      'say what to change: --slots <count> or --limit <stage=count>',
    )
  }
  await post(call, `${pathOf(call)}/resize`, size)
}

async function post(call: VerbCall, path: string, body: object): Promise<void> {
  const answer = await call.http({ method: 'POST', path, body })
  show(call, answer.body as PoolDetail)
}

function show(call: VerbCall, view: PoolDetail): void {
  if (call.json) return call.print(toJson(view))
  const { pool, status, slots, used, limits, usedByStage, holders, waiters } = view
  const state = status === 'active' ? '' : `  ${status}`
  call.print(`${pool}  ${used}/${slots} out${state}`)
  for (const [stage, limit] of Object.entries(limits)) {
    call.print(`  stage ${stage}  ${usedByStage[stage] ?? 0}/${limit} out`)
  }
  for (const one of holders) {
    const { holder, units, stage, token } = one
    const lease = leaseText(one, call.clock.now())
    call.print(`  holds  ${holder}  ${units}${stageText(stage)}  token ${token}  ${lease}`)
  }
  for (const { holder, units, stage, priority, ticket } of waiters) {
    const rank = priority === 0 ? '' : `  priority ${priority}`
    call.print(`  waits  ${holder}  ${units}${stageText(stage)}  ticket ${ticket}${rank}`)
  }
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

function stageText(stage: string | null): string {
  return stage === null ? '' : ` of ${stage}`
}

function sizeOf({ options }: VerbCall): {
  slots: number | undefined
  limits: Record<string, number> | undefined
} {
  const slots = countOf('--slots', options['slots'])
  const given = options['limit'] as readonly string[] | undefined
  if (given === undefined) return { slots, limits: undefined }
  const limits = given.map((text): [string, number] => {
    const at = text.lastIndexOf('=')
    const count = at < 1 ? undefined : countOf('--limit', text.slice(at + 1))
    if (count === undefined) {
      throw new TroupeError('malformed', `--limit ${text}: write it as stage=count, such as pc1=4`)
    }
    return [text.slice(0, at), count]
  })
  return { slots, limits: Object.fromEntries(limits) }
}

function countOf(flag: string, given: unknown): number | undefined {
  if (given === undefined) return undefined
  if (/^\d{1,7}$/.test(String(given))) return Number(given)
  throw new TroupeError('malformed', `${flag}: ${String(given)} is not a whole number`)
}

function pathOf(call: VerbCall): string {
  return `/pools/${encodeURIComponent(call.arguments[0] ?? '')}`
}
