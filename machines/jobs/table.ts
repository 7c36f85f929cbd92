/** Rows for people. Decides: how columns stand, and that no data moves a cursor. */
import { stripVTControlCharacters } from 'node:util'

export function tableOf(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
): string[] {
  const cells = rows.map((row) => row.map(plain))
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...cells.map((row) => [...(row[column] ?? '')].length)),
  )
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => cell + ' '.repeat((widths[column] ?? 0) - [...cell].length))
      .join('  ')
      .trimEnd()
  return [headings, ...cells].map(line)
}

/** Text that may quote what a worker met, in one line. */
export function plain(text: string): string {
  return stripVTControlCharacters(text).replace(/\p{Cc}/gu, ' ')
}
