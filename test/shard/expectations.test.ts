/** A command that says what its actor has to be is applied to no other, and its repeat gets its first reply. */
import { beforeEach, expect, it } from 'vitest'
import type { ActorExpectation } from '../../src/protocol/index.ts'
import { code, commandId, get, host, open, start } from './support.ts'

const door = host(
  'door',
  {
    initial: 'shut',
    states: {
      shut: {
        tags: 'safe',
        initial: 'locked',
        states: { locked: { on: { TURN: 'unlocked' } }, unlocked: {} },
      },
      ajar: {},
    },
    on: { PUSH: '.ajar' },
  },
  {},
  { index: () => ({ key: 'red', floor: 2 }) },
)
const DOOR = 'door/d'
let h: ReturnType<typeof open>

beforeEach(async () => {
  h = open([door])
  await start(h, DOOR)
  await h.advance(60_000)
})

it.each<[ActorExpectation]>([
  [{}],
  [{ state: 'shut' }],
  [{ state: 'shut.locked', condition: 'active', tag: 'safe' }],
  [{ olderThanMs: 60_000, where: { key: 'red', floor: 2 } }],
])('%j is so', async (when) => {
  await h.run(h.client.pause(DOOR, { when }))
  expect((await get(h, DOOR)).paused).toBeDefined()
})

it.each<[ActorExpectation]>([
  [{ state: 'ajar' }],
  [{ state: 'shut.unlocked' }],
  [{ state: 'shu' }],
  [{ tag: 'odd' }],
  [{ condition: 'parked' }],
  [{ olderThanMs: 61_000 }],
  [{ where: { key: 'blue' } }],
  [{ where: { key: 'red', floor: 3 } }],
])('%j is not, and nothing changes', async (when) => {
  const before = await get(h, DOOR)
  const { client } = h
  expect(await code(h, client.send(DOOR, { type: 'PUSH' }, { when }))).toBe('conflict')
  expect(await code(h, client.pause(DOOR, { when }))).toBe('conflict')
  expect(await code(h, client.resume(DOOR, { retry: true, when }))).toBe('conflict')
  expect(await code(h, client.cancel(DOOR, { when }))).toBe('conflict')
  expect(await code(h, client.delete(DOOR, { when }))).toBe('conflict')
  expect(await get(h, DOOR)).toEqual(before)
  expect(await h.run(client.audit({ address: DOOR }))).toEqual([])
})

it('a repeat has the first reply, although its actor is another by then', async () => {
  const options = { id: commandId(h), when: { state: 'shut' } }
  const first = await h.run(h.client.send(DOOR, { type: 'PUSH' }, options))
  expect(first).toMatchObject({ handled: true, value: 'ajar' })
  expect(await h.run(h.client.send(DOOR, { type: 'PUSH' }, options))).toEqual(first)
})
