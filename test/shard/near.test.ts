/** A shard asked within its process: the checks of a request, and answers that are the caller's own. */
import { beforeEach, expect, it } from 'vitest'
import { MemoryTransport } from '../../src/adapters/memory/index.ts'
import { reply } from '../../src/machine/index.ts'
import type { NearShard } from '../../src/ports/index.ts'
import { type Command, type Outcome, subjectsOf } from '../../src/protocol/index.ts'
import { type ShardServer, ShardsHere, serveShard } from '../../src/shard/index.ts'
import { Harness } from './harness.ts'
import { type Args, change, host } from './support.ts'

/** Answers with its very context. */
const counter = host(
  'counter',
  { on: { ADD: { actions: 'add' }, ASK: { actions: 'tell' } } },
  {
    actions: {
      add: change(({ context, event }) => ({ n: context.n + event.by })),
      tell: reply(({ context }) => context as Args['context']),
    },
  },
)

let harness: Harness
let here: ShardsHere
let server: ShardServer
let count = 0
beforeEach(async () => {
  harness = new Harness({ machines: [counter], shardCount: 1 })
  here = new ShardsHere()
  const { clock, engines, limits } = harness
  const transport = new MemoryTransport({ clock })
  server = serveShard(engines[0]!, transport, subjectsOf('test'), limits, { here })
  await harness.run(harness.client.start('counter/a', {}))
})

function take(...commands: object[]): Promise<Outcome[]> {
  const near = here.of(0) as NearShard
  const asked = new Promise<Outcome[]>((resolve) => near.take(commands as Command[], 100, resolve))
  return harness.run(asked)
}

function sending(fields: object): object {
  count += 1
  return { op: 'send', address: 'counter/a', id: `${harness.clock.now()}-${count}`, ...fields }
}

it('answers as a request is answered: those that can be, and why the others are not, in their order', async () => {
  const deep = Array.from({ length: 200 }).reduce<object>((inner) => ({ inner }), {})
  const outcomes = await take(
    sending({ event: { type: 'ADD', by: 2 } }),
    sending({ event: { by: 2 } }),
    sending({ event: { type: 'ADD', by: 1, deep } }),
    sending({ address: 'counter', event: { type: 'ADD', by: 1 } }),
    sending({ event: { type: 'NOTHING' } }),
  )
  expect(outcomes.map((one) => ('ok' in one ? 'ok' : one.error.code))).toEqual([
    ...['ok', 'malformed', 'too-large', 'invalid-address', 'invalid-event'],
  ])
})

it('refuses what is larger than a command may be', async () => {
  const near = here.of(0) as NearShard
  const { payloadBytesMax } = harness.limits
  const command = sending({ event: { type: 'ADD', by: 2 } }) as Command
  const outcomes = await harness.run(
    new Promise<Outcome[]>((resolve) => near.take([command], payloadBytesMax + 1, resolve)),
  )
  expect(outcomes[0]).toMatchObject({ error: { code: 'too-large' } })
})

it('gives answers that their caller may change, and remembers them as they were', async () => {
  const command = sending({ event: { type: 'ASK' } })
  const [first] = await take({ ...command })
  const { ok } = first as { ok: { turn: number; reply: { n: number }; value: unknown } }
  const before = structuredClone(ok)
  ok.turn = 99
  ok.reply.n = 99
  expect((await take({ ...command }))[0]).toEqual({ ok: before, durability: 'flushed' })
  expect((await harness.run(harness.client.get('counter/a'))).context).toMatchObject({ n: 0 })
})

it('is there from its first owner to its last', () => {
  const { clock, engines, limits } = harness
  const transport = new MemoryTransport({ clock })
  const first = here.of(0)
  expect(first).toBeDefined()
  expect(here.of(1)).toBeUndefined()
  const next = serveShard(engines[0]!, transport, subjectsOf('test'), limits, { here })
  server.stop()
  expect(here.of(0), 'the newer one stays').toBeDefined()
  expect(here.of(0)).not.toBe(first)
  next.stop()
  expect(here.of(0)).toBeUndefined()
})
