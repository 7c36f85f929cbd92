/**
 * Who may import whom: the floors. Decides: what counts as an import, and
 * which of them break a rule. The tests of this file prove it on a fixture.
 */
import { posix } from 'node:path'
import ts from '@typescript/typescript6'
import { at, type Source, walk } from './sources.ts'

/** Rooms of `src/`. A room imports only rooms on lower floors; rooms of one floor never meet. */
export const FLOORS: Readonly<Record<string, number>> = {
  protocol: 0,
  ports: 1,
  machine: 2,
  adapters: 2,
  shard: 3,
  client: 3,
  cluster: 4,
  worker: 4,
  node: 5,
  gateway: 6,
  cli: 7,
}
const DOORS = ['src/index.ts', 'src/verbs.ts', 'src/main.ts']
/** What families may import; the second is for verbs and loads no package. */
const PUBLIC_DOORS = ['src/index.ts', 'src/verbs.ts']
/** A room or a family may have a second door, for what loads no package (`code.test.ts`). */
const DOOR_FILES = ['index.ts', 'light.ts']
/** Packages that are a technology: only their adapter knows them. */
const ADAPTER_PACKAGES = new Set(['lmdb', 'nats'])

export interface Import {
  from: string
  /** A path relative to the root, or the name of a package. */
  to: string
  /** True for a file of the repository. */
  ours: boolean
  where: string
}

export interface Importing {
  path: string
  imports: readonly Import[]
}

/** Every import of every kind: static, re-export, `import()`, and `import('…')` in types. */
export function importsOf(source: Source): Import[] {
  const found: Import[] = []
  walk(source.tree, (node) => {
    const specifier = specifierOf(node)
    if (specifier === undefined) return undefined
    const ours = specifier.startsWith('.')
    const to = ours ? posix.join(posix.dirname(source.path), specifier) : specifier
    found.push({ from: source.path, to, ours, where: at(source, node) })
    return undefined
  })
  return found
}

function specifierOf(node: ts.Node): string | undefined {
  let literal: ts.Node | undefined
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) literal = node.moduleSpecifier
  else if (ts.isImportTypeNode(node)) {
    literal = ts.isLiteralTypeNode(node.argument) ? node.argument.literal : undefined
  } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
    literal = node.arguments[0]
  }
  return literal && ts.isStringLiteralLike(literal) ? literal.text : undefined
}

type Place =
  | { kind: 'door'; path: string }
  /** `part` is the technology of an adapter. */
  | { kind: 'room'; room: string; floor: number; part: string | undefined; isIndex: boolean }
  | { kind: 'family'; family: string | undefined; isIndex: boolean }
  | { kind: 'nowhere' }
  | { kind: 'outside' }

function placeOf(path: string): Place {
  const [top, second, third, fourth] = path.split('/')
  if (top === 'machines') {
    if (third === undefined) return { kind: 'family', family: undefined, isIndex: false }
    return { kind: 'family', family: second, isIndex: DOOR_FILES.includes(third) }
  }
  if (top !== 'src' || second === undefined) return { kind: 'outside' }
  if (DOORS.includes(path)) return { kind: 'door', path }
  const floor = FLOORS[second]
  if (floor === undefined || third === undefined) return { kind: 'nowhere' }
  const part = second === 'adapters' && fourth !== undefined ? third : undefined
  const folder = `src/${second}/${part === undefined ? '' : `${part}/`}`
  const isIndex = DOOR_FILES.some((file) => path === folder + file)
  return { kind: 'room', room: second, floor, part, isIndex }
}

/** Why the import is not allowed; undefined when it is. */
function objection(imported: Import): string | undefined {
  const from = placeOf(imported.from)
  if (!imported.ours) {
    const needsAdapter = ADAPTER_PACKAGES.has(imported.to) && from.kind === 'room'
    return needsAdapter && from.room !== 'adapters'
      ? `only adapters/ know the package ${imported.to}`
      : undefined
  }
  const to = placeOf(imported.to)
  if (to.kind === 'nowhere') return 'the target is in no room'
  if (from.kind === 'room') return objectionOfRoom(from, to)
  if (from.kind === 'door') return objectionOfDoor(from, to)
  if (from.kind === 'family') return objectionOfFamily(from, to, imported.to)
  return undefined
}

function objectionOfRoom(from: Place & { kind: 'room' }, to: Place): string | undefined {
  if (to.kind !== 'room') return 'a room of src/ imports rooms only'
  if (to.room === from.room) {
    const meets = from.part !== undefined && to.part !== undefined && from.part !== to.part
    return meets ? 'folders of adapters/ do not import each other' : undefined
  }
  if (to.room === 'adapters' && from.room !== 'node') return 'only node/ imports adapters/'
  if (to.floor >= from.floor) {
    return `${from.room}/ (floor ${from.floor}) may not import ${to.room}/ (floor ${to.floor})`
  }
  return to.isIndex ? undefined : `${to.room}/ is imported only through its index.ts`
}

function objectionOfDoor(from: Place & { kind: 'door' }, to: Place): string | undefined {
  if (to.kind === 'room') {
    if (to.room === 'adapters') return 'only node/ imports adapters/'
    return to.isIndex ? undefined : `${to.room}/ is imported only through its index.ts`
  }
  if (from.path === 'src/main.ts' && to.kind !== 'outside') return undefined
  return `${from.path} may not import that`
}

function objectionOfFamily(
  from: Place & { kind: 'family' },
  to: Place,
  target: string,
): string | undefined {
  if (PUBLIC_DOORS.includes(target)) return undefined
  if (to.kind !== 'family')
    return 'machines/ import only src/index.ts, their own folder and packages'
  const isListing = from.family === undefined && to.isIndex
  return to.family === from.family || isListing ? undefined : 'families do not import each other'
}

/** All breaches of the floor table, one line each. */
export function layerBreaches(files: readonly Importing[]): string[] {
  const homeless = files
    .filter(({ path }) => placeOf(path).kind === 'nowhere')
    .map(({ path }) => `${path}: is in no room; rooms are ${Object.keys(FLOORS).join(', ')}`)
  const imports = files.flatMap((file) => file.imports)
  const breaches = imports.flatMap((imported) => {
    const why = objection(imported)
    return why === undefined ? [] : [`${imported.where}: imports ${imported.to}: ${why}`]
  })
  return [...homeless, ...breaches]
}

/** Import cycles between files, each as `a → b → a`. Imports of types count too. */
export function importCycles(files: readonly Importing[]): string[] {
  const targets = new Map(
    files.map(({ path, imports }) => [path, imports.filter((one) => one.ours)]),
  )
  const cycles: string[] = []
  const done = new Set<string>()
  const visit = (path: string, trail: readonly string[]): void => {
    const seen = trail.indexOf(path)
    if (seen >= 0) cycles.push([...trail.slice(seen), path].join(' → '))
    if (seen >= 0 || done.has(path)) return
    for (const next of new Set(targets.get(path)?.map((one) => one.to)))
      visit(next, [...trail, path])
    done.add(path)
  }
  for (const path of targets.keys()) visit(path, [])
  return cycles
}
