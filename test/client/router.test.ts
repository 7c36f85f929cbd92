/** What is sent together, and what is tried again. */
import { expect, test } from 'vitest'
import { MemoryTransport, SeededRandom, VirtualClock } from '../../src/adapters/memory/index.ts'
import { Client } from '../../src/client/index.ts'
import {
  type Command,
  errorRecord,
  type Outcome,
  pack,
  resolveLimits,
  subjectsOf,
  unpack,
} from '../../src/protocol/index.ts'

function rig(answer: (commands: Command[], request: number) => Outcome[] | undefined) {
  const clock = new VirtualClock()
  const transport = new MemoryTransport({ clock })
  const subjects = subjectsOf('test')
  const limits = resolveLimits()
  const requests: Command[][] = []
  transport.subscribe(subjects.shard(0), {}, ({ payload, reply }) => {
    const commands = unpack(payload) as Command[]
    requests.push(commands)
    const outcomes = answer(commands, requests.length)
    if (outcomes) reply?.(pack(outcomes))
  })
  const client = new Client({
    transport,
    subjects,
    clock,
    random: new SeededRandom(1),
    limits,
    shardCount: 1,
  })
  return { clock, client, requests }
}

const OK: Outcome = { ok: { turn: 1 }, durability: 'flushed' }

test('what is asked in one turn of the event loop travels in one request, in order', async () => {
  const { clock, client, requests } = rig((commands) => commands.map(() => OK))
  const sent = Promise.all(['A', 'B', 'C'].map((type) => client.send('m/x', { type })))
  await clock.settle()
  await sent
  expect(requests).toHaveLength(1)
  expect(requests[0]?.map((command) => command.op === 'send' && command.event.type)).toEqual([
    'A',
    'B',
    'C',
  ])
})

test('what certainly was not applied is tried again under the same id', async () => {
  const unavailable: Outcome = { error: errorRecord('unavailable', 'not now') }
  const { clock, client, requests } = rig((_commands, request) => [request < 3 ? unavailable : OK])
  const sent = client.send('m/x', { type: 'A' })
  await clock.settle(1_000)
  await sent
  expect(requests).toHaveLength(3)
  expect(new Set(requests.map(([command]) => command?.id)).size).toBe(1)
})

test('an error that a retry cannot help is told at once', async () => {
  const { clock, client, requests } = rig(() => [{ error: errorRecord('invalid-event', 'no') }])
  const sent = client.send('m/x', { type: 'A' })
  sent.catch(() => {})
  await clock.settle(1_000)
  await expect(sent).rejects.toMatchObject({ code: 'invalid-event' })
  expect(requests).toHaveLength(1)
})

test('silence is told as silence when the time of the caller is over', async () => {
  const { clock, client } = rig(() => undefined)
  const sent = client.send('m/x', { type: 'A' }, { timeoutMs: 500 })
  sent.catch(() => {})
  await clock.settle(5_000)
  await expect(sent).rejects.toMatchObject({ code: 'no-answer', retry: true })
})

test('nobody there is unavailable, within the time of the caller', async () => {
  const clock = new VirtualClock()
  const transport = new MemoryTransport({ clock })
  const client = new Client({
    transport,
    subjects: subjectsOf('test'),
    clock,
    random: new SeededRandom(1),
    limits: resolveLimits(),
    shardCount: 1,
  })
  const sent = client.send('m/x', { type: 'A' }, { timeoutMs: 2_000 })
  sent.catch(() => {})
  const begun = clock.monotonic()
  await clock.settle(5_000)
  await expect(sent).rejects.toMatchObject({ code: 'unavailable' })
  expect(clock.monotonic() - begun).toBeLessThanOrEqual(5_000)
})
