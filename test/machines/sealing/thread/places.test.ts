/** Places of the worker's pool: asked for before the work of a stage, given back behind it. */
import { beforeEach, describe, expect, it } from 'vitest'
import { shardOf } from '../../../../src/protocol/index.ts'
import { get, history, open, send, start } from '../../../shard/support.ts'
import { inputOf, MACHINES, POOL, Scene, THREAD } from './rig.ts'

const TO_PC1 = ['Allocate', 'AcquireDeals', 'AddPiece', 'BuildTreeD', 'AssignTicket'] as const
const ANY_OF = [
  ['stage.pc1', 'child.pc1.0'],
  ['stage.pc1', 'child.pc1.1'],
]
const PLACING = { pool: POOL, gates: ['pc1'] }
const SIZE = {
  slots: 100,
  limits: { 'stage.pc1': 2, 'child.pc1.0': 1, 'child.pc1.1': 1 },
  choices: { pc1: ANY_OF },
}

let s: Scene

async function poolNow(): Promise<{ holders: string[]; waiters: string[] }> {
  await s.h.advance(100)
  const { context } = await get(s.h, POOL)
  const { holders, waiters } = context as Record<'holders' | 'waiters', { holder: string }[]>
  const names = (list: { holder: string }[]) => list.map(({ holder }) => holder)
  return { holders: names(holders), waiters: names(waiters) }
}

const acquire = (holder: string) => send(s.h, POOL, 'ACQUIRE', { holder, choice: 'pc1' })
const condition = async () => {
  await s.h.advance(100)
  return (await s.view()).condition
}

beforeEach(async () => {
  s = await Scene.of(PLACING)
})

async function atGate(): Promise<void> {
  await start(s.h, POOL, SIZE)
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
  await start(s.h, POOL, SIZE)
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
  const far = 'sealing-thread/far'
  s = new Scene(open(MACHINES, { shardCount: 8 }), far)
  expect(shardOf(far, 8)).not.toBe(shardOf(POOL, 8))
  await start(s.h, far, inputOf(PLACING))
  await start(s.h, POOL, SIZE)
  await s.through(...TO_PC1.slice(0, -1))
  await s.begin()
  await s.ask('PAUSE')
  await s.done('AssignTicket')
  for (let n = 0; n < 5; n++) {
    // All in one go: nothing is delivered in between.
    const resumed = s.h.client.send(far, { type: 'RESUME', by: 'ann' })
    const paused = s.h.client.send(far, { type: 'PAUSE', by: 'ann' })
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
  await start(s.h, POOL, SIZE)
  await s.h.advance(150_000)
  expect((await s.begin()).granted).toHaveLength(2)
})

it('a pool that refuses is asked again', async () => {
  await start(s.h, POOL, { ...SIZE, waitersMax: 0 })
  await acquire('a')
  await acquire('b')
  await s.through(...TO_PC1)
  expect(await condition()).toBe('resting')
  await send(s.h, POOL, 'RELEASE', { holder: 'a' })
  await s.h.advance(20_000)
  expect((await s.begin()).granted).toHaveLength(2)
})

it('who is sent away by an operator asks again; who works goes on', async () => {
  await start(s.h, POOL, SIZE)
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
  await start(s.h, POOL, SIZE)
  await acquire('a')
  await acquire('b')
  await s.through(...TO_PC1)
  await s.h.advance(100)
  await acquire('c')
  await s.h.advance(601_000)
  expect((await poolNow()).waiters).toEqual([THREAD, 'c'])
  await s.h.run(s.h.client.delete(POOL))
  await start(s.h, POOL, SIZE)
  await s.h.advance(601_000)
  expect((await s.begin()).granted).toHaveLength(2)
})

it('an answer to an earlier request is none to this one', async () => {
  await start(s.h, POOL, SIZE)
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

it('other choices of the pool count at once for who waits', async () => {
  await start(s.h, POOL, SIZE)
  await acquire('a')
  await acquire('b')
  await s.through(...TO_PC1)
  expect((await poolNow()).waiters).toEqual([THREAD])
  await send(s.h, POOL, 'RESIZE', { choices: { pc1: [['other']] } })
  await s.h.advance(100)
  expect((await s.begin()).granted).toEqual(['other'])
})

it('a choice that the pool does not have is asked for again, until it has it', async () => {
  await start(s.h, POOL, { ...SIZE, choices: {} })
  await s.through(...TO_PC1)
  expect(await condition()).toBe('resting')
  const why = expect.stringContaining('there is no choice "pc1" here')
  expect(await s.view()).toMatchObject({ retries: 0, why })
  await send(s.h, POOL, 'RESIZE', { choices: { pc1: ANY_OF } })
  await s.h.advance(60_000)
  expect((await s.begin()).granted).toHaveLength(2)
})

it('another pool is asked at once by who waits; none at all lets it go on', async () => {
  const other = 'pool/other'
  await start(s.h, POOL, SIZE)
  await start(s.h, other, { ...SIZE, choices: { pc1: [['other']] } })
  await acquire('a')
  await acquire('b')
  await s.through(...TO_PC1)
  await s.ask('CONFIGURE', { pool: other })
  expect((await poolNow()).waiters).toEqual([])
  expect((await s.begin()).granted).toEqual(['other'])
  await s.fail('permanent')
  await s.ask('CONFIGURE', { pool: POOL })
  await s.ask('RESUME')
  expect((await poolNow()).waiters).toEqual([THREAD])
  await s.ask('CONFIGURE', { pool: POOL, gates: ['pc2', 'pc1'] })
  expect((await poolNow()).waiters).toEqual([THREAD])
  await s.ask('CONFIGURE', { gates: ['pc2'] })
  expect((await poolNow()).waiters).toEqual([])
  expect((await s.begin()).granted).toEqual([])
  await s.fail('permanent')
  await s.ask('CONFIGURE', { gates: ['pc1'] })
  await s.ask('RESUME')
  expect((await poolNow()).waiters).toEqual([THREAD])
  await s.ask('CONFIGURE', { pool: null })
  expect((await s.begin()).granted).toEqual([])
})

/** What the pool was told by whoever is at work with a place. */
async function toldWhile(act: () => Promise<unknown>): Promise<string[]> {
  const before = (await history(s.h, POOL)).length
  await act()
  await s.h.advance(100)
  return (await history(s.h, POOL)).slice(before).map(({ cause }) => cause)
}

describe('a state with a gate behind one with a place', () => {
  const TWO = { ...PLACING, gates: ['pc1', 'pc2'] }
  const POOL_OF_TWO = { ...SIZE, choices: { pc1: ANY_OF, pc2: [['stage.pc2']] } }

  async function inPc1(size: object = {}): Promise<void> {
    s = await Scene.of(TWO)
    await start(s.h, POOL, { ...POOL_OF_TWO, ...size })
    await s.through(...TO_PC1)
    await s.h.advance(100)
    await s.begin()
  }

  it('the place goes back with the request for the next, over a crash', async () => {
    await inPc1()
    expect(await toldWhile(() => s.done('PC1'))).toEqual(['ACQUIRE'])
    s.crash()
    expect(await poolNow()).toEqual({ holders: [THREAD], waiters: [] })
    expect((await s.begin()).granted).toEqual(['stage.pc2'])
    expect(await toldWhile(() => s.done('PC2'))).toEqual(['RELEASE'])
    expect(await poolNow()).toEqual({ holders: [], waiters: [] })
  })

  it('who waits for it comes first', async () => {
    await inPc1({ slots: 1 })
    await acquire('b')
    await s.done('PC1')
    expect(await poolNow()).toEqual({ holders: ['b'], waiters: [THREAD] })
    expect(await condition()).toBe('waiting')
  })

  it('it goes back also where the next is refused', async () => {
    await inPc1({ choices: { pc1: ANY_OF } })
    await s.done('PC1')
    expect(await condition()).toBe('resting')
    expect(await poolNow()).toEqual({ holders: [], waiters: [] })
  })

  it('a step that is begun anew asks for another place with the one that it had', async () => {
    await inPc1()
    const retried = await toldWhile(() => s.ask('RESUME', { retry: true }))
    expect(retried).toEqual(['ACQUIRE'])
    expect(await poolNow()).toEqual({ holders: [THREAD], waiters: [] })
    expect((await s.begin()).granted).toEqual(ANY_OF[0])
  })

  it.each([
    ['a pause', () => s.ask('PAUSE').then(() => s.done('PC1'))],
    ['an abort', () => s.ask('ABORT', { by: 'ann', reason: 'x' })],
    ['a rest', () => s.rest('chain')],
    ['an error', () => s.fail('temporary')],
    ['an operator', () => s.h.run(s.h.client.pause(s.address)).then(() => moveTo('work.paused'))],
  ])('%s gives it back without another request', async (_by, act) => {
    await inPc1()
    expect(await toldWhile(act)).toEqual(['RELEASE'])
    expect(await poolNow()).toEqual({ holders: [], waiters: [] })
    expect((await s.context()).place).toBeNull()
  })

  const moveTo = (state: string) => s.h.run(s.h.client.resume(s.address, { state }))

  it('one of another pool goes back there', async () => {
    await inPc1()
    const other = 'pool/other'
    await start(s.h, other, POOL_OF_TWO)
    await s.ask('CONFIGURE', { pool: other })
    expect(await toldWhile(() => s.done('PC1'))).toEqual(['RELEASE'])
    expect(await poolNow()).toEqual({ holders: [], waiters: [] })
    expect((await s.begin()).granted).toEqual(['stage.pc2'])
  })
})
