/** The family `platform` in parts that are loaded when they are needed. */
import type { LazyApp } from '../../src/verbs.ts'

export const lazyPlatform: LazyApp = {
  name: 'platform',
  verbGroups: {
    pools: 'durable semaphores and locks',
    'actors bulk': 'one operation on every actor of a filter',
  },
  verbs: {
    pools: async () => (await import('./pool-verbs.ts')).poolVerbs,
    'actors bulk': async () => (await import('./bulk-verbs.ts')).bulkVerbs,
  },
  load: async () => (await import('./index.ts')).platform,
}
