/**
 * The family `platform`: machines that other families and users build on. README.md says what it
 * offers; here it is put together.
 */
import { defineApp } from '../../src/index.ts'
import { bulk } from './bulk.ts'
import { bulkRoutes } from './bulk-routes.ts'
import { bulkVerbs } from './bulk-verbs.ts'
import { Bulks } from './bulks.ts'
import { lazyPlatform } from './light.ts'
import { pool } from './pool.ts'
import { poolRoutes } from './pool-routes.ts'
import { poolVerbs } from './pool-verbs.ts'
import { Pools } from './pools.ts'

export const platform = defineApp({
  name: 'platform',
  machines: [pool, bulk],
  routes: (context) => [
    ...poolRoutes(new Pools(context.client)),
    ...bulkRoutes(new Bulks(context)),
  ],
  verbs: [...poolVerbs, ...bulkVerbs],
  verbGroups: lazyPlatform.verbGroups,
})
