/**
 * Which modules are light: the entry of the command, and what it loads with no package but the reader of its words,
 * at once or when a verb is called for. Decides: what stands together in a file, so that a command reads few of them,
 * and nothing that it does not need. Leaves to others: to make these files (light-files.ts).
 */
import { readFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { join, posix } from 'node:path'
import { parseSync } from 'rolldown/utils'

/** It acts as soon as it is loaded, so it stands alone. */
export const ENTRY = 'src/main.ts'
export const ENTRY_FILE = 'main'
/** Small, and needed before a command is understood. */
export const COMMAND_PACKAGE = 'commander'
/** The files that every command reads beside the entry: what loads no package, and what loads that one. */
export const SHARED_FILE = 'light'
export const COMMAND_FILE = 'command'

/** What a module asks for, as it is written there. */
interface Asked {
  atOnce: readonly string[]
  later: readonly string[]
  /** It looks for other files beside its own, which only a module that stands in its own place can do. */
  place: boolean
}

/**
 * The light modules with the name of the file that each belongs into; paths relative to `root`.
 * @throws Error when the entry itself is not light
 */
export function lightModules(root: string): ReadonlyMap<string, string> {
  const graph = new Graph(root)
  const why = graph.weightOf(ENTRY)
  if (why !== undefined) throw new Error(`${ENTRY} is not light: ${why}`)
  const always = graph.loadedBy(ENTRY)
  const parts = graph
    .lightPartsOf(always)
    .filter((path) => !always.has(path))
    .map((path) => ({ path, loaded: graph.loadedBy(path) }))
  const all = new Set([...always, ...parts.flatMap(({ loaded }) => [...loaded])])
  const fileOf = (path: string): string => {
    if (path === ENTRY) return ENTRY_FILE
    if (graph.packagesOf(path).size > 0) return COMMAND_FILE
    const owners = always.has(path) ? [] : parts.filter(({ loaded }) => loaded.has(path))
    const [owner, another] = owners
    return owner === undefined || another !== undefined ? SHARED_FILE : nameOf(owner.path)
  }
  return new Map([...all].map((path) => [path, fileOf(path)]))
}

/** `machines/jobs/verbs.ts` is `machines-jobs-verbs`. */
function nameOf(path: string): string {
  return path.replace(/\.ts$/, '').replaceAll('/', '-')
}

class Graph {
  readonly #root: string
  readonly #asked = new Map<string, Asked>()
  readonly #weights = new Map<string, string | undefined>()

  constructor(root: string) {
    this.#root = root
  }

  /** Why the module is not light; undefined when it is. */
  weightOf(path: string): string | undefined {
    if (this.#weights.has(path)) return this.#weights.get(path)
    const why = this.#findWeight(path)
    this.#weights.set(path, why)
    return why
  }

  #findWeight(path: string): string | undefined {
    const { atOnce, place } = this.#read(path)
    if (place) return `${path} asks for its own place (import.meta)`
    for (const specifier of atOnce) {
      const why = isOurs(specifier)
        ? this.weightOf(targetOf(path, specifier))
        : weightOfPackage(path, specifier)
      if (why !== undefined) return why
    }
    return undefined
  }

  /** With itself. */
  loadedBy(path: string, seen = new Set<string>()): ReadonlySet<string> {
    if (seen.has(path)) return seen
    seen.add(path)
    for (const specifier of this.#read(path).atOnce)
      if (isOurs(specifier)) this.loadedBy(targetOf(path, specifier), seen)
    return seen
  }

  packagesOf(path: string): ReadonlySet<string> {
    const asked = [...this.loadedBy(path)].flatMap((one) => this.#read(one).atOnce)
    return new Set(asked.filter((specifier) => !isOurs(specifier) && !isBuiltin(specifier)))
  }

  /** The light modules that these load later, and the light ones that those load later. */
  lightPartsOf(paths: ReadonlySet<string>, found = new Set<string>()): readonly string[] {
    for (const path of paths) {
      for (const specifier of this.#read(path).later) {
        const target = targetOf(path, specifier)
        if (!isOurs(specifier) || found.has(target)) continue
        if (this.weightOf(target) !== undefined) continue
        found.add(target)
        this.lightPartsOf(this.loadedBy(target), found)
      }
    }
    return [...found]
  }

  #read(path: string): Asked {
    const known = this.#asked.get(path)
    if (known !== undefined) return known
    const asked = askedBy(path, readFileSync(join(this.#root, path), 'utf8'))
    this.#asked.set(path, asked)
    return asked
  }
}

function askedBy(path: string, text: string): Asked {
  const { program, module, errors } = parseSync(path, text)
  const [error] = errors
  if (error !== undefined) throw new Error(`${path}: ${error.message}`)
  // `verbatimModuleSyntax` keeps every import that does not say `type` before its names.
  const atOnce = program.body.flatMap((statement) => {
    if (statement.type === 'ImportDeclaration')
      return statement.importKind === 'type' ? [] : [statement.source.value]
    const isExport =
      statement.type === 'ExportNamedDeclaration' || statement.type === 'ExportAllDeclaration'
    if (!isExport || statement.exportKind === 'type') return []
    return statement.source === null ? [] : [statement.source.value]
  })
  const later = module.dynamicImports.flatMap(({ moduleRequest: { start, end } }) => {
    const [, , specifier] = /^(['"])(.+)\1$/.exec(text.slice(start, end)) ?? []
    return specifier === undefined ? [] : [specifier]
  })
  return { atOnce, later, place: module.importMetas.length > 0 }
}

function weightOfPackage(path: string, specifier: string): string | undefined {
  const isLight = isBuiltin(specifier) || specifier === COMMAND_PACKAGE
  return isLight ? undefined : `${path} loads ${specifier}`
}

function isOurs(specifier: string): boolean {
  return specifier.startsWith('.')
}

function targetOf(path: string, specifier: string): string {
  return posix.join(posix.dirname(path), specifier)
}
