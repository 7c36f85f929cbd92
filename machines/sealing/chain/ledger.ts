/**
 * What the simulated chain remembers, and what follows from each thing that happens to it. Decides: when
 * a batch goes, what becomes of each of its messages, what a reorganisation takes back. Leaves to others:
 * telling the messages and keeping the time (`chain-machine.ts`), how a message stands (`standing.ts`).
 * Pure. Time comes in with what happens; no height is ever below one that was known before, whatever the
 * clocks of nodes say.
 */
import { heightAt, type Pace, type Reorg, withReorg } from './heights.ts'
import { draw } from './randomness.ts'
import {
  batchOf,
  type ChainSettings,
  MESSAGE_FAULTS,
  type MessageFault,
  type MessageKind,
  type RatedFault,
  type Rates,
} from './settings.ts'

export interface Ledger {
  chainSeed: string
  settings: ChainSettings
  /** Rates that an operator set beside those of the settings. */
  rates: Rates
  pace: Pace
  /** The highest that is known of. */
  height: number
  forks: number
  reorgs: Reorg[]
  scripted: Scripted[]
  lastScript: number
  /** What waits to be sent, by kind and miner. */
  batches: Record<string, Batch>
}

export interface Batch {
  openedAtMs: number
  entries: Entry[]
}

/** A message that waits. */
export interface Entry {
  kind: MessageKind
  miner: number
  /** `s-t01000-1`. */
  sector: string
  attempt: number
}

/** What becomes of the next `left` messages of a kind or sector. */
export interface Scripted {
  id: number
  fault: MessageFault
  kind: MessageKind | null
  sector: string | null
  left: number
}

export type Fate = 'ok' | MessageFault

export interface Sent extends Entry {
  /** The newest block when it was sent: it is in the next one. */
  height: number
  fate: Fate
}

export type DueEvent =
  | { type: 'BATCH_DUE'; batch: string; atMs: number }
  | { type: 'REORG_DUE'; atMs: number }

/** A timer that is set, or without an event ended. */
export interface Alarm {
  id: string
  due?: { event: DueEvent; delayMs: number }
}

export interface Decision {
  next: Ledger
  sent: Sent[]
  alarms: Alarm[]
  answer?: ChainAnswer
}

export type ChainAnswer =
  | { done: true; reorg?: Reorg }
  | { refused: 'limit-exceeded'; message: string }

/** Above the finality of 900 that tickets look back, so that the first of them have a height. */
const HEIGHT_AT_START = 1_000
/** More than a rehearsal needs, and a bound of the actor. */
const SCRIPTED_MAX = 100
/** A timer of more is of no use: the rate is as good as none. */
const REORG_GAP_MS_MAX = 30 * 86_400_000
const REORG_ALARM = 'reorg'

export function found(chainSeed: string, settings: ChainSettings, atMs: number): Ledger {
  const { blockMs } = settings
  return {
    chainSeed,
    settings,
    rates: {},
    pace: { baseHeight: HEIGHT_AT_START, baseAtMs: atMs, blockMs },
    height: HEIGHT_AT_START,
    forks: 0,
    reorgs: [],
    scripted: [],
    lastScript: 0,
    batches: {},
  }
}

export function add(now: Ledger, entry: Entry, atMs: number): Decision {
  const { kind, miner } = entry
  const name = `${kind}.${miner}`
  const open = now.batches[name]
  const batch = {
    openedAtMs: open?.openedAtMs ?? atMs,
    entries: [...(open?.entries ?? []), entry],
  }
  const next = { ...risen(now, atMs), batches: { ...now.batches, [name]: batch } }
  const { batchWaitMs } = next.settings
  if (batch.entries.length >= batchOf(next.settings, kind)) return flush(next, name)
  if (open) return { next, sent: [], alarms: [] }
  return { next, sent: [], alarms: [batchAlarm(name, batch, batchWaitMs, batchWaitMs)] }
}

export function batchDue(now: Ledger, name: string, atMs: number): Decision {
  return now.batches[name] ? flush(risen(now, atMs), name) : unchanged(now)
}

function flush(now: Ledger, name: string): Decision {
  const { [name]: batch, ...batches } = now.batches
  let next: Ledger = { ...now, batches }
  const sent: Sent[] = []
  for (const entry of batch?.entries ?? []) {
    const drawn = fateOf(next, entry)
    next = drawn.next
    sent.push({ ...entry, height: next.height, fate: drawn.fate })
  }
  return { next, sent, alarms: [{ id: batchAlarmId(name) }] }
}

/** What was scripted comes first, in its order; then the rates. */
function fateOf(now: Ledger, entry: Entry): { next: Ledger; fate: Fate } {
  const { kind, sector, attempt } = entry
  const script = now.scripted.find(
    (one) => (one.kind ?? kind) === kind && (one.sector ?? sector) === sector,
  )
  if (script) {
    const scripted = now.scripted.flatMap((one) => {
      if (one !== script) return one
      return one.left > 1 ? { ...one, left: one.left - 1 } : []
    })
    return { next: { ...now, scripted }, fate: script.fault }
  }
  let left = draw(now.chainSeed, 'fate', kind, sector, attempt)
  for (const fault of MESSAGE_FAULTS) {
    left -= rateOf(now, fault)
    if (left < 0) return { next: now, fate: fault }
  }
  return { next: now, fate: 'ok' }
}

export function rateOf({ settings, rates }: Ledger, fault: RatedFault): number {
  return rates[fault] ?? settings.faults[fault] ?? 0
}

/** Takes back the newest blocks: so many, or as many as there are since the start. */
export function reorganise(now: Ledger, depth: number, atMs: number): Decision {
  const next = risen(now, atMs)
  const from = Math.max(HEIGHT_AT_START, next.height - depth + 1)
  const reorg = { fork: next.forks + 1, from, at: next.height }
  const reorgs = withReorg(next.reorgs, reorg)
  const taken = { ...next, forks: reorg.fork, reorgs }
  return { next: taken, sent: [], alarms: [], answer: { done: true, reorg } }
}

/** One of those that come at a rate: not so deep that it could take back what has landed. */
export function reorgDue(now: Ledger, atMs: number): Decision {
  const { confidence } = now.settings
  const depth = 1 + Math.floor(draw(now.chainSeed, 'depth', now.forks) * Math.max(1, confidence))
  const { next } = reorganise(now, depth, atMs)
  return { next, sent: [], alarms: [reorgAlarm(next, atMs)] }
}

export function script(now: Ledger, fault: Omit<Scripted, 'id'>): Decision {
  if (now.scripted.length >= SCRIPTED_MAX) {
    const message = `${SCRIPTED_MAX} faults wait for their messages already: clear them first`
    return { ...unchanged(now), answer: { refused: 'limit-exceeded', message } }
  }
  const id = now.lastScript + 1
  const next = { ...now, lastScript: id, scripted: [...now.scripted, { id, ...fault }] }
  return { next, sent: [], alarms: [], answer: { done: true } }
}

export function setRate(now: Ledger, fault: RatedFault, rate: number, atMs: number): Decision {
  const next = { ...risen(now, atMs), rates: { ...now.rates, [fault]: rate } }
  const alarms = fault === 'reorg' ? [reorgAlarm(next, atMs)] : []
  return { next, sent: [], alarms, answer: { done: true } }
}

/** Back to the rates of the settings; what was scripted and has not happened does not. */
export function clear(now: Ledger, atMs: number): Decision {
  const next = { ...risen(now, atMs), rates: {}, scripted: [] }
  return { next, sent: [], alarms: [reorgAlarm(next, atMs)], answer: { done: true } }
}

/** Other settings count from now on; batches that are large enough for them go at once. */
export function configure(now: Ledger, settings: ChainSettings, atMs: number): Decision {
  const { height, pace, ...rest } = risen(now, atMs)
  const { blockMs } = settings
  const isSamePace = blockMs === pace.blockMs
  let next: Ledger = {
    ...rest,
    settings,
    height,
    pace: isSamePace ? pace : { baseHeight: height, baseAtMs: atMs, blockMs },
  }
  const sent: Sent[] = []
  const alarms = [reorgAlarm(next, atMs)]
  for (const [name, batch] of Object.entries(next.batches)) {
    const [first] = batch.entries
    if (first && batch.entries.length >= batchOf(settings, first.kind)) {
      const flushed = flush(next, name)
      next = flushed.next
      sent.push(...flushed.sent)
      alarms.push(...flushed.alarms)
    } else {
      const leftMs = Math.max(0, batch.openedAtMs + settings.batchWaitMs - atMs)
      alarms.push(batchAlarm(name, batch, settings.batchWaitMs, leftMs))
    }
  }
  return { next, sent, alarms, answer: { done: true } }
}

/** The timer of the next reorganisation, by the rate per block. */
export function reorgAlarm(now: Ledger, atMs: number): Alarm {
  const rate = rateOf(now, 'reorg')
  if (rate === 0) return { id: REORG_ALARM }
  const chance = draw(now.chainSeed, 'gap', now.forks)
  const blocks = rate === 1 ? 1 : Math.ceil(Math.log(1 - chance) / Math.log(1 - rate))
  const delayMs = Math.min(REORG_GAP_MS_MAX, Math.max(1, blocks) * now.pace.blockMs)
  const event = { type: 'REORG_DUE', atMs: atMs + delayMs } as const
  return { id: REORG_ALARM, due: { event, delayMs } }
}

function batchAlarm(batch: string, { openedAtMs }: Batch, waitMs: number, delayMs: number): Alarm {
  const event = { type: 'BATCH_DUE', batch, atMs: openedAtMs + waitMs } as const
  return { id: batchAlarmId(batch), due: { event, delayMs } }
}

function batchAlarmId(batch: string): string {
  return `batch-${batch}`
}

function risen(now: Ledger, atMs: number): Ledger {
  return { ...now, height: Math.max(now.height, heightAt(now.pace, atMs)) }
}

function unchanged(next: Ledger): Decision {
  return { next, sent: [], alarms: [] }
}
