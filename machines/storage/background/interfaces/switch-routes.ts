/**
 * The switches over HTTP: `/config/get` and `/config/set` as administrators of the old store have them, and
 * paths of our own for the verb. Decides: the words. Leaves to others: what a switch does (`switches`).
 */
import { z } from 'zod'
import type { AppRoute } from '../../../../src/index.ts'
import { refusal, storageAnswer } from '../../plane/codes/index.ts'
import { refusing } from '../../plane/disks/index.ts'
import { SWITCH_NAMES, type Switches, type SwitchName } from '../../switches/index.ts'
import { bodyOf, DONE, done, numbered, SeedRefusal } from './seed-forms.ts'

const setting = z.object({
  key: z.string(),
  /** The old tools write it as a text. */
  value: z.union([z.boolean(), z.enum(['true', 'false'])]),
})
const ours = z.object({ on: z.boolean() })
const switchesAnswer = z.object({ switches: z.record(z.enum(SWITCH_NAMES), z.boolean()) })

export function switchRoutes({ switches }: { switches: Switches }): AppRoute[] {
  return [
    numbered({
      method: 'GET',
      path: '/config/get',
      summary: 'whether a background task is switched on, as the old cluster manager says it',
      schemas: {
        query: z.object({ key: z.string().optional() }),
        answer: z.enum(['true', 'false']),
      },
      handle: async ({ query }) => {
        const key = query.get('key') ?? ''
        const name = nameOf(key)
        if (name === undefined) throw new SeedRefusal(404, 'NotFound', whyNot(key))
        const values = await switches.all()
        return storageAnswer(String(values[name]))
      },
    }),
    numbered({
      method: 'POST',
      path: '/config/set',
      summary: 'switch a background task on or off, as tools of the old cluster manager do',
      schemas: { answer: done },
      handle: async ({ body, author }) => {
        const { key, value } = bodyOf(setting, body)
        const name = nameOf(key)
        if (name === undefined) throw refusal(921, whyNot(key))
        await switches.set(name, String(value) === 'true', author)
        return DONE
      },
    }),
    {
      method: 'GET',
      path: '/storage/switches',
      summary: 'which background tasks are switched on',
      schemas: { answer: switchesAnswer },
      handle: refusing(async () => storageAnswer({ switches: await switches.all() })),
    },
    {
      method: 'POST',
      path: '/storage/switches/:name',
      summary: 'switch a background task on or off',
      schemas: { body: ours, answer: switchesAnswer },
      handle: refusing(async ({ params, body, author }) => {
        const { on } = body as z.output<typeof ours>
        const name = nameOf(params['name'] ?? '')
        if (name === undefined) throw refusal(921, whyNot(params['name'] ?? ''))
        return storageAnswer({ switches: await switches.set(name, on, author) })
      }),
    },
  ]
}

function nameOf(key: string): SwitchName | undefined {
  return SWITCH_NAMES.find((one) => one === key)
}

function whyNot(key: string): string {
  return `"${key.slice(0, 32)}" is no switch; there are: ${SWITCH_NAMES.join(', ')}`
}
