/** What tests of worlds of moves expect, and what they ask of a list of events. */
import { expect } from 'vitest'
import { account } from '../account.ts'
import { finalMirror } from '../mirror.ts'
import type { SeedResult } from '../run.ts'
import { type Trap, whyOf } from './traps.ts'

/** Fails when a promise is broken. */
export function expectSettled(result: SeedResult): void {
  expect(result.violations.length === 0 ? undefined : account(result)).toBeUndefined()
  const kinds = new Set(result.events.map(({ kind }) => kind))
  expect(kinds.has('chunks-left'), `seed ${result.seed} tells no end`).toBe(true)
}

export function expectSprung({ events }: SeedResult, trap: Trap): void {
  const deaths = events.filter((event) => event.kind === 'node-down')
  expect(deaths.map(({ why }) => why)).toContain(whyOf(trap))
}

/** Before all nodes were started anew for the end: that heals what hangs. */
export function expectEndedByItself({ events }: Pick<SeedResult, 'events'>): void {
  const calm = events.findIndex(({ kind }) => kind === 'faults-over')
  const end = events.findIndex(
    (event) =>
      event.kind === 'slot' &&
      event.fact.kind === 'batch' &&
      event.fact.actors.some(
        ({ address, status }) => address.startsWith('migrate-task/') && status === 'done',
      ),
  )
  expect(end, 'no move has ended').toBeGreaterThan(0)
  expect(end, 'it had not ended when the troubles did').toBeLessThan(calm)
}

/** Of all moves. */
export function endsOf({ events }: Pick<SeedResult, 'events'>): string[] {
  const all = [...finalMirror(events).all()]
  return all.filter(({ address }) => address.startsWith('migrate-task/')).map(({ state }) => state)
}

export function textOf({ events }: Pick<SeedResult, 'events'>): string {
  const plain = (_key: string, value: unknown) =>
    typeof value === 'bigint' ? String(value) : value
  return events.map((event) => JSON.stringify(event, plain)).join('\n')
}
