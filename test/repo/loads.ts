/**
 * What is loaded with a file before anything runs. Decides: that imports of types, and `import()`, load nothing
 * then.
 */
import { posix } from 'node:path'
import ts from '@typescript/typescript6'
import type { Source } from './sources.ts'

/** The packages that a file brings along, through all files that it loads. @param loads as `loadedBy`, by path */
export function packagesLoadedBy(
  path: string,
  loads: ReadonlyMap<string, readonly string[]>,
): string[] {
  const packages = new Set<string>()
  const seen = new Set<string>()
  const visit = (at: string): void => {
    const specifiers = loads.get(at)
    if (specifiers === undefined) throw new Error(`${at} is imported and not there`)
    if (seen.has(at)) return
    seen.add(at)
    for (const specifier of specifiers) {
      if (specifier.startsWith('.')) visit(posix.join(posix.dirname(at), specifier))
      else if (!specifier.startsWith('node:')) packages.add(specifier)
    }
  }
  visit(path)
  return [...packages].sort()
}

/** `verbatimModuleSyntax` keeps every import that does not say `type` before its names. */
export function loadedBy({ tree }: Source): string[] {
  return tree.statements.flatMap((statement) => {
    const isLoaded =
      (ts.isImportDeclaration(statement) &&
        statement.importClause?.phaseModifier !== ts.SyntaxKind.TypeKeyword) ||
      (ts.isExportDeclaration(statement) && !statement.isTypeOnly)
    const from = isLoaded ? statement.moduleSpecifier : undefined
    return from !== undefined && ts.isStringLiteral(from) ? [from.text] : []
  })
}
