/**
 * What is measured is plain JavaScript as `npm run build` makes it: tsx wraps every function in a call
 * that keeps its name, which would show in the figures.
 *
 * Decides: where the compiled copy stands. It is taken once, so that a run measures one state of the
 * tree even when files change under it. Leaves to others: type checks.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from '@typescript/typescript6'
import { lightFiles } from '../build/light-files.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const FOLDERS = ['src', 'machines', 'bench']

const OPTIONS: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2023,
  module: ts.ModuleKind.ESNext,
  verbatimModuleSyntax: true,
  isolatedModules: true,
  rewriteRelativeImportExtensions: true,
}

export interface Workplace {
  /** The compiled tree. */
  code: string
  /** The compiled `bench/child.js`. */
  child: string
  /** Empty, on the disk that is measured. */
  data: string
  remove(): void
}

/** Compiles the tree below `dist/`, where Node still finds the packages. */
export function makeWorkplace(dataParent: string | undefined): Workplace {
  const code = join(ROOT, 'dist', `bench-${process.pid}`)
  const data = join(dataParent ?? code, `troupe-bench-data-${process.pid}`)
  for (const folder of FOLDERS) {
    for (const path of sourcesOf(folder)) {
      const target = join(code, path.replace(/\.ts$/, '.js'))
      mkdirSync(dirname(target), { recursive: true })
      const text = readFileSync(join(ROOT, path), 'utf8')
      const { outputText } = ts.transpileModule(text, { compilerOptions: OPTIONS, fileName: path })
      writeFileSync(target, outputText)
    }
  }
  mkdirSync(data, { recursive: true })
  return {
    code,
    child: join(code, 'bench/child.js'),
    data,
    remove: () => {
      rmSync(data, { recursive: true, force: true })
      rmSync(code, { recursive: true, force: true })
    },
  }
}

/** The command as users have it: what it loads first stands together, of the sources as they are now. */
export async function bundleCommand({ code }: Workplace): Promise<void> {
  for (const { path, text } of await lightFiles(ROOT, code)) {
    const file = join(code, path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, text)
  }
}

function sourcesOf(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => join(folder, path))
}
