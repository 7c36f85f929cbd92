/**
 * `npm run build`: the tree below `dist/`. Decides: that tsc makes it, module by module, and that the light modules
 * are then put together over that. Exits as tsc does, which tells what is wrong with the sources, even where the
 * light ones cannot be put together. Not for a tree from which commands are being started: for a second its parts are
 * of two builds. Leaves to others: how they are put together (light-files.ts).
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { type BuiltFile, LIGHT_FOLDER, lightFiles } from './light-files.ts'
import { lightModules } from './light-modules.ts'

/** npm runs scripts in the folder of the package. */
const ROOT = process.cwd()
const DIST = join(ROOT, 'dist')
/** What tsc believes to have written already (tsconfig.build.json). */
const TSC_MEMORY = join(DIST, '.tsbuildinfo')
/** What `troupe` is a link to. */
const COMMAND = 'src/main.js'
/** The modules whose files of tsc were written over. */
const LISTING = join(DIST, LIGHT_FOLDER, 'modules.json')

async function tsc(): Promise<number> {
  const path = join(ROOT, 'node_modules/typescript/bin/tsc')
  const child = spawn(process.execPath, [path, '-p', 'tsconfig.build.json'], {
    cwd: ROOT,
    stdio: 'inherit',
  })
  const [code] = (await once(child, 'exit')) as [number | null]
  return code ?? 1
}

/** A module that is light no longer has to be written by tsc again, which would not know. */
function forgetFormer(modules: ReadonlyMap<string, string>): void {
  if (formerModules().some((path) => !modules.has(path))) rmSync(TSC_MEMORY, { force: true })
  write(LISTING, JSON.stringify([...modules.keys()]))
}

/** Of a listing that was cut off: as if a module had been that is not there any more. */
function formerModules(): readonly string[] {
  try {
    return JSON.parse(textOf(LISTING) ?? '[]') as string[]
  } catch {
    return ['']
  }
}

/** Only what differs: a command may be reading the rest. */
function write(file: string, text: string): void {
  if (textOf(file) === text) return
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, text)
}

/** What an earlier build has put together otherwise. */
function removeOthers(paths: ReadonlySet<string>): void {
  for (const name of readdirSync(join(DIST, LIGHT_FOLDER)))
    if (!paths.has(`${LIGHT_FOLDER}/${name}`)) rmSync(join(DIST, LIGHT_FOLDER, name))
}

function textOf(file: string): string | undefined {
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined
}

async function putTogether(): Promise<readonly BuiltFile[]> {
  const modules = lightModules(ROOT)
  forgetFormer(modules)
  return lightFiles(ROOT, DIST, modules)
}

// In this order: what tsc shall forget is gone before it starts.
const [light, compiled] = await Promise.allSettled([putTogether(), tsc()])
if (light.status === 'fulfilled') {
  const files = light.value
  for (const { path, text } of files) write(join(DIST, path), text)
  chmodSync(join(DIST, COMMAND), 0o755)
  removeOthers(new Set([relative(DIST, LISTING), ...files.map(({ path }) => path)]))
} else {
  const why = light.reason instanceof Error ? light.reason.message : String(light.reason)
  process.stderr.write(`the light modules cannot be put together: ${why}\n`)
}
const isBuilt = compiled.status === 'fulfilled' && light.status === 'fulfilled'
process.exitCode = isBuilt ? compiled.value : 1
