/**
 * Tables for people, with room for a long text below each row. Decides: how columns stand, where a text
 * is broken, and that no data moves a cursor. Pure but for the width of the terminal.
 */
import { stripVTControlCharacters } from 'node:util'

const GAP = '  '
const INDENT = '     '
/** A text that is broken at less would be all breaks. */
const TEXT_CHARS_MIN = 30

export interface Row {
  cells: readonly string[]
  /** Stands below it, indented, broken at words. */
  below?: string | undefined
}

/** @param columns of the terminal; undefined: nothing is broken */
export function tableLines(
  headings: readonly string[],
  rows: readonly Row[],
  columns: number | undefined,
): string[] {
  const cells = rows.map((row) => row.cells.map(plain))
  const widths = headings.map((heading, column) =>
    Math.max(charsOf(heading), ...cells.map((row) => charsOf(row[column] ?? ''))),
  )
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => cell + ' '.repeat((widths[column] ?? 0) - charsOf(cell)))
      .join(GAP)
      .trimEnd()
  const lines = [line(headings)]
  for (const [at, { below }] of rows.entries()) {
    lines.push(line(cells[at] ?? []))
    if (below !== undefined) lines.push(...wrapped(plain(below), columns))
  }
  return lines
}

/** Where standard output is a person's terminal, its width. */
export function terminalColumns(): number | undefined {
  return process.stdout.isTTY === true ? process.stdout.columns : undefined
}

function wrapped(text: string, columns: number | undefined): string[] {
  const width = columns === undefined ? Infinity : Math.max(TEXT_CHARS_MIN, columns - INDENT.length)
  const lines: string[] = []
  let line = ''
  for (const word of text.split(/ +/)) {
    let rest = word
    if (line !== '' && charsOf(line) + 1 + charsOf(rest) <= width) {
      line += ` ${rest}`
      continue
    }
    if (line !== '') lines.push(line)
    // A path or a hash may be longer than the terminal.
    while (charsOf(rest) > width) {
      lines.push([...rest].slice(0, width).join(''))
      rest = [...rest].slice(width).join('')
    }
    line = rest
  }
  if (line !== '') lines.push(line)
  return lines.map((one) => INDENT + one)
}

/** As nearly all cells are: taken as they are, hundreds of rows cost a fraction. */
const PRINTABLE = /^[ -~]*$/

/** Text that may quote what a child process wrote, in one line. */
export function plain(text: string): string {
  if (PRINTABLE.test(text)) return text
  return stripVTControlCharacters(text).replace(/\p{Cc}+/gu, ' ')
}

function charsOf(text: string): number {
  return PRINTABLE.test(text) ? text.length : [...text].length
}

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
] as const

/** The two largest units: `3d 4h`, `13m 42s`, `17s`. */
export function ageText(spanMs: number): string {
  const first = UNITS.findIndex(([, unitMs]) => spanMs >= unitMs)
  if (first < 0) return '0s'
  const parts = UNITS.slice(first, first + 2).map(([unit, unitMs], at) => {
    const above = at === 0 ? undefined : UNITS[first]
    const restMs = above === undefined ? spanMs : spanMs % above[1]
    return [Math.floor(restMs / unitMs), unit] as const
  })
  return parts
    .filter(([count], at) => at === 0 || count > 0)
    .map(([count, unit]) => `${count}${unit}`)
    .join(' ')
}
