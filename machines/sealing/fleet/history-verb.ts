/**
 * The verb `troupe sealing history`: what became of sectors. Decides: what a person types and reads. Without
 * a sector it lists those that have ended, or exports all of them.
 */
import { type AppVerb, TroupeError, toJson, type VerbCall } from '../../../src/index.ts'
import type { SectorStory } from '../daemon/index.ts'
import {
  type Chapter,
  CSV_HEADER,
  type ExportFormat,
  exportRows,
  type HistorySummary,
} from '../history/index.ts'
import type { PlanName } from '../plans/index.ts'
import { ageText, tableLines, terminalColumns } from './tables.ts'
import { storyLines } from './thread-table.ts'
import { TOKEN_OPTION } from './verb-options.ts'
import { isTargeted, TARGET_OPTIONS, targetOf } from './worker-target.ts'

export const historyVerb: AppVerb = {
  path: ['sealing', 'history'],
  summary: 'every transition of a sector, or the sectors that have ended',
  arguments: '[sector]',
  options: [
    { flags: '--csv', description: 'as CSV, a line for each transition' },
    { flags: '--jsonl', description: 'as JSON lines, one for each transition' },
    { flags: '--worker <name>', description: 'of this worker (without a sector)' },
    { flags: '--plan <plan>', description: 'of this plan (without a sector)' },
    { flags: '--end <end>', description: 'Finished or Aborted (without a sector)' },
    { flags: '--prefix <text>', description: 'whose names begin so (without a sector)' },
    ...TARGET_OPTIONS,
    TOKEN_OPTION,
  ],
  examples: [
    'troupe sealing history s-t010000-2',
    'troupe sealing history s-t010000-2 --csv > sector.csv',
    'troupe sealing history --end Aborted',
    'troupe sealing history --worker w1 --jsonl > w1.jsonl',
    'troupe sealing history s-t010000-2 -c worker.toml   # of a worker that is alone',
  ],
  run: runHistory,
}

async function runHistory(call: VerbCall): Promise<void> {
  const [sector] = call.arguments
  const format = formatOf(call)
  if (sector !== undefined) return showSector(call, await storyOf(call, sector), format)
  if (isTargeted(call)) {
    throw new TroupeError('malformed', 'of a worker that is alone name the sector: history SECTOR')
  }
  if (format !== undefined) return exportAll(call, format)
  return listSectors(call)
}

async function storyOf(call: VerbCall, sector: string): Promise<SectorStory> {
  if (!isTargeted(call)) {
    const path = `/sealing/history/${encodeURIComponent(sector)}`
    return (await call.http({ method: 'GET', path })).body as SectorStory
  }
  const story = await targetOf(call).call('WorkerHistory', sector)
  if (story !== null) return story
  throw new TroupeError('not-found', `this worker knows nothing of ${sector}`)
}

function showSector(call: VerbCall, story: SectorStory, format: ExportFormat | undefined): void {
  if (format !== undefined) {
    if (format === 'csv') call.print(CSV_HEADER)
    for (const line of exportRows(story.chapters, format)) call.print(line)
    return
  }
  if (call.json) return call.print(toJson(story))
  const columns = terminalColumns()
  for (const chapter of story.chapters) {
    call.print(headingOf(story.sector, chapter))
    for (const line of storyLines(chapter.plan, chapter.entries, columns)) call.print(line)
    if (chapter.dropped > 0) call.note(`${chapter.dropped} older transitions are not kept`)
  }
  for (const { plan, thread, state, entries, dropped } of story.live) {
    call.print(`${story.sector}: ${plan} by ${thread}, in ${state} now`)
    for (const line of storyLines(plan as PlanName, entries, columns)) call.print(line)
    if (dropped > 0) call.note(`${dropped} older transitions are not kept`)
  }
}

function headingOf(sector: string, chapter: Chapter): string {
  const { plan, thread, end, reason, startedAt, endedAt } = chapter
  const why = reason === null ? '' : `: ${reason}`
  const when = new Date(endedAt).toISOString()
  return `${sector}: ${plan} by ${thread}, ${end} at ${when} after ${ageText(endedAt - startedAt)}${why}`
}

async function listSectors(call: VerbCall): Promise<void> {
  const { body } = await call.http({
    ...{ method: 'GET', path: '/sealing/history' },
    query: queryOf(call),
  })
  if (call.json) return call.print(toJson(body))
  const { sectors, hasMore } = body as { sectors: HistorySummary[]; hasMore: boolean }
  if (sectors.length === 0) return call.note('No such sector has ended.')
  const rows = sectors.map(({ sector, plan, end, worker, startedAt, endedAt, chapters }) => ({
    cells: [
      sector,
      plan,
      end,
      worker,
      new Date(endedAt).toISOString(),
      ageText(endedAt - startedAt),
      String(chapters),
    ],
  }))
  const headings = ['SECTOR', 'PLAN', 'END', 'WORKER', 'AT', 'TOOK', 'TIMES']
  for (const line of tableLines(headings, rows, terminalColumns())) call.print(line)
  if (hasMore) call.note('There are more: --jsonl exports all.')
}

async function exportAll(call: VerbCall, format: ExportFormat): Promise<void> {
  const path = '/sealing/history-export'
  const query = { ...queryOf(call), format }
  const { body } = await call.http({ method: 'GET', path, query })
  call.write(typeof body === 'string' ? body : `${toJson(body)}\n`)
}

function queryOf({ options }: VerbCall): Record<string, string | undefined> {
  const given = (name: string) => {
    const value = options[name]
    return typeof value === 'string' ? value : undefined
  }
  return {
    worker: given('worker'),
    plan: given('plan'),
    end: given('end'),
    prefix: given('prefix'),
  }
}

function formatOf({ options }: VerbCall): ExportFormat | undefined {
  if (options['csv'] === true) return 'csv'
  return options['jsonl'] === true ? 'jsonl' : undefined
}
