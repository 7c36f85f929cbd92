/** Another version of the machine, with threads in every state and in every phase of their work. */
import { describe, expect, it } from 'vitest'
import { type AnyStateMachine, createMachine } from 'xstate'
import { pool } from '../../../../machines/platform/pool.ts'
import {
  applyEvent,
  isEnd,
  PLANS,
  type PlanName,
  planOf,
  type SectorState,
  statesOf,
} from '../../../../machines/sealing/plans/index.ts'
import { sealingThread, type ThreadContext } from '../../../../machines/sealing/thread/index.ts'
import type { MachineDefinition } from '../../../../src/machine/index.ts'
import { get, open, restart, start, worker } from '../../../shard/support.ts'
import { FULL, inputOf, MACHINES, POOL, Scene } from './rig.ts'

interface Config {
  states: Record<string, Config>
  on?: Record<string, unknown>
  always?: unknown
}

/** The next version: a chart that was changed by hand, and a context with one more field. */
function nextVersion(
  change: (chart: Config) => void,
  migrate: MachineDefinition['migrations'][number] | undefined,
): MachineDefinition {
  const { machine } = sealingThread as MachineDefinition
  const chart = copied(machine.config as unknown as Config)
  change(chart)
  return {
    ...(sealingThread as MachineDefinition),
    version: 2,
    machine: createMachine(chart as never, machine.implementations as never) as AnyStateMachine,
    migrations: migrate === undefined ? {} : { 1: migrate },
  }
}

function copied(config: Config): Config {
  const states = Object.entries(config.states ?? {}).map(([key, state]) => [key, copied(state)])
  const copy = { ...config, on: { ...config.on } }
  return config.states ? { ...copy, states: Object.fromEntries(states) } : copy
}

const two = nextVersion(
  (chart) => {
    chart.states['work']!.states['resting'] = { states: {} }
  },
  ({ value, context }) => ({ value, context: { ...(context as object), isNew: true } }),
)
const NEXT = [two, pool]

const FIRST: Record<PlanName, string> = {
  sealer: 'Allocate',
  snapup: 'AllocatedSnapUpSector',
  rebuild: 'AllocatedRebuildSector',
  unseal: 'AllocatedUnsealSector',
  wdpost: 'Allocated',
}
const RECORD = { ...FULL, job: { id: 'j', input: {} }, jobOutput: { inline: 1 } }

async function standing(h: Scene['h'], plan: PlanName, state: SectorState): Promise<Scene> {
  const s = new Scene(h, `sealing-thread/${plan}.${state}`)
  await start(h, s.address, inputOf({ plan, thread: `${plan}.${state}` }))
  if (state === 'Empty') return s
  await s.step(FIRST[plan], RECORD)
  if (state === 'Allocated') return s
  await s.ask('PAUSE')
  await s.ask('RESUME', { state, force: true })
  return s
}

describe.each(PLANS)('%s', (plan) => {
  it('steps that run in every state go on, and their results count', async () => {
    const h = open(MACHINES, { shardCount: 1 })
    const threads = new Map<SectorState, Scene>()
    for (const state of statesOf(plan)) {
      const s = await standing(h, plan, state)
      await s.begin()
      threads.set(state, s)
    }
    const after = restart(h, NEXT)
    for (const [state, s] of threads) {
      s.h = after
      const [event] = Object.keys(planOf(plan).states[state]!.on)
      await s.done(event ?? 'Ended', state === 'Empty' ? RECORD : {})
      const view = await get(after, s.address)
      const context = view.context as ThreadContext & { isNew: boolean }
      expect([view.version, view.parked, context.isNew]).toEqual([2, undefined, true])
      const next = isEnd(state) ? state : applyEvent(plan, state, event!)
      expect([context.state, context.phase]).toEqual([next, isEnd(state) ? 'archive' : 'queued'])
    }
  })
})

/** The step has begun before. */
async function after(s: Scene, then: () => Promise<unknown>): Promise<void> {
  await s.begin()
  await then()
}

it('so do threads in every other phase', async () => {
  const h = open(MACHINES, { shardCount: 1 })
  await start(h, POOL, { slots: 9, limits: { pc1: 1 }, choices: { pc1: [['pc1']] } })
  await h.run(h.client.send(POOL, { type: 'ACQUIRE', holder: 'x', anyOf: [['pc1']] }))
  const placing = { pool: POOL, gates: ['pc1'] }
  const of = async (name: string, prepare: (s: Scene) => Promise<unknown>) => {
    const s = new Scene(h, `sealing-thread/${name}`)
    await start(h, s.address, inputOf({ thread: name, ...placing }))
    await s.step('Allocate', FULL)
    await prepare(s)
    return s
  }
  const threads = {
    rest: await of('rest', (s) => after(s, () => s.rest('chain', 60_000))),
    retry: await of('retry', (s) => after(s, () => s.fail('temporary'))),
    parked: await of('parked', (s) => after(s, () => s.fail('permanent'))),
    paused: await of('paused', (s) => s.ask('PAUSE')),
    running: await of('pausing', (s) => after(s, () => s.ask('PAUSE'))),
    gate: await of('gate', async (s) => {
      await s.ask('PAUSE')
      await s.ask('RESUME', { state: 'TicketAssigned' })
      await s.h.advance(100)
    }),
    archive: await of('archive', async (s) => {
      await s.ask('ABORT', { by: 'ann', reason: 'x' })
      await s.step('Ended')
    }),
    drained: await of('drained', async (s) => {
      await s.ask('DRAIN')
      await s.ask('ABORT', { by: 'ann', reason: 'x' })
      await s.step('Ended')
      await s.record()
    }),
  }
  const upgraded = restart(h, NEXT)
  for (const [phase, s] of Object.entries(threads)) {
    s.h = upgraded
    expect(await s.context(), phase).toMatchObject({ phase, isNew: true })
  }
  const { rest, retry, parked, paused, running, gate, archive, drained } = threads
  await running.done('AcquireDeals')
  expect(await running.view()).toMatchObject({ state: 'DealsAcquired', condition: 'paused' })
  await archive.record()
  expect((await archive.view()).totals.aborted).toBe(1)
  for (const s of [parked, paused]) expect(await s.ask('RESUME')).toMatchObject({ ok: true })
  expect(await drained.ask('UNDRAIN')).toMatchObject({ ok: true })
  await upgraded.run(upgraded.client.send(POOL, { type: 'RELEASE', holder: 'x' }))
  await upgraded.advance(120_000)
  expect((await gate.begin()).granted).toEqual(['pc1'])
  for (const s of [rest, retry, parked, paused, drained]) expect(await s.task()).toBeDefined()
})

it('a state that the next version does not know parks the thread; nothing is given up or lost', async () => {
  const without = nextVersion(
    (chart) => {
      const unseal = chart.states['plan']!.states['unseal']!
      delete unseal.states['Unsealed']
      delete unseal.on!['SetState.Unsealed']
      unseal.states['Allocated']!.on = {}
    },
    (state) => state,
  )
  const s = await standing(open(MACHINES, { shardCount: 1 }), 'unseal', 'Unsealed')
  const { taskId } = (await s.task())!
  s.h = restart(s.h, [without, pool])
  const view = await get(s.h, s.address)
  expect(view.parked?.error.message).toContain('has no state "plan.unseal.Unsealed')
  const shown = { state: 'Unsealed', condition: 'parked', errors: true, sector: 's-t010000-2' }
  expect(await s.view()).toMatchObject(shown)
  await s.h.advance(3_600_000)
  await expect(s.h.run(worker(s.h).start(taskId))).rejects.toThrow()
  // Whoever knows the state goes on with it.
  s.h = restart(s.h, [
    { ...two, version: 3, migrations: { 1: (state) => state, 2: (state) => state } },
    pool,
  ])
  expect(await s.view()).toMatchObject({ condition: 'waiting', lastError: null })
  const input = await s.begin()
  expect([input.state, input.record]).toEqual(['Unsealed', RECORD])
})
