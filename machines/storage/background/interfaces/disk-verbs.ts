/**
 * The verbs `troupe storage drop` and `troupe storage repair`: whole disks. Decides: what a person types and
 * reads; that a disk is made read-only before it is dropped. Leaves to others: every rule of disks and jobs.
 */
import {
  type AppVerb,
  byteSize,
  oneLine,
  plainTable,
  TroupeError,
  toJson,
  type VerbCall,
  wait,
} from '../../../../src/verbs.ts'
import { askStore } from '../../plane/verb-calls.ts'
import { ageText } from '../../plane/verb-text.ts'
import { barText, waitText } from './verb-lines.ts'

const DISKS = '/storage/disks'
const JOBS = '/storage/disk-jobs'
const LOOK_MS = 500
const BROKEN = 2
/** Its job has ended, and the disk is not what was asked for. */
const NOT_EMPTIED_EXIT_CODE = 5

type JobType = 'disk_drop' | 'disk_repair'

const WAIT = { flags: '--wait', description: 'until it is done, with how far it is' }

export const diskJobVerbs: readonly AppVerb[] = [
  {
    path: ['storage', 'drop'],
    summary: 'empty a disk and drop it for good; alone: how far the disks in hand are',
    arguments: '[disk]',
    options: [WAIT],
    examples: ['troupe storage drop', 'troupe storage drop 7 --wait'],
    run: (call) => run(call, 'disk_drop', beginDrop),
  },
  {
    path: ['storage', 'repair'],
    summary:
      'give a disk up, and make what was on it up elsewhere; alone: how far the disks in hand are',
    arguments: '[disk]',
    options: [WAIT, { flags: '--yes', description: 'do not ask' }],
    examples: ['troupe storage repair', 'troupe storage repair 7 --yes --wait'],
    run: (call) => run(call, 'disk_repair', beginRepair),
  },
]

/** As the routes answer. */
export interface DiskJobRow {
  task_type: JobType
  disk_id: number
  state: string
  condition: string
  total: number
  done: number
  bytes: number
  /** Moves under way, those that stand still among them. */
  moving: number
  still: number
  /** `emptied`, or why it ended otherwise. */
  end: string | null
  why: string | null
  until: number | null
  updated_at: number
}

interface DiskRow {
  disk_id: number
  standing: string
}

async function run(
  call: VerbCall,
  type: JobType,
  begin: (call: VerbCall, disk: DiskRow) => Promise<void>,
): Promise<number> {
  const [id] = call.arguments
  if (id === undefined) {
    await list(call, type)
    return 0
  }
  const path = `${DISKS}/${encodeURIComponent(id)}`
  await begin(call, (await askStore(call, { method: 'GET', path })) as DiskRow)
  if (!(await isOn(call, type))) {
    call.note(`${type} is switched off; nothing moves until: troupe storage switch ${type} on`)
  }
  if (call.options['wait'] === true) return follow(call, type, id)
  showDisk(call, (await askStore(call, { method: 'GET', path })) as DiskRow)
  return 0
}

async function isOn(call: VerbCall, type: JobType): Promise<boolean> {
  const body = await askStore(call, { method: 'GET', path: '/storage/switches' })
  return (body as { switches: Record<string, boolean> }).switches[type] !== false
}

function showDisk(call: VerbCall, disk: DiskRow): void {
  call.print(call.json ? toJson(disk) : `disk ${disk.disk_id}  ${disk.standing}`)
}

/** The same again changes nothing. */
async function beginDrop(call: VerbCall, { disk_id, standing }: DiskRow): Promise<void> {
  const post = (verb: string, body: object) =>
    askStore(call, { method: 'POST', path: `${DISKS}/${disk_id}/${verb}`, body })
  if (standing === 'dropping' || standing === 'dropped') return
  if (standing === 'writable') await post('readonly', { readonly: true })
  await post('drop', {})
}

/** The same again changes nothing. */
async function beginRepair(call: VerbCall, { disk_id, standing }: DiskRow): Promise<void> {
  if (['broken', 'repairing', 'repaired'].includes(standing)) return
  if (call.options['yes'] !== true) {
    const question = `Disk ${disk_id} is ${standing}; it is given up for good, and nothing is read from it any more.`
    if (!(await call.confirm(question))) throw new TroupeError('malformed', 'nothing was done')
  }
  const path = `${DISKS}/${disk_id}/set`
  await askStore(call, { method: 'POST', path, body: { status: BROKEN } })
}

async function list(call: VerbCall, type: JobType): Promise<void> {
  const body = await askStore(call, { method: 'GET', path: JOBS, query: { type } })
  if (call.json) return call.print(toJson(body))
  const { jobs } = body as { jobs: DiskJobRow[] }
  if (jobs.length === 0) return call.note('No disk is in hand.')
  for (const line of jobLines(jobs, call.clock.now())) call.print(line)
}

/** A bar for each disk. */
export function jobLines(jobs: readonly DiskJobRow[], now: number): string[] {
  const rows = jobs.map((job) => [
    ...[`disk ${job.disk_id}`, job.task_type, standingOf(job), barText(job.done, job.total)],
    ...[`${job.done}/${job.total}`, byteSize(job.bytes), ageText(now - job.updated_at)],
    oneLine(waitText(job.why, job.until, now)),
  ])
  return plainTable(['DISK', 'TASK', 'STATE', '', 'UNITS', 'BYTES', 'FOR', 'WAITS FOR'], rows)
}

function standingOf({ state, condition }: DiskJobRow): string {
  return condition === 'active' || condition === 'finished' ? state : `${state}, ${condition}`
}

/** Until the disk is empty, or its job has ended for another reason, or a person has to look at it. */
async function follow(call: VerbCall, type: JobType, id: string): Promise<number> {
  let stillAt: number | undefined
  for (;;) {
    const job = await jobOf(call, type, id)
    if (job === undefined) {
      const path = `${DISKS}/${encodeURIComponent(id)}`
      const disk = (await askStore(call, { method: 'GET', path })) as DiskRow
      if (EMPTIED.has(disk.standing) || call.signal.aborted) {
        showDisk(call, disk)
        return 0
      }
      call.progress(`disk ${id} waits to be taken in hand`, 0, 1)
    } else {
      const isOver = job.state === 'done' || job.condition === 'parked'
      if (isOver || call.signal.aborted) return end(call, job)
      if (job.state === 'migrating') {
        const isStill = standsStill(job) && (await isOn(call, type))
        // It has looked again meanwhile: before that they may have been resumed.
        if (isStill && job.updated_at > (stillAt ?? job.updated_at)) return end(call, job)
        stillAt = isStill ? (stillAt ?? job.updated_at) : undefined
      }
      const waits = job.why === null ? '' : `: ${oneLine(job.why)}`
      call.progress(`disk ${id} ${job.state}${waits}`, job.done, Math.max(1, job.total))
    }
    await wait(call, LOOK_MS)
  }
}

/** Nothing is under way but moves that a person has to look at. */
function standsStill({ still, moving }: DiskJobRow): boolean {
  return still > 0 && still === moving
}

const EMPTIED: ReadonlySet<string> = new Set(['dropped', 'repaired'])

function end(call: VerbCall, job: DiskJobRow): number {
  const [, line = ''] = jobLines([job], call.clock.now())
  call.print(call.json ? toJson(job) : line)
  return job.end === 'emptied' ? 0 : NOT_EMPTIED_EXIT_CODE
}

/** Undefined until the disk is taken in hand. */
async function jobOf(call: VerbCall, type: JobType, id: string): Promise<DiskJobRow | undefined> {
  try {
    const path = `${JOBS}/${type}/${encodeURIComponent(id)}`
    return (await askStore(call, { method: 'GET', path })) as DiskJobRow
  } catch (thrown) {
    if (thrown instanceof TroupeError && thrown.code === 'not-found') return undefined
    throw thrown
  }
}
