/** The simulated chain under a virtual clock: heights, batches, messages, seeds, over crashes; what goes wrong. */
import { beforeEach, expect, it } from 'vitest'
import { MESSAGE_FAULTS } from '../../../../machines/sealing/chain/index.ts'
import { code, get, send } from '../../../shard/support.ts'
import { BLOCK_MS, CHAIN_ACTOR, ChainRig, sector } from './rig.ts'

let rig: ChainRig

beforeEach(() => {
  rig = new ChainRig()
})

const FIRST = 'sealing-message/snapUp.s-t01000-1'

it('a height follows from the time and costs nothing; a crash does not stop it', async () => {
  const { height, blockMs } = await rig.run(rig.chain.head())
  expect(blockMs).toBe(BLOCK_MS)
  await rig.blocks(100)
  expect(await rig.height()).toBe(height + 100)
  rig.restart()
  await rig.blocks(20)
  expect(await rig.height()).toBe(height + 120)
  expect((await get(rig.h, CHAIN_ACTOR)).turn).toBe(1)
})

it('no clock takes a height back: not that of the node, nor that of another', async () => {
  await rig.blocks(1)
  await rig.height()
  await rig.blocks(50)
  const height = await rig.height()
  rig.h.clock.jumpWall(-10 * BLOCK_MS)
  expect(await rig.height()).toBe(height)
  // What was submitted has told the chain of it, and so all others.
  rig.h.clock.jumpWall(10 * BLOCK_MS)
  await rig.submit(1)
  rig.h.clock.jumpWall(-10 * BLOCK_MS)
  expect((await rig.run(rig.another().head())).height).toBe(height)
  // What comes from a clock that is behind does not take that back.
  await rig.submit(2)
  expect((await rig.run(rig.another().head())).height).toBe(height)
})

it('a message is pending, packed, and lands with the confidence on top', async () => {
  expect(await rig.state(1)).toMatchObject({ state: 'NotFound' })
  await rig.submit(1)
  const head = await rig.height()
  const pending = await rig.state(1)
  expect(pending).toMatchObject({ state: 'Pending', desc: expect.stringContaining('landsInMs=') })
  // To the begin of the block in which it has landed, and not before.
  await rig.h.advance((pending.landsInMs ?? 0) - 1_000)
  const packed = await rig.state(1)
  expect(packed).toMatchObject({ state: 'Packed', height: head + 1 })
  expect(packed.desc).toContain('9 of 10 blocks')
  await rig.h.advance(1_000)
  expect(await rig.state(1)).toMatchObject({ state: 'Landed', height: head + 1 })
})

it('a poll is a read: it leaves no turn behind', async () => {
  await rig.submit(1)
  const turns = async () => [(await get(rig.h, CHAIN_ACTOR)).turn, (await get(rig.h, FIRST)).turn]
  await rig.blocks(1)
  const before = await turns()
  for (let block = 0; block < 15; block++) {
    await rig.state(1)
    await rig.blocks(1)
  }
  expect(await turns()).toEqual(before)
})

it('messages go by batches, of one kind and miner; what is left over when it waited long enough', async () => {
  await rig.submit(1, 'preCommit')
  await rig.run(rig.chain.submit('preCommit', sector(1, 2_000), {}, { replace: false }))
  await rig.submit(1, 'prove')
  await rig.blocks(20)
  expect(await rig.states([1], 'preCommit')).toEqual(['Pending'])
  const { batches } = await rig.run(rig.chain.view())
  expect(batches).toMatchObject([
    { kind: 'preCommit', miner: 1_000, waiting: 1, of: 2 },
    { kind: 'preCommit', miner: 2_000, waiting: 1, of: 2 },
    { kind: 'prove', miner: 1_000, waiting: 1, of: 4 },
  ])
  await rig.submit(2, 'preCommit')
  await rig.blocks(1)
  expect(await rig.states([1, 2], 'preCommit')).toEqual(['Packed', 'Packed'])
  rig.restart()
  await rig.h.advance(3_600_000 - 24 * BLOCK_MS)
  expect(await rig.states([1], 'prove')).toEqual(['Pending'])
  await rig.blocks(6)
  expect(await rig.states([1], 'prove')).toEqual(['Packed'])
  expect((await rig.run(rig.chain.view())).batches).toEqual([])
})

it('the same again is the same message; another one is refused, or replaces it', async () => {
  await rig.submit(1)
  await rig.blocks(1)
  const { height } = await rig.state(1)
  await rig.submit(1)
  await rig.submit(1, 'snapUp', { replace: true })
  expect(await rig.state(1)).toMatchObject({ state: 'Packed', height })
  const other = { payload: { by: 'second' } }
  const refused = rig.chain.submit('snapUp', sector(1), other.payload, { replace: false })
  expect(await code(rig.h, refused)).toBe('conflict')
  await rig.blocks(3)
  await rig.submit(1, 'snapUp', { ...other, replace: true })
  await rig.blocks(1)
  expect((await rig.state(1)).height).toBe((height ?? 0) + 4)
})

it('in its batch a message is replaced where it is', async () => {
  await rig.submit(1, 'preCommit')
  await rig.submit(1, 'preCommit', { payload: { by: 'second' }, replace: true })
  expect((await rig.run(rig.chain.view())).batches).toMatchObject([{ waiting: 1 }])
  await rig.submit(1, 'preCommit', { payload: { by: 'second' } })
  await rig.submit(2, 'preCommit')
  await rig.blocks(1)
  expect(await rig.states([1, 2], 'preCommit')).toEqual(['Packed', 'Packed'])
})

it('only what the chain says of the present attempt counts', async () => {
  await rig.submit(1, 'preCommit')
  const message = 'sealing-message/preCommit.s-t01000-1'
  const late = { attempt: 2, height: 900, fate: 'fail' }
  expect(await send(rig.h, message, 'SENT', late)).toMatchObject({ handled: false })
  expect(await rig.states([1], 'preCommit')).toEqual(['Pending'])
  const named = { kind: 'preCommit', miner: 1_000, sector: 'all of them', attempt: 1, atMs: 0 }
  expect(await code(rig.h, send(rig.h, CHAIN_ACTOR, 'ADD', named))).toBe('invalid-event')
})

it('a seed is given when its block has stood for a while, and stays', async () => {
  expect(await code(rig.h, rig.chain.seed(sector(1)))).toBe('conflict')
  await rig.submit(1, 'preCommit')
  await rig.submit(2, 'preCommit')
  expect(await code(rig.h, rig.chain.seed(sector(1)))).toBe('conflict')
  await rig.blocks(1)
  const { height = 0 } = await rig.state(1, 'preCommit')
  const early = await rig.run(rig.chain.seed(sector(1)))
  expect(early).toEqual({ ready: false, delayMs: expect.any(Number) })
  await rig.h.advance(early.delayMs - 1_000)
  expect(await rig.run(rig.chain.seed(sector(1)))).toMatchObject({ ready: false })
  await rig.h.advance(1_000)
  const given = await rig.run(rig.chain.seed(sector(1)))
  expect(given).toMatchObject({ ready: true, delayMs: 0, seed: { Epoch: height + 150 } })
  expect(Buffer.from(given.seed?.Seed ?? '', 'base64')).toHaveLength(32)
  rig.restart()
  await rig.blocks(100)
  expect(await rig.run(rig.chain.seed(sector(1)))).toEqual(given)
})

it('tickets are of a miner and a height, the same on every node, and none of the future', async () => {
  const head = await rig.height()
  const ticket = (miner: number, height: number) => rig.run(rig.chain.ticket(miner, height))
  const first = await ticket(1_000, head - 900)
  expect(first.epoch).toBe(head - 900)
  const others = [await ticket(1_001, head - 900), await ticket(1_000, head - 899)]
  expect(new Set([first, ...others].map((one) => one.ticket)).size).toBe(3)
  rig.restart()
  expect(await ticket(1_000, head - 900)).toEqual(first)
  expect(await code(rig.h, rig.chain.ticket(1_000, head + 1))).toBe('conflict')
})

it('a number is taken on the chain from its precommit, or its proof, on', async () => {
  const isThere = (number: number) => rig.run(rig.chain.sectorOnChain(sector(number)))
  await rig.submit(1, 'preCommit')
  await rig.submit(2, 'preCommit')
  for (const number of [5, 6, 7, 8]) await rig.submit(number, 'prove')
  expect(await isThere(1)).toBe(false)
  await rig.blocks(1)
  expect([await isThere(1), await isThere(5), await isThere(3)]).toEqual([true, true, false])
})

it('other settings count from a start on, and heights go on from where they were', async () => {
  await rig.submit(1, 'prove')
  await rig.submit(2, 'prove')
  await rig.blocks(50)
  const height = await rig.height()
  rig.restart({ blockMs: BLOCK_MS / 2, proveBatch: 2 })
  expect(await rig.height()).toBe(height)
  await rig.blocks(10)
  expect(await rig.height()).toBe(height + 20)
  expect(await rig.states([1, 2], 'prove')).toEqual(['Landed', 'Landed'])
})

it('a shorter wait counts for batches that wait already', async () => {
  await rig.submit(1, 'prove')
  await rig.blocks(1)
  rig.restart({ batchWaitMs: 10 * BLOCK_MS })
  await rig.height()
  await rig.blocks(6)
  expect((await rig.run(rig.chain.view())).batches).toHaveLength(1)
  await rig.blocks(4)
  expect((await rig.run(rig.chain.view())).batches).toEqual([])
  expect(await rig.states([1], 'prove')).toEqual(['Packed'])
})

it('a chain whose actor is removed is founded anew; what it never heard of says so', async () => {
  await rig.height()
  await rig.run(rig.h.client.delete(CHAIN_ACTOR))
  await rig.submit(1)
  await rig.blocks(1)
  expect(await rig.state(1)).toMatchObject({
    state: 'NotFound',
    desc: expect.stringContaining('submit it again'),
  })
  await rig.submit(1)
  await rig.blocks(11)
  expect(await rig.states([1])).toEqual(['Landed'])
})

it('a message is forgotten after 30 days, and can be submitted anew', async () => {
  await rig.submit(1)
  await rig.blocks(11)
  const isDown = async (days: number) => {
    rig.h.clock.jumpWall(days * 86_400_000)
    rig.restart()
    await rig.blocks(1)
  }
  await isDown(29)
  expect(await rig.states([1])).toEqual(['Landed'])
  await isDown(1)
  expect(await rig.states([1])).toEqual(['NotFound'])
  await rig.submit(1, 'snapUp', { payload: { by: 'second' } })
  expect(await rig.states([1])).toEqual(['Pending'])
})

it('stays small, however many messages went through it', async () => {
  const count = 60
  for (let number = 1; number <= count; number++) await rig.submit(number, 'preCommit')
  await rig.blocks(11)
  const numbers = Array.from({ length: count }, (_, index) => index + 1)
  expect(new Set(await rig.states(numbers, 'preCommit'))).toEqual(new Set(['Landed']))
  const { context, timers } = await get(rig.h, CHAIN_ACTOR)
  expect(JSON.stringify(context).length).toBeLessThan(1_000)
  expect(timers).toEqual([])
})

const reorg = (depth: number) => rig.run(rig.chain.reorg(depth, 'ann'))

it('each fault has its state; the messages behind it land', async () => {
  for (const kind of MESSAGE_FAULTS) await rig.run(rig.chain.inject({ kind }, 'ann'))
  for (const number of [1, 2, 3, 4, 5]) await rig.submit(number)
  expect(await rig.states([1, 2, 3, 4, 5])).toEqual(Array(5).fill('Pending'))
  await rig.blocks(1)
  const bad = ['Failed', 'PermFailed', 'NotFound']
  expect(await rig.states([1, 2, 3, 4, 5])).toEqual([...bad, 'Packed', 'Packed'])
  rig.restart()
  await rig.blocks(10)
  expect(await rig.states([1, 2, 3, 4, 5])).toEqual([...bad, 'ShouldAbort', 'Landed'])
})

it('what failed is sent again by who replaces it, even with the same payload, and once', async () => {
  await rig.run(rig.chain.inject({ kind: 'fail' }, 'ann'))
  await rig.submit(1)
  // Nobody can know yet that it will fail.
  await rig.submit(1, 'snapUp', { replace: true })
  await rig.blocks(1)
  await rig.submit(1)
  expect(await rig.states([1])).toEqual(['Failed'])
  await rig.submit(1, 'snapUp', { replace: true })
  expect(await rig.states([1])).toEqual(['Pending'])
  await rig.blocks(1)
  const packed = await rig.state(1)
  await rig.submit(1, 'snapUp', { replace: true })
  expect(await rig.state(1)).toEqual(packed)
})

it('a fault is for so many messages of a kind or a sector', async () => {
  const fault = { kind: 'fail' as const, count: 2 }
  await rig.run(rig.chain.inject({ ...fault, message: 'snapUp', sector: sector(2) }, 'ann'))
  for (const number of [1, 2, 3]) await rig.submit(number)
  await rig.blocks(1)
  expect(await rig.states([1, 2, 3])).toEqual(['Packed', 'Failed', 'Packed'])
  const { scripted } = await rig.run(rig.chain.view())
  expect(scripted).toMatchObject([{ fault: 'fail', kind: 'snapUp', sector: 's-t01000-2', left: 1 }])
  expect(await rig.run(rig.chain.clearFaults('ann'))).toMatchObject({ scripted: [] })
  await rig.submit(2, 'snapUp', { replace: true })
  await rig.blocks(1)
  expect(await rig.states([2])).toEqual(['Packed'])
})

it('faults wait for their messages in a bounded list', async () => {
  const inject = () => rig.chain.inject({ kind: 'fail', message: 'prove' }, 'ann')
  for (let n = 0; n < 100; n++) await rig.run(inject())
  expect(await code(rig.h, inject())).toBe('limit-exceeded')
})

it('rates draw by lot, and the same lot for the same chain', async () => {
  const numbers = Array.from({ length: 40 }, (_, index) => index + 1)
  const outcome = async () => {
    rig = new ChainRig({ faults: { fail: 0.5 } })
    for (const number of numbers) await rig.submit(number)
    await rig.blocks(1)
    return rig.states(numbers)
  }
  const first = await outcome()
  expect(first.filter((state) => state === 'Failed').length).toBeGreaterThan(8)
  expect(first.filter((state) => state === 'Packed').length).toBeGreaterThan(8)
  expect(await outcome()).toEqual(first)
})

it('an injected rate counts until it is cleared', async () => {
  await rig.run(rig.chain.injectRate('permFail', 1, 'ann'))
  await rig.submit(1)
  await rig.run(rig.chain.clearFaults('ann'))
  await rig.submit(2)
  await rig.blocks(1)
  expect(await rig.states([1, 2])).toEqual(['PermFailed', 'Packed'])
})

it('a reorganisation takes messages back into the next block; deeper ones stay', async () => {
  await rig.submit(1)
  await rig.blocks(5)
  await rig.submit(2)
  await rig.blocks(2)
  const [first, second] = [await rig.state(1), await rig.state(2)]
  const head = await rig.height()
  expect((await reorg(3)).reorgs).toEqual([{ fork: 1, from: head - 2, at: head }])
  expect(await rig.state(1)).toEqual(first)
  expect(await rig.state(2)).toMatchObject({ state: 'Pending' })
  rig.restart()
  await rig.blocks(1)
  expect(await rig.state(2)).toMatchObject({ state: 'Packed', height: head + 1 })
  // What comes later is none of its business.
  await rig.blocks(5)
  await rig.submit(3)
  await rig.blocks(5)
  expect(await rig.state(3)).toMatchObject({ state: 'Packed', height: head + 7 })
  expect(await rig.states([1, 2])).toEqual(['Landed', 'Landed'])
  expect(second.height).toBe(head - 1)
})

it('a reorganisation may take back what has landed, with its seed', async () => {
  await rig.submit(1, 'preCommit')
  await rig.submit(2, 'preCommit')
  await rig.blocks(160)
  const { seed } = await rig.run(rig.chain.seed(sector(1)))
  await reorg(200)
  expect(await code(rig.h, rig.chain.seed(sector(1)))).toBe('conflict')
  await rig.blocks(160)
  const again = await rig.run(rig.chain.seed(sector(1)))
  expect(again.seed?.Epoch).toBeGreaterThan(seed?.Epoch ?? 0)
})

it('randomness of the blocks that were replaced is other than before, of those below the same', async () => {
  await rig.height()
  await rig.blocks(20)
  const head = await rig.height()
  const at = async (height: number) => (await rig.run(rig.chain.ticket(1_000, height))).ticket
  const before = [await at(head - 3), await at(head - 2), await at(head)]
  await reorg(3)
  expect(await at(head - 3)).toBe(before[0])
  expect(await at(head - 2)).not.toBe(before[1])
  const once = await at(head)
  expect(once).not.toBe(before[2])
  await reorg(1)
  expect(await at(head)).not.toBe(once)
  // There is nothing to take back from before it was founded.
  expect((await reorg(900)).reorgs[0]).toMatchObject({ fork: 3, from: 1_000 })
})

it('reorganisations come at a rate, over a crash, and take back nothing that has landed', async () => {
  await rig.run(rig.chain.injectRate('reorg', 0.2, 'ann'))
  await rig.submit(1)
  let hasLanded = false
  for (let block = 0; block < 100; block++) {
    if (block === 50) rig.restart()
    await rig.blocks(1)
    const { state } = await rig.state(1)
    if (hasLanded) expect(state).toBe('Landed')
    hasLanded ||= state === 'Landed'
  }
  expect(hasLanded).toBe(true)
  const { forks } = await rig.run(rig.chain.view())
  expect(forks).toBeGreaterThan(8)
  expect(forks).toBeLessThan(50)
  await rig.run(rig.chain.clearFaults('ann'))
  expect((await get(rig.h, CHAIN_ACTOR)).timers).toEqual([])
})
