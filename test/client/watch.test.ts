/** Watching and waiting: events are hints, the actor is the truth. */
import { expect, test, vi } from 'vitest'
import { emit, setup } from 'xstate'
import { z } from 'zod'
import type { WatchedEvent } from '../../src/client/index.ts'
import { watchEvents } from '../../src/client/watch.ts'
import { defineMachine } from '../../src/machine/index.ts'
import type { Transport } from '../../src/ports/index.ts'
import { subjectsOf, TroupeError, toJson } from '../../src/protocol/index.ts'
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
  await harness.run(harness.client.delete('lamp/a'))
  stop.abort()
  await watching
  expect(
    seen.map((event) =>
      event.kind === 'transition'
        ? `${event.from}>${event.to}`
        : event.kind === 'emitted'
          ? event.event.type
          : event.kind,
    ),
  ).toEqual(['off>on', 'lit', 'on>off', 'removed'])
})

test.each([{ machine: 'lamp' }, 'all'] as const)(
  'a watcher of %j sees all its actors',
  async (target) => {
    const harness = new Harness({ machines: [lamp] })
    const stop = new AbortController()
    const seen: WatchedEvent[] = []
    const watching = collect(harness.client.watch(target, stop.signal), seen)
    await harness.run(harness.client.start('lamp/a'))
    await harness.run(harness.client.start('lamp/b.c'))
    await harness.advance(10)
    stop.abort()
    await watching
    expect(seen.map((event) => event.address).sort()).toEqual(['lamp/a', 'lamp/b.c'])
  },
)

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

test('anybody may listen: an event is JSON, and what others say on its subject is nothing', async () => {
  const harness = new Harness({ machines: [lamp] })
  const stop = new AbortController()
  const seen: WatchedEvent[] = []
  const watching = collect(harness.client.watch('all', stop.signal), seen)
  const texts: string[] = []
  const subject = subjectsOf('test').event('lamp/a')
  harness.transport.subscribe(subject, {}, ({ payload }) =>
    texts.push(Buffer.from(payload).toString()),
  )
  for (const text of ['', '{', 'null', '7', '{"kind":"transition"}']) {
    harness.transport.publish(subject, Buffer.from(text))
  }
  await harness.run(harness.client.start('lamp/a'))
  stop.abort()
  await watching
  expect(JSON.parse(texts.at(-1) ?? '')).toEqual({
    ...{ kind: 'transition', address: 'lamp/a', createdAt: expect.any(Number), turn: 1 },
    cause: 'start',
    ...{ from: null, to: 'off', status: 'active' },
  })
  expect(seen.map(({ kind }) => kind)).toEqual(['transition'])
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

test('a look that its shard comes to behind the end is no answer in time, and nothing else', async () => {
  const harness = new Harness({ machines: [lamp], flushDelayMs: 380 })
  const { client } = harness
  const started = client.start('lamp/a')
  await harness.advance(1_000)
  await started
  // What is in hand takes longer than the wait: the look stands behind it.
  const before = client.send('lamp/a', { type: 'NEXT' })
  await harness.advance(1)
  const waiting = client.waitFor('lamp/a', () => false, { timeoutMs: 350 })
  waiting.catch(() => {})
  await harness.advance(2_000)
  await before
  await expect(waiting).rejects.toMatchObject({
    code: 'no-answer',
    message: expect.stringContaining('did not get there within 350 ms'),
  })
})

test('behind the end nobody looks once more for each turn that came before it', async () => {
  const harness = new Harness({ machines: [lamp] })
  const { client } = harness
  await harness.run(client.start('lamp/a'))
  const look = vi.spyOn(client, 'get').mockImplementation(async () => {
    for (let n = 0; n < 3; n++) await client.send('lamp/a', { type: 'NEXT' })
    throw new TroupeError('deadline', 'the command has waited here for longer')
  })
  const waiting = client.waitFor('lamp/a', () => false, { timeoutMs: 350 })
  await expect(harness.run(waiting)).rejects.toMatchObject({ code: 'no-answer' })
  expect(look).toHaveBeenCalledTimes(1)
})

test('what waits for a watcher who does not read is bounded in bytes: the oldest go', async () => {
  let publish: ((payload: Uint8Array) => void) | undefined
  const transport: Pick<Transport, 'subscribe'> = {
    subscribe: (subject, _options, handle) => {
      publish = (payload) => handle({ subject, payload })
      return { unsubscribe: () => {} }
    },
  }
  const stop = new AbortController()
  const events = watchEvents(transport, subjectsOf('c'), 'all', stop.signal)
  const text = 'x'.repeat(1024 * 1024)
  const count = 100
  for (let turn = 1; turn <= count; turn++) {
    const event = { kind: 'emitted', address: 'm/1', turn, event: { type: 'said', text } }
    publish?.(Buffer.from(toJson(event)))
  }
  const turns: number[] = []
  for await (const { turn } of events) {
    turns.push(turn)
    if (turn === count) stop.abort()
  }
  expect(turns.length).toBeGreaterThan(60)
  expect(turns.length).toBeLessThan(65)
})
