/**
 * The verbs `troupe storage stats`, `balance` and `inspect`: how the background tasks stand. Decides: what a
 * person types and reads.
 */
import {
  type AppVerb,
  byteSize,
  oneLine,
  plainTable,
  toJson,
  type VerbCall,
} from '../../../../src/verbs.ts'
import { askStore } from '../../plane/verb-calls.ts'
import { factLines } from '../../plane/verb-text.ts'
import { type DiskJobRow, jobLines } from './disk-verbs.ts'
import { setSwitch } from './switch-verbs.ts'
import { sumOf, waitText } from './verb-lines.ts'

const MOVES = ['manual_migrate', 'disk_repair', 'disk_drop', 'balance'] as const
const MESSAGES = ['shard_repair', 'blob_delete'] as const
const ERRORS_SHOWN = 3

export const statsVerbs: readonly AppVerb[] = [
  {
    path: ['storage', 'stats'],
    summary: 'how the background tasks stand: what they do, and did in the last 20 minutes',
    examples: ['troupe storage stats', 'troupe storage stats --json'],
    run: stats,
  },
  {
    path: ['storage', 'balance'],
    summary: 'how full disks are made equal: what is moved, or why nothing is',
    arguments: '[on|off]',
    examples: ['troupe storage balance', 'troupe storage balance on'],
    run: balance,
  },
  {
    path: ['storage', 'inspect'],
    summary: 'the round over all volumes: how far it is, what was found',
    arguments: '[on|off]',
    examples: ['troupe storage inspect', 'troupe storage inspect on'],
    run: inspect,
  },
]

/** As the route answers. */
interface MoveStats {
  /** What an operator asks for by hand has no switch. */
  enable?: boolean
  preparing_cnt: number
  worker_doing_cnt: number
  finishing_cnt: number
  in_hand_cnt: number
  work_queue_size: number
  why: string | null
  stats_per_min: Record<`${'finished_cnt' | 'shard_cnt' | 'data_amount_byte'}_series`, number[]>
}
interface MessageStats {
  enable: boolean
  success_per_min_series: number[]
  failed_per_min_series: number[]
  total_err_cnt: number
  err_stats: string[] | null
}
interface InspectStats {
  enable: boolean
  finished_per_min_series: number[]
  time_out_per_min_series: number[]
}
type Stats = Record<(typeof MOVES)[number], MoveStats> &
  Record<(typeof MESSAGES)[number], MessageStats> & { volume_inspect: InspectStats }

async function stats(call: VerbCall): Promise<void> {
  const query = { extended: 'true' }
  const body = await askStore(call, { method: 'GET', path: '/leader/stats', query })
  if (call.json) return call.print(toJson(body))
  const all = body as Stats
  const moves = MOVES.map((type) => moveRow(type, all[type]))
  const headings = [
    ...['TASK', 'SWITCH', 'PREPARING', 'WORKING', 'FINISHING', 'IN HAND'],
    ...['DONE', 'SHARDS', 'BYTES', 'WAITS FOR'],
  ]
  for (const line of plainTable(headings, moves)) call.print(line)
  call.print('')
  const others = [
    ...MESSAGES.map((type) => messageRow(type, all[type])),
    inspectRow(all.volume_inspect),
  ]
  for (const line of plainTable(['TASK', 'SWITCH', 'DONE', 'FAILED', 'ERRORS'], others)) {
    call.print(line)
  }
  const { jobs } = (await askStore(call, { method: 'GET', path: '/storage/disk-jobs' })) as {
    jobs: DiskJobRow[]
  }
  if (jobs.length > 0) {
    call.print('')
    for (const line of jobLines(jobs, call.clock.now())) call.print(line)
  }
  call.note('What is done, shards and bytes are of the last 20 minutes.')
}

function moveRow(type: string, one: MoveStats): string[] {
  const { finished_cnt_series, shard_cnt_series, data_amount_byte_series } = one.stats_per_min
  const counts = [one.preparing_cnt, one.worker_doing_cnt, one.finishing_cnt]
  return [
    ...[type, switchText(one.enable), ...counts.map(String)],
    ...[`${one.in_hand_cnt}/${one.work_queue_size}`, String(sumOf(finished_cnt_series))],
    ...[String(sumOf(shard_cnt_series)), byteSize(sumOf(data_amount_byte_series))],
    oneLine(one.why ?? ''),
  ]
}

function messageRow(type: string, one: MessageStats): string[] {
  const errors = (one.err_stats ?? []).slice(0, ERRORS_SHOWN).join('; ')
  const counts = [sumOf(one.success_per_min_series), sumOf(one.failed_per_min_series)]
  const text = one.total_err_cnt === 0 ? '' : `${one.total_err_cnt}: ${oneLine(errors)}`
  return [type, switchText(one.enable), ...counts.map(String), text]
}

function inspectRow(one: InspectStats): string[] {
  const counts = [sumOf(one.finished_per_min_series), sumOf(one.time_out_per_min_series)]
  return ['volume_inspect', switchText(one.enable), ...counts.map(String), '']
}

function switchText(isOn: boolean | undefined): string {
  if (isOn === undefined) return '-'
  return isOn ? 'on' : 'off'
}

/** As the route answers: facts by their names, for people; the rest for programs. */
interface Standing {
  enable: boolean
  state: string
  condition: string
  why: string | null
  until: number | null
  facts: readonly (readonly [name: string, text: string])[]
}

function balance(call: VerbCall): Promise<void> {
  return standing(call, 'balance', '/storage/balance')
}

function inspect(call: VerbCall): Promise<void> {
  return standing(call, 'volume_inspect', '/storage/inspect')
}

async function standing(call: VerbCall, name: string, path: string): Promise<void> {
  const [word] = call.arguments
  if (word !== undefined) await setSwitch(call, name, word)
  const body = await askStore(call, { method: 'GET', path })
  if (call.json) return call.print(toJson(body))
  const { enable, state, condition, why, until, facts } = body as Standing
  call.print(name)
  const lines = [
    ['switch', switchText(enable)] as const,
    ['state', condition === 'active' ? state : `${state}, ${condition}`] as const,
    ...(why === null ? [] : [['waits for', waitText(why, until, call.clock.now())] as const]),
    ...facts,
  ]
  for (const line of factLines(lines.map(([fact, text]) => [fact, oneLine(text)]))) call.print(line)
}
