/**
 * The family `platform`: machines that other families and users build on. README.md says what it
 * offers; here it is put together.
 */
import { defineApp } from '../../src/index.ts'
import { pool } from './pool.ts'
import { poolRoutes } from './pool-routes.ts'
import { poolVerbs } from './pool-verbs.ts'
import { Pools } from './pools.ts'

export const platform = defineApp({
  name: 'platform',
  machines: [pool],
  routes: ({ client }) => poolRoutes(new Pools(client)),
  verbs: poolVerbs,
})
