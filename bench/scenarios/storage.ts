/**
 * Storage: objects through a whole store (a node, three blobnodes, nine disks) in EC6P3, beside what the code
 * and the disk alone do. Decides: what is demanded, and how it is shown. Measured in a process of its own
 * (`bench/storage/`), which is the client as well.
 */
import { spreadOf } from '../measure.ts'
import { type Bench, folderOf, runPart } from '../parts.ts'
import {
  type Demand,
  type Figure,
  figureOf,
  number,
  type Report,
  ratiosOf,
  spread,
} from '../report.ts'
import type { StorageLoadParams, StorageRound } from '../storage/load.ts'

const MODE = 'EC6P3'
const AT_ONCE = 4
const SHARE_MIN = 0.5
const SIZES = [
  // As large as blobs are: larger objects are rows of such.
  { name: '4 MiB', bytes: 4 * 1024 ** 2, isDemanded: true },
  { name: '256 KiB', bytes: 256 * 1024, isDemanded: false },
] as const

export async function storage(bench: Bench): Promise<Report> {
  const figures: Figure[] = []
  const demands: Demand[] = []
  const notes: string[] = []
  for (const { name, bytes, isDemanded } of SIZES) {
    const params: StorageLoadParams = {
      ...{ data: folderOf(bench, `storage-${bytes}`), roundMs: bench.quick ? 500 : 3_000 },
      ...{ mode: MODE, blobBytes: bytes, atOnce: AT_ONCE, nodeFlags: bench.nodeFlags },
    }
    const rounds = await runPart<StorageRound[]>(bench, 'storage-load', params)
    figures.push(...figuresOf(name, rounds))
    const held = [putDemand(name, bytes, rounds), getDemand(name, bytes, rounds)]
    if (isDemanded) demands.push(...held)
    else notes.push(...held.map(noteOf))
    notes.push(...hopNotes(name, bytes, rounds))
  }
  return {
    scenario: `storage: objects in ${MODE}, ${AT_ONCE} at a time, over HTTP`,
    ...{ figures, demands },
    notes: [
      ...notes,
      'every process of the store and the client share the cores; a limit has them to itself; CPU is that of the client',
    ],
  }
}

function figuresOf(name: string, rounds: readonly StorageRound[]): Figure[] {
  const limit = (what: string, of: (round: StorageRound) => number): Figure => ({
    name: `limit: ${what} of ${name}`,
    perSecond: spreadOf(rounds.map(of)),
  })
  return [
    figureOf(
      `put ${name}`,
      rounds.map(({ put }) => put),
    ),
    figureOf(
      `get ${name}`,
      rounds.map(({ get }) => get),
    ),
    limit('encode, 1 thread', ({ encode }) => encode),
    limit('write and flush 9 files', ({ write }) => write),
    limit('read and check 6 files', ({ read }) => read),
    limit('two bare hops', ({ hops }) => hops),
  ]
}

function putDemand(name: string, bytes: number, rounds: readonly StorageRound[]): Demand {
  const limits = rounds.map(({ encode, write }) => Math.min(encode, write))
  const which = (round: StorageRound) => (round.encode < round.write ? 'encode' : 'file write')
  const limitedBy = [...new Set(rounds.map(which))].join(' or ')
  const put = rounds.map((round) => round.put.perSecond)
  return demandOf(`put ${name}`, { measured: put, limits, limitedBy, bytes })
}

function getDemand(name: string, bytes: number, rounds: readonly StorageRound[]): Demand {
  const get = rounds.map((round) => round.get.perSecond)
  const limits = rounds.map(({ read }) => read)
  return demandOf(`get ${name}`, { measured: get, limits, limitedBy: 'file read + CRC', bytes })
}

/** How much of what is demanded two hops leave, and how much of that the store has. */
function hopNotes(name: string, bytes: number, rounds: readonly StorageRound[]): string[] {
  const hops = rounds.map((round) => round.hops)
  const read = rounds.map((round) => round.read)
  const get = rounds.map((round) => round.get.perSecond)
  const through = { measured: hops, limits: read, limitedBy: 'file read + CRC', bytes }
  const against = { measured: get, limits: hops, limitedBy: 'hops', bytes }
  return [
    noteOf(demandOf(`two bare hops of ${name}, no store`, through)),
    noteOf(demandOf(`get ${name} beside them`, against)),
  ]
}

function demandOf(
  what: string,
  given: { measured: number[]; limits: number[]; limitedBy: string; bytes: number },
): Demand {
  const { measured, limits, limitedBy, bytes } = given
  const megabytes = (perSecond: readonly number[]) =>
    spread(spreadOf(perSecond.map((count) => (count * bytes) / 1e6)), 0)
  const ratio = ratiosOf(measured, limits)
  return {
    what,
    measured: `${megabytes(measured)} MB/s`,
    limit: `${megabytes(limits)} MB/s (bare ${limitedBy})`,
    ratio,
    demanded: `>= ${SHARE_MIN} of the limit`,
    pass: ratio.median >= SHARE_MIN,
  }
}

function noteOf({ what, measured, limit, ratio }: Demand): string {
  return `${what}: ${measured} of ${limit}, ratio ${number(ratio?.median ?? 0, 2)}`
}
