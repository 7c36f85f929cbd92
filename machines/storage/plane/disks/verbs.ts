/** The verbs `troupe storage disks`. Decides: what a person types and reads. */
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
import { ageText, factLines, percentText } from '../verb-text.ts'

const PATH = '/storage/disks'
const HEADINGS = [
  ...['DISK', 'STATUS', 'HEARD', 'IDC', 'RACK', 'HOST', 'UNITS', 'FREE', 'SIZE', 'USED'],
  ...['BLOBNODE', 'WHY'],
]
const STANDINGS = [
  ...['writable', 'readonly', 'dropping', 'broken', 'repairing', 'repaired', 'dropped'],
] as const
/** The numbers of the old store, by their names. */
const SETTABLE: Readonly<Record<string, number>> = { broken: 2, repairing: 3, repaired: 4 }

const ID = '<id>'

export const diskVerbs: readonly AppVerb[] = [
  {
    path: ['storage', 'disks', 'list'],
    summary: 'list the disks: how they stand, whether they are heard, what is on them',
    options: [
      { flags: '--standing <s>', description: STANDINGS.join(', ') },
      { flags: '--idc <name>', description: 'of this AZ' },
      { flags: '--rack <name>', description: 'of this rack' },
      { flags: '--host <name>', description: 'of this host' },
    ],
    examples: ['troupe storage disks list', 'troupe storage disks list --standing broken'],
    run: list,
  },
  {
    path: ['storage', 'disks', 'info'],
    summary: 'show a disk and the units on it; its history: troupe actors history disk/<id>',
    arguments: ID,
    examples: ['troupe storage disks info 3'],
    run: info,
  },
  {
    path: ['storage', 'disks', 'set'],
    summary:
      'the next status of a disk: broken, then repairing, then repaired; there is no way back',
    arguments: '<id> <status>',
    examples: ['troupe storage disks set 3 broken'],
    run: async (call) => {
      const given = call.arguments[1] ?? ''
      const status = SETTABLE[given] ?? (/^\d$/.test(given) ? Number(given) : undefined)
      if (status === undefined) {
        const why = `"${given.slice(0, 32)}" is no status: broken, repairing or repaired`
        throw new TroupeError('malformed', why)
      }
      await change(call, 'set', { status })
    },
  },
  {
    path: ['storage', 'disks', 'readonly'],
    summary: 'let a disk take no new chunks; what is on it stays, and is read',
    arguments: ID,
    options: [{ flags: '--off', description: 'let it take new chunks again' }],
    examples: ['troupe storage disks readonly 3', 'troupe storage disks readonly 3 --off'],
    run: (call) => change(call, 'readonly', { readonly: call.options['off'] !== true }),
  },
  {
    path: ['storage', 'disks', 'drop'],
    summary: 'put a disk that is read-only on the list of those that are emptied',
    arguments: ID,
    options: [{ flags: '--done', description: 'it is empty: drop it for good' }],
    examples: ['troupe storage disks drop 3'],
    run: (call) => change(call, call.options['done'] === true ? 'dropped' : 'drop', {}),
  },
]

/** As the routes answer. */
interface DiskRow {
  disk_id: number
  address: string
  host: string
  rack: string
  idc: string
  path: string
  standing: string
  heard: boolean
  heard_at?: number
  size: number
  free: number
  used: number
  units: number
  chunks: number
  chunks_max: number
  units_allowed?: number
  why: string | null
  created_at: number
}

interface UnitRow {
  vuid_text: string
  vid: number
  index: number
  epoch: number
  bytes_max: number
  since: number
}

async function list(call: VerbCall): Promise<void> {
  const { standing, idc, rack, host } = call.options as Record<string, string | undefined>
  if (standing !== undefined && !STANDINGS.some((one) => one === standing)) {
    // A mistyped one would mean no disk, and look as if all were well.
    throw new TroupeError('malformed', `--standing ${standing}: one of ${STANDINGS.join(', ')}`)
  }
  const query = { standing, idc, rack, host }
  const body = await askStore(call, { method: 'GET', path: PATH, query })
  if (call.json) return call.print(toJson(body))
  const { disks } = body as { disks: DiskRow[] }
  if (disks.length === 0) {
    call.note(
      'There are no such disks. A disk comes with its blobnode: troupe storage blobnode --help',
    )
    return
  }
  for (const line of plainTable(HEADINGS, disks.map(rowOf))) call.print(line)
}

async function info(call: VerbCall): Promise<void> {
  const path = pathOf(call)
  const disk = (await askStore(call, { method: 'GET', path })) as DiskRow
  const { units } = (await askStore(call, { method: 'GET', path: `${path}/units` })) as {
    units: UnitRow[]
  }
  if (call.json) return call.print(toJson({ ...disk, unit_list: units }))
  const now = call.clock.now()
  const heard = disk.heard_at === undefined ? '' : `, last written down ${age(disk.heard_at, now)}`
  const facts: [string, string][] = [
    ['status', disk.why === null ? disk.standing : `${disk.standing}: ${oneLine(disk.why)}`],
    ['heard', `${disk.heard ? 'yes' : 'no: nothing new is placed on it'}${heard}`],
    ['place', oneLine(`${disk.idc} / ${disk.rack} / ${disk.host} ${disk.path}`)],
    ['blobnode', oneLine(disk.address)],
    ['free', `${byteSize(disk.free)} of ${byteSize(disk.size)}, ${byteSize(disk.used)} in chunks`],
    ['units', `${unitsText(disk)}; ${disk.chunks} chunks on the disk`],
    ['known for', age(disk.created_at, now).replace(' ago', '')],
  ]
  call.print(`disk ${disk.disk_id}`)
  for (const line of factLines(facts)) call.print(line)
  if (units.length === 0) return
  const rows = units.map(({ vid, index, epoch, vuid_text, bytes_max, since }) => [
    ...[String(vid), String(index), String(epoch), vuid_text, byteSize(bytes_max), age(since, now)],
  ])
  const headings = ['VOLUME', 'UNIT', 'EPOCH', 'VUID', 'AT MOST', 'SINCE']
  for (const line of plainTable(headings, rows)) call.print(line)
}

async function change(call: VerbCall, verb: string, body: object): Promise<void> {
  const path = pathOf(call)
  const answer = await askStore(call, { method: 'POST', path: `${path}/${verb}`, body })
  if (call.json) return call.print(toJson(answer))
  const disk = (await askStore(call, { method: 'GET', path })) as DiskRow
  call.print(`disk ${disk.disk_id}  ${disk.standing}`)
}

function rowOf(disk: DiskRow): string[] {
  const { disk_id, standing, heard, idc, rack, host, units, chunks_max, why } = disk
  return [
    ...[String(disk_id), standing, heard ? 'yes' : 'no', idc, rack, host],
    ...[`${units}/${chunks_max}`, byteSize(disk.free), byteSize(disk.size)],
    ...[percentText(disk.size - disk.free, disk.size), disk.address, why ?? ''],
  ]
}

/** A limit that was lowered drives nothing away. */
function unitsText({ units, chunks_max, units_allowed: allowed = chunks_max }: DiskRow): string {
  if (units <= allowed) return `${units} of at most ${allowed}`
  return `${units}, and it may hold ${allowed} by now: it takes no more until enough have left`
}

function age(at: number, now: number): string {
  return `${ageText(now - at)} ago`
}

function pathOf(call: VerbCall): string {
  return `${PATH}/${encodeURIComponent(call.arguments[0] ?? '')}`
}
