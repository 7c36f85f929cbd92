/**
 * Chunks on the move: copied, and made anew from the others of their volume, by workers in blobnodes, beside what
 * `cp`, the bare library and bare files do; a task whose worker is lost; a table of a million tasks. Decides: what is demanded, and how it is
 * shown. Measured in processes of their own (`bench/storage/`).
 */
import { quantile, spreadOf } from '../measure.ts'
import { type Bench, folderOf, runPart } from '../parts.ts'
import { type Demand, number, type Report, ratiosOf, spread } from '../report.ts'
import type { LossParams, LossRound } from '../storage/lost-workers.ts'
import type { MovesParams, MovesRound } from '../storage/moves.ts'
import type { TableParams, TableTimes } from '../storage/table.ts'

const MIB = 1024 ** 2
const MODE = 'EC6P3'
const SHARE_MIN = 0.5
const LEASE_MS = 10_000
const LATE_MS_MAX = 1_000
const ACQUIRE_MS_MAX = 20
const STATS_MS_MAX = 50
const SHAPES = [
  // As large as blobs are: larger objects are rows of such.
  { name: '4 MiB blobs', blobBytes: 4 * MIB, chunkBytes: 128 * MIB, isDemanded: true },
  { name: '256 KiB blobs', blobBytes: 256 * 1024, chunkBytes: 32 * MIB, isDemanded: false },
] as const

export async function storageMovesScenario(bench: Bench): Promise<Report> {
  const demands: Demand[] = []
  const notes: string[] = []
  for (const { name, blobBytes, chunkBytes, isDemanded } of SHAPES) {
    const params: MovesParams = {
      ...{ data: folderOf(bench, `moves-${blobBytes}`), mode: MODE, blobBytes, volumes: 3 },
      ...{ chunkBytes: bench.quick ? 16 * MIB : chunkBytes, rounds: bench.quick ? 2 : 5 },
    }
    const rounds = await runPart<MovesRound[]>(bench, 'storage-moves', params)
    const held = [migrateDemand(name, rounds), repairDemand(name, rounds)]
    bench.progress(held.map(noteOf).join('; '))
    if (isDemanded) demands.push(...held)
    else notes.push(...held.map(noteOf))
    notes.push(unflushedNote(name, rounds))
  }
  const losses: LossParams = {
    ...{ data: folderOf(bench, 'losses'), rounds: bench.quick ? 1 : 3 },
    ...{ leaseMs: bench.quick ? 2_000 : LEASE_MS },
  }
  demands.push(lossDemand(await runPart<LossRound[]>(bench, 'storage-lost-workers', losses)))
  const table: TableParams = {
    data: folderOf(bench, 'table'),
    tasks: bench.quick ? 20_000 : 1_000_000,
  }
  const madePerSecond = await runPart<number>(bench, 'storage-table-made', table)
  const times = await runPart<TableTimes>(bench, 'storage-table-asked', table)
  demands.push(
    timesDemand('acquire', table, times.acquire, ACQUIRE_MS_MAX),
    timesDemand('/leader/stats', table, times.stats, STATS_MS_MAX),
  )
  notes.push(
    `beside them: ${quantiles(times.acquireTogether)} ms for an acquire of ${times.workers} workers at a time, ${quantiles(times.next)} ms for the next 20 of a lane; ${number(madePerSecond, 0)} tasks made a second; the node has ${number(times.rssMb, 0)} MB (RssAnon ${number(times.rssAnonMb, 0)} MB)`,
  )
  return {
    scenario: `storage-moves: 3 chunks of ${MODE} at a time, between three blobnodes`,
    ...{ figures: [], demands },
    notes: [
      ...notes,
      'a chunk whose old one goes has to be on the disk: `cp` is held with a flush of what it copied',
      'every process of the store shares the cores; a limit has them to itself; MB are those of the chunks that move',
    ],
  }
}

/** MB of chunks a second. */
function speeds(rounds: readonly MovesRound[], seconds: (round: MovesRound) => number): number[] {
  return rounds.map((round) => round.bytes / 1e6 / seconds(round))
}

function migrateDemand(name: string, rounds: readonly MovesRound[]): Demand {
  const measured = speeds(rounds, ({ migrate }) => migrate)
  const limits = speeds(rounds, ({ cp }) => cp)
  return demandOf(`migrate, ${name}`, { measured, limits, limitedBy: 'cp + sync' })
}

function repairDemand(name: string, rounds: readonly MovesRound[]): Demand {
  const measured = speeds(rounds, ({ repair }) => repair)
  const limits = speeds(rounds, ({ library, files }) => Math.max(library, files))
  const which = ({ library, files }: MovesRound) =>
    library > files ? 'library' : 'file read + write'
  const limitedBy = `bare ${[...new Set(rounds.map(which))].join(' or ')}`
  return demandOf(`disk repair, ${name}`, { measured, limits, limitedBy })
}

function demandOf(
  what: string,
  given: { measured: number[]; limits: number[]; limitedBy: string },
): Demand {
  const { measured, limits, limitedBy } = given
  const ratio = ratiosOf(measured, limits)
  return {
    what,
    measured: `${spread(spreadOf(measured), 0)} MB/s`,
    limit: `${spread(spreadOf(limits), 0)} MB/s (${limitedBy})`,
    ratio,
    demanded: `>= ${SHARE_MIN} of the limit`,
    pass: ratio.median >= SHARE_MIN,
  }
}

function lossDemand(rounds: readonly LossRound[]): Demand {
  const late = spreadOf(rounds.map(({ lateMs }) => lateMs))
  const [{ leaseMs } = { leaseMs: LEASE_MS }] = rounds
  return {
    what: "a lost worker's task runs again",
    measured: `${spread(late, 0)} ms after its lease`,
    limit: `a lease of ${leaseMs} ms`,
    demanded: `<= ${LATE_MS_MAX} ms after its lease`,
    pass: late.max <= LATE_MS_MAX,
  }
}

function timesDemand(
  what: string,
  { tasks }: TableParams,
  measured: readonly number[],
  msMax: number,
): Demand {
  return {
    what: `${what} beside ${number(tasks, 0)} tasks`,
    measured: `${quantiles(measured)} ms`,
    limit: `${measured.length} calls, one after the other`,
    demanded: `p99 <= ${msMax} ms`,
    pass: quantile(measured, 0.99) <= msMax,
  }
}

function quantiles(measured: readonly number[]): string {
  return `p50 ${number(quantile(measured, 0.5), 1)}, p99 ${number(quantile(measured, 0.99), 1)}`
}

function unflushedNote(name: string, rounds: readonly MovesRound[]): string {
  const plain = speeds(rounds, ({ cpUnflushed }) => cpUnflushed)
  const ratio = ratiosOf(
    speeds(rounds, ({ migrate }) => migrate),
    plain,
  )
  const what = `cp of the same files, ${name}, into the memory of the kernel only`
  return `${what}: ${spread(spreadOf(plain), 0)} MB/s, ratio ${number(ratio.median, 2)}`
}

function noteOf({ what, measured, limit, ratio }: Demand): string {
  return `${what}: ${measured} of ${limit}, ratio ${number(ratio?.median ?? 0, 2)}`
}
