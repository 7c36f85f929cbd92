/**
 * What is done for a job: its disk is taken in hand, moves are started for what lies on it, and it is set to what it
 * is when it is empty. Decides: the order of each, and that whatever stands in the way is an outcome. Each can be
 * cut off anywhere and run again. Leaves to others: looking through the ledger (`ledger-look.ts`), when, and what
 * comes of it (`job-rules.ts`).
 */
import { z } from 'zod'
import { nodeOf, type TaskAttempt, TroupeError, task } from '../../../../src/index.ts'
import { StorageRefusal } from '../../plane/codes/index.ts'
import { DISK_ID_MAX, type DiskRecord } from '../../plane/disks/index.ts'
import { EMPTIED, type JobKind, kindFor } from './job-kinds.ts'
import { jobKind, liveMove, round } from './job-record.ts'
import type { Looked } from './job-rules.ts'
import { LedgerLook } from './ledger-look.ts'
import { portsOf } from './ports.ts'

/** What waits for actors costs a node little. */
const AT_ONCE = 8
/** A node that is killed in the middle of it is an attempt. */
const RETRY = { attemptsMax: 10, initialMs: 500, backoffMaxMs: 30_000 }
const common = { runsOn: 'node', concurrency: AT_ONCE, retry: RETRY } as const
const QUEUE = 'storage.disk-jobs'

const jobOfDisk = z.object({ kind: jobKind, diskId: z.int().min(1).max(DISK_ID_MAX) })
const lookInput = jobOfDisk.extend({
  /** Whether moves may be started. */
  isOn: z.boolean(),
  live: z.array(liveMove),
  ended: z.array(z.string()),
  round,
})
export type LookInput = z.output<typeof lookInput>

export interface Taken extends Pick<Looked, 'at' | 'over' | 'trouble' | 'left' | 'checkMs'> {
  keptMs: number
}

export interface Finished {
  at: number
  /** Why it is not what it was to be. */
  trouble: string | null
}

export const takeTask = task<z.output<typeof jobOfDisk>, Taken>({
  ...{ name: 'disk-job-take', queue: `${QUEUE}.take`, ...common },
  input: jobOfDisk,
  run: take,
})

export const lookTask = task<LookInput, Looked>({
  ...{ name: 'disk-job-look', queue: `${QUEUE}.look`, ...common },
  input: lookInput,
  run: look,
})

export const finishTask = task<z.output<typeof jobOfDisk>, Finished>({
  ...{ name: 'disk-job-finish', queue: `${QUEUE}.finish`, ...common },
  input: jobOfDisk,
  run: finish,
})

async function take(attempt: TaskAttempt<z.output<typeof jobOfDisk>>): Promise<Taken> {
  const { clock } = nodeOf(attempt)
  const { kind, diskId } = attempt.input
  const { disks, table, limits } = portsOf(attempt)
  const { finishedKeptMs: keptMs, checkMs } = limits
  const taken = { at: clock.now(), keptMs, checkMs, left: 0, over: null, trouble: null }
  try {
    const record = await disks.record(diskId)
    const over = whyOver(kind, record)
    if (over !== null) return { ...taken, over }
    // Whoever looks at it sees that somebody is at it.
    if (kind === 'disk_repair') await disks.set(diskId, REPAIRING)
    table.forget()
    return { ...taken, left: Object.keys(record.units).length }
  } catch (thrown) {
    return { ...taken, ...outcomeOf(thrown) }
  }
}

async function look(attempt: TaskAttempt<LookInput>): Promise<Looked> {
  const { client, clock } = nodeOf(attempt)
  const { kind, diskId } = attempt.input
  const ports = portsOf(attempt)
  const ledger = new LedgerLook(ports, {
    ...{ ...attempt.input, client, signal: attempt.signal, owner: attempt.address },
  })
  const { checkMs, taskLimitPerDisk: limit } = ports.limits
  const done = { at: clock.now(), checkMs, limit, over: null, trouble: null }
  try {
    const record = await ports.disks.record(diskId)
    const over = whyOver(kind, record)
    if (over === null) await ledger.look(record)
    return { ...done, ...ledger.outcome(), over, at: clock.now() }
  } catch (thrown) {
    attempt.signal.throwIfAborted()
    return { ...done, ...ledger.outcome(), ...outcomeOf(thrown), at: clock.now() }
  }
}

const REPAIRING = 3
const REPAIRED = 4

async function finish(attempt: TaskAttempt<z.output<typeof jobOfDisk>>): Promise<Finished> {
  const { clock } = nodeOf(attempt)
  const { kind, diskId } = attempt.input
  const { disks, table } = portsOf(attempt)
  try {
    if (kind === 'disk_drop') await disks.dropped(diskId)
    else await repaired(disks, diskId)
    table.forget()
    return { at: clock.now(), trouble: null }
  } catch (thrown) {
    if (!(thrown instanceof TroupeError)) throw thrown
    return { at: clock.now(), trouble: thrown.message }
  }
}

/** Nothing is promised a place on a broken disk, so an empty one stays empty. */
async function repaired(
  disks: { record(id: number): Promise<DiskRecord>; set(id: number, to: number): Promise<unknown> },
  diskId: number,
): Promise<void> {
  const left = Object.keys((await disks.record(diskId)).units).length
  if (left > 0) {
    const what = `${left} ${left === 1 ? 'unit' : 'units'}`
    throw new TroupeError('conflict', `disk ${diskId} still holds ${what}`)
  }
  await disks.set(diskId, REPAIRED)
}

/** Null: the disk is this job's. */
function whyOver(kind: JobKind, { diskId, standing, why }: DiskRecord): Looked['over'] {
  if (kindFor(standing) === kind) return null
  if (standing === EMPTIED[kind]) return { end: 'emptied', why: '' }
  const cause = why === null ? '' : ` (${why})`
  if (kindFor(standing) === 'disk_repair') {
    return {
      end: 'handed_over',
      why: `disk ${diskId} is ${standing}${cause}: it is repaired now, see disk-repair/${diskId}`,
    }
  }
  const first = kind === 'disk_drop' ? 'drop it' : 'set it broken'
  return { end: 'refused', why: `disk ${diskId} is ${standing}: ${first} first` }
}

/** @throws what is no refusal and no failure of the platform */
function outcomeOf(thrown: unknown): Pick<Looked, 'over' | 'trouble'> {
  if (!(thrown instanceof TroupeError)) throw thrown
  const isGone = thrown instanceof StorageRefusal && thrown.status === NO_DISK
  if (isGone) return { over: { end: 'refused', why: thrown.message }, trouble: null }
  return { over: null, trouble: thrown.message }
}

const NO_DISK = 911
