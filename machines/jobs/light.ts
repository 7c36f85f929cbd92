/** The family `jobs` in parts that are loaded when they are needed. */
import type { LazyApp } from '../../src/verbs.ts'

const verbs = async () => (await import('./verbs.ts')).verbs

export const lazyJobs: LazyApp = {
  name: 'jobs',
  verbGroups: {
    jobs: 'submit jobs, look at them, end them',
    apps: 'programs that submit jobs, and their keys',
  },
  verbs: { jobs: verbs, apps: verbs },
  load: async () => (await import('./index.ts')).jobs,
}
