/** Histories as text for other programs: JSON lines or CSV (RFC 4180), a line per entry. Pure. */
import type { Chapter } from './chapter.ts'

export const EXPORT_FORMATS = ['jsonl', 'csv'] as const
export type ExportFormat = (typeof EXPORT_FORMATS)[number]

const COLUMNS = [
  'sector',
  'plan',
  'chapter',
  'end',
  'at',
  'event',
  'from',
  'to',
  'worker',
  'thread',
  'durationMs',
  'waitedMs',
  'level',
  'message',
  'by',
] as const
type ExportRow = Record<(typeof COLUMNS)[number], string | number | null>

/** The line that a CSV begins with. */
export const CSV_HEADER = COLUMNS.join(',')

/** Without line ends. Times are ISO 8601 in UTC. */
export function* exportRows(
  chapters: readonly Chapter[],
  format: ExportFormat,
): Generator<string, void, void> {
  for (const [index, one] of chapters.entries()) {
    for (const row of rowsOf(one, index + 1)) {
      if (format === 'jsonl') yield JSON.stringify(row)
      else yield COLUMNS.map((column) => cell(row[column])).join(',')
    }
  }
}

function rowsOf({ sector, plan, end, entries }: Chapter, number: number): ExportRow[] {
  return entries.map(({ at, error, by, ...entry }) => ({
    ...{ sector, plan, chapter: number, end },
    at: new Date(at).toISOString(),
    ...entry,
    level: error?.level ?? null,
    message: error?.message ?? null,
    by: by ?? null,
  }))
}

function cell(value: string | number | null): string {
  if (value === null) return ''
  const text = String(value)
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
