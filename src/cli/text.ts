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

/** Columns aligned by their widest cell; the last one is as long as it is. */
export function table(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
  paint: Paint,
): string[] {
  const cells = rows.map((row) => row.map(oneLine))
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...cells.map((row) => [...(row[column] ?? '')].length)),
  )
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
      .join('  ')
      .trimEnd()
  return [paint('dim', line(headings)), ...cells.map(line)]
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

export function ago(at: number, now: number): string {
  return now - at < 1_000 ? 'now' : `${duration(now - at)} ago`
}
