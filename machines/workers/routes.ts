/**
 * What the verbs of the command line call. Decides: the paths and what they answer. The platform's roles
 * guard them; making keys is for administrators.
 */
import { type AppRequest, type AppRoute, TroupeError } from '../../src/index.ts'
import type { Groups } from './groups.ts'
import type { Duty, Workers } from './workers.ts'

const QUEUES_MAX = 100

export function operatorRoutes(groups: Groups, workers: Workers): AppRoute[] {
  const duty = (verb: string, wanted: Duty): AppRoute => ({
    method: 'POST',
    path: `/workers/:name/${verb}`,
    handle: async (request) => ({
      body: await workers.set(nameOf(request), wanted, request.author),
    }),
  })
  return [
    {
      method: 'GET',
      path: '/workers',
      handle: async () => ({ body: { workers: await workers.list() } }),
    },
    {
      method: 'GET',
      path: '/workers/:name',
      handle: async (request) => ({ body: await workers.view(nameOf(request)) }),
    },
    duty('online', 'online'),
    duty('offline', 'offline'),
    duty('drain', 'draining'),
    {
      method: 'GET',
      path: '/workers/groups',
      handle: async () => ({ body: { groups: await groups.list() } }),
    },
    {
      method: 'POST',
      path: '/workers/groups',
      role: 'admin',
      handle: async ({ body, author }) => {
        const { group, queues } = readGroup(body)
        return { status: 201, body: await groups.create(group, queues, author) }
      },
    },
    {
      method: 'POST',
      path: '/workers/groups/:group/rotate',
      role: 'admin',
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
