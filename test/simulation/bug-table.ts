/**
 * The table in README.md: which checker catches which deliberate bug, and how many seeds that takes.
 *
 * Decides: its form, and that a hunt for some bugs leaves the rows of the others as they are. Leaves
 * to others: the bugs and the hunt (bugs.ts).
 */
import { readFileSync, writeFileSync } from 'node:fs'

export interface Caught {
  bug: string
  /** Tried until it was caught, or all of them. */
  seeds: number
  checker: string | undefined
}

const README = new URL('./README.md', import.meta.url)
const BEGIN = '<!-- bugs: written by `npm run sim -- --bugs --write` -->'
const END = '<!-- end of bugs -->'
const HEAD = ['bug', 'caught by', 'seeds needed'] as const
const ROW = /^\| (.+?) +\| (.+?) +\| +(\d+) \|$/
const NOBODY = 'nobody'

export function readBugTable(text = readFileSync(README, 'utf8')): Caught[] {
  const { rows } = partsOf(text)
  return rows.split('\n').flatMap((line) => {
    const [, bug, checker, seeds] = ROW.exec(line) ?? []
    if (bug === undefined) return []
    return [{ bug, seeds: Number(seeds), checker: checker === NOBODY ? undefined : checker }]
  })
}

/** @param names of all bugs: rows stand in their order, and no others do */
export function withCaught(text: string, names: readonly string[], caught: readonly Caught[]) {
  const { before, after } = partsOf(text)
  const rows = [...readBugTable(text), ...caught]
  const found = names.flatMap((name) => {
    const row = rows.findLast(({ bug }) => bug === name)
    return row ? [[row.bug, row.checker ?? NOBODY, String(row.seeds)] as const] : []
  })
  return `${before}${BEGIN}\n\n${tableOf(found).join('\n')}\n\n${END}${after}`
}

/** Columns as wide as the formatter wants them. */
function tableOf(rows: readonly (readonly [string, string, string])[]): string[] {
  const widthOf = (column: 0 | 1 | 2) =>
    Math.max(...[HEAD, ...rows].map((row) => row[column].length))
  const [bugs, checkers, seeds] = [widthOf(0), widthOf(1), widthOf(2)]
  const line = (bug: string, checker: string, count: string) =>
    `| ${bug.padEnd(bugs)} | ${checker.padEnd(checkers)} | ${count.padStart(seeds)} |`
  const rule = `| ${'-'.repeat(bugs)} | ${'-'.repeat(checkers)} | ${'-'.repeat(seeds - 1)}: |`
  return [line(...HEAD), rule, ...rows.map((row) => line(...row))]
}

export function writeBugTable(names: readonly string[], caught: readonly Caught[]): void {
  writeFileSync(README, withCaught(readFileSync(README, 'utf8'), names, caught))
}

function partsOf(text: string): { before: string; rows: string; after: string } {
  const from = text.indexOf(BEGIN)
  const to = text.indexOf(END)
  if (from < 0 || to < from) throw new Error('README.md has lost the marks around its table')
  const rows = text.slice(from + BEGIN.length, to)
  return { before: text.slice(0, from), rows, after: text.slice(to + END.length) }
}
