/** Following an actor, and waiting for it, where what is published does not arrive. */
import { expect, test } from 'vitest'
import { setup } from 'xstate'
import { z } from 'zod'
import { SeededRandom } from '../../src/adapters/memory/index.ts'
import { Client, type FollowedEvent } from '../../src/client/index.ts'
import { defineMachine } from '../../src/machine/index.ts'
import type { Transport } from '../../src/ports/index.ts'
import { subjectsOf } from '../../src/protocol/index.ts'
import { Harness } from '../shard/harness.ts'

const lamp = defineMachine({
  machine: setup({ types: { events: {} as { type: 'NEXT' } } }).createMachine({
    id: 'lamp',
    initial: 'off',
    states: { off: { on: { NEXT: 'on' } }, on: { on: { NEXT: 'off' } } },
  }),
  events: { NEXT: z.object({}) },
  retention: { historyCount: 3 },
})

/** A client to whom nothing is published while it is deaf. */
async function scene() {
  const harness = new Harness({ machines: [lamp] })
  const ear = { isDeaf: false, isCut: false }
  const { transport } = harness
  const hearing: Pick<Transport, 'request' | 'subscribe'> = {
    request: (request, done) => {
      if (ear.isCut) harness.clock.defer(() => done({ kind: 'no-responders' }))
      else transport.request(request, done)
    },
    subscribe: (subject, options, handle) =>
      transport.subscribe(subject, options, (message) => {
        if (!ear.isDeaf) handle(message)
      }),
  }
  const { clock, limits, shardCount } = harness
  const around = { clock, limits, shardCount, random: new SeededRandom(7) }
  const client = new Client({ ...around, transport: hearing, subjects: subjectsOf('test') })
  await harness.run(harness.client.start('lamp/a'))
  const seen: string[] = []
  const stop = new AbortController()
  const follow = async (options = {}) => {
    for await (const event of client.follow('lamp/a', stop.signal, options)) seen.push(shown(event))
  }
  const next = () => harness.run(harness.client.send('lamp/a', { type: 'NEXT' }))
  return { harness, client, ear, seen, stop, follow, next }
}

function shown(event: FollowedEvent): string {
  const what = event.kind === 'state' && event.isReset ? 'reset' : event.kind
  return `${what} ${event.turn}`
}

test('a turn that was not heard is told once somebody looks, before those that follow', async () => {
  const { harness, ear, seen, stop, follow, next } = await scene()
  const following = follow()
  await harness.advance(1)
  ear.isDeaf = true
  await next()
  await next()
  expect(seen).toEqual(['state 1'])
  await harness.advance(10_000)
  expect(seen).toEqual(['state 1', 'transition 2', 'transition 3'])
  await next()
  ear.isDeaf = false
  await next()
  await harness.advance(1)
  expect(seen.slice(3)).toEqual(['transition 4', 'transition 5'])
  stop.abort()
  await following
})

test('more turns than the history holds are a reset', async () => {
  const { harness, ear, seen, stop, follow, next } = await scene()
  const following = follow()
  await harness.advance(1)
  ear.isDeaf = true
  for (let turn = 2; turn <= 6; turn++) await next()
  await harness.advance(10_000)
  expect(seen).toEqual(['state 1', 'reset 6'])
  stop.abort()
  await following
})

test('it goes on after what was seen, and ends when the actor is gone, heard or not', async () => {
  const { harness, client, ear, seen, follow, next } = await scene()
  const { createdAt } = await harness.run(client.get('lamp/a'))
  await next()
  const following = follow({ after: { createdAt, turn: 1 } })
  await harness.advance(1)
  ear.isDeaf = true
  await harness.run(harness.client.delete('lamp/a'))
  await harness.advance(10_000)
  await following
  expect(seen).toEqual(['transition 2', 'removed 2'])
})

test('turns of a later actor at the address are not taken for those of the one before', async () => {
  const { harness, ear, seen, stop, follow, next } = await scene()
  await next()
  const following = follow()
  await harness.advance(1)
  ear.isDeaf = true
  await harness.run(harness.client.delete('lamp/a'))
  await harness.advance(1)
  await harness.run(harness.client.start('lamp/a'))
  await next()
  ear.isDeaf = false
  await next()
  await harness.advance(1)
  expect(seen).toEqual(['state 2', 'reset 3'])
  stop.abort()
  await following
})

test('while nobody answers it waits, and goes on then', async () => {
  const { harness, ear, seen, stop, follow, next } = await scene()
  const following = follow({ lookMs: 1_000 })
  await harness.advance(1)
  ear.isDeaf = true
  ear.isCut = true
  await next()
  await harness.advance(40_000)
  expect(seen).toEqual(['state 1'])
  ear.isCut = false
  await harness.advance(2_000)
  expect(seen).toEqual(['state 1', 'transition 2'])
  stop.abort()
  await following
})

test('an actor that is not there cannot be followed', async () => {
  const { harness, client } = await scene()
  const events = client.follow('lamp/none', new AbortController().signal)[Symbol.asyncIterator]()
  await expect(harness.run(events.next())).rejects.toMatchObject({ code: 'unknown-actor' })
})

test('a wait sees what it was not told of', async () => {
  const { harness, client, ear, next } = await scene()
  const waiting = client.waitFor('lamp/a', ({ value }) => value === 'on', { timeoutMs: 20_000 })
  waiting.catch(() => {})
  await harness.advance(1)
  ear.isDeaf = true
  await next()
  await harness.advance(5_000)
  expect((await harness.run(waiting)).turn).toBe(2)
})
