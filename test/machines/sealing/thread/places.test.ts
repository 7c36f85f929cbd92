/** Places of the worker's pool: asked for before the work of a stage, given back behind it. */
import { beforeEach, expect, it } from 'vitest'
import { shardOf } from '../../../../src/protocol/index.ts'
import { get, open, send, start } from '../../../shard/support.ts'
import { inputOf, MACHINES, POOL, Scene, THREAD } from './rig.ts'

const TO_PC1 = ['Allocate', 'AcquireDeals', 'AddPiece', 'BuildTreeD', 'AssignTicket'] as const
const ANY_OF = [
  ['stage.pc1', 'child.pc1.0'],
  ['stage.pc1', 'child.pc1.1'],
]
const GATES = { pc1: { pool: POOL, anyOf: ANY_OF } }
const LIMITS = { 'stage.pc1': 2, 'child.pc1.0': 1, 'child.pc1.1': 1 }

let s: Scene

async function poolNow(): Promise<{ holders: string[]; waiters: string[] }> {
  await s.h.advance(100)
  const { context } = await get(s.h, POOL)
  const { holders, waiters } = context as Record<'holders' | 'waiters', { holder: string }[]>
  const names = (list: { holder: string }[]) => list.map(({ holder }) => holder)
  return { holders: names(holders), waiters: names(waiters) }
}

const acquire = (holder: string) => send(s.h, POOL, 'ACQUIRE', { holder, anyOf: ANY_OF })
const condition = async () => {
  await s.h.advance(100)
  return (await s.view()).condition
}

beforeEach(async () => {
  s = await Scene.of({ gates: GATES })
})

async function atGate(): Promise<void> {
  await start(s.h, POOL, { slots: 100, limits: LIMITS })
  await s.through(...TO_PC1)
  await s.h.advance(100)
}

it('the place is asked for, names what was granted, and is given back behind the step', async () => {
  await atGate()
  expect(await poolNow()).toEqual({ holders: [THREAD], waiters: [] })
  expect(await s.view()).toMatchObject({ process: 'child.pc1.0' })
  expect((await s.begin()).granted).toEqual(['stage.pc1', 'child.pc1.0'])
  await s.done('PC1')
  expect(await poolNow()).toEqual({ holders: [], waiters: [] })
  expect((await s.begin()).granted).toEqual([])
})

it('where all places are taken it waits, and says for what', async () => {
  await start(s.h, POOL, { slots: 100, limits: LIMITS })
  await acquire('a')
  await acquire('b')
  await s.through(...TO_PC1)
  expect(await condition()).toBe('waiting')
  expect((await s.view()).why).toBe('waits for a place of pc1')
  expect(await s.task()).toBeUndefined()
  s.crash()
  await send(s.h, POOL, 'RELEASE', { holder: 'b' })
  await s.h.advance(100)
  expect((await s.begin()).granted).toEqual(['stage.pc1', 'child.pc1.1'])
})

it.each(['chain', 'store-space'])(
  'it is given back in a rest (%s) and asked for anew',
  async (reason) => {
    await atGate()
    await s.begin()
    await s.rest(reason, 10_000)
    expect((await poolNow()).holders).toEqual([])
    await s.h.advance(10_100)
    expect((await poolNow()).holders).toEqual([THREAD])
    expect((await s.begin()).granted).toHaveLength(2)
  },
)

it('so it is by an error, an abort, and by who parks', async () => {
  await atGate()
  await s.begin()
  await s.fail('permanent')
  expect((await poolNow()).holders).toEqual([])
  await s.ask('RESUME')
  expect((await poolNow()).holders).toEqual([THREAD])
  await s.begin()
  await s.ask('ABORT', { by: 'ann', reason: 'x' })
  expect((await poolNow()).holders).toEqual([])
})

it('who pauses while the grant is on its way leaves nothing behind', async () => {
  // On one shard the grant would be there before the pause is.
  s = new Scene(open(MACHINES, { shardCount: 8 }))
  expect(shardOf(THREAD, 8)).not.toBe(shardOf(POOL, 8))
  await start(s.h, THREAD, inputOf({ gates: GATES }))
  await start(s.h, POOL, { slots: 100, limits: LIMITS })
  await s.through(...TO_PC1.slice(0, -1))
  await s.begin()
  await s.ask('PAUSE')
  await s.done('AssignTicket')
  for (let n = 0; n < 5; n++) {
    // All in one go: nothing is delivered in between.
    const resumed = s.h.client.send(THREAD, { type: 'RESUME', by: 'ann' })
    const paused = s.h.client.send(THREAD, { type: 'PAUSE', by: 'ann' })
    await s.h.run(Promise.all([resumed, paused]))
    expect(await poolNow()).toEqual({ holders: [], waiters: [] })
  }
  expect(await condition()).toBe('paused')
})

it('a pool that is not there is asked again until it is; no try is used up', async () => {
  await s.through(...TO_PC1)
  expect(await condition()).toBe('resting')
  expect(await s.view()).toMatchObject({ retries: 0, why: expect.stringContaining(POOL) })
  await s.h.advance(60_000)
  await start(s.h, POOL, { slots: 100, limits: LIMITS })
  await s.h.advance(150_000)
  expect((await s.begin()).granted).toHaveLength(2)
})

it('a pool that refuses is asked again', async () => {
  await start(s.h, POOL, { slots: 100, limits: LIMITS, waitersMax: 0 })
  await acquire('a')
  await acquire('b')
  await s.through(...TO_PC1)
  expect(await condition()).toBe('resting')
  await send(s.h, POOL, 'RELEASE', { holder: 'a' })
  await s.h.advance(20_000)
  expect((await s.begin()).granted).toHaveLength(2)
})

it('who is sent away by an operator asks again; who works goes on', async () => {
  await start(s.h, POOL, { slots: 100, limits: LIMITS })
  await acquire('a')
  await acquire('b')
  await s.through(...TO_PC1)
  await s.h.advance(100)
  await send(s.h, POOL, 'EVICT', { holder: THREAD })
  expect(await condition()).toBe('resting')
  await send(s.h, POOL, 'RELEASE', { holder: 'a' })
  await s.h.advance(10_000)
  await s.begin()
  await send(s.h, POOL, 'EVICT', { holder: THREAD })
  expect(await condition()).toBe('running')
  await s.done('PC1')
  expect((await s.view()).state).toBe('PC1Done')
})

it('a pool that was made anew is asked by who waits, who keeps his turn in one that was not', async () => {
  await start(s.h, POOL, { slots: 100, limits: LIMITS })
  await acquire('a')
  await acquire('b')
  await s.through(...TO_PC1)
  await s.h.advance(100)
  await acquire('c')
  await s.h.advance(601_000)
  expect((await poolNow()).waiters).toEqual([THREAD, 'c'])
  await s.h.run(s.h.client.delete(POOL))
  await start(s.h, POOL, { slots: 100, limits: LIMITS })
  await s.h.advance(601_000)
  expect((await s.begin()).granted).toHaveLength(2)
})

it('an answer to an earlier request is none to this one', async () => {
  await start(s.h, POOL, { slots: 100, limits: LIMITS })
  await acquire('a')
  await acquire('b')
  await s.through(...TO_PC1)
  await s.h.advance(100)
  const stale = { pool: POOL, token: 99, names: ['stage.pc1'], ref: '0' }
  await send(s.h, THREAD, 'GRANTED', stale)
  await send(s.h, THREAD, 'REFUSED', { pool: POOL, code: 'full', message: 'x', ref: '0' })
  await send(s.h, THREAD, 'EXPIRED', { pool: POOL, reason: 'x', ref: '0' })
  expect((await poolNow()).waiters).toEqual([THREAD])
  expect(await s.task()).toBeUndefined()
})

it('other limits count at once for who waits; none at all let it go on', async () => {
  await start(s.h, POOL, { slots: 100, limits: LIMITS })
  await acquire('a')
  await acquire('b')
  await s.through(...TO_PC1)
  const gates = { pc1: { pool: POOL, anyOf: [['other']] } }
  await s.ask('CONFIGURE', { gates })
  await s.h.advance(100)
  expect((await s.begin()).granted).toEqual(['other'])
  await s.fail('permanent')
  await send(s.h, POOL, 'RESIZE', { limits: { other: 1 } })
  await send(s.h, POOL, 'ACQUIRE', { holder: 'x', anyOf: [['other']] })
  await s.ask('RESUME')
  expect((await poolNow()).waiters).toEqual([THREAD])
  await s.ask('CONFIGURE', { gates })
  expect((await poolNow()).waiters).toEqual([THREAD])
  await s.ask('CONFIGURE', { gates: {} })
  expect((await poolNow()).waiters).toEqual([])
  expect((await s.begin()).granted).toEqual([])
})
