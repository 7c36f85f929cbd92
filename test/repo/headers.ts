/** Whether a file says what it is for before it starts. Decides: what counts as saying so. */
import ts from '@typescript/typescript6'
import type { Source } from './sources.ts'

const LENGTH_MIN = 30

/** A doc comment at the top, be it of the file or of its first declaration. */
function hasHeader({ text }: Source): boolean {
  const comment = /^(?:#!.*\n)?\/\*\*([\s\S]*?)\*\//.exec(text)?.[1] ?? ''
  return comment.replace(/[\s*]+/g, ' ').trim().length >= LENGTH_MIN
}

/** The front door of a room may be a list of re-exports and nothing else. */
function isListing(source: Source): boolean {
  return source.path.endsWith('/index.ts') && source.tree.statements.every(ts.isExportDeclaration)
}

export function isHeadless(source: Source): boolean {
  return !hasHeader(source) && !isListing(source)
}
