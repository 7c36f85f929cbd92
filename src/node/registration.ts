/**
 * What the apps of a node bring along, put together. Decides: that names are unique across apps, and
 * that each section of the configuration belongs to an app and fits its schema.
 */
import { type AnyTask, type HostedMachine, hostMachine } from '../machine/index.ts'
import {
  type AddressText,
  formatAddress,
  isMachineName,
  type Limits,
  nearest,
  TroupeError,
} from '../protocol/index.ts'
import type { App } from './app.ts'

export interface Registered {
  machines: ReadonlyMap<string, HostedMachine>
  tasks: ReadonlyMap<string, AnyTask>
  /** Queues that the node's own worker serves unless it is told otherwise. */
  queues: readonly string[]
  singletons: ReadonlySet<AddressText>
}

/** @throws TroupeError `not-hosted` naming machine and place, `invalid-config` on a clash of names */
export function register(apps: readonly App[], limits: Limits): Registered {
  const machines = new Map<string, HostedMachine>()
  const tasks = new Map<string, AnyTask>()
  const names = new Set<string>()
  for (const app of apps) {
    if (!isMachineName(app.name) || names.has(app.name)) {
      throw new TroupeError(
        'invalid-config',
        `app "${app.name}": a name of letters, digits, "_" or "-" that no other app has`,
      )
    }
    names.add(app.name)
    for (const definition of app.machines ?? []) {
      if (machines.has(definition.name)) {
        throw new TroupeError(
          'not-hosted',
          `two machines are named ${definition.name}; the second comes with app ${app.name}`,
        )
      }
      const hosted = hostMachine(definition, limits)
      machines.set(definition.name, hosted)
      for (const task of hosted.tasks.values()) addTask(tasks, task, app)
    }
    for (const task of app.tasks ?? []) addTask(tasks, task, app)
  }
  const singletons = singletonsOf(apps, machines, limits)
  return { machines, tasks, queues: queuesOf(tasks), singletons }
}

function addTask(tasks: Map<string, AnyTask>, task: AnyTask, app: App): void {
  const known = tasks.get(task.name)
  if (known && known !== task) {
    throw new TroupeError(
      'not-hosted',
      `two tasks are named ${task.name}; the second comes with app ${app.name}`,
    )
  }
  tasks.set(task.name, task)
}

function singletonsOf(
  apps: readonly App[],
  machines: ReadonlyMap<string, HostedMachine>,
  limits: Limits,
): Set<AddressText> {
  const singletons = new Set<AddressText>()
  for (const app of apps) {
    for (const { machine, id } of app.singletons ?? []) {
      if (!machines.has(machine)) {
        throw new TroupeError(
          'invalid-config',
          `app ${app.name} wants a singleton ${machine}/${id}, but no machine "${machine}" is registered`,
        )
      }
      singletons.add(formatAddress(machine, id, [], limits))
    }
  }
  return singletons
}

function queuesOf(tasks: ReadonlyMap<string, AnyTask>): string[] {
  const queues = new Set<string>(['default'])
  for (const task of tasks.values()) {
    for (const queue of task.queues ?? []) queues.add(queue)
    if (typeof task.queue === 'string') queues.add(task.queue)
  }
  return [...queues].sort()
}

/** The section of each app, checked, in their order. @throws TroupeError `invalid-config` */
export function sectionsOf(
  apps: readonly App[],
  config: Readonly<Record<string, unknown>>,
): unknown[] {
  const names = apps.map((app) => app.name)
  const unknown = Object.keys(config).find((name) => !names.includes(name))
  if (unknown !== undefined) {
    const near = nearest(unknown, names)
    const hint = near === undefined ? '' : `; did you mean "${near}"?`
    throw new TroupeError(
      'invalid-config',
      `apps.${unknown}: there is no app "${unknown}"${hint} (there are: ${names.join(', ') || 'none'})`,
    )
  }
  return apps.map((app) => sectionOf(app, config))
}

/** An app without a schema takes no section. */
function sectionOf(app: App, config: Readonly<Record<string, unknown>>): unknown {
  const given = config[app.name]
  if (!app.config) {
    if (given !== undefined)
      throw new TroupeError('invalid-config', `apps.${app.name}: this app takes no configuration`)
    return undefined
  }
  const parsed = app.config.safeParse(given ?? {})
  if (parsed.success) return parsed.data
  const { issues } = parsed.error
  const mistakes = issues.map((issue) => {
    // Of a key that is not known the path ends above it.
    const keys = issue.code === 'unrecognized_keys' ? issue.keys.slice(0, 1) : []
    const path = ['apps', app.name, ...issue.path, ...keys].map(String).join('.')
    return `${path}: ${issue.message}`
  })
  throw new TroupeError('invalid-config', mistakes.join('\n'), { detail: issues })
}
