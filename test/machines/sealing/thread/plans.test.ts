/**
 * Every plan, in the engine: each of its states is reached, and each of its events happens in each state
 * that has it, by the shortest way there; crashes come between.
 */
import { describe, expect, it } from 'vitest'
import {
  applyEvent,
  isEnd,
  missingInputs,
  PLANS,
  type PlanName,
  planOf,
  type SectorState,
  statesOf,
} from '../../../../machines/sealing/plans/index.ts'
import { FULL, Scene } from './rig.ts'

/** Of the steps that are cut off. */
const CRASH_EVERY = 4

interface Way {
  events: string[]
  to: SectorState
}

/** The shortest way to every state, and from there every event; ways that others go on with are left out. */
function waysOf(plan: PlanName): Way[] {
  const shortest = new Map<SectorState, string[]>([['Empty', []]])
  const ways: Way[] = []
  for (const [state, events] of shortest) {
    for (const [event, to] of Object.entries(planOf(plan).states[state]?.on ?? {})) {
      const way = { events: [...events, event], to }
      ways.push(way)
      if (!shortest.has(to)) shortest.set(to, way.events)
    }
  }
  const texts = ways.map(({ events }) => events.join(' '))
  return ways.filter(
    (_, at) => !texts.some((text, other) => other !== at && text.startsWith(`${texts[at]} `)),
  )
}

const JOB = { job: { id: 'j1', input: {} }, jobOutput: { inline: 1 } }

describe.each(PLANS)('%s', (plan) => {
  const ways = waysOf(plan)

  it('has ways to every state but Aborted, which no event leads to', () => {
    const seen = new Set(['Empty'])
    for (const { events } of ways) {
      let state: SectorState = 'Empty'
      for (const event of events) {
        state = applyEvent(plan, state, event)!
        seen.add(state)
      }
    }
    expect(statesOf(plan).filter((state) => !seen.has(state))).toEqual(
      statesOf(plan).filter((state) => state === 'Aborted'),
    )
  })

  it.each(ways.map((way) => [way.events.join(' '), way] as const))('%s', async (_name, way) => {
    const s = await Scene.of({ plan })
    let state: SectorState = 'Empty'
    for (const [n, event] of way.events.entries()) {
      const input = await s.begin()
      expect([input.plan, input.state]).toEqual([plan, state])
      expect(missingInputs(plan, state, input.record)).toEqual([])
      if (n % CRASH_EVERY === 0) s.crash()
      const record = plan === 'wdpost' ? JOB : FULL
      // The step that uses a ticket brings it.
      await s.done(event, state === 'Empty' || event === 'PC1' ? record : {})
      const next: SectorState = applyEvent(plan, state, event)!
      expect((await s.context()).reported).toEqual({ prev: state, next, event })
      state = next
    }
    expect(state).toBe(way.to)
    const view = await s.view()
    expect(view).toMatchObject({ plan, state, condition: 'waiting', retries: 0, lastError: null })
    const { history } = await s.context()
    expect(history.map(({ event }) => event)).toEqual(way.events)
    if (isEnd(state)) await ended(s)
  })
})

async function ended(s: Scene): Promise<void> {
  await s.step('Ended')
  s.crash()
  await s.record()
  expect(await s.view()).toMatchObject({ state: 'Empty', condition: 'idle', sector: null })
}
