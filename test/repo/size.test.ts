/**
 * Nothing grows out of sight: files over 400 lines, test files over 500 and functions over 70 fail,
 * unless they are listed here with a reason. An exception that is no longer needed fails as well.
 */
import ts from '@typescript/typescript6'
import { expect, it } from 'vitest'
import { fixture, ROOT, readSources, type Source, walk } from './sources.ts'

const FILE_LINES_MAX = 400
const TEST_FILE_LINES_MAX = 500
const FUNCTION_LINES_MAX = 70
const FOLDERS = ['src', 'machines', 'test', 'bench']

/** `path` or `path#function`, with the reason why it is better long than cut. */
const EXCEPTIONS: Readonly<Record<string, string>> = {}

interface Oversize {
  key: string
  lines: number
  linesMax: number
}

function oversizes(source: Source): Oversize[] {
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

function judge(sources: readonly Source[], exceptions: Readonly<Record<string, string>>): string[] {
  const found = sources.flatMap(oversizes)
  const tooLong = found
    .filter(({ key }) => !Object.hasOwn(exceptions, key))
    .map(({ key, lines, linesMax }) => `${key}: ${lines} lines, at most ${linesMax}`)
  const stale = Object.keys(exceptions)
    .filter((key) => !found.some((one) => one.key === key))
    .map((key) => `${key}: is listed as an exception but needs none`)
  return [...tooLong, ...stale]
}

it('no file and no function is too long', () => {
  const sources = readSources(ROOT, FOLDERS)
  expect(sources.length).toBeGreaterThan(20)
  expect(judge(sources, EXCEPTIONS)).toEqual([])
})

it('would notice a long function of every kind', () => {
  expect(judge(readSources(fixture('size'), FOLDERS), {})).toEqual([
    'src/long.ts#declared: 71 lines, at most 70',
    'src/long.ts#arrow: 71 lines, at most 70',
    'src/long.ts#method: 71 lines, at most 70',
  ])
})

it('would notice a long file', () => {
  const [long] = readSources(fixture('size'), FOLDERS)
  const grown = { ...long!, text: long!.text + '\n//'.repeat(FILE_LINES_MAX) }
  expect(oversizes(grown).map((one) => one.key)).toContain('src/long.ts')
  expect(oversizes({ ...grown, path: 'test/long.test.ts' }).map((one) => one.key)).toEqual([
    'test/long.test.ts',
  ])
})

it('would notice an exception that nothing needs', () => {
  expect(judge([], { 'src/gone.ts': 'history' })).toEqual([
    'src/gone.ts: is listed as an exception but needs none',
  ])
})
