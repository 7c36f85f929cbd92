/**
 * What the configuration of apps means for a worker, be it a node's own or one in a process of its own.
 * Decides: that each task sees the section of the app that brought it, and that apps may add queues.
 */
import type { App } from './app.ts'
import type { Registered } from './registration.ts'

interface Configured {
  apps: readonly App[]
  /** In the order of the apps. */
  sections: readonly unknown[]
}

/** The queues of a worker, with those that its apps add by what is configured here. */
export function queuesWithMore(
  queues: readonly string[],
  { apps, sections }: Configured,
): readonly string[] {
  const more = apps.flatMap((app, index) => app.workerQueues?.(sections[index], queues) ?? [])
  return [...new Set([...queues, ...more])]
}

/** By the name of a task. */
export function configsOfTasks(
  { apps, sections }: Configured,
  machines: Registered['machines'],
): (task: string) => unknown {
  const configs = new Map<string, unknown>()
  for (const [index, { machines: defined = [], tasks = [] }] of apps.entries()) {
    const invoked = defined.flatMap(({ name }) => [...(machines.get(name)?.tasks.values() ?? [])])
    for (const { name } of [...invoked, ...tasks]) {
      // One that two apps bring is the first one's.
      if (!configs.has(name)) configs.set(name, sections[index])
    }
  }
  return (task) => configs.get(task)
}
