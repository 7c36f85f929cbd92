/** `troupe audit` and `troupe actors audit`: what operators did is looked for in both places. */
import type { Command } from 'commander'
import type { AuditView } from '../protocol/index.ts'
import { verbClock } from './clock.ts'
import type { AddVerb } from './verbs.ts'

export function addAudit(parent: Command, name: string, add: AddVerb): void {
  add(parent, 'audit [actor]', 'what operators did, the newest first', {
    options: [
      ['--limit <n>', 'at most so many (100)'],
      ['--before <ms>', 'before a time in unix ms'],
    ],
    examples: [name, `${name} order/7 --limit 5`],
    run: async (session, [actor], { limit, before }) => {
      const query = { actor, limit: text(limit), before: text(before) }
      const audit = await session.ask<{ rows: AuditView[] }>({
        method: 'GET',
        path: '/troupe/v1/audit',
        query,
      })
      const { auditTable } = await import('./actor-text.ts')
      session.answer(audit, () => auditTable(audit.rows, session, verbClock.now()))
    },
  })
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}
