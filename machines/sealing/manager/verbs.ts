/**
 * The verbs `troupe sealing sectors|deals|rebuild|unseal|stores`. Decides: what a person types and reads;
 * everything they do goes through `routes.ts`.
 */
import { readFile, stat } from 'node:fs/promises'
import { type AppVerb, plainTable, TroupeError, toJson, type VerbCall } from '../../../src/index.ts'
import { sizeText } from '../venus/index.ts'
import type { DealEntry } from './deals.ts'
import type { SectorSummary } from './operators.ts'
import { PIECE_BYTES_MAX } from './route-shapes.ts'
import type { SectorRecord } from './sector-record.ts'
import { STANDINGS } from './sector-record.ts'
import type { StoreSummary } from './storage.ts'
import { ageText, bytesText, describeSector } from './verb-text.ts'

const SECTOR = '<sector>'
const YES = { flags: '--yes', description: 'do not ask' }
const REASON = { flags: '--reason <text>', description: 'why; its record keeps it' }
const MINER = { flags: '--miner <number>', description: 'whose' }
const HOUR_MS = 3_600_000
/** A step takes hours at most: a sector that nobody reported for a day is looked at, or given up. */
const SILENT_MS = 24 * HOUR_MS
/** Exit code of one who was asked and said no. */
const DECLINED = 1

export const managerVerbs: readonly AppVerb[] = [
  {
    path: ['sealing', 'sectors', 'list'],
    summary: 'list the sectors of the built-in sector manager, by number',
    options: [
      { flags: '--standing <standing>', description: `one of ${STANDINGS.join(', ')}` },
      MINER,
      { flags: '--worker <name>', description: 'that this worker reported last' },
      {
        flags: '--silent <hours>',
        description: 'online, and no worker reported it for so long, the longest first',
      },
      { flags: '--limit <count>', description: 'at most so many', default: '100' },
    ],
    examples: [
      'troupe sealing sectors list --standing online',
      'troupe sealing sectors list --silent 48   # whose worker is gone? abort them with --now',
    ],
    run: listSectors,
  },
  {
    path: ['sealing', 'sectors', 'info'],
    summary: 'show all that the manager knows of a sector',
    arguments: SECTOR,
    examples: ['troupe sealing sectors info s-t01000-7'],
    run: async (call) => {
      const { body } = await call.http({ method: 'GET', path: sectorPath(call) })
      show(call, body as SectorRecord)
    },
  },
  {
    path: ['sealing', 'sectors', 'abort'],
    summary: 'give a sector up; its worker learns it within a minute, and then lets go of its data',
    arguments: SECTOR,
    options: [
      REASON,
      { flags: '--now', description: 'its worker is gone for good: free deals and room at once' },
      YES,
    ],
    examples: ['troupe sealing sectors abort s-t01000-7 --reason "disk is broken"'],
    run: (call) => {
      const now = call.options['now'] === true
      return change(call, 'abort', { reason: reasonOf(call), now }, 'Give it up')
    },
  },
  {
    path: ['sealing', 'sectors', 'finalize'],
    summary: 'take a sector as done by hand, whatever is known of its proof',
    arguments: SECTOR,
    options: [REASON, YES],
    examples: ['troupe sealing sectors finalize s-t01000-7 --reason "proved elsewhere"'],
    run: (call) => change(call, 'finalize', { reason: reasonOf(call) }, 'Take it as done'),
  },
  {
    path: ['sealing', 'rebuild'],
    summary: 'have a finalized sector made again, by a worker with the plan rebuild',
    arguments: SECTOR,
    options: [YES],
    examples: ['troupe sealing rebuild s-t01000-7'],
    run: (call) => change(call, 'rebuild', {}, 'Make it again'),
  },
  {
    path: ['sealing', 'unseal'],
    summary: 'have a piece of a finalized sector brought back, by a worker with the plan unseal',
    arguments: SECTOR,
    options: [
      { flags: '--piece <commitment>', description: 'which; all of the sector unless given' },
      {
        flags: '--to <url...>',
        description:
          'where to: http://…, file:///path, store://name/path; store:/// is the piece store here',
      },
    ],
    examples: ['troupe sealing unseal s-t01000-7 --to file:///mnt/out/piece.bin'],
    run: unseal,
  },
  {
    path: ['sealing', 'deals', 'add'],
    summary: 'add a deal: a file, or random bytes',
    arguments: '[file]',
    options: [MINER, { flags: '--size <bytes>', description: 'instead of a file: so many bytes' }],
    examples: [
      'troupe sealing deals add data.car --miner 1000',
      'troupe sealing deals add --size 1016 --miner 1000',
    ],
    run: addDeal,
  },
  {
    path: ['sealing', 'deals', 'list'],
    summary: 'list deals that wait for a sector, or are in one that is not finalized',
    options: [MINER],
    examples: ['troupe sealing deals list --miner 1000'],
    run: listDeals,
  },
  {
    path: ['sealing', 'stores', 'list'],
    summary: 'list the long-term stores: how much is reserved and stored',
    examples: ['troupe sealing stores list'],
    run: listStores,
  },
]

async function listSectors(call: VerbCall): Promise<void> {
  const { standing, miner, worker, silent, limit } = call.options as Record<
    string,
    string | undefined
  >
  const silentMs = silent === undefined ? undefined : countOf('--silent', silent) * HOUR_MS
  const query = { standing, miner, worker, silentMs: silentMs?.toFixed(), limit }
  const { body } = await call.http({ method: 'GET', path: '/sealing/sectors', query })
  if (call.json) return call.print(toJson(body))
  const { sectors, cursor } = body as { sectors: SectorSummary[]; cursor?: string }
  if (sectors.length === 0) return call.note('There are no such sectors.')
  const now = call.clock.now()
  const rows = sectors.map((one) => [
    one.sector,
    one.standing,
    ageText(now - one.since),
    one.state ?? '-',
    one.worker ?? '-',
    heardText(one, now),
    one.store ?? '-',
    one.reason,
  ])
  const headings = ['SECTOR', 'STANDING', 'FOR', 'STATE', 'WORKER', 'HEARD', 'STORE', 'WHY']
  for (const line of plainTable(headings, rows)) call.print(line)
  if (cursor !== undefined) call.note('There are more: --limit shows up to 1000.')
}

/** Of a sector that somebody should work on. */
function heardText({ standing, heardAt }: SectorSummary, now: number): string {
  if (standing !== 'online' && standing !== 'upgrading') return '-'
  const silentMs = now - heardAt
  return `${ageText(silentMs)}${silentMs >= SILENT_MS ? ' (!)' : ''}`
}

async function change(
  call: VerbCall,
  verb: string,
  body: object,
  question: string,
): Promise<number> {
  const sector = call.arguments[0] ?? ''
  const isSure = call.options['yes'] === true || (await call.confirm(`${question}: ${sector}?`))
  if (!isSure) return DECLINED
  const answer = await call.http({ method: 'POST', path: `${sectorPath(call)}/${verb}`, body })
  show(call, answer.body as SectorRecord)
  return 0
}

async function unseal(call: VerbCall): Promise<void> {
  const dest = call.options['to']
  if (!Array.isArray(dest) || dest.length === 0) {
    throw new TroupeError('malformed', '--to is missing: where the bytes are wanted, as a url')
  }
  const body = { piece: call.options['piece'], dest }
  const answer = await call.http({ method: 'POST', path: `${sectorPath(call)}/unseal`, body })
  show(call, answer.body as SectorRecord)
}

async function addDeal(call: VerbCall): Promise<void> {
  const [file] = call.arguments
  const { size } = call.options as { size?: string }
  if ((file === undefined) === (size === undefined)) {
    throw new TroupeError('malformed', 'name a file, or say --size <bytes> for random ones')
  }
  const body = file === undefined ? { sizeBytes: countOf('--size', size) } : await payloadOf(file)
  const path = `/sealing/deals/${minerOf(call)}`
  const answer = await call.http({ method: 'POST', path, body })
  if (call.json) return call.print(toJson(answer.body))
  const { id, piece, sizeBytes } = answer.body as { id: number; piece: string; sizeBytes: number }
  call.print(`deal ${id}  ${sizeText(sizeBytes)}  piece ${piece}`)
}

async function payloadOf(file: string): Promise<{ base64: string }> {
  const found = await stat(file).catch(() => null)
  if (!found?.isFile()) throw new TroupeError('not-found', `there is no file ${file}`)
  if (found.size > PIECE_BYTES_MAX) {
    const why = `${file} has ${found.size} bytes; a deal that is added so has at most ${PIECE_BYTES_MAX}`
    throw new TroupeError('too-large', why)
  }
  return { base64: (await readFile(file)).toString('base64') }
}

async function listDeals(call: VerbCall): Promise<void> {
  const path = `/sealing/deals/${minerOf(call)}`
  const { body } = await call.http({ method: 'GET', path })
  if (call.json) return call.print(toJson(body))
  const { deals } = body as { deals: DealEntry[] }
  if (deals.length === 0) {
    return call.note('No deals wait: troupe sealing deals add FILE --miner <number>')
  }
  const now = call.clock.now()
  const rows = deals.map((one) => [
    String(one.id),
    sizeText(one.sizeBytes),
    ageText(now - one.at),
    one.sector ?? 'waits',
    one.commitment,
  ])
  for (const line of plainTable(['ID', 'SIZE', 'FOR', 'SECTOR', 'PIECE'], rows)) call.print(line)
}

async function listStores(call: VerbCall): Promise<void> {
  const { body } = await call.http({ method: 'GET', path: '/sealing/stores' })
  if (call.json) return call.print(toJson(body))
  const { stores } = body as { stores: StoreSummary[] }
  if (stores.length === 0) return call.note('This manager has no stores in its configuration.')
  const rows = stores.map((one) => [
    one.name,
    one.capacityBytes === null ? '-' : bytesText(one.capacityBytes),
    bytesText(one.reservedBytes),
    bytesText(one.storedBytes),
    one.reachable ? one.path : `${one.path} (not seen by this node)`,
  ])
  for (const line of plainTable(['STORE', 'ROOM', 'RESERVED', 'STORED', 'PATH'], rows)) {
    call.print(line)
  }
}

function show(call: VerbCall, record: SectorRecord): void {
  if (call.json) return call.print(toJson(record))
  for (const line of describeSector(record, call.clock.now())) call.print(line)
}

function reasonOf(call: VerbCall): string {
  const { reason } = call.options as { reason?: string }
  if (reason !== undefined && reason !== '') return reason
  throw new TroupeError('malformed', '--reason is missing: the record of the sector keeps it')
}

function minerOf(call: VerbCall): number {
  return countOf('--miner', call.options['miner'])
}

function countOf(flag: string, given: unknown): number {
  if (given === undefined) throw new TroupeError('malformed', `${flag} is missing`)
  if (/^\d{1,15}$/.test(String(given))) return Number(given)
  throw new TroupeError('malformed', `${flag}: ${String(given)} is not a whole number`)
}

function sectorPath(call: VerbCall): string {
  return `/sealing/sectors/${encodeURIComponent(call.arguments[0] ?? '')}`
}
