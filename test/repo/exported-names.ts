/**
 * The names that a module exports, types included, followed through its re-exports. Decides nothing
 * about them; `exports.test.ts` compares them with a list.
 */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import ts from '@typescript/typescript6'
import { parse } from './sources.ts'

/** Sorted, without duplicates. None when the file does not exist. */
export function exportedNames(file: string): string[] {
  return [...new Set(collect(file, new Set()))].sort()
}

function collect(file: string, seen: Set<string>): string[] {
  if (seen.has(file) || !existsSync(file)) return []
  seen.add(file)
  return parse(file, readFileSync(file, 'utf8')).statements.flatMap((statement) => {
    if (ts.isExportDeclaration(statement)) return namesOfExport(statement, file, seen)
    const isExported =
      ts.canHaveModifiers(statement) &&
      statement.modifiers?.some((one) => one.kind === ts.SyntaxKind.ExportKeyword)
    return isExported ? namesOfDeclaration(statement) : []
  })
}

function namesOfExport(node: ts.ExportDeclaration, file: string, seen: Set<string>): string[] {
  const { exportClause: clause, moduleSpecifier: from } = node
  if (clause !== undefined && ts.isNamedExports(clause)) {
    return clause.elements.map((element) => element.name.text)
  }
  if (clause !== undefined) return [clause.name.text]
  if (from === undefined || !ts.isStringLiteral(from)) return []
  // A star over a package would make its next release change our public door unseen.
  return from.text.startsWith('.')
    ? collect(join(dirname(file), from.text), seen)
    : [`* from ${from.text}`]
}

function namesOfDeclaration(statement: ts.Statement): string[] {
  if (ts.isVariableStatement(statement)) {
    return statement.declarationList.declarations.map((one) => one.name.getText())
  }
  const { name } = statement as ts.DeclarationStatement
  return name === undefined ? ['default'] : [name.text]
}

/** What to change in the list, one line each. */
export function listDifferences(actual: readonly string[], listed: readonly string[]): string[] {
  return [
    ...actual.filter((name) => !listed.includes(name)).map((name) => `+ ${name}`),
    ...listed.filter((name) => !actual.includes(name)).map((name) => `- ${name}`),
  ]
}
