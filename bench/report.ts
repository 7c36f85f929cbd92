/**
 * What a run says. Decides: the shape of results and how they are printed. Leaves to others: the
 * figures.
 */
import type { Load, Spread } from './measure.ts'
import { spreadOf } from './measure.ts'

/** A line of the figures: whatever was measured of it. */
export interface Figure {
  name: string
  perSecond?: Spread
  p50Ms?: Spread
  p99Ms?: Spread
  cpu?: Spread
  usPerOp?: Spread
  rssAnonMb?: number
}

/** Something that the project demands of itself, or a figure that has to be seen beside it. */
export interface Demand {
  what: string
  measured: string
  /** What it is compared with, and how that was had in this run. */
  limit: string
  ratio?: Spread
  demanded: string
  pass: boolean
}

export interface Breakdown {
  title: string
  columns: string[]
  rows: string[][]
}

export interface Report {
  scenario: string
  figures: Figure[]
  demands: Demand[]
  breakdowns?: Breakdown[]
  notes: string[]
}

export function figureOf(name: string, rounds: readonly Load[], rssAnonMb?: number): Figure {
  const of = (field: keyof Load) => spreadOf(rounds.map((round) => round[field]))
  const figure: Figure = {
    name,
    perSecond: of('perSecond'),
    p50Ms: of('p50Ms'),
    p99Ms: of('p99Ms'),
    cpu: of('cpu'),
    usPerOp: of('usPerOp'),
  }
  if (rssAnonMb !== undefined) figure.rssAnonMb = rssAnonMb
  return figure
}

/** Round by round, so that a busy moment of the machine is in both. */
export function ratiosOf(engine: readonly number[], limit: readonly number[]): Spread {
  return spreadOf(engine.map((value, round) => value / (limit[round] ?? Number.NaN)))
}

const WHOLE = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 })

export function number(value: number, digits = value >= 100 ? 0 : value >= 10 ? 1 : 2): string {
  return digits === 0 ? WHOLE.format(value) : value.toFixed(digits)
}

/** `median (min–max)` */
export function spread(figure: Spread | undefined, digits?: number): string {
  if (figure === undefined) return ''
  const { median, min, max } = figure
  return `${number(median, digits)} (${number(min, digits)}–${number(max, digits)})`
}

export function printReport({ scenario, figures, demands, breakdowns, notes }: Report): string {
  const rows = figures.map((figure) => [
    figure.name,
    spread(figure.perSecond),
    spread(figure.p50Ms),
    spread(figure.p99Ms),
    spread(figure.cpu, 2),
    spread(figure.usPerOp, 1),
    figure.rssAnonMb === undefined ? '' : number(figure.rssAnonMb, 0),
  ])
  const parts = [`== ${scenario}`]
  if (rows.length > 0) {
    parts.push(table(['', 'per s', 'p50 ms', 'p99 ms', 'CPU s/s', 'CPU µs/op', 'RssAnon MB'], rows))
  }
  if (demands.length > 0) parts.push(demandTable(demands))
  for (const { title, columns, rows: lines } of breakdowns ?? []) {
    parts.push(title, table(columns, lines))
  }
  return `${parts.concat(notes.map((note) => `  ${note}`)).join('\n')}\n\n`
}

export function demandTable(demands: readonly Demand[]): string {
  return table(
    ['demand', 'measured', 'limit in this run', 'ratio', 'demanded', ''],
    demands.map(({ what, measured, limit, ratio, demanded, pass }) => [
      what,
      measured,
      limit,
      spread(ratio, 2),
      demanded,
      pass ? 'pass' : 'MISS',
    ]),
  )
}

function table(columns: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = columns.map((name, at) =>
    Math.max(name.length, ...rows.map((row) => (row[at] ?? '').length)),
  )
  const line = (cells: readonly string[]) =>
    `  ${widths.map((width, at) => (cells[at] ?? '').padEnd(width)).join('  ')}`.trimEnd()
  return [line(columns), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join(
    '\n',
  )
}
