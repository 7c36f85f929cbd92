/**
 * What the verbs of the command line call. Decides: the paths and what they answer. The platform's roles
 * guard them; making keys is for administrators.
 */
import { type AppRequest, type AppRoute, TroupeError } from '../../src/index.ts'
import { groupKey, groupList, workerList, workerSummary } from './answers.ts'
import type { Groups } from './groups.ts'
import type { Duty, Workers } from './workers.ts'

const QUEUES_MAX = 100

export function operatorRoutes(groups: Groups, workers: Workers): AppRoute[] {
  const duty = (verb: string, wanted: Duty, summary: string): AppRoute => ({
    method: 'POST',
    path: `/workers/:name/${verb}`,
    summary,
    schemas: { answer: workerSummary },
    handle: async (request) => ({
      body: await workers.set(nameOf(request), wanted, request.author),
    }),
  })
  return [
    {
      method: 'GET',
      path: '/workers',
      summary: 'all workers',
      schemas: { answer: workerList },
      handle: async () => ({ body: { workers: await workers.list() } }),
    },
    {
      method: 'GET',
      path: '/workers/:name',
      summary: 'a worker',
      schemas: { answer: workerSummary },
      handle: async (request) => ({ body: await workers.view(nameOf(request)) }),
    },
    duty('online', 'online', 'let a worker take new tasks'),
    duty('offline', 'offline', 'let a worker take nothing new'),
    duty('drain', 'draining', 'let a worker finish what it runs, and take nothing new'),
    {
      method: 'GET',
      path: '/workers/groups',
      summary: 'the groups of workers',
      schemas: { answer: groupList },
      handle: async () => ({ body: { groups: await groups.list() } }),
    },
    {
      method: 'POST',
      path: '/workers/groups',
      role: 'admin',
      summary: 'make a group; the answer has its key',
      schemas: { answer: groupKey, status: 201 },
      handle: async ({ body, author }) => {
        const { group, queues } = readGroup(body)
        return { status: 201, body: await groups.create(group, queues, author) }
      },
    },
    {
      method: 'POST',
      path: '/workers/groups/:group/rotate',
      role: 'admin',
      summary: 'give a group another key',
      schemas: { answer: groupKey },
      handle: async ({ params, author }) => ({
        body: await groups.rotate(params['group'] ?? '', author),
      }),
    },
  ]
}

function nameOf({ params }: AppRequest): string {
  return params['name'] ?? ''
}

function readGroup(body: unknown): { group: string; queues: string[] } {
  const { group, queues = [] } = (body ?? {}) as { group?: unknown; queues?: unknown }
  if (typeof group !== 'string' || group === '') {
    throw new TroupeError('malformed', 'group is missing: the name of the new group, such as 2')
  }
  const isList = Array.isArray(queues) && queues.length <= QUEUES_MAX
  if (!isList || !queues.every((queue) => typeof queue === 'string' && /^\S{1,256}$/.test(queue))) {
    throw new TroupeError('malformed', 'queues is a list of names of queues, without spaces')
  }
  return { group, queues: queues as string[] }
}
