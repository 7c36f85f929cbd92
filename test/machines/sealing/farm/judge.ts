/**
 * What has to hold of a farm when all its work has ended, whatever was killed. Decides: every sector is
 * Finished with a proof that the verifier takes, or Aborted with its reason; each number was used once; no
 * step ran more often than the faults explain. Answers with what does not hold, in words.
 */
import type { SectorRecord } from '../../../../machines/sealing/manager/index.ts'
import { verify } from '../../../../machines/sealing/prover/index.ts'
import { proverId } from '../../../../machines/sealing/steps/index.ts'
import { parseSectorName } from '../../../../machines/sealing/venus/index.ts'
import type { Farm } from './farm.ts'

interface Chapter {
  thread: string
  end: string
  reason: string | null
  startedAt: number
  entries: { event: string; from: string; to: string; error?: { level: string } }[]
}

export interface Judgement {
  wrong: string[]
  finished: number
  aborted: number
  /** Runs of children beyond the first of each step. */
  repeats: number
}

/** What can make any step of a sector run again: a kill of the worker, a resume at an earlier state. */
export interface Faults {
  workerKills: number
  /** By sector. */
  resumes: ReadonlyMap<string, number>
}

export async function sectorsOf(farm: Farm): Promise<{ sector: string; standing: string }[]> {
  const found: { sector: string; standing: string }[] = []
  let cursor: string | undefined
  do {
    const more = cursor === undefined ? '' : `&cursor=${encodeURIComponent(cursor)}`
    const page = await farm.ask<{ sectors: typeof found; cursor?: string }>(
      `/sealing/sectors?limit=500${more}`,
    )
    found.push(...page.sectors)
    cursor = page.cursor
  } while (cursor !== undefined)
  return found
}

/** @param all the sectors that there were when the work ended */
export async function judge(
  farm: Farm,
  faults: Faults,
  all: readonly { sector: string }[],
): Promise<Judgement> {
  const result: Judgement = { wrong: [], finished: 0, aborted: 0, repeats: 0 }
  const numbers = all.map(({ sector }) => parseSectorName(sector).Number).sort((a, b) => a - b)
  const holes = numbers.filter((number, index) => number !== index)
  if (holes.length > 0) result.wrong.push(`numbers are not 0 to ${all.length - 1}: ${holes[0]}`)
  for (const { sector } of all) await judgeSector(farm, sector, faults, result)
  judgeRuns(farm, faults, result)
  return result
}

async function judgeSector(
  farm: Farm,
  sector: string,
  faults: Faults,
  result: Judgement,
): Promise<void> {
  const record = await farm.ask<SectorRecord>(`/sealing/sectors/${sector}`)
  const story = await farm.story<Chapter>(sector)
  const chapters = story?.chapters ?? []
  if (chapters.length !== 1 || (story?.live.length ?? 0) > 0)
    result.wrong.push(`${sector}: ${chapters.length} chapters, ${story?.live.length} live`)
  const [chapter] = chapters
  if (record.standing === 'aborted') {
    result.aborted += 1
    if (!record.end?.reason) result.wrong.push(`${sector}: aborted without a reason`)
    if (chapter?.end !== 'Aborted') result.wrong.push(`${sector}: its history says ${chapter?.end}`)
    return
  }
  if (record.standing !== 'finalized' || chapter?.end !== 'Finished') {
    result.wrong.push(`${sector}: ${record.standing}, its history says ${chapter?.end}`)
    return
  }
  result.finished += 1
  const why = await wrongProof(farm, sector, record)
  if (why !== undefined) result.wrong.push(`${sector}: ${why}`)
  const resumes = faults.resumes.get(sector) ?? 0
  for (const [event, count] of eventsOf(chapter)) {
    const redone = resumes + resubmissionsOf(chapter)
    if (count > 1 + redone) result.wrong.push(`${sector}: ${event} was applied ${count} times`)
  }
}

/** How often each event of the plan is in the history. */
function eventsOf({ entries }: Chapter): Map<string, number> {
  const counts = new Map<string, number>()
  for (const { event, from, to, error } of entries) {
    if (error !== undefined || from === to) continue
    counts.set(event, (counts.get(event) ?? 0) + 1)
  }
  return counts
}

function resubmissionsOf({ entries }: Chapter): number {
  return entries.filter(({ event }) => event.startsWith('ReSubmit')).length
}

async function wrongProof(
  farm: Farm,
  sector: string,
  record: SectorRecord,
): Promise<string | undefined> {
  const { preCommit, seed } = record
  if (preCommit === null || seed === null) return 'no precommit or seed is known'
  const { proof } = await farm.ask<{ proof: string }>(`/sealing/sectors/${sector}/proof`)
  const id = parseSectorName(sector)
  const verdict = verify({
    registered_proof: record.sector.ProofType,
    prover_id: proverId(id),
    sector_id: id.Number,
    ticket: preCommit.ticket.Ticket,
    seed: seed.Seed,
    comm_r: preCommit.commR,
    comm_d: preCommit.commD,
    proof,
  })
  return verdict.valid ? undefined : `its proof is not valid: ${verdict.reason}`
}

/** Children note each run before it begins, and each fault of theirs. */
function judgeRuns(farm: Farm, faults: Faults, result: Judgement): void {
  const counts = new Map<string, { runs: number; faults: number }>()
  for (const { kind, stage, path } of farm.notes()) {
    if (path === '') continue
    const key = `${stage} of ${path}`
    const count = counts.get(key) ?? { runs: 0, faults: 0 }
    if (kind === 'run') count.runs += 1
    else count.faults += 1
    counts.set(key, count)
  }
  const othersDied = farm.notes().filter(({ kind }) => kind === 'die' || kind === 'hang').length
  for (const [key, { runs, faults: own }] of counts) {
    const extra = runs - 1
    result.repeats += Math.max(0, extra)
    const sector = key.slice(key.lastIndexOf(' ') + 1)
    // A child that dies or is ended takes along what others had asked of it.
    const explained = own + othersDied + faults.workerKills + 2 * (faults.resumes.get(sector) ?? 0)
    if (extra > explained) result.wrong.push(`${key}: ${runs} runs, ${explained} faults`)
  }
}
