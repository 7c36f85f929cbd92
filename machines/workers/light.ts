/** The family `workers` in parts that are loaded when they are needed. */
import type { LazyApp } from '../../src/verbs.ts'

export const lazyWorkers: LazyApp = {
  name: 'workers',
  verbGroups: {
    workers: 'who runs tasks, and whether they take new ones',
    'workers groups': 'groups of workers, and their keys',
  },
  verbs: { workers: async () => (await import('./verbs.ts')).verbs },
  load: async () => (await import('./index.ts')).workers,
}
