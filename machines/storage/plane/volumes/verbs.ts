/** The verbs `troupe storage volumes`. Decides: what a person types and reads. */
import {
  type AppVerb,
  byteSize,
  oneLine,
  plainTable,
  TroupeError,
  toJson,
  type VerbCall,
} from '../../../../src/verbs.ts'
import { askStore } from '../verb-calls.ts'
import { factLines, percentText } from '../verb-text.ts'

const PATH = '/storage/volumes'
const HEADINGS = [
  ...['VOLUME', 'MODE', 'STATUS', 'HEALTH', 'HOSTS TO LOSE', 'FREE', 'SIZE', 'USED', 'HOLDER'],
  'WAITS FOR',
]
const STATUSES = ['creating', 'idle', 'active', 'lock', 'unlocking']
const COUNT = 100
const VID = '<vid>'

export const volumeVerbs: readonly AppVerb[] = [
  {
    path: ['storage', 'volumes', 'list'],
    summary: 'list the volumes: who writes to them, how many units are bad, what is free',
    options: [
      { flags: '--mode <name>', description: 'of this code mode: EC6P3, Replica3, …' },
      { flags: '--status <s>', description: STATUSES.join(', ') },
      { flags: '--limit <n>', description: `how many at most (${COUNT})` },
    ],
    examples: ['troupe storage volumes list', 'troupe storage volumes list --status lock'],
    run: list,
  },
  {
    path: ['storage', 'volumes', 'info'],
    summary:
      'show a volume and where its units lie; its history: troupe actors history volume/<vid>',
    arguments: VID,
    examples: ['troupe storage volumes info 12'],
    run: info,
  },
  {
    path: ['storage', 'volumes', 'create'],
    summary: 'make a volume; nodes make them by themselves when they need one',
    options: [{ flags: '--mode <name>', description: 'its code mode' }],
    examples: ['troupe storage volumes create --mode EC12P4'],
    run: create,
  },
  {
    path: ['storage', 'volumes', 'lock'],
    summary: 'let nobody write to a volume, and set its chunks read-only',
    arguments: VID,
    examples: ['troupe storage volumes lock 12'],
    run: (call) => change(call, 'lock', {}),
  },
  {
    path: ['storage', 'volumes', 'unlock'],
    summary: 'let a volume be written to again',
    arguments: VID,
    options: [
      { flags: '--force', description: 'although chunks cannot be set writable, or a unit moves' },
    ],
    examples: ['troupe storage volumes unlock 12'],
    run: (call) => change(call, 'unlock', { force: call.options['force'] === true }),
  },
]

/** As the routes answer. */
interface VolumeRow {
  vid: number
  mode: string
  status: string
  health: number
  hosts_to_lose: number | null
  total: number
  free: number
  holder: string | null
  until: number | null
  wanted_back: boolean
  settled: boolean
  why: string | null
  units: UnitRow[]
  fittings: (ChunkRow & { step: string })[]
  retired: (ChunkRow & { due: boolean })[]
}

interface ChunkRow {
  index: number
  epoch: number
  vuid_text: string | null
  disk_id: number
}

interface UnitRow extends ChunkRow {
  host: string
  rack: string
  idc: string
  up: boolean
  disk: string
}

async function list(call: VerbCall): Promise<void> {
  const { mode, status, limit } = call.options as Record<string, string | undefined>
  if (status !== undefined && !STATUSES.includes(status)) {
    // A mistyped one would mean no volume, and look as if all were well.
    throw new TroupeError('malformed', `--status ${status}: one of ${STATUSES.join(', ')}`)
  }
  if (limit !== undefined && !/^[1-9]\d{0,3}$/.test(limit)) {
    throw new TroupeError('malformed', `--limit ${limit}: a number from 1 to 1000`)
  }
  const query = { mode, status, count: limit }
  const body = await askStore(call, { method: 'GET', path: PATH, query })
  if (call.json) return call.print(toJson(body))
  const { volumes, cursor } = body as { volumes: VolumeRow[]; cursor?: string }
  if (volumes.length === 0) {
    call.note('There are no such volumes. The first put makes one: troupe storage put FILE')
    return
  }
  for (const line of plainTable(HEADINGS, volumes.map(rowOf))) call.print(line)
  if (cursor !== undefined) call.note('There are more: --limit 1000 shows up to that many.')
}

async function info(call: VerbCall): Promise<void> {
  const body = await askStore(call, { method: 'GET', path: pathOf(call) })
  if (call.json) return call.print(toJson(body))
  const volume = body as VolumeRow
  call.print(`volume ${volume.vid}`)
  for (const line of factLines(factsOf(volume, call.clock.now()))) call.print(line)
  const units = volume.units.map((unit) => [
    ...chunkCells(unit),
    ...[unit.up ? 'yes' : 'no', unit.disk, unit.idc, unit.rack, unit.host],
  ])
  if (units.length > 0) {
    const headings = ['UNIT', 'EPOCH', 'VUID', 'DISK', 'UP', 'STATUS', 'IDC', 'RACK', 'HOST']
    for (const line of plainTable(headings, units)) call.print(line)
  }
  const others = [
    ...volume.fittings.map((one) => [...chunkCells(one), FITTING[one.step] ?? one.step]),
    ...volume.retired.map((one) => [...chunkCells(one), one.due ? 'being released' : 'replaced']),
  ]
  if (others.length === 0) return
  call.print('chunks that are no units')
  const headings = ['UNIT', 'EPOCH', 'VUID', 'DISK', 'WHY']
  for (const line of plainTable(headings, others)) call.print(line)
}

const FITTING: Readonly<Record<string, string>> = {
  wanted: 'a disk is looked for',
  chosen: 'being made',
  ready: 'waits to take its place',
}

function factsOf(volume: VolumeRow, now: number): [string, string][] {
  const { mode, status, health, hosts_to_lose, free, total, holder, until, why } = volume
  const settled = volume.settled ? '' : ', its chunks are being set'
  const lost = hosts_to_lose === null ? '-' : `any ${hosts_to_lose}`
  const facts: [string, string][] = [
    ['mode', mode],
    ['status', `${status}${settled}`],
    ['health', healthText(health)],
    ['hosts it can lose', lost],
    ['free', `${byteSize(free)} of ${byteSize(total)}`],
  ]
  if (holder !== null) {
    const left = Math.max(0, Math.round(((until ?? now) - now) / 1_000))
    const back = volume.wanted_back ? ', and is asked to give it back' : ''
    facts.push(['written to by', oneLine(`${holder}, for ${left} s${back}`)])
  }
  if (why !== null) facts.push(['waits for', oneLine(why)])
  return facts
}

function healthText(health: number): string {
  if (health === 0) return 'good'
  return `${-health} ${health === -1 ? 'unit is' : 'units are'} bad`
}

async function create(call: VerbCall): Promise<void> {
  const { mode } = call.options
  if (typeof mode !== 'string') throw new TroupeError('malformed', '--mode is missing')
  const body = await askStore(call, { method: 'POST', path: PATH, body: { mode } })
  const { vid } = body as VolumeRow
  call.print(call.json ? toJson(body) : `volume ${vid}  is being made`)
}

async function change(call: VerbCall, verb: string, given: object): Promise<void> {
  const path = `${pathOf(call)}/${verb}`
  const body = await askStore(call, { method: 'POST', path, body: given })
  const { vid, status } = body as VolumeRow
  call.print(call.json ? toJson(body) : `volume ${vid}  ${status}`)
}

function rowOf(volume: VolumeRow): string[] {
  const { vid, mode, status, health, hosts_to_lose, free, total, holder, why } = volume
  return [
    ...[String(vid), mode, status, String(health), String(hosts_to_lose ?? '-')],
    ...[byteSize(free), byteSize(total), percentText(total - free, total), holder ?? ''],
    why ?? '',
  ]
}

function chunkCells({ index, epoch, vuid_text, disk_id }: ChunkRow): string[] {
  return [String(index), String(epoch), vuid_text ?? '-', disk_id === 0 ? '-' : String(disk_id)]
}

function pathOf(call: VerbCall): string {
  return `${PATH}/${encodeURIComponent(call.arguments[0] ?? '')}`
}
