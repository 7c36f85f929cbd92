/**
 * The light modules in few files: reading dozens of modules one by one takes a command longer than what it does.
 * Decides: that every module is there once, whoever imports it. Its own file says where it is now, so a class that the
 * entry knows is the class that a node throws; that what is not light stays in its own file; that names and comments
 * stay, for whoever reads a stack trace. Leaves to others: which modules are light (light-modules.ts).
 */
import { join, posix, relative } from 'node:path'
import { rolldown } from 'rolldown'
import { COMMAND_FILE, ENTRY_FILE, lightModules, SHARED_FILE } from './light-modules.ts'

/** Below the place of the built tree. */
export const LIGHT_FOLDER = 'light'
const TARGET = 'es2023'
/** Before the path of what is not light, until it is known which file asks for it. */
const OUTSIDE = 'troupe-outside:'

export interface BuiltFile {
  /** Relative to the place of the built tree. */
  path: string
  text: string
}

/** @param out where the built tree shall stand: maps say from there where the sources are */
export async function lightFiles(
  root: string,
  out: string,
  modules = lightModules(root),
): Promise<readonly BuiltFile[]> {
  const fileOf = (id: string) => modules.get(relative(root, id))
  const bundle = await rolldown({
    cwd: root,
    platform: 'node',
    // Each is an entry, so that its own file is made as well.
    input: Object.fromEntries([...modules.keys()].map((path) => [path.replace(/\.ts$/, ''), path])),
    preserveEntrySignatures: 'strict',
    // What is loaded later by one and at once by another is found by either.
    checks: { ineffectiveDynamicImport: false },
    tsconfig: false,
    transform: { target: TARGET, typescript: { onlyRemoveTypeImports: true } },
    plugins: [
      {
        name: 'what is not light',
        resolveId(specifier, importer) {
          const from = importer === undefined ? undefined : relative(root, importer)
          if (from === undefined || !modules.has(from) || !specifier.startsWith('.')) return null
          const path = posix.join(posix.dirname(from), specifier)
          if (modules.has(path)) return join(root, path)
          return { id: OUTSIDE + path.replace(/\.ts$/, '.js'), external: true }
        },
      },
    ],
  })
  try {
    const { output } = await bundle.generate({
      dir: out,
      format: 'esm',
      sourcemap: true,
      // By its own name another build finds an export too, and so does who reads a file.
      minifyInternalExports: false,
      entryFileNames: '[name].js',
      chunkFileNames: `${LIGHT_FOLDER}/[name].js`,
      codeSplitting: {
        groups: [
          // First, with all that they load: a program without the command loads no reader of words.
          { name: SHARED_FILE, test: (id) => fileOf(id) === SHARED_FILE, priority: 2 },
          { name: (id) => partOf(fileOf(id)), debugName: 'parts', priority: 1 },
          { name: COMMAND_FILE, test: (id) => fileOf(id) !== ENTRY_FILE },
        ],
      },
    })
    return output.map((one) => ({
      path: one.fileName,
      text: one.type === 'chunk' ? withPlaces(one.code, one.fileName) : String(one.source),
    }))
  } finally {
    await bundle.close()
  }
}

/** What is outside is found from the file that asks for it now. */
function withPlaces(code: string, file: string): string {
  return code.replaceAll(new RegExp(`${OUTSIDE}([^"]+)`, 'g'), (_, path: string) => {
    const place = posix.relative(posix.dirname(file), path)
    return place.startsWith('.') ? place : `./${place}`
  })
}

const OTHER_FILES: readonly (string | undefined)[] = [SHARED_FILE, COMMAND_FILE, ENTRY_FILE]

/** What is loaded when a verb is called for. */
function partOf(file: string | undefined): string | null {
  return file === undefined || OTHER_FILES.includes(file) ? null : file
}
