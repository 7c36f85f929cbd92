/**
 * Two commit paths, one engine: the same work by both gives the same rows and the same replies, byte
 * for byte; with crashes and takeovers in between, the same replies and the same actors.
 */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { Client } from '../../src/client/index.ts'
import { pack } from '../../src/protocol/index.ts'
import { metaKey } from '../../src/shard/keys.ts'
import { Harness } from './harness.ts'
import { judgeJournal, rowsOf } from './journaled-judge.ts'
import { type JournaledNode, Nodes, SHARD } from './journaled-nodes.ts'
import { counter, host, see } from './support.ts'

const RUNS = 150

/** Timers, tells by way of a child, and kept events beside the plain counter. */
const ticker = host('ticker', {
  initial: 'wait',
  states: {
    wait: { after: { 500: { target: 'rang', actions: see('rang') } }, on: { OFF: 'off' } },
    rang: { after: { 40: 'wait' }, on: { OFF: 'off' } },
    off: { on: { ON: 'wait' } },
  },
})
const MACHINES = [counter, ticker]
const ADDRESSES = ['counter/a', 'counter/b', 'ticker/a']

type Call =
  | { kind: 'start' | 'delete' | 'pause' | 'resume' | 'get' | 'history'; to: string }
  | { kind: 'send'; to: string; type: string; by: number }
  | { kind: 'patch'; to: string; n: number }
  | { kind: 'again'; back: number }
type Step = { kind: 'calls'; calls: Call[] } | { kind: 'pass'; ms: number } | { kind: 'crash' }

const to = fc.constantFrom(...ADDRESSES)
const call: fc.Arbitrary<Call> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('start' as const), to }) },
  {
    weight: 10,
    arbitrary: fc.record({
      kind: fc.constant('send' as const),
      to,
      type: fc.constantFrom('ADD', 'ADD', 'NOTE', 'OFF', 'ON', 'BAD', 'BOOM', 'FINISH', 'NONE'),
      by: fc.nat(9),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        'delete' as const,
        'pause' as const,
        'resume' as const,
        'resume' as const,
        'get' as const,
        'history' as const,
      ),
      to,
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('patch' as const), to, n: fc.nat(9) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('again' as const), back: fc.nat(5) }) },
)
const calls = fc.record({
  kind: fc.constant('calls' as const),
  calls: fc.array(call, { minLength: 1, maxLength: 5 }),
})
const pass = fc.record({ kind: fc.constant('pass' as const), ms: fc.constantFrom(1, 39, 40, 600) })
const crash = fc.record({ kind: fc.constant('crash' as const) })

/** Either kind of node, seen by the workload. */
interface Side {
  readonly durability: string
  client(): Client
  settle(ms: number): Promise<void>
  crash(): Promise<void>
}

/** All replies and failures, in order. */
async function replay(side: Side, steps: readonly Step[]): Promise<unknown[]> {
  const replies: unknown[] = []
  const sent: { call: Exclude<Call, { kind: 'again' }>; id: string }[] = []
  let time = Date.UTC(2026, 0, 1)
  for (const step of steps) {
    if (step.kind === 'pass') {
      await side.settle(step.ms)
      time += step.ms
    } else if (step.kind === 'crash') await side.crash()
    else {
      const work = step.calls.flatMap((one) => {
        const command =
          one.kind === 'again'
            ? sent.at(-1 - one.back)
            : { call: one, id: `${time}-${sent.length}` }
        if (!command) return []
        if (one.kind !== 'again') sent.push(command)
        return [perform(side.client(), command.call, command.id)]
      })
      const all = Promise.all(work)
      await side.settle(0)
      replies.push((await all).map((reply) => withoutDurability(reply, side.durability)))
    }
  }
  return replies
}

/** The one difference that is meant: each path says its own, of remembered replies as well. */
function withoutDurability(reply: unknown, durability: string): unknown {
  if (typeof reply !== 'object' || reply === null || !('durability' in reply)) return reply
  expect(reply.durability).toBe(durability)
  return { ...reply, durability: '' }
}

function perform(
  client: Client,
  call: Exclude<Call, { kind: 'again' }>,
  id: string,
): Promise<unknown> {
  const options = { id, timeoutMs: 1 }
  const work = ((): Promise<unknown> => {
    switch (call.kind) {
      case 'send': {
        const event = { type: call.type, by: call.by, text: `note ${call.by}` }
        return client.send(call.to, event, options)
      }
      case 'patch':
        return client.patch(call.to, { n: call.n }, options)
      case 'start':
        return client.start(call.to, undefined, options)
      default:
        return client[call.kind](call.to, options)
    }
  })()
  return work.catch((thrown: { code: string; message: string }) => [thrown.code, thrown.message])
}

/** The first slot of a journaled shard is a claim: the embedded one begins at its second as well. */
async function embedded(): Promise<Side & { harness: () => Harness }> {
  let harness = new Harness({ machines: [], shardCount: 1 })
  harness.store.write({ writes: [[metaKey(SHARD), pack([1, 0, 0])]], failed: () => {} })
  await harness.advance(0)
  const again = () => new Harness({ machines: MACHINES, shardCount: 1, from: harness })
  harness = again()
  return {
    durability: 'flushed',
    harness: () => harness,
    client: () => harness.client,
    settle: (ms) => harness.advance(ms),
    crash: async () => {
      harness = again()
      await harness.advance(0)
    },
  }
}

async function journaled(): Promise<Side & { nodes: Nodes; owner: () => JournaledNode }> {
  const nodes = new Nodes({ machines: MACHINES })
  const others = [nodes.node('a'), nodes.node('b')]
  await others[0]!.serve()
  let turns = 0
  return {
    durability: 'flushed+journaled',
    nodes,
    owner: () => others[0]!,
    client: () => others[0]!.client,
    settle: (ms) => nodes.settle(ms),
    // In turn: the owner restarts, the other takes over from the dead, from the living.
    crash: async () => {
      turns += 1
      if (turns % 3 !== 0) others[0]!.kill()
      if (turns % 3 !== 1) others.reverse()
      await others[0]!.serve()
    },
  }
}

const first: Step = { kind: 'calls', calls: [{ kind: 'start', to: 'counter/a' }] }

it('the same work gives the same rows and replies, byte for byte', async () => {
  const steps = fc.array(
    fc.oneof({ weight: 4, arbitrary: calls }, { weight: 1, arbitrary: pass }),
    {
      maxLength: 40,
      size: 'max',
    },
  )
  await fc.assert(
    fc.asyncProperty(steps as fc.Arbitrary<Step[]>, async (drawn) => {
      const work = [first, ...drawn]
      const one = await embedded()
      const other = await journaled()
      const replies = await replay(one, work)
      expect(await replay(other, work)).toEqual(replies)
      expect(rowsOf(other.owner().store)).toEqual(rowsOf(one.harness().store))
      judgeJournal(other.nodes.server)
    }),
    { numRuns: RUNS },
  )
})

it('with crashes and takeovers in between it gives the same replies and actors', async () => {
  const steps = fc.array(
    fc.oneof(
      { weight: 6, arbitrary: calls },
      { weight: 2, arbitrary: pass },
      { weight: 1, arbitrary: crash },
    ),
    { maxLength: 40, size: 'max' },
  )
  await fc.assert(
    fc.asyncProperty(steps as fc.Arbitrary<Step[]>, async (work) => {
      const one = await embedded()
      const other = await journaled()
      const last: Step = { kind: 'calls', calls: ADDRESSES.map((to) => ({ kind: 'get', to })) }
      const replies = await replay(one, [...work, last])
      expect(await replay(other, [...work, last])).toEqual(replies)
      judgeJournal(other.nodes.server)
    }),
    { numRuns: RUNS },
  )
})
