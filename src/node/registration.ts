/**
 * What the apps of a node bring along, put together. Decides: that names are unique across apps.
 */
import { type AnyTask, type HostedMachine, hostMachine } from '../machine/index.ts'
import {
  type AddressText,
  formatAddress,
  isMachineName,
  type Limits,
  TroupeError,
} from '../protocol/index.ts'
import type { App } from './app.ts'

const DEFAULT_QUEUE = 'default'

export interface Registered {
  machines: ReadonlyMap<string, HostedMachine>
  /** Those of workers, wherever they are. */
  tasks: ReadonlyMap<string, AnyTask>
  /** Queues that the node's own worker serves unless it is told otherwise. */
  queues: readonly string[]
  /** What a node runs itself (`runsOn`), and the queues of that. */
  nodeTasks: ReadonlyMap<string, AnyTask>
  nodeQueues: readonly string[]
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
  return { machines, ...divide(tasks), singletons }
}

/** By who runs them. @throws TroupeError `not-hosted` when both would take from one queue */
function divide(
  all: ReadonlyMap<string, AnyTask>,
): Pick<Registered, 'tasks' | 'queues' | 'nodeTasks' | 'nodeQueues'> {
  const isNodes = ([, task]: [string, AnyTask]) => task.runsOn === 'node'
  const tasks = new Map([...all].filter((entry) => !isNodes(entry)))
  const nodeTasks = new Map([...all].filter(isNodes))
  const queues = queuesOf(tasks, [DEFAULT_QUEUE])
  const nodeQueues = queuesOf(nodeTasks)
  const unnamed = [...nodeTasks.values()].find((task) => queuesOfTask(task).length === 0)
  if (unnamed !== undefined) {
    const why = `task ${unnamed.name} runs on nodes: name its queue, which is its own`
    throw new TroupeError('not-hosted', why)
  }
  const shared = nodeQueues.find((queue) => queues.includes(queue))
  if (shared === undefined) return { tasks, queues, nodeTasks, nodeQueues }
  const why = `the queue ${shared} has tasks of workers and tasks that run on nodes: give them two queues`
  throw new TroupeError('not-hosted', why)
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

function queuesOf(tasks: ReadonlyMap<string, AnyTask>, beside: readonly string[] = []): string[] {
  return [...new Set([...beside, ...[...tasks.values()].flatMap(queuesOfTask)])].sort()
}

function queuesOfTask({ queue, queues = [] }: AnyTask): readonly string[] {
  return typeof queue === 'string' ? [...queues, queue] : queues
}
