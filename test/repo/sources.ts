/**
 * What the guards of this folder look at: the files of the repository, parsed. Decides: which files
 * count. A guard gets a root, so that it can be pointed at a fixture that breaks its rule.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { extname, join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from '@typescript/typescript6'

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const FIXTURES = 'test/repo/fixtures'
/** Made by tools or by running Troupe; never part of the repository. */
const NOT_OURS = new Set(['node_modules', 'dist', '.git', '.data', 'coverage'])

export interface TextFile {
  /** Relative to the root, with `/`. */
  path: string
  text: string
}

export interface Source extends TextFile {
  tree: ts.SourceFile
}

export function fixture(name: string): string {
  return join(ROOT, FIXTURES, name)
}

/** All text files below `folder`, in order; none when it does not exist. */
export function readTexts(root: string, folder = ''): TextFile[] {
  const start = join(root, folder)
  if (!existsSync(start)) return []
  return readdirSync(start, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = relative(root, join(start, entry.name)).split(sep).join('/')
      if (NOT_OURS.has(entry.name) || path === FIXTURES) return []
      if (entry.isDirectory()) return readTexts(root, path)
      if (!entry.isFile() || entry.name.endsWith('.log')) return []
      const text = readFileSync(join(root, path), 'utf8')
      return text.includes('\0') ? [] : [{ path, text }]
    })
}

/** The TypeScript files below the folders, parsed; all at once only where they are few. */
export function readSources(root: string, folders: readonly string[]): Source[] {
  return [...eachSource(root, folders)]
}

/** One after the other: of a whole repository only one tree is held at a time. */
export function* eachSource(root: string, folders: readonly string[]): Generator<Source> {
  for (const file of folders.flatMap((folder) => readTexts(root, folder)))
    if (extname(file.path) === '.ts') yield { ...file, tree: parse(file.path, file.text) }
}

export function parse(path: string, text: string): ts.SourceFile {
  return ts.createSourceFile(path, text, ts.ScriptTarget.ESNext, true)
}

/** Visits every node below `node`; a visitor that returns `false` keeps out of that node. */
export function walk(node: ts.Node, visit: (node: ts.Node) => boolean | undefined): void {
  ts.forEachChild(node, (child) => {
    if (visit(child) !== false) walk(child, visit)
  })
}

/** `path:line`, as editors and terminals link it. */
export function at(source: Source, node: ts.Node): string {
  const { line } = source.tree.getLineAndCharacterOfPosition(node.getStart(source.tree))
  return `${source.path}:${line + 1}`
}
