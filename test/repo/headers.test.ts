/** Every file says what it is for before it starts. */
import ts from '@typescript/typescript6'
import { expect, it } from 'vitest'
import { fixture, ROOT, readSources, type Source } from './sources.ts'

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

function headless(sources: readonly Source[]): string[] {
  return sources
    .filter((source) => !hasHeader(source) && !isListing(source))
    .map((source) => source.path)
}

it('every source file begins with a header comment', () => {
  const sources = readSources(ROOT, ['src', 'machines', 'bench'])
  expect(sources.length).toBeGreaterThan(15)
  expect(
    headless(sources),
    'begin with /** what this decides, and what it leaves to others */',
  ).toEqual([])
})

it('would notice a file without one', () => {
  expect(headless(readSources(fixture('headers'), ['src']))).toEqual([
    'src/late.ts',
    'src/room/index.ts',
    'src/short.ts',
  ])
})
