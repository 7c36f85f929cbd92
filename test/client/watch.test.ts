/** Watching and waiting: events are hints, the actor is the truth. */
import { expect, test } from 'vitest'
import { emit, setup } from 'xstate'
import { z } from 'zod'
import type { WatchedEvent } from '../../src/client/index.ts'
import { defineMachine } from '../../src/machine/index.ts'
import { Harness } from '../shard/harness.ts'

const lamp = defineMachine({
  machine: setup({
    types: { events: {} as { type: 'NEXT' }, emitted: {} as { type: 'lit' } },
  }).createMachine({
    id: 'lamp',
    initial: 'off',
    states: {
      off: { on: { NEXT: { target: 'on', actions: emit({ type: 'lit' }) } } },
      on: { on: { NEXT: 'off' }, after: { 1000: 'off' } },
    },
  }),
  events: { NEXT: z.object({}) },
})

async function collect(events: AsyncIterable<WatchedEvent>, into: WatchedEvent[]): Promise<void> {
  for await (const event of events) into.push(event)
}

test('a watcher sees transitions and what the machine emits, in order, until it stops', async () => {
  const harness = new Harness({ machines: [lamp] })
  await harness.run(harness.client.start('lamp/a'))
  const stop = new AbortController()
  const seen: WatchedEvent[] = []
  const watching = collect(harness.client.watch({ address: 'lamp/a' }, stop.signal), seen)
  await harness.run(harness.client.send('lamp/a', { type: 'NEXT' }))
  await harness.run(harness.client.start('lamp/b'))
  await harness.advance(1_000)
  stop.abort()
  await watching
  expect(
    seen.map((event) =>
      event.kind === 'transition' ? `${event.from}>${event.to}` : event.event.type,
    ),
  ).toEqual(['off>on', 'lit', 'on>off'])
})

test('a watcher of a machine sees all its actors', async () => {
  const harness = new Harness({ machines: [lamp] })
  const stop = new AbortController()
  const seen: WatchedEvent[] = []
  const watching = collect(harness.client.watch({ machine: 'lamp' }, stop.signal), seen)
  await harness.run(harness.client.start('lamp/a'))
  await harness.run(harness.client.start('lamp/b.c'))
  await harness.advance(10)
  stop.abort()
  await watching
  expect(seen.map((event) => event.address).sort()).toEqual(['lamp/a', 'lamp/b.c'])
})

test('a watcher that just stops listening leaves nothing behind', async () => {
  const harness = new Harness({ machines: [lamp] })
  await harness.run(harness.client.start('lamp/a'))
  let listening = 0
  const { transport } = harness
  const subscribe = transport.subscribe.bind(transport)
  transport.subscribe = (...given) => {
    listening += 1
    const { unsubscribe } = subscribe(...given)
    return {
      unsubscribe: () => {
        listening -= 1
        unsubscribe()
      },
    }
  }
  const forever = new AbortController()
  const first = (async () => {
    for await (const event of harness.client.watch({ address: 'lamp/a' }, forever.signal))
      return event.kind
    return undefined
  })()
  expect(listening).toBe(1)
  await harness.run(harness.client.send('lamp/a', { type: 'NEXT' }))
  expect(await harness.run(first)).toBe('transition')
  expect(listening).toBe(0)
})

test('a wait that is called off says so', async () => {
  const harness = new Harness({ machines: [lamp] })
  await harness.run(harness.client.start('lamp/a'))
  const stop = new AbortController()
  const waiting = harness.client.waitFor('lamp/a', () => false, { signal: stop.signal })
  waiting.catch(() => {})
  await harness.advance(10)
  stop.abort()
  await expect(harness.run(waiting)).rejects.toThrow(/called off/)
})

test('waitFor returns at once when it is so already, later when it comes, or says that it did not', async () => {
  const harness = new Harness({ machines: [lamp] })
  const { client } = harness
  await harness.run(client.start('lamp/a'))
  const off = (view: { value: unknown }) => view.value === 'off'
  const on = (view: { value: unknown }) => view.value === 'on'
  expect((await harness.run(client.waitFor('lamp/a', off))).turn).toBe(1)
  const waiting = client.waitFor('lamp/a', on, { timeoutMs: 5_000 })
  await harness.run(client.send('lamp/a', { type: 'NEXT' }))
  expect((await harness.run(waiting)).value).toBe('on')
  const never = client.waitFor('lamp/a', () => false, { timeoutMs: 300 })
  await expect(harness.run(never)).rejects.toMatchObject({ code: 'no-answer' })
})
