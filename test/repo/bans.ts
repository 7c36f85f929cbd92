/**
 * Things that do not belong in this repository, each with what to do instead. Decides: what counts
 * as an occurrence. Patterns are written so that they do not match themselves (`TO[D]O`).
 */
import ts from '@typescript/typescript6'
import { at, type Source, type TextFile, walk } from './sources.ts'

type Visitor = (node: ts.Node, source: Source) => string | undefined

/** What no TypeScript file may hold. */
const IN_CODE: readonly Visitor[] = [consoleCall, defaultExport]
/** What no test may hold. */
const IN_TESTS: readonly Visitor[] = [focusOrSkip, bareSleep]
/** The configuration of vitest has to be a default export. */
const DEFAULT_EXPORTS = ['test/vitest.config.ts']
/** The one place where tests wait. */
const WAITING = 'test/waiting.ts'

export function bannedInCode(source: Source): string[] {
  const isTest = source.path.startsWith('test/')
  const found = publicAny(source)
  walk(source.tree, (node) => {
    for (const visitor of isTest ? [...IN_CODE, ...IN_TESTS] : IN_CODE) {
      const why = visitor(node, source)
      if (why !== undefined) found.push(`${at(source, node)}: ${why}`)
    }
    return undefined
  })
  return found
}

function consoleCall(node: ts.Node, source: Source): string | undefined {
  const isConsole =
    ts.isPropertyAccessExpression(node) &&
    /^(globalThis\.)?console$/.test(node.expression.getText(source.tree))
  if (!isConsole) return undefined
  const instead = source.path.startsWith('src/') && !source.path.startsWith('src/cli/')
  return `console: ${instead ? 'use the Log port' : 'use process.stdout.write'}`
}

function defaultExport(node: ts.Node, source: Source): string | undefined {
  const isDefault =
    (ts.isExportAssignment(node) && node.isExportEquals !== true) ||
    (node.kind === ts.SyntaxKind.DefaultKeyword && ts.canHaveModifiers(node.parent)) ||
    (ts.isExportSpecifier(node) && node.name.text === 'default')
  if (!isDefault || DEFAULT_EXPORTS.includes(source.path)) return undefined
  return 'default export: export by name, so that it has one name everywhere'
}

function focusOrSkip(node: ts.Node): string | undefined {
  if (!ts.isPropertyAccessExpression(node)) return undefined
  if (!['only', 'skip', 'todo'].includes(node.name.text)) return undefined
  let root: ts.Expression = node.expression
  while (ts.isPropertyAccessExpression(root) || ts.isCallExpression(root)) root = root.expression
  const isTest = ts.isIdentifier(root) && ['it', 'test', 'describe', 'suite'].includes(root.text)
  return isTest ? `.${node.name.text}: every test runs, or is removed` : undefined
}

/** `setTimeout` as a way to wait: inside `new Promise`, promisified, or from timers/promises. */
function bareSleep(node: ts.Node, source: Source): string | undefined {
  if (source.path === WAITING) return undefined
  const instead = `wait for a condition with until() of ${WAITING}`
  if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
    return node.moduleSpecifier.text.endsWith('timers/promises') ? `sleep: ${instead}` : undefined
  }
  if (!ts.isIdentifier(node) || node.text !== 'setTimeout') return undefined
  const isArgument = ts.isCallExpression(node.parent) && node.parent.arguments.includes(node)
  const isWait =
    isArgument || ts.findAncestor(node, (one) => isNewPromise(one, source)) !== undefined
  return isWait ? `sleep: ${instead}` : undefined
}

function isNewPromise(node: ts.Node, source: Source): boolean {
  return ts.isNewExpression(node) && node.expression.getText(source.tree) === 'Promise'
}

/** `any` in what a file of src/, machines/ or build/ shows to others. Bodies and private parts are its own. */
function publicAny(source: Source): string[] {
  if (source.path.startsWith('test/') || source.path.startsWith('bench/')) return []
  const found: string[] = []
  const judge = (node: ts.Node): boolean | undefined => {
    const hidden =
      ts.isBlock(node) ||
      ts.isPrivateIdentifier(node) ||
      hasModifier(node, ts.SyntaxKind.PrivateKeyword)
    if (hidden) return false
    if (node.kind === ts.SyntaxKind.AnyKeyword && !isReasoned(node, source)) {
      found.push(
        `${at(source, node)}: any at a public edge: use unknown, or say why in a biome-ignore`,
      )
    }
    return undefined
  }
  for (const statement of source.tree.statements) {
    if (hasModifier(statement, ts.SyntaxKind.ExportKeyword)) walk(statement, judge)
  }
  return found
}

/** True when the line above gives the linter a reason. */
function isReasoned(node: ts.Node, source: Source): boolean {
  const { line } = source.tree.getLineAndCharacterOfPosition(node.getStart(source.tree))
  const above = source.text.split('\n')[line - 1] ?? ''
  return /biome-ignore lint\/suspicious\/noExplicitAny: \S+ \S+/.test(above)
}

function hasModifier(node: ts.Node, kind: ts.SyntaxKind): boolean {
  return ts.canHaveModifiers(node) && (node.modifiers ?? []).some((one) => one.kind === kind)
}

const IN_TEXT: readonly { pattern: RegExp; why: string; not?: readonly string[] }[] = [
  {
    // Digests in the lock file may spell anything.
    pattern: /\b(?:TO[D]O|FIX[M]E|X[X]X|HA[C]K)\b/,
    why: 'reminder word: do it, or write down what holds today',
    not: ['package-lock.json'],
  },
  {
    pattern: /(?<![\w.*-])\/(?:work|root|home\/\w+|Users\/\w+)\//,
    why: 'path of one machine: make it relative, or take it from the environment',
  },
  {
    pattern:
      /\b(?:registry\.[\w-]+\.(?:com|org|net|io|dev|cn)|npm\.pkg\.github\.com|registry-1\.docker\.io)\b/,
    why: 'registry host: which one to use is the business of the machine',
  },
]

export function bannedInText(file: TextFile): string[] {
  return file.text
    .split('\n')
    .flatMap((line, index) =>
      IN_TEXT.filter(({ pattern, not }) => !not?.includes(file.path) && pattern.test(line)).map(
        ({ why }) => `${file.path}:${index + 1}: ${why}`,
      ),
    )
}

const BUCKETS = ['utils', 'util', 'helpers', 'common', 'types', 'misc']

/** Folders that are named after nothing. */
export function bucketFolders(paths: readonly string[]): string[] {
  const folders = new Set(
    paths.flatMap((path) => {
      const parts = path.split('/').slice(0, -1)
      return parts.flatMap((part, index) =>
        BUCKETS.includes(part) ? [parts.slice(0, index + 1).join('/')] : [],
      )
    }),
  )
  return [...folders].map((folder) => `${folder}/: name the folder after what is in it`)
}
