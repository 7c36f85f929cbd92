/**
 * Threads of workers of another make, which give rows of v0.2 or of today. Decides: how one form is read as
 * the other, and our table of what is there. Pure.
 */
import type { AnyWorkerRow, HeadWorkerRow, OldWorkerRow } from '../daemon/index.ts'
import { parseSectorName, type SectorId, sectorName } from '../venus/index.ts'
import { ageText, tableLines } from './tables.ts'

const NOTHING = '-'
const PAUSED = 'Paused'
const EMPTY = 'Empty'

/** What a row of today's workers is in the form of v0.2. */
export function oldRowOf(row: AnyWorkerRow): OldWorkerRow {
  if ('sector_id' in row) return row
  const { location, index, job_id, job_state, last_error, thread_state } = row
  const paused = thread_state.state === PAUSED
  return {
    ...{ location, index, last_error, paused },
    sector_id: sectorOf(job_id),
    paused_elapsed: paused ? Math.floor(thread_state.elapsed ?? 0) : null,
    state: job_state === '' ? EMPTY : job_state,
  }
}

/** @param columns of the terminal; undefined: nothing is broken */
export function foreignLines(rows: readonly AnyWorkerRow[], columns: number | undefined): string[] {
  const headings = ['#', 'LOCATION', 'PLAN', 'JOB', 'STATE', 'STAGE', 'CONDITION']
  const shown = rows.map((row) => ({
    cells: [
      `#${row.index}`,
      row.location,
      ...('thread_state' in row ? headCells(row) : oldCells(row)),
    ],
    below: row.last_error ?? undefined,
  }))
  return tableLines(headings, shown, columns)
}

function headCells({ plan, job_id, job_state, job_stage, thread_state }: HeadWorkerRow): string[] {
  const { state, elapsed, proc } = thread_state
  const since = elapsed === undefined ? '' : ` ${ageText(elapsed * 1_000)}`
  const by = proc == null || proc === '' ? '' : `, ${proc}`
  return [
    plan,
    job_id ?? NOTHING,
    job_state === '' ? EMPTY : job_state,
    job_stage ?? NOTHING,
    `${state.toLowerCase()}${since}${by}`,
  ]
}

/** It does not say its plan, nor what an unpaused thread does. */
function oldCells({ sector_id, state, paused, paused_elapsed }: OldWorkerRow): string[] {
  const sector = sector_id === null ? NOTHING : sectorName(sector_id)
  const condition = paused ? `paused ${ageText((paused_elapsed ?? 0) * 1_000)}` : NOTHING
  return [NOTHING, sector, state, NOTHING, condition]
}

/** A job need not be a sector. */
function sectorOf(job: string | null): SectorId | null {
  try {
    return job === null ? null : parseSectorName(job)
  } catch {
    return null
  }
}
