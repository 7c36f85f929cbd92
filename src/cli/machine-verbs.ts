/**
 * `troupe machines …`: what is registered, and where an actor stands in its chart.
 */
import type { Command } from 'commander'
import { lastName } from '../protocol/light.ts'
import { addRollOutVerb } from './roll-out-verb.ts'
import { table } from './text.ts'
import type { AddVerb, LoadApps } from './verbs.ts'

interface MachineRow {
  name: string
  version: number
  states: number
  events: string[]
  app: string | null
}

interface MachinePage {
  name: string
  version: number
  states: string[]
  events: { type: string }[]
  tasks: string[]
  current?: string[]
  mermaid: string
}

export function addMachineVerbs(machines: Command, add: AddVerb, apps: LoadApps): void {
  add(machines, 'list', 'all of them', {
    examples: ['troupe machines list'],
    run: async (session) => {
      const path = '/troupe/v1/machines'
      const page = await session.ask<{ rows: MachineRow[] }>({ method: 'GET', path })
      session.answer(page, ({ rows }) => {
        const cells = rows.map((row) => [
          row.name,
          String(row.version),
          String(row.states),
          row.app ?? '',
          row.events.join(' '),
        ])
        return table(['MACHINE', 'VERSION', 'STATES', 'APP', 'EVENTS'], cells, session)
      })
    },
  })
  add(machines, 'show <name>', 'its chart as a Mermaid diagram; with an actor, its state marked', {
    options: [['--actor <id>', 'mark where this actor stands: its id or address']],
    examples: ['troupe machines show order', 'troupe machines show order --actor 7 > order.mmd'],
    run: async (session, [name = ''], { actor }) => {
      const given = typeof actor === 'string' ? actor : undefined
      const id = given?.startsWith(`${name}/`) ? lastName(given) : given
      const path = `/troupe/v1/machines/${encodeURIComponent(name)}`
      const query = { actor: id }
      const shown = await session.ask<MachinePage>({ method: 'GET', path, query })
      session.answer(shown, (page) => [
        `%% ${page.name} v${page.version}${page.current ? `; ${given} is in ${page.current.join(', ')}` : ''}`,
        `%% events: ${page.events.map((event) => event.type).join(' ')}`,
        ...page.mermaid.trimEnd().split('\n'),
      ])
    },
  })
  addRollOutVerb(machines, add, apps)
}
