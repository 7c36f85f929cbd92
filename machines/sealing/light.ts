/** The family `sealing` in parts that are loaded when they are needed. */
import type { App, LazyApp } from '../../src/verbs.ts'
import { verbGroups } from './verb-groups.ts'

/** @param beside as of `sealingWith` */
export function lazySealingWith(beside: () => Promise<readonly App[]>): LazyApp {
  const load = async () => (await import('./index.ts')).sealingWith(await beside())
  return {
    name: 'sealing',
    verbGroups,
    verbs: {
      sealing: async () =>
        (await import('./verbs.ts')).sealingVerbs(async () => [...(await beside()), await load()]),
      'util worker': async () => (await import('./fleet/util-verbs.ts')).utilVerbs,
      'util wdpost': async () => (await import('./wdpost/verbs.ts')).wdpostVerbs,
    },
    load,
  }
}
