/**
 * What has grown out of sight. Decides: how long a file, a test file and a function may be. Leaves to others: which
 * exceptions there are.
 */
import ts from '@typescript/typescript6'
import { type Source, walk } from './sources.ts'

export const FILE_LINES_MAX = 400
const TEST_FILE_LINES_MAX = 500
const FUNCTION_LINES_MAX = 70

export interface Oversize {
  key: string
  lines: number
  linesMax: number
}

export function oversizes(source: Source): Oversize[] {
  const isTest = source.path.startsWith('test/')
  const linesMax = isTest ? TEST_FILE_LINES_MAX : FILE_LINES_MAX
  const lines = source.text.trimEnd().split('\n').length
  const file = lines > linesMax ? [{ key: source.path, lines, linesMax }] : []
  // Suites of tests are lists: a long one is judged as a file.
  return isTest ? file : [...file, ...longFunctions(source)]
}

function longFunctions(source: Source): Oversize[] {
  const found: Oversize[] = []
  walk(source.tree, (node) => {
    if (!ts.isFunctionLike(node) || !('body' in node) || node.body === undefined) return undefined
    const lines = lineOf(source, node.end) - lineOf(source, node.getStart(source.tree)) + 1
    if (lines > FUNCTION_LINES_MAX) {
      found.push({ key: `${source.path}#${nameOf(node)}`, lines, linesMax: FUNCTION_LINES_MAX })
    }
    return undefined
  })
  return found
}

function lineOf(source: Source, position: number): number {
  return source.tree.getLineAndCharacterOfPosition(position).line
}

function nameOf(node: ts.SignatureDeclaration): string {
  if (ts.isConstructorDeclaration(node)) return 'constructor'
  const own = node.name ?? (node.parent as { name?: ts.Node }).name
  return own === undefined ? 'anonymous' : own.getText()
}

/** @param exceptions reasons, by key; one that nothing needs is a fault as well */
export function tooLong(
  found: readonly Oversize[],
  exceptions: Readonly<Record<string, string>>,
): string[] {
  const unexcused = found
    .filter(({ key }) => !Object.hasOwn(exceptions, key))
    .map(({ key, lines, linesMax }) => `${key}: ${lines} lines, at most ${linesMax}`)
  const stale = Object.keys(exceptions)
    .filter((key) => !found.some((one) => one.key === key))
    .map((key) => `${key}: is listed as an exception but needs none`)
  return [...unexcused, ...stale]
}
