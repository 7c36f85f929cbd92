/** A wrong event, payload or input is an error of the compiler, not of the night. */
import { assertType, expectTypeOf, test } from 'vitest'
import { assign, setup } from 'xstate'
import { z } from 'zod'
import {
  type Client,
  createClient,
  defineMachine,
  type FollowedEvent,
  type RemoteClient,
  reply,
  type TaskOptions,
  type TroupeNode,
  task,
  tell,
} from '../../src/index.ts'

const machine = setup({
  types: {
    context: {} as { n: number },
    input: {} as { from: number },
    output: {} as { total: number },
    events: {} as { type: 'ADD'; by: number } | { type: 'STOP' } | { type: 'TICK' },
  },
}).createMachine({
  id: 'counter',
  context: ({ input }) => ({ n: input.from }),
  initial: 'on',
  states: {
    on: { on: { ADD: { actions: assign({ n: ({ context, event }) => context.n + event.by }) } } },
  },
})

const counter = defineMachine({
  machine,
  events: { ADD: z.object({ by: z.number() }), STOP: z.object({}) },
  internal: ['TICK'],
})

declare const client: Client
const actor = client.actor(counter, 'a')

test('events of the machine are taken, others are not', () => {
  assertType(actor.send({ type: 'ADD', by: 1 }))
  assertType(actor.send({ type: 'STOP' }))
  // @ts-expect-error there is no such event
  assertType(actor.send({ type: 'HALT' }))
  // @ts-expect-error the payload is of another type
  assertType(actor.send({ type: 'ADD', by: '1' }))
  // @ts-expect-error the payload is missing
  assertType(actor.send({ type: 'ADD' }))
  // @ts-expect-error only the machine itself raises it
  assertType(actor.send({ type: 'TICK' }))
})

test('input, context and output have their types', async () => {
  assertType(actor.start({ from: 3 }))
  // @ts-expect-error the input is of another type
  assertType(actor.start({ from: 'three' }))
  const view = await actor.get()
  expectTypeOf(view.context).toEqualTypeOf<{ n: number }>()
  expectTypeOf(view.output).toEqualTypeOf<{ total: number } | undefined>()
})

declare const node: TroupeNode

test('a client of a node is there at once, one of a cluster is waited for, and both know machines', async () => {
  expectTypeOf(createClient({ node, author: 'ann' })).toEqualTypeOf<Client>()
  const connecting = createClient({ nats: { servers: ['nats://127.0.0.1:4222'] }, cluster: 'main' })
  expectTypeOf(connecting).resolves.toEqualTypeOf<RemoteClient>()
  const remote = await connecting
  expectTypeOf(remote.close()).toEqualTypeOf<Promise<void>>()
  expectTypeOf(remote.actor(counter, 'a')).toEqualTypeOf(actor)
  const { signal } = new AbortController()
  for await (const event of remote.follow('counter/a', signal)) {
    expectTypeOf(event).toEqualTypeOf<FollowedEvent>()
  }
  // @ts-expect-error it names neither a node nor servers
  createClient({ cluster: 'main' })
})

test('every event has a schema that fits it', () => {
  // @ts-expect-error STOP has no schema
  defineMachine({ machine, events: { ADD: z.object({ by: z.number() }) }, internal: ['TICK'] })
  defineMachine({
    machine,
    // @ts-expect-error the schema of ADD gives a text
    events: { ADD: z.object({ by: z.string() }), STOP: z.object({}) },
    internal: ['TICK'],
  })
})

test('a task gives its input and output to the machine', () => {
  const double = task<{ n: number }, number>({
    name: 'double',
    run: async ({ input }) => {
      expectTypeOf(input).toEqualTypeOf<{ n: number }>()
      return input.n * 2
    },
  })
  setup({ types: { context: {} as { n: number } }, actors: { double } }).createMachine({
    context: { n: 1 },
    invoke: {
      src: 'double',
      input: ({ context }) => ({ n: context.n }),
      onDone: { actions: assign({ n: ({ event }) => event.output }) },
    },
  })
  expectTypeOf<TaskOptions<number, string>['run']>().returns.toEqualTypeOf<Promise<string>>()
})

test('tell and reply know the context and the event, in the chart and in setup', () => {
  const types = { context: {} as { n: number }, events: {} as { type: 'ASK'; to: string } }
  setup({
    types,
    actions: {
      answer: reply(({ context }) => context.n),
      pass: tell(({ event }) => ({ to: event.to, event: { type: 'HI' } })),
    },
  }).createMachine({
    context: { n: 1 },
    entry: 'answer',
    on: {
      ASK: {
        actions: [
          'pass',
          reply(({ context, event }) => `${context.n} ${event.to}`),
          tell(({ event }) => ({ to: event.to, event: { type: 'HI' } })),
        ],
      },
    },
  })
})
