/** The verbs `troupe util wdpost`. Decides: what a person types and reads. */
import { readFile } from 'node:fs/promises'
import { stripVTControlCharacters } from 'node:util'
import { type AppVerb, TroupeError, toJson, type VerbCall } from '../../../src/index.ts'
import { sectorName } from '../venus/index.ts'
import type { WdPoStDetail, WdPoStSummary } from './jobs.ts'

const PATH = '/sealing/wdpost'
const HEADINGS = [
  ...['JobID', 'MinerID', 'DDL', 'Partitions', 'Sectors', 'Worker', 'State', 'Try'],
  ...['CreateAt', 'Elapsed', 'Heartbeat', 'Error'],
]
/** What a row shows of an error; `--detail` shows all of it. */
const ERROR_CHARS = 60

export const wdpostVerbs: readonly AppVerb[] = [
  {
    path: ['util', 'wdpost', 'list'],
    summary: 'list the jobs of window proofs that have not succeeded',
    options: [
      { flags: '--all', description: 'those that have succeeded, too' },
      { flags: '--detail', description: 'with sectors, seed, times and whole errors' },
    ],
    examples: ['troupe util wdpost list', 'troupe util wdpost list --all --detail'],
    run: list,
  },
  {
    path: ['util', 'wdpost', 'create'],
    summary: 'want a window proof of sectors; prints the id of the job',
    options: [
      { flags: '--deadline <index>', description: 'of the proving period, 0 to 47' },
      { flags: '--partition <index...>', description: 'the partitions that it is of' },
      {
        flags: '--sectors <file>',
        description:
          'a JSON list of {SectorID, CommR, Accesses: {CacheDir, SealedFile}}; - reads it',
      },
      { flags: '--proof-type <type>', description: 'the size of the sectors, or its number' },
      { flags: '--seed <base64>', description: 'unless that of the simulated chain is meant' },
    ],
    examples: [
      'troupe util wdpost create --deadline 3 --partition 0 --proof-type 8KiB --sectors sectors.json',
    ],
    run: create,
  },
  {
    path: ['util', 'wdpost', 'reset'],
    summary: 'let jobs begin again, as if they were never tried',
    arguments: '<id...>',
    examples: ['troupe util wdpost reset 7QDBkH5TgHz'],
    run: (call) => each(call, 'reset', (id) => ({ method: 'POST', path: `${id}/reset` })),
  },
  {
    path: ['util', 'wdpost', 'remove'],
    summary: 'remove jobs; who waits for one is told that it was removed',
    arguments: '<id...>',
    examples: ['troupe util wdpost remove 7QDBkH5TgHz'],
    run: (call) => each(call, 'removed', (id) => ({ method: 'DELETE', path: id })),
  },
  {
    path: ['util', 'wdpost', 'remove-all'],
    summary: 'remove all jobs of window proofs',
    options: [{ flags: '--really-do-it', description: 'without it nothing is removed' }],
    examples: ['troupe util wdpost remove-all --really-do-it'],
    run: removeAll,
  },
]

async function list(call: VerbCall): Promise<void> {
  const all = call.options['all'] === true ? 'true' : undefined
  const { body } = await call.http({ method: 'GET', path: PATH, query: { all } })
  const { jobs } = body as { jobs: WdPoStSummary[] }
  const isDetailed = call.options['detail'] === true
  if (!isDetailed) {
    if (call.json) return call.print(toJson(body))
    const now = call.clock.now() / 1_000
    for (const line of tableOf([HEADINGS, ...jobs.map((job) => rowOf(job, now))])) call.print(line)
    return
  }
  const details: WdPoStDetail[] = []
  for (const { ID } of jobs) {
    const found = await call.http({ method: 'GET', path: `${PATH}/${encodeURIComponent(ID)}` })
    details.push(found.body as WdPoStDetail)
  }
  if (call.json) return call.print(toJson({ jobs: details }))
  for (const job of details) for (const line of linesOf(job)) call.print(line)
}

async function create(call: VerbCall): Promise<void> {
  const { deadline, partition, sectors, proofType, seed } = call.options
  for (const [flag, given] of Object.entries({ deadline, sectors, 'proof-type': proofType })) {
    if (given === undefined) throw new TroupeError('malformed', `--${flag} is missing`)
  }
  const type = String(proofType)
  const request = {
    deadline: indexOf('--deadline', deadline),
    partitions: ((partition ?? []) as string[]).map((one) => indexOf('--partition', one)),
    sectors: await jsonOf(String(sectors)),
    proofType: /^\d{1,9}$/.test(type) ? Number(type) : type,
    seed,
  }
  const { body } = await call.http({ method: 'POST', path: PATH, body: request })
  call.print(call.json ? toJson(body) : (body as WdPoStSummary).ID)
}

async function jsonOf(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path === '-' ? '/dev/stdin' : path, 'utf8')) as unknown
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new TroupeError('malformed', `--sectors ${path}: ${why}`, { cause })
  }
}

/** One after the other; what is refused keeps none of the others back. */
async function each(
  call: VerbCall,
  done: string,
  requestOf: (id: string) => { method: 'POST' | 'DELETE'; path: string },
): Promise<number> {
  const outcomes: { id: string; error: string | null }[] = []
  for (const id of call.arguments) {
    const { method, path } = requestOf(encodeURIComponent(id))
    const error = await call.http({ method, path: `${PATH}/${path}` }).then(
      () => null,
      (thrown: unknown) => {
        if (thrown instanceof TroupeError && !thrown.retry) return thrown.message
        throw thrown
      },
    )
    outcomes.push({ id, error })
    if (call.json) continue
    if (error === null) call.print(`${id}  ${done}`)
    else call.note(`${id}  ${error}`)
  }
  if (call.json) call.print(toJson({ jobs: outcomes }))
  return outcomes.some(({ error }) => error !== null) ? 1 : 0
}

async function removeAll(call: VerbCall): Promise<void> {
  if (call.options['reallyDoIt'] !== true) {
    const why = 'all jobs would be removed, those that run among them: add --really-do-it'
    throw new TroupeError('malformed', why)
  }
  const { body } = await call.http({ method: 'DELETE', path: PATH, query: { all: 'true' } })
  call.print(call.json ? toJson(body) : `${(body as { removed: number }).removed} removed`)
}

function rowOf(job: WdPoStSummary, now: number): string[] {
  const { StartedAt, FinishedAt, HeartbeatAt, ErrorReason, State } = job
  const ended = FinishedAt > 0 ? FinishedAt : now
  return [
    ...[job.ID, String(job.MinerID), String(job.DeadlineIdx), job.Partitions.join(',') || '-'],
    ...[String(job.Sectors), job.WorkerName || '-', State, tryOf(job), timeOf(job.CreatedAt)],
    StartedAt > 0 ? spanOf(ended - StartedAt) : '-',
    State === 'Running' ? spanOf(now - HeartbeatAt) : '-',
    clipped(plain(ErrorReason)),
  ]
}

function linesOf(job: WdPoStDetail): string[] {
  const { Input, StartedAt, HeartbeatAt, FinishedAt, ErrorReason, Output } = job
  const sectors = Input.Sectors.map(({ SectorID }) => sectorName(SectorID)).join(' ')
  const facts: [string, string][] = [
    ['miner', `t0${job.MinerID}`],
    ['deadline', `${job.DeadlineIdx}  partitions ${job.Partitions.join(',') || '-'}`],
    ['state', `${job.State}  try ${tryOf(job)}  worker ${job.WorkerName || '-'}`],
    ['proof type', String(job.ProofType)],
    ['seed', Input.Seed],
    ['sectors', `${job.Sectors}: ${sectors}`],
    ['created', timeOf(job.CreatedAt)],
    ['started', timeOf(StartedAt)],
    ['heartbeat', timeOf(HeartbeatAt)],
    ['finished', timeOf(FinishedAt)],
    ['output', Output === null ? '-' : toJson(Output)],
    ['error', plain(ErrorReason) || '-'],
  ]
  return [job.ID, ...facts.map(([name, text]) => `  ${name.padEnd(11)} ${text}`)]
}

function tryOf({ TryNum, TryMax }: WdPoStSummary): string {
  return TryNum >= TryMax ? `${TryNum}(Max)` : String(TryNum)
}

function timeOf(seconds: number): string {
  return seconds === 0 ? '-' : new Date(seconds * 1_000).toISOString().replace('.000Z', 'Z')
}

/** `1h2m3s`, `13m42s`, `5s`. */
function spanOf(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds))
  const [hours, minutes] = [Math.floor(whole / 3_600), Math.floor(whole / 60) % 60]
  const rest = `${whole % 60}s`
  if (hours > 0) return `${hours}h${minutes}m${rest}`
  return minutes > 0 ? `${minutes}m${rest}` : rest
}

/** Left, two blanks apart, nothing behind the last cell. */
function tableOf(rows: readonly (readonly string[])[]): string[] {
  const widths = HEADINGS.map((_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  )
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}

function plain(text: string): string {
  return stripVTControlCharacters(text).replace(/\p{Cc}/gu, ' ')
}

function clipped(text: string): string {
  return text.length > ERROR_CHARS ? `${text.slice(0, ERROR_CHARS - 1)}…` : text
}

function indexOf(flag: string, given: unknown): number {
  const text = String(given)
  if (/^\d{1,6}$/.test(text)) return Number(text)
  throw new TroupeError('malformed', `${flag}: "${text.slice(0, 64)}" is not a whole number`)
}
