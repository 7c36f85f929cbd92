/**
 * `--app FILE` and TROUPE_APP: apps of users. Decides: what a module may export (an app, machines, or
 * lists of them, as `app`, `apps` or by default), and what it is told when it does not.
 */
import { existsSync } from 'node:fs'
import { register } from 'node:module'
import { basename, extname, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { MachineDefinition } from '../machine/index.ts'
import type { App } from '../node/index.ts'
import { defineApp } from '../node/light.ts'
import { nearest, TroupeError } from '../protocol/light.ts'
import type { ImportsData } from './troupe-imports.ts'

const EXTENSIONS = ['.js', '.mjs', '.ts', '.mts']
/** `.ts` from the sources, `.js` once built. */
const OWN_EXTENSION = extname(import.meta.url)

let prepared = false

/** Exhaustive by its type. */
const PARTS: Readonly<Record<keyof App, true>> = {
  name: true,
  machines: true,
  tasks: true,
  singletons: true,
  config: true,
  routes: true,
  subjects: true,
  methods: true,
  verbs: true,
  verbGroups: true,
  greeting: true,
  daemons: true,
  leaderReports: true,
  metrics: true,
  workerQueues: true,
  workers: true,
}

/**
 * Loads every file in turn, each once.
 * @param source where the files were named
 * @throws TroupeError `invalid-config`, naming source, file and cause
 */
export async function loadUserApps(
  files: readonly string[],
  cwd: string,
  source = '--app',
): Promise<App[]> {
  const apps: App[] = []
  try {
    for (const path of new Set(files.map((file) => resolve(cwd, file))))
      apps.push(...(await loadFile(path)))
  } catch (thrown) {
    if (!(thrown instanceof TroupeError)) throw thrown
    throw new TroupeError(thrown.code, `${source} ${thrown.message}`, { cause: thrown })
  }
  return apps
}

async function loadFile(path: string): Promise<App[]> {
  if (!existsSync(path)) throw refusal(path, 'there is no such file')
  if (!EXTENSIONS.includes(extname(path))) {
    throw refusal(path, `an app is a module of JavaScript or TypeScript: ${EXTENSIONS.join(', ')}`)
  }
  await prepare()
  let module: Record<string, unknown>
  try {
    module = (await import(pathToFileURL(path).href)) as Record<string, unknown>
  } catch (cause) {
    throw refusal(
      path,
      `it cannot be loaded: ${cause instanceof Error ? cause.message : String(cause)}`,
      cause,
    )
  }
  return appsOf(module, path)
}

/** Installs TypeScript and our own names for every import from now on; once. */
async function prepare(): Promise<void> {
  if (prepared) return
  prepared = true
  // From the sources, tsx runs already: a second one would read modules twice.
  if (OWN_EXTENSION !== '.ts') (await import('tsx/esm/api')).register()
  const data: ImportsData = {
    doors: {
      troupe: new URL(`../index${OWN_EXTENSION}`, import.meta.url).href,
      'troupe/verbs': new URL(`../verbs${OWN_EXTENSION}`, import.meta.url).href,
    },
    parent: import.meta.url,
  }
  register(new URL(`./troupe-imports${OWN_EXTENSION}`, import.meta.url), { data })
}

/** @throws TroupeError `invalid-config` when nothing in it is an app or a machine */
function appsOf(module: Readonly<Record<string, unknown>>, path: string): App[] {
  const candidates = [module['default'], module['app'], module['apps']].filter(
    (one) => one !== undefined,
  )
  const found = (candidates.length > 0 ? candidates : Object.values(module)).flat()
  for (const one of candidates.length > 0 ? found : []) refuseUnknownPart(one, path)
  const wrong =
    candidates.length > 0 ? found.find((one) => !isApp(one) && !isMachine(one)) : undefined
  const apps = found.filter(isApp)
  const machines = found.filter(isMachine)
  if (wrong !== undefined || apps.length + machines.length === 0) {
    const names = Object.keys(module).join(', ') || 'nothing'
    throw refusal(
      path,
      `it exports no app. Wanted is \`export const app = defineApp({ name, machines })\`, a list \`apps\`, or machines made by defineMachine; it exports: ${names}`,
    )
  }
  const wrapped =
    machines.length > 0
      ? [defineApp({ name: appNameOf(path), machines: [...new Set(machines)] })]
      : []
  return [...new Set(apps), ...wrapped]
}

function isMachine(value: unknown): value is MachineDefinition {
  return (
    isRecord(value) &&
    isRecord(value['machine']) &&
    typeof value['version'] === 'number' &&
    isRecord(value['events'])
  )
}

function isApp(value: unknown): value is App {
  // A task has a name too.
  return (
    isRecord(value) &&
    typeof value['name'] === 'string' &&
    Object.keys(value).every((part) => Object.hasOwn(PARTS, part))
  )
}

/** What is meant to be an app, but for a typing error, is told so. */
function refuseUnknownPart(value: unknown, path: string): void {
  if (!isRecord(value) || isMachine(value) || typeof value['name'] !== 'string') return
  const known = Object.keys(PARTS)
  const unknown = Object.keys(value).find((part) => !known.includes(part))
  const near = unknown === undefined ? undefined : nearest(unknown, known)
  if (near === undefined) return
  throw refusal(path, `the app "${value['name']}" has "${unknown}"; did you mean "${near}"?`)
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

/** Machines without an app get one that is named after their file. */
function appNameOf(path: string): string {
  const name = basename(path, extname(path)).replace(/[^A-Za-z0-9_-]/g, '-')
  return /^[A-Za-z]/.test(name) ? name.slice(0, 64) : `app-${name}`.slice(0, 64)
}

function refusal(path: string, why: string, cause?: unknown): TroupeError {
  return new TroupeError('invalid-config', `${path}: ${why}`, { cause })
}
