/**
 * The account of a failed seed, for people: which checker, who did what, at which slot and virtual
 * time, and the last events that matter. Decides: which events those are: of the shard or the actor
 * that the violation names, and whatever befell nodes and journal just before.
 */
import type { SimEvent, Violation } from './events.ts'
import type { SeedResult } from './run.ts'

const EVENTS_SHOWN = 24
const LINE_MAX = 220

const EVERYBODYS = new Set([
  'node-up',
  'node-down',
  'frozen',
  'thawed',
  'clock-jumped',
  'journal-down',
  'journal-up',
  'claim',
  'leads',
  'owns',
  'line',
  'healed',
  'disconnected',
  'connected',
])

export function account(result: Pick<SeedResult, 'seed' | 'violations' | 'events'>): string {
  const [first] = result.violations
  if (!first) return `seed ${result.seed}: nothing is wrong`
  const at = result.events[first.seq]
  const place = first.shard === undefined ? '' : `, shard ${first.shard}`
  const lines = [
    `seed ${result.seed} fails: ${first.checker}`,
    `  ${first.what}`,
    `  at ${timeOf(at?.at ?? 0)}${place}, event ${first.seq} of ${result.events.length}`,
    '',
    ...relevant(result.events, first).map((event) => `  ${lineOf(event)}`),
  ]
  const others = new Map<string, number>()
  for (const { checker } of result.violations) others.set(checker, (others.get(checker) ?? 0) + 1)
  const counts = [...others].map(([checker, count]) => `${checker} ${count}`)
  lines.push('', `all violations: ${counts.join(', ')}`)
  return lines.join('\n')
}

function relevant(events: readonly SimEvent[], { seq, shard, address }: Violation): SimEvent[] {
  const found: SimEvent[] = []
  for (let at = Math.min(seq, events.length - 1); at >= 0 && found.length < EVENTS_SHOWN; at--) {
    const event = events[at]
    if (event && concerns(event, shard, address)) found.push(event)
  }
  return found.reverse()
}

function concerns(event: SimEvent, shard: number | undefined, address: string | undefined) {
  if (event.kind === 'slot-known' || event.kind === 'flushed') return false
  if (EVERYBODYS.has(event.kind)) return true
  if ('address' in event) return address !== undefined && event.address === address
  if (event.kind === 'slot' && address !== undefined && event.fact.kind === 'batch') {
    return event.fact.actors.some((actor) => actor.address === address)
  }
  if ('taskId' in event) return address !== undefined && event.taskId.startsWith(`${address}#`)
  if ('shard' in event) return shard === undefined || event.shard === shard
  return false
}

export function lineOf(event: SimEvent): string {
  const { seq, at, kind, ...rest } = event
  const text = event.kind === 'slot' ? slotText(event) : JSON.stringify(rest)
  return `${String(seq).padStart(6)} ${timeOf(at).padStart(10)} ${kind} ${text}`.slice(0, LINE_MAX)
}

function slotText({ node, shard, slot, fact }: SimEvent & { kind: 'slot' }): string {
  const place = `${node} shard ${shard} slot ${slot}`
  if (fact.kind === 'claim') return `${place} claim by view ${fact.viewVersion}`
  if (fact.kind === 'release') return `${place} release`
  if (fact.kind === 'founded') return `${place} is where the journal begins`
  const actors = fact.actors.map(
    ({ address, turn, state, paused, parked, entries }) =>
      `${address} @${turn} ${state}${paused ? ' paused' : ''}${parked === null ? '' : ' parked'} [${entries.map(({ cause }) => cause).join(' ')}]`,
  )
  const gone = fact.removed.map((address) => `-${address}`)
  return `${place} epoch ${fact.epoch.slot} ${[...actors, ...gone].join('; ')}`
}

export function timeOf(ms: number): string {
  const seconds = (ms / 1_000) % 60
  return `${Math.floor(ms / 60_000)}:${seconds.toFixed(3).padStart(6, '0')}`
}
