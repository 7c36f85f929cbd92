/**
 * P4 over a bad line: whatever is lost, late or doubled, and whichever side crashes when, every tell
 * arrives once and in the order in which its sender told.
 */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { MemoryStore } from '../../src/adapters/memory/index.ts'
import { tell } from '../../src/machine/index.ts'
import type { Transport } from '../../src/ports/index.ts'
import { formatCommandId, pack, shardOf, unpack } from '../../src/protocol/index.ts'
import type { RelayRequest } from '../../src/shard/channels.ts'
import { TABLE } from '../../src/shard/keys.ts'
import { type Args, change, host, see } from '../shard/support.ts'
import { type Fault, Nodes, type NodesOptions } from './lossy.ts'

const NODES = 3
const LIMITS = {
  requestTimeoutMs: 400,
  channelResendMs: 150,
  channelWindowMax: 4,
  stepsPerBatchMax: 6,
  historyCountMax: 1,
}

/** Numbers its messages per target itself, in the turn that tells. */
const teller = host(
  'teller',
  {
    context: { n: 0, seen: [], told: {} },
    on: { TELL: { actions: ['count', 'tell'] }, NOTE: { actions: 'note' } },
  },
  {
    actions: {
      count: change(({ context, event }) => {
        const told = context['told'] as Record<string, number>
        return { told: { ...told, [event.to]: (told[event.to] ?? 0) + event.by } }
      }),
      tell: tell((({ context, event, self }: Args & { self: { id: string } }) => {
        const last = (context['told'] as Record<string, number>)[event.to] ?? 0
        return Array.from({ length: event.by }, (_, n) => ({
          to: event.to,
          event: { type: 'NOTE', text: `${self.id}:${last - event.by + n + 1}` },
        }))
      }) as never),
      note: see(({ event }) => event.text),
    },
  },
)

/** One actor per node, and a second one on the first. */
const actors = (() => {
  const found: string[] = []
  const wanted = [0, 1, 2, 0]
  for (let n = 0; found.length < wanted.length; n++)
    if (shardOf(`teller/${n}`, NODES) === wanted[found.length]) found.push(`teller/${n}`)
  return found
})()

type Step =
  | { do: 'tell'; from: number; to: number; count: number }
  | { do: 'wait'; ms: number }
  | { do: 'crash'; node: number }
  | { do: 'faults'; faults: Fault[] }

const late = fc.integer({ min: 0, max: 900 })
const faults: fc.Arbitrary<Fault> = fc.oneof(
  fc.constantFrom<Fault>({ kind: 'none' }, { kind: 'lost' }, { kind: 'answer-lost' }),
  late.map((afterMs): Fault => ({ kind: 'twice', afterMs })),
  late.map((afterMs): Fault => ({ kind: 'late', afterMs })),
)
const who = fc.integer({ min: 0, max: actors.length - 1 })
const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('tell' as const),
      from: who,
      to: who,
      count: fc.integer({ min: 1, max: 5 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('wait' as const),
      ms: fc.integer({ min: 0, max: 300 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('crash' as const),
      node: fc.integer({ min: 0, max: NODES - 1 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('faults' as const),
      faults: fc.array(faults, { minLength: 1, maxLength: 6 }),
    }),
  },
)

type Sabotage = NonNullable<NodesOptions['sabotage']>

async function play(list: readonly Step[], sabotage: Sabotage = {}): Promise<void> {
  const nodes = new Nodes({
    machines: [teller],
    count: NODES,
    limits: LIMITS,
    flushDelayMs: 3,
    sabotage,
  })
  for (const address of actors) await nodes.run(nodes.client.start(address))
  const sent: (() => Promise<unknown>)[] = []
  const wanted = new Map<string, number>()
  for (const [index, step] of list.entries()) {
    if (step.do === 'wait') await nodes.clock.settle(step.ms)
    else if (step.do === 'crash') nodes.crash(step.node)
    else if (step.do === 'faults') nodes.line.faults.push(...step.faults)
    else {
      const from = actors[step.from]!
      const to = actors[step.to]!
      const id = formatCommandId(nodes.clock.now(), `tell-${index}`)
      const call = () => nodes.client.send(from, { type: 'TELL', to, by: step.count }, { id })
      call().catch(() => {})
      sent.push(call)
      wanted.set(`${from} ${to}`, (wanted.get(`${from} ${to}`) ?? 0) + step.count)
    }
  }
  // The line is good again; what a crash swallowed is sent once more, with its id.
  nodes.line.faults = []
  await nodes.clock.settle(2_000)
  for (const call of sent) await nodes.run(call())
  await nodes.clock.settle(5_000)
  expect(nodes.failures).toEqual([])
  for (const to of actors) {
    const { context } = await nodes.run(nodes.client.get(to))
    const { seen } = context as { seen: string[] }
    for (const from of actors) {
      const prefix = `${from.split('/')[1]}:`
      const found = seen.filter((text) => text.startsWith(prefix))
      const count = wanted.get(`${from} ${to}`) ?? 0
      expect(found).toEqual(Array.from({ length: count }, (_, n) => `${prefix}${n + 1}`))
    }
  }
}

const histories = fc.array(steps, { minLength: 3, maxLength: 25, size: '+1' })

it('every tell arrives once and in order', async () => {
  await fc.assert(
    fc.asyncProperty(histories, (list) => play(list)),
    { numRuns: 150 },
  )
})

/** Says that a message arrived, now and then, without delivering it. */
function swallowing(inner: Transport): Transport {
  let requests = 0
  return {
    publish: (subject, payload) => inner.publish(subject, payload),
    hears: (subject) => inner.hears(subject),
    connection: () => inner.connection(),
    subscribe: (subject, options, handle) => inner.subscribe(subject, options, handle),
    request: (request, done) =>
      inner.request(request, (outcome) => {
        requests += 1
        if (outcome.kind === 'reply' || requests % 2 === 0) return done(outcome)
        const { first, messages } = unpack(request.payload) as RelayRequest
        done({ kind: 'reply', payload: pack({ acked: first + messages.length - 1 }) })
      }),
  }
}

/** Forgets, over a crash, what arrived already. */
function forgetting(store: MemoryStore): void {
  const write = store.write.bind(store)
  store.write = (transaction) =>
    write({
      ...transaction,
      writes: transaction.writes.filter(([key]) => key[2] !== TABLE.inbound),
    })
}

/** Forgets, over a crash, what was not sent yet. */
function leaking(store: MemoryStore): void {
  const write = store.write.bind(store)
  store.write = (transaction) =>
    write({ ...transaction, writes: transaction.writes.filter(([key]) => key[2] !== TABLE.outbox) })
}

it.each<[string, Sabotage]>([
  ['an acknowledgement without delivery', { transport: swallowing }],
  ['a target that forgets what arrived', { store: forgetting }],
  ['a sender that forgets what waits', { store: leaking }],
])('notices %s', async (_name, sabotage) => {
  const result = await fc.check(
    fc.asyncProperty(histories, (list) => play(list, sabotage)),
    { numRuns: 60, endOnFailure: true },
  )
  expect(result.failed).toBe(true)
  expect(result.counterexample).not.toBeNull()
})
