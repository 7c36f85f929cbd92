/**
 * Which code may know the time, roll dice, wait or touch the machine. Decides: what counts as doing
 * so. It looks at the syntax tree, so comments, strings, types and property names do not count: a
 * port's type may mention `Promise`, and `clock.setTimeout` is the clock's business.
 */
import ts from '@typescript/typescript6'
import { at, type Source, walk } from './sources.ts'

/** Time and dice are forbidden in both; `synchronous` rooms may not wait or do I/O either. */
export type Strictness = 'synchronous' | 'by-ports'

const FORBIDDEN_NAMES: Readonly<Record<string, string>> = {
  setTimeout: 'take the Clock port',
  setInterval: 'take the Clock port',
  setImmediate: 'take the Clock port (defer)',
  queueMicrotask: 'take the Clock port (defer)',
  performance: 'take the Clock port (monotonic)',
  crypto: 'take the Random port',
}
const FORBIDDEN_MEMBERS: Readonly<Record<string, string>> = {
  'Date.now': 'take the Clock port',
  'Math.random': 'take the Random port',
  'process.nextTick': 'take the Clock port (defer)',
  'process.hrtime': 'take the Clock port (monotonic)',
  'process.uptime': 'take the Clock port (monotonic)',
  'AbortSignal.timeout': 'take the Clock port',
}
const FORBIDDEN_MODULES: Readonly<Record<string, string>> = {
  'node:crypto': 'take the Random port',
  'node:timers': 'take the Clock port',
  'node:timers/promises': 'take the Clock port',
  'node:perf_hooks': 'take the Clock port (monotonic)',
}
/** Built-in modules that compute and nothing else. */
const PURE_MODULES = new Set(['node:assert', 'node:buffer', 'node:util', 'node:string_decoder'])

export function impurities(source: Source, strictness: Strictness): string[] {
  const found: string[] = []
  walk(source.tree, (node) => {
    if (ts.isTypeNode(node) || ts.isTypeAliasDeclaration(node) || ts.isInterfaceDeclaration(node)) {
      // `extends Base<…>` is a type node around an expression; everything else is only a type.
      return ts.isExpressionWithTypeArguments(node) ? undefined : false
    }
    const why =
      timeOrDice(node, strictness) ??
      importOf(node, strictness) ??
      (strictness === 'synchronous' ? waiting(node) : undefined)
    if (why !== undefined) found.push(`${at(source, node)}: ${why}`)
    return undefined
  })
  return found
}

function timeOrDice(node: ts.Node, strictness: Strictness): string | undefined {
  if (ts.isPropertyAccessExpression(node)) {
    const name = `${node.expression.getText()}.${node.name.text}`.replace(/^globalThis\./, '')
    const global = name.includes('.') ? FORBIDDEN_MEMBERS[name] : FORBIDDEN_NAMES[name]
    return global && `${name}: ${global}`
  }
  if (ts.isNewExpression(node) && node.expression.getText() === 'Date') {
    const readsClock = (node.arguments?.length ?? 0) === 0
    return readsClock || strictness === 'synchronous'
      ? 'new Date: take the Clock port; keep times as unix ms'
      : undefined
  }
  if (!ts.isIdentifier(node) || !isReference(node)) return undefined
  if (strictness === 'synchronous' && node.text === 'process') return 'process: not for this room'
  const isCalledDate =
    node.text === 'Date' && ts.isCallExpression(node.parent) && node.parent.expression === node
  if (isCalledDate) return 'Date(): take the Clock port'
  const instead = FORBIDDEN_NAMES[node.text]
  return instead && `${node.text}: ${instead}`
}

/** False for names that are declared or selected here, rather than looked up. */
function isReference(node: ts.Identifier): boolean {
  const parent = node.parent
  if (ts.isPropertyAccessExpression(parent)) return parent.expression === node
  if (ts.isPropertyAssignment(parent)) return parent.initializer === node
  if (ts.isVariableDeclaration(parent) || ts.isParameter(parent) || ts.isBindingElement(parent)) {
    return parent.initializer === node
  }
  return !(ts.isClassElement(parent) || ts.isTypeElement(parent) || ts.isImportSpecifier(parent))
}

function importOf(node: ts.Node, strictness: Strictness): string | undefined {
  if (!ts.isImportDeclaration(node) || !ts.isStringLiteral(node.moduleSpecifier)) return undefined
  if (node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword) return undefined
  const module = node.moduleSpecifier.text
  const instead = FORBIDDEN_MODULES[module]
  if (instead !== undefined) return `import of ${module}: ${instead}`
  const isPure = !module.startsWith('node:') || PURE_MODULES.has(module)
  return strictness === 'by-ports' || isPure ? undefined : `import of ${module}: no I/O here`
}

function waiting(node: ts.Node): string | undefined {
  if (node.kind === ts.SyntaxKind.AsyncKeyword) return 'async: the core returns data, callers wait'
  if (node.kind === ts.SyntaxKind.AwaitKeyword || ts.isAwaitExpression(node)) {
    return 'await: the core returns data, callers wait'
  }
  if (ts.isNewExpression(node) && node.expression.getText() === 'Promise') return 'new Promise'
  if (!ts.isPropertyAccessExpression(node)) return undefined
  // A machine may hand on a promise of its user's code (Promise.resolve); nobody here combines them.
  const isSettled = node.name.text === 'resolve' || node.name.text === 'reject'
  if (node.expression.getText() === 'Promise' && !isSettled) return `Promise.${node.name.text}`
  const isCalled = ts.isCallExpression(node.parent) && node.parent.expression === node
  return isCalled && node.name.text === 'then' ? '.then(' : undefined
}
