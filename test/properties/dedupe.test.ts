/**
 * P3: whatever is repeated, restarted and waited for, a command is applied at most once; inside the
 * window its first reply comes back, and after it is forgotten it is `expired`.
 */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { formatCommandId, TroupeError } from '../../src/protocol/index.ts'
import { DEDUPE_STEP_MS, TABLE } from '../../src/shard/keys.ts'
import type { Harness } from '../shard/harness.ts'
import { counter, get, open, restart, send, start } from '../shard/support.ts'

const LIMITS = { dedupeWindowMs: 180_000, clockSkewMaxMs: 10_000, requestTimeoutMs: 5_000 }
const ADDRESS = 'counter/a'

type Step =
  /** The command of this number, new or again; `skewMs` counts when it is new. */
  | { do: 'send'; number: number; skewMs: number }
  /** The same, twice in one batch. */
  | { do: 'twice'; number: number }
  /** The node dies after so many rounds of work, with the command under way; it is sent again. */
  | { do: 'crash'; number: number; rounds: number }
  | { do: 'wait'; ms: number }
  /** Another command, so that the shard commits and may forget. */
  | { do: 'other' }
  | { do: 'restart' }

const numbers = fc.integer({ min: 0, max: 5 })
const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('send' as const),
      number: numbers,
      skewMs: fc.constantFrom(0, 0, 0, 5_000, 9_999, -1_000, -170_000),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('twice' as const), number: numbers }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('crash' as const),
      number: numbers,
      rounds: fc.integer({ min: 0, max: 3 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('wait' as const),
      ms: fc.oneof(fc.integer({ min: 0, max: 1_000 }), fc.integer({ min: 0, max: 200_000 })),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('other' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
)

type Reply = { reply: unknown } | { code: string }

/** A shard, and what is known of the commands that it was sent. */
class Play {
  h: Harness
  /** Commands whose outcome is known: when issued, and the first reply. */
  readonly known = new Map<number, { id: string; issuedAt: number; first: Reply }>()
  others = 0
  readonly #sabotage: (h: Harness) => void

  constructor(sabotage: (h: Harness) => void) {
    this.#sabotage = sabotage
    this.h = open([counter], { shardCount: 1, limits: LIMITS })
    sabotage(this.h)
  }

  restart(): void {
    this.h = restart(this.h, [counter])
    this.#sabotage(this.h)
  }

  /** Each command adds its own power of seven: the sum says how often each was applied. */
  #send(number: number, id: string): Promise<Reply> {
    return this.h.client.send(ADDRESS, { type: 'ADD', by: 7 ** number }, { id }).then(
      (reply): Reply => ({ reply }),
      (thrown: unknown): Reply => {
        if (thrown instanceof TroupeError) return { code: thrown.code }
        throw thrown
      },
    )
  }

  /** The id of a command is made once; afterwards it is a repeat. */
  #idOf(number: number, skewMs = 0): { id: string; issuedAt: number } {
    const issuedAt = this.h.clock.now() + skewMs
    return (
      this.known.get(number) ?? { id: formatCommandId(issuedAt, `command-${number}`), issuedAt }
    )
  }

  async send(number: number, skewMs: number): Promise<void> {
    const { id, issuedAt } = this.#idOf(number, skewMs)
    this.#judge(number, id, issuedAt, await this.h.run(this.#send(number, id)))
  }

  async twice(number: number): Promise<void> {
    const { id, issuedAt } = this.#idOf(number)
    const both = await this.h.run(Promise.all([this.#send(number, id), this.#send(number, id)]))
    for (const reply of both) this.#judge(number, id, issuedAt, reply)
    expect(both[1]).toEqual(both[0])
  }

  async crash(number: number, rounds: number): Promise<void> {
    const { id, issuedAt } = this.#idOf(number)
    let early: Reply | undefined
    void this.#send(number, id).then((reply) => {
      early = reply
    })
    for (let round = 0; round < rounds; round++) await this.h.advance(0)
    this.restart()
    const reply = await this.h.run(this.#send(number, id))
    // Nobody is told what a crash takes back; past the window the repeat may find it forgotten.
    const isPast = this.h.clock.now() - issuedAt > LIMITS.dedupeWindowMs
    if (early && !isPast) expect(reply).toEqual(early)
    this.#judge(number, id, issuedAt, reply)
  }

  #judge(number: number, id: string, issuedAt: number, reply: Reply): void {
    const { dedupeWindowMs } = LIMITS
    const known = this.known.get(number)
    if (!known) {
      // One that was never sent may only be refused when its time is past.
      if ('code' in reply) expect(reply.code).toBe('expired')
      if ('code' in reply) expect(this.h.clock.now() - issuedAt).toBeGreaterThan(dedupeWindowMs)
      else this.known.set(number, { id, issuedAt, first: reply })
      return
    }
    const age = this.h.clock.now() - known.issuedAt
    if (age <= dedupeWindowMs) expect(reply).toEqual(known.first)
    else if ('code' in reply) expect(reply.code).toBe('expired')
    else expect(reply).toEqual(known.first)
  }

  async other(): Promise<void> {
    await send(this.h, ADDRESS, 'NOTE', { text: `${this.others++}` })
  }

  /** Applied exactly once each, and forgotten in the end. */
  async finish(): Promise<void> {
    const sum = [...this.known.keys()].reduce((total, number) => total + 7 ** number, 0)
    const { context } = await get(this.h, ADDRESS)
    expect(context).toMatchObject({ n: sum })
    expect((context as { seen: string[] }).seen).toHaveLength(this.others)
    await this.h.advance(LIMITS.dedupeWindowMs + LIMITS.clockSkewMaxMs + DEDUPE_STEP_MS + 1)
    await this.other()
    for (const [number, { id }] of this.known)
      expect(await this.h.run(this.#send(number, id))).toEqual({ code: 'expired' })
    expect((await get(this.h, ADDRESS)).context).toMatchObject({ n: sum })
    expect(this.h.stops).toEqual([])
  }
}

async function play(list: readonly Step[], sabotage: (h: Harness) => void = () => {}) {
  const one = new Play(sabotage)
  await start(one.h, ADDRESS)
  for (const step of list) {
    if (step.do === 'send') await one.send(step.number, step.skewMs)
    else if (step.do === 'twice') await one.twice(step.number)
    else if (step.do === 'crash') await one.crash(step.number, step.rounds)
    else if (step.do === 'wait') await one.h.advance(step.ms)
    else if (step.do === 'other') await one.other()
    else one.restart()
  }
  await one.finish()
}

const histories = fc.array(steps, { minLength: 2, maxLength: 25, size: '+1' })

it('applied at most once, answered alike, and expired after the window', async () => {
  await fc.assert(
    fc.asyncProperty(histories, (list) => play(list)),
    { numRuns: 120 },
  )
})

/** Remembered replies never reach the disk. */
function forgetful(h: Harness): void {
  const write = h.store.write.bind(h.store)
  h.store.write = (transaction) =>
    write({
      ...transaction,
      writes: transaction.writes.filter(([key]) => key[2] !== TABLE.dedupe),
    })
}

/** Command ids are never forgotten. */
function hoarding(h: Harness): void {
  const write = h.store.write.bind(h.store)
  h.store.write = (transaction) =>
    write({
      ...transaction,
      writes: transaction.writes.filter(([key, value]) => key[2] !== TABLE.dedupe || value),
    })
}

it.each([
  ['a store that loses remembered replies', forgetful],
  ['a store that never forgets them', hoarding],
])('notices %s', async (_name, sabotage) => {
  const result = await fc.check(
    fc.asyncProperty(histories, (list) => play(list, sabotage)),
    { numRuns: 100, endOnFailure: true },
  )
  expect(result.failed).toBe(true)
  expect(result.counterexample).not.toBeNull()
})
