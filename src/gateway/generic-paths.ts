/**
 * The lists of the API, and what is read like one: where each stands, what its query may say and who answers. Decides: nothing
 * else; the routes and `openapi.json` are both made of it.
 */
import type { z } from 'zod'
import type { TroupeNode } from '../node/index.ts'
import { clusterReport, showCluster } from './cluster-routes.ts'
import type { Exchange } from './exchange.ts'
import {
  AUDIT_QUERY,
  countActors,
  DEAD_LETTER_QUERY,
  FILTER_QUERY,
  LIST_QUERY,
  listActors,
  listAudit,
  listDeadLetters,
  listShards,
} from './list-routes.ts'
import { listMachines } from './machine-routes.ts'
import {
  actorPage,
  auditView,
  countView,
  deadLetterView,
  machineRow,
  rowsOf,
  shardStatus,
} from './view-schemas.ts'

export const ROOT = '/troupe/v1'

interface List {
  path: string
  summary: string
  query: z.ZodRawShape
  answer: z.ZodType
  ask: (node: TroupeNode, exchange: Exchange) => unknown
}

export const LISTS: readonly List[] = [
  {
    path: '/actors',
    summary: 'Actors that a filter finds, page by page; also where.<field>=<value>',
    query: LIST_QUERY,
    answer: actorPage,
    ask: listActors,
  },
  {
    path: '/count',
    summary: 'How many actors stand where; also where.<field>=<value>',
    query: FILTER_QUERY,
    answer: countView,
    ask: countActors,
  },
  {
    path: '/machines',
    summary: 'The machines of this node',
    query: {},
    answer: rowsOf(machineRow),
    ask: listMachines,
  },
  {
    path: '/audit',
    summary: 'What operators did, the newest first',
    query: AUDIT_QUERY,
    answer: rowsOf(auditView),
    ask: listAudit,
  },
  {
    path: '/dead-letters',
    summary: 'Messages that nobody could take',
    query: DEAD_LETTER_QUERY,
    answer: rowsOf(deadLetterView),
    ask: listDeadLetters,
  },
  {
    path: '/shards',
    summary: 'Whether each shard makes progress',
    query: {},
    answer: rowsOf(shardStatus),
    ask: listShards,
  },
  {
    path: '/cluster',
    summary: 'Who leads, who is there and who has which shard, as this node knows it',
    query: {},
    answer: clusterReport,
    ask: showCluster,
  },
]
