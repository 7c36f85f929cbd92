/**
 * Text for people. Decides: how tables, ages and colours look. Colours only where a person reads and
 * NO_COLOR is not set; control characters of data never reach the terminal.
 */
import { stripVTControlCharacters } from 'node:util'
import type { Terminal } from './terminal.ts'

export type Colour = 'red' | 'green' | 'yellow' | 'bold' | 'dim'

const SEQUENCES: Readonly<Record<Colour, string>> = {
  red: '31',
  green: '32',
  yellow: '33',
  bold: '1',
  dim: '2',
}

export type Paint = (colour: Colour, text: string) => string

export function painter(terminal: Terminal, isTty = terminal.isTty): Paint {
  const { NO_COLOR: noColour, TERM: term } = terminal.env
  const isPlain = !isTty || (noColour !== undefined && noColour !== '') || term === 'dumb'
  return isPlain
    ? (_colour, text) => text
    : (colour, text) => `\u001b[${SEQUENCES[colour]}m${text}\u001b[0m`
}

/** Data as one line that cannot move a cursor. */
export function oneLine(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? '')
  return stripVTControlCharacters(text).replace(/\p{Cc}/gu, ' ')
}

/** How text looks where it is read. */
export interface Look {
  readonly paint: Paint
  /** Where lines are cut; undefined where no person reads. */
  readonly columns: number | undefined
}

const GAP = '  '
/** A column is not cut to less. */
const COLUMN_CHARS_MIN = 8

/**
 * Columns aligned by their widest cell. On a terminal that is too narrow the widest are cut, the first
 * one last: it names what the line is about. Elsewhere nothing is cut.
 */
export function table(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
  { paint, columns }: Look,
): string[] {
  const cells = rows.map((row) => row.map(oneLine))
  const wanted = headings.map((heading, column) =>
    Math.max(heading.length, ...cells.map((row) => charsOf(row[column] ?? ''))),
  )
  const widths = columns === undefined ? wanted : narrowed(wanted, headings, columns)
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => {
        const width = widths[column] ?? 0
        const text = cut(cell, width)
        return column === row.length - 1 ? text : text + ' '.repeat(width - charsOf(text))
      })
      .join(GAP)
      .trimEnd()
  return [paint('dim', line(headings)), ...cells.map(line)]
}

/** The same without colours, and whole wherever it is read. */
export function plainTable(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
): string[] {
  return table(headings, rows, { paint: (_colour, text) => text, columns: undefined })
}

function charsOf(text: string): number {
  return [...text].length
}

export function cut(text: string, width: number): string {
  const chars = [...text]
  return chars.length <= width ? text : `${chars.slice(0, Math.max(0, width - 1)).join('')}…`
}

function narrowed(
  wanted: readonly number[],
  headings: readonly string[],
  columns: number,
): number[] {
  const widths = [...wanted]
  const least = headings.map((heading, column) =>
    Math.min(wanted[column] ?? 0, Math.max(heading.length, COLUMN_CHARS_MIN)),
  )
  const room = (column: number) => (widths[column] ?? 0) - (least[column] ?? 0)
  const others = widths.map((_, column) => column).slice(1)
  let over = widths.reduce((sum, width) => sum + width + GAP.length, -GAP.length) - columns
  while (over > 0) {
    const able = others.filter((column) => room(column) > 0)
    const widest = able.reduce(
      (best, column) => ((widths[column] ?? 0) > (widths[best] ?? 0) ? column : best),
      able[0] ?? 0,
    )
    if (room(widest) <= 0) break
    widths[widest] = (widths[widest] ?? 0) - 1
    over -= 1
  }
  return widths
}

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
] as const

/** `3m`, `2h`, `5d`; the largest unit alone is enough to tell ages apart. */
export function duration(ms: number): string {
  for (const [unit, size] of UNITS) if (ms >= size) return `${Math.floor(ms / size)}${unit}`
  return `${Math.max(0, Math.round(ms))}ms`
}

/** `1 file`, `2 files`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}

const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const

export function byteSize(bytes: number): string {
  let size = bytes
  let unit = 0
  while (size >= 1024 && unit < BYTE_UNITS.length - 1) {
    size /= 1024
    unit += 1
  }
  return `${unit === 0 ? size : size.toFixed(1)} ${BYTE_UNITS[unit]}`
}

export function ago(at: number, now: number): string {
  return now - at < 1_000 ? 'now' : `${duration(now - at)} ago`
}
