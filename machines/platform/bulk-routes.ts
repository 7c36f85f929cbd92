/** What the verbs `troupe actors bulk` call. Decides: the paths, what they take and what they answer. */
import { z } from 'zod'
import type { AppRequest, AppRoute } from '../../src/index.ts'
import { type Bulks, bulkRequest, bulkSummary } from './bulks.ts'

export function bulkRoutes(bulks: Bulks): AppRoute[] {
  return [
    {
      method: 'POST',
      path: '/bulk',
      summary: 'pause, resume, retry, cancel or send to every actor of a filter',
      schemas: { body: bulkRequest },
      handle: async ({ body, author }) => {
        const { id, dryRun, ...input } = body as z.infer<typeof bulkRequest>
        if (dryRun) return { body: await bulks.preview(input) }
        return { status: 201, body: await bulks.begin(input, id, author) }
      },
    },
    {
      method: 'GET',
      path: '/bulk',
      summary: 'all bulks, the newest first',
      schemas: { answer: z.object({ bulks: z.array(bulkSummary) }) },
      handle: async () => ({ body: { bulks: await bulks.list() } }),
    },
    {
      method: 'GET',
      path: '/bulk/:id',
      summary: 'how far a bulk is; once it has ended, its receipt',
      handle: async (request) => ({ body: await bulks.view(nameOf(request)) }),
    },
    {
      method: 'POST',
      path: '/bulk/:id/stop',
      summary: 'stop it behind the page under way',
      handle: async (request) => ({ body: await bulks.stop(nameOf(request), request.author) }),
    },
  ]
}

function nameOf({ params }: AppRequest): string {
  return params['id'] ?? ''
}
