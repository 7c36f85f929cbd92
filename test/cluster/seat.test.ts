/** One shard on one node: what it waits for before it begins again. */
import { expect, it } from 'vitest'
import {
  MemoryCheckpoints,
  MemoryRegistry,
  MemoryStore,
  MemoryTaskQueue,
  SeededRandom,
} from '../../src/adapters/memory/index.ts'
import { silentLog } from '../../src/adapters/system/index.ts'
import { DEFAULT_CLUSTER_LIMITS as clusterLimits } from '../../src/cluster/limits.ts'
import { Members } from '../../src/cluster/members.ts'
import { Seat } from '../../src/cluster/seat.ts'
import { NO_VERSIONS } from '../../src/cluster/versions.ts'
import { type View, ViewMemory, viewNumber } from '../../src/cluster/view.ts'
import { Views } from '../../src/cluster/views.ts'
import { NO_WISHES } from '../../src/cluster/wishes.ts'
import { hostMachine } from '../../src/machine/index.ts'
import type { StoreTransaction } from '../../src/ports/index.ts'
import { type Outcome, subjectsOf, unpack } from '../../src/protocol/index.ts'
import { ReadTurns, ResidentBudget, ShardsHere, WalkTurns } from '../../src/shard/index.ts'
import { appliedKey, tailKey } from '../../src/shard/keys.ts'
import { READ_TURN_LIMITS } from '../../src/shard/read-turns.ts'
import { claims, rowsOf, tailOf } from '../shard/journaled-judge.ts'
import { Nodes, SHARD } from '../shard/journaled-nodes.ts'
import { counter } from '../shard/support.ts'

const A = 'counter/a'
const LEADER_EPOCH = 1

const numberOf = (version: number) => viewNumber({ leaderEpoch: LEADER_EPOCH, version })

/** A disk that is slow for once: from a write on, it takes nothing before it is released. */
class SlowStore extends MemoryStore {
  #isHeld: ((transaction: StoreTransaction) => boolean) | undefined
  #held: StoreTransaction[] | undefined

  holdFrom(isHeld: (transaction: StoreTransaction) => boolean): void {
    this.#isHeld = isHeld
  }

  get holds(): boolean {
    return this.#held !== undefined
  }

  release(): void {
    const held = this.#held ?? []
    this.#isHeld = undefined
    this.#held = undefined
    for (const transaction of held) this.write(transaction)
  }

  override write(transaction: StoreTransaction): void {
    if (this.#isHeld?.(transaction)) this.#held ??= []
    if (this.#held) this.#held.push(transaction)
    else super.write(transaction)
  }
}

/** Nobody has kept anything. */
function answerNothing(
  _request: unknown,
  done: (tails: [], givenUp: []) => void,
): { stop(): void } {
  done([], [])
  return { stop: () => {} }
}

/** The seat of node `a`. Others, as far as the journal knows, are `nodes` of their own. */
class Bench {
  readonly nodes = new Nodes()
  readonly a = this.nodes.node('a')
  readonly store = new SlowStore({ clock: this.nodes.clock })
  readonly views: Views
  readonly members: Members
  readonly seat: Seat
  readonly turns = new ReadTurns({ clock: this.nodes.clock })
  /** How often others were to hear something at once. */
  changes = 0
  readonly failures = { expected: 0, met: [] as string[] }

  constructor() {
    const { clock, limits } = this.nodes
    const { transport } = this.a
    const subjects = subjectsOf('test')
    const { store } = this
    const fail = (why: string) => {
      throw new Error(why)
    }
    this.views = new Views({
      ...{ clock, shardCount: 1, failed: fail, log: silentLog },
      limits: clusterLimits,
      registry: new MemoryRegistry({ clock }),
      memory: new ViewMemory(store, 1, silentLog),
      changed: () => this.seat.reconcile(),
    })
    this.members = this.member('a', () => undefined)
    this.seat = new Seat(SHARD, {
      ...{ name: 'a', shardCount: 1, clock, store, transport, subjects, limits, clusterLimits },
      turns: this.turns,
      walks: new WalkTurns({ clock }),
      here: new ShardsHere(),
      random: new SeededRandom(1),
      log: silentLog,
      journal: this.a.line,
      checkpoints: new MemoryCheckpoints({ clock }),
      taskQueue: new MemoryTaskQueue({ clock }),
      machines: new Map([[counter.name, hostMachine(counter, limits)]]),
      versions: NO_VERSIONS,
      budget: new ResidentBudget(limits.residentBytesMax),
      live: { start: () => {}, send: () => {}, stop: () => {} },
      announces: false,
      ...{ recordBytesMax: undefined, ownerSilenceMs: undefined },
      views: this.views,
      members: this.members,
      otherTails: { collect: answerNothing },
      changed: () => {
        this.changes += 1
      },
      failed: ({ why }) => {
        this.failures.met.push(why)
        if (this.failures.expected === 0) fail(why)
      },
    })
    this.views.start()
    this.members.start()
  }

  /** It is named and has claimed, and its disk does not say that it has that. */
  async claimsUnflushed(): Promise<void> {
    const claimed = tailKey(SHARD, 1)
    this.store.holdFrom(({ writes }) => writes.some(([key]) => Buffer.compare(key, claimed) === 0))
    this.name(1, 'a')
    await this.settle(1_000)
    expect([this.store.holds, this.seat.isOwner]).toEqual([true, true])
  }

  /** Whoever has this name says by which view it serves the shard. */
  member(name: string, servesBy: () => number | undefined, seen = () => 0): Members {
    const { clock } = this.nodes
    return new Members({
      ...{ name, clock, limits: clusterLimits, log: silentLog, bootId: name },
      transport: this.a.transport,
      subjects: subjectsOf('test'),
      describe: () => {
        const by = servesBy()
        const viewNumber = seen()
        const who = { name, bootId: name, weight: 1, zone: null, leaving: false, viewNumber }
        const serves = by === undefined ? [] : [[SHARD, by] as const]
        return { ...who, serves, lags: [], machines: NO_VERSIONS, refuses: [] }
      },
      changed: () => this.seat?.reconcile(),
    })
  }

  name(version: number, owner: string, standby: string | null = null): void {
    const members = ['a', 'b'].map((one) => ({ name: one, weight: 1, zone: null, leaving: false }))
    const view: View = {
      ...{ leaderEpoch: LEADER_EPOCH, version, members, owners: [owner], standbys: [standby] },
      ...{ former: [[]], needs: [NO_VERSIONS], unhosted: [], wishes: NO_WISHES },
    }
    this.views.take(view)
  }

  get serves(): boolean {
    return this.seat.status().engine?.state === 'serving'
  }

  settle(ms: number): Promise<void> {
    return this.nodes.settle(ms)
  }
}

it('a claim that was lost does not spare the next try the wait for who serves', async () => {
  const bench = new Bench()
  const { handoffMs } = clusterLimits
  bench.member('b', () => numberOf(1)).start()
  const b = bench.nodes.node('b')
  // By a view that this node does not know.
  await b.serve(numberOf(3))
  bench.name(2, 'a')
  await bench.settle(handoffMs + 1_000)
  expect(claims(bench.nodes.server), 'it was too late').toEqual([`b@${numberOf(3)}`])
  expect(bench.seat.isOwner).toBe(false)
  bench.name(4, 'a')
  await bench.settle(handoffMs - 1_000)
  expect(bench.serves, 'b is given its time').toBe(false)
  await bench.settle(2_000)
  expect(bench.serves).toBe(true)
})

it('a shard is followed from what the store shows when it has taken what the owner left under way', async () => {
  const bench = new Bench()
  const { nodes, a, store, seat } = bench
  bench.name(1, 'a')
  await bench.settle(100)
  expect(await a.answer(a.client.start(A))).toBe('ok')
  expect(await a.answer(a.note(A, 'kept'))).toBe('ok')
  await bench.settle(100)
  const before = rowsOf(store)
  // Acknowledged by the journal and flushed; only the rows of the actor are not there yet.
  store.holdFrom(({ writes }) =>
    writes.some(([key]) => Buffer.compare(key, appliedKey(SHARD)) === 0),
  )
  const noted = a.answer(a.note(A, 'lost', undefined, 1_000))
  await nodes.clock.settle(10)
  expect([store.holds, tailOf(store).length]).toEqual([true, 4])
  seat.yieldTo(numberOf(2))
  nodes.loseLast(1)
  const b = nodes.node('b')
  await b.serve(numberOf(2))
  expect(await b.answer(b.note(A, 'other'))).toBe('ok')
  bench.name(2, 'b', 'a')
  await bench.settle(1_000)
  expect(rowsOf(store)).toEqual(before)
  store.release()
  await bench.settle(5_000)
  expect(await noted, 'it had happened, and its tail has it for whoever asks').toBe('ok')
  expect(seat.refuses, 'it has applied what the journal lost, and knows it').toBe(true)
})

it('what is sent behind the claim waits until it serves, and is not asked again', async () => {
  const bench = new Bench()
  const { a, store, seat } = bench
  await bench.claimsUnflushed()
  expect(seat.servesBy).toBeUndefined()
  const answered: string[] = []
  let requests = 0
  const request = a.transport.request.bind(a.transport)
  a.transport.request = (...asked) => {
    requests += 1
    request(...asked)
  }
  void a.client.start(A, undefined, { timeoutMs: 10_000 }).then(({ address }) => {
    answered.push(address)
  })
  await bench.settle(2_000)
  expect(answered).toEqual([])
  store.release()
  await bench.settle(5)
  expect([answered, seat.servesBy, requests]).toEqual([[A], numberOf(1), 1])
})

it('what waits behind the claim goes to the next owner, however the taking ends', async () => {
  const ends: Record<string, (bench: Bench) => void> = {
    'another is named': (bench) => bench.name(2, 'b'),
    'others ask for its records': ({ seat }) => seat.yieldTo(numberOf(2)),
    'the disk refuses': ({ store, failures }) => {
      failures.expected = 1
      store.failNext('full')
      store.release()
    },
  }
  for (const [what, end] of Object.entries(ends)) {
    const bench = new Bench()
    const { a, failures } = bench
    await bench.claimsUnflushed()
    const replies: Outcome[] = []
    const request = a.transport.request.bind(a.transport)
    a.transport.request = (asked, done) =>
      request(asked, (outcome) => {
        if (outcome.kind === 'reply') replies.push(...(unpack(outcome.payload) as Outcome[]))
        done(outcome)
      })
    const started = a.answer(a.client.start(A, undefined, { timeoutMs: 500 }))
    await bench.settle(100)
    expect(replies).toEqual([])
    end(bench)
    await bench.settle(100)
    expect(replies, what).toMatchObject([{ error: { code: 'moved' } }])
    await bench.settle(1_000)
    expect([await started, failures.met.length]).toEqual(['unavailable', failures.expected])
  }
})

it('an owner goes on until the next one has said that it knows of it, but not for ever', async () => {
  for (const isHeard of [true, false]) {
    const bench = new Bench()
    let seen = numberOf(1)
    const b = bench.member(
      'b',
      () => undefined,
      () => seen,
    )
    b.start()
    bench.name(1, 'a')
    await bench.settle(100)
    bench.name(2, 'b')
    bench.name(3, 'b')
    await bench.settle(clusterLimits.letGoMs / 2)
    expect(bench.serves).toBe(true)
    if (isHeard) {
      seen = numberOf(2)
      b.beatSoon()
    }
    await bench.settle(50)
    expect(bench.serves).toBe(!isHeard)
    await bench.settle(clusterLimits.letGoMs / 2)
    expect(bench.serves).toBe(false)
  }
})

it('who is named and has nothing left to do says so at once', async () => {
  const bench = new Bench()
  bench.member('b', () => numberOf(1)).start()
  await bench.settle(100)
  bench.name(2, 'a')
  await bench.settle(clusterLimits.letGoMs)
  expect([bench.seat.isOwner, bench.changes]).toEqual([false, 1])
})

it('and again under each newer view: the one before may know of no older one', async () => {
  const bench = new Bench()
  bench.member('b', () => numberOf(1)).start()
  await bench.settle(100)
  bench.name(2, 'a')
  bench.name(3, 'a')
  await bench.settle(100)
  expect([bench.seat.isOwner, bench.changes]).toEqual([false, 2])
})

it('the pause of a handover begins when the one before has let go', async () => {
  const bench = new Bench()
  let servesBy: number | undefined = numberOf(1)
  const b = bench.member('b', () => servesBy)
  b.start()
  await bench.settle(100)
  bench.name(2, 'a')
  await bench.settle(clusterLimits.letGoMs)
  expect(bench.serves).toBe(false)
  servesBy = undefined
  b.beatSoon()
  await bench.settle(100)
  expect(bench.serves).toBe(true)
  const { handovers, pauseMs } = bench.seat.status().takes
  expect(handovers).toBe(1)
  expect(pauseMs).toBeLessThan(100)
})

it('who is named ends what it read as a standby while the one before still serves', async () => {
  const bench = new Bench()
  bench.member('b', () => numberOf(1)).start()
  const b = bench.nodes.node('b')
  await b.serve(numberOf(1))
  bench.name(1, 'b', 'a')
  await bench.settle(1_000)
  expect(bench.seat.status()).toMatchObject({ role: 'standby', lag: 0 })
  bench.name(2, 'a')
  await bench.settle(100)
  expect(bench.seat.status().role, 'nothing is left to wait for').toBe('none')
})

it('while a shard is taken, those that only follow wait, and no longer', async () => {
  const bench = new Bench()
  let hasBegun = false
  bench.name(1, 'a')
  while (!bench.seat.isOwner) await bench.settle(1)
  bench.turns.enter('follow', () => {
    hasBegun = true
  })
  while (!bench.serves) {
    expect(hasBegun).toBe(false)
    await bench.settle(1)
  }
  await bench.settle(READ_TURN_LIMITS.restMs + 1)
  expect(hasBegun).toBe(true)
})

it('nor once it was let go of before it served', async () => {
  const bench = new Bench()
  let hasBegun = false
  bench.name(1, 'a')
  while (!bench.seat.isOwner) await bench.settle(1)
  bench.name(2, 'b')
  bench.turns.enter('follow', () => {
    hasBegun = true
  })
  await bench.settle(READ_TURN_LIMITS.holdMs / 2)
  expect([bench.seat.isOwner, hasBegun]).toEqual([false, true])
})
