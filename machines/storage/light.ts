/** The family `storage` in parts that are loaded when they are needed. */
import type { LazyApp } from '../../src/verbs.ts'
import { verbGroups } from './verb-groups.ts'

export const lazyStorage: LazyApp = {
  name: 'storage',
  verbGroups,
  verbs: { storage: async () => (await import('./verbs.ts')).storageVerbs },
  load: async () => (await import('./index.ts')).storage,
}
