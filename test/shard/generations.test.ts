/** P4 when a shard goes on without the end of its journal: messages flow again, in order, none twice. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SeededRandom } from '../../src/adapters/memory/index.ts'
import { tell } from '../../src/machine/index.ts'
import type { Log, StoreRow, StoreWrite } from '../../src/ports/index.ts'
import { checkRelay, pack, type RelayReply, shardOf, unpack } from '../../src/protocol/index.ts'
import { begin, metaKey } from '../../src/shard/keys.ts'
import { generationRow, generationsOf, newGeneration } from '../../src/shard/lineage.ts'
import type { Harness } from './harness.ts'
import { type Args, counter, host, open, restart, seen, send, start } from './support.ts'

const SENDER = 0
const TARGET = 1

const teller = host(
  'teller',
  { on: { TELL: { actions: 'tell' } } },
  {
    actions: {
      tell: tell((({ event }: Args) => ({
        to: event.to,
        event: { type: 'NOTE', text: event.text },
      })) as never),
    },
  },
)
const MACHINES = [teller, counter]

/** An id whose actor lives on the wanted shard. */
function idOn(machine: string, shard: number): string {
  for (let n = 0; ; n++) if (shardOf(`${machine}/${n}`, 2) === shard) return `${machine}/${n}`
}

const from = idOn('teller', SENDER)
const to = idOn('counter', TARGET)

/** Few at once, so that a loss finds channels in the middle of their work. */
const LIMITS = { channelWindowMax: 2, channelResendMs: 100 }

/** In place of a generation: whoever took the shard did not know that anything was lost. */
const UNNOTICED = 0

interface Copy {
  rows: StoreRow[]
  /** How many messages had been sent. */
  sent: number
}

/**
 * A shard that is taken after its journal has lost slots that nobody has shows what it showed at an
 * earlier slot, and a generation begins: that is what is done to its rows here.
 */
class Bench {
  readonly errors: { fields: object; message: string }[] = []
  readonly #random: SeededRandom
  readonly #log: Log
  h: Harness
  sent = 0
  /** Which need not arrive: their sender or their target has forgotten them. */
  readonly forgotten = new Set<number>()
  /** By shard: of the chain of records that its journal has now. */
  readonly #copies: Copy[][] = [[], []]

  constructor(seed = 1) {
    this.#random = new SeededRandom(seed)
    const nothing = () => {}
    const error = (fields: object, message: string) => void this.errors.push({ fields, message })
    this.#log = { debug: nothing, info: nothing, warn: nothing, error, child: () => this.#log }
    this.h = open(MACHINES, { shardCount: 2, limits: LIMITS, log: this.#log })
  }

  async start(): Promise<this> {
    await start(this.h, from)
    await start(this.h, to)
    this.copy()
    return this
  }

  copy(): void {
    for (const shard of [SENDER, TARGET]) {
      const rows = [...this.h.store.range({ from: begin(shard, 0, 0), to: begin(shard + 1, 0, 0) })]
      this.#copies[shard]!.push({ rows, sent: this.sent })
    }
  }

  async send(count = 1): Promise<void> {
    for (let n = 0; n < count; n++) {
      this.sent += 1
      await send(this.h, from, 'TELL', { to, text: String(this.sent) })
    }
  }

  rest(ms = 5_000): Promise<void> {
    return this.h.advance(ms)
  }

  async seen(): Promise<number[]> {
    return (await seen(this.h, to)).map(Number)
  }

  restart(): void {
    this.h = restart(this.h, MACHINES, { log: this.#log })
  }

  /** The shard goes back to what it showed so many copies ago. */
  async lose(shard: number, back = 0, generation?: number): Promise<void> {
    const before = await this.seen()
    const copies = this.#copies[shard]!
    copies.splice(Math.max(1, copies.length - back))
    const { rows, sent } = copies.at(-1)!
    const { h } = this
    for (const engine of h.engines) engine.stop()
    const range = { from: begin(shard, 0, 0), to: begin(shard + 1, 0, 0) }
    const writes: StoreWrite[] = [...h.store.range(range)].map(({ key }) => [key, null])
    writes.push(...rows.map(({ key, value }): StoreWrite => [key, value]))
    h.store.write({ writes, failed: () => {} })
    await h.advance(0)
    const [slot, ...meta] = unpack(h.store.get(metaKey(shard))!) as [number, ...unknown[]]
    const drawn = generation ?? newGeneration(generationsOf(shard, h.store), this.#random)
    // The claim takes a slot.
    const claim: StoreWrite[] = [[metaKey(shard), pack([slot + 1, ...meta])]]
    if (drawn !== UNNOTICED) claim.push(generationRow(shard, slot + 1, drawn))
    h.store.write({ writes: claim, failed: () => {} })
    await h.advance(0)
    this.restart()
    if (shard === SENDER) for (let n = sent + 1; n <= this.sent; n++) this.forgotten.add(n)
    else {
      const after = new Set(await this.seen())
      for (const n of before) if (!after.has(n)) this.forgotten.add(n)
    }
  }

  /** Once, in order, and all that nobody has forgotten. */
  async judge(): Promise<void> {
    const seen = await this.seen()
    expect(seen, 'in order, none twice').toEqual([...new Set(seen)].sort((a, b) => a - b))
    const all = Array.from({ length: this.sent }, (_, index) => index + 1)
    const missing = all.filter((n) => !this.forgotten.has(n) && !seen.includes(n))
    expect(missing, 'do not arrive').toEqual([])
  }

  relay(request: object): RelayReply {
    let answer: RelayReply | undefined
    this.h.engines[TARGET]!.relay(request as never, 100, (reply) => {
      answer = reply
    })
    this.h.clock.advance(0)
    return answer!
  }

  said(part: string): object[] {
    return this.errors.filter(({ message }) => message.includes(part)).map(({ fields }) => fields)
  }
}

const bench = (seed?: number) => new Bench(seed).start()

describe('a shard that has forgotten what it sent', () => {
  it('gives its numbers again, and nothing is taken for a repeat', async () => {
    const b = await bench()
    await b.send(2)
    await b.rest()
    b.copy()
    await b.send(3)
    await b.rest()
    await b.lose(SENDER)
    await b.send(2)
    await b.rest()
    expect(await b.seen()).toEqual([1, 2, 3, 4, 5, 6, 7])
    const fields = { shard: TARGET, from: SENDER, generation: expect.any(Number) }
    expect(b.said('has lost the end of its journal')).toEqual([{ ...fields, first: 3, last: 5 }])
    await b.send(1)
    await b.rest()
    b.restart()
    await b.send(1)
    await b.rest()
    expect(await b.seen()).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9])
    expect(b.errors, 'it is said once').toHaveLength(1)
  })

  it('sends again what it has: that is taken for a repeat', async () => {
    const b = await bench()
    await b.send(4)
    // Sent, and not yet acknowledged, or the acknowledgement is forgotten.
    b.copy()
    await b.rest()
    await b.lose(SENDER)
    await b.send(1)
    await b.rest()
    expect(await b.seen()).toEqual([1, 2, 3, 4, 5])
    expect(b.errors).toEqual([])
  })

  it('has a first message for a shard that knows messages of it', async () => {
    const b = await bench()
    await b.send(3)
    await b.rest()
    await b.lose(SENDER)
    await b.send(2)
    await b.rest()
    expect(await b.seen()).toEqual([1, 2, 3, 4, 5])
  })

  it('outranks a generation that was forgotten as well', async () => {
    const b = await bench()
    await b.send(1)
    await b.rest()
    b.copy()
    await b.lose(SENDER, 0, 1_000_000)
    await b.send(3)
    await b.rest()
    // Back to before that generation began; the next one is below it.
    await b.lose(SENDER, 0, 500)
    await b.send(4)
    await b.rest()
    expect(await b.seen()).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
    const known = generationsOf(SENDER, b.h.store)
    expect(known[0]).toBe(500)
    expect(known[1]).toBeGreaterThan(1_000_000)
    b.restart()
    await b.send(1)
    await b.rest()
    expect(await b.seen()).toHaveLength(9)
    expect(generationsOf(SENDER, b.h.store)).toEqual(known)
  })

  it('does not say so: the channel goes on all the same, and that is said', async () => {
    const b = await bench()
    await b.send(3)
    await b.rest()
    await b.lose(SENDER, 0, UNNOTICED)
    await b.send(1)
    await b.rest()
    expect(b.said('more messages from here than were sent')).toEqual([
      { target: TARGET, acked: 3, committed: 1 },
    ])
    await b.send(2)
    await b.rest()
    expect((await b.seen()).slice(-2)).toEqual([5, 6])
  })
})

describe('a shard that has forgotten what it took', () => {
  it('is sent again what is still there', async () => {
    const b = await bench()
    await b.send(1)
    await b.rest()
    b.copy()
    // The last ones are acknowledged; no commit has come since that would remove them.
    await b.send(2)
    await b.h.advance(1)
    await b.lose(TARGET)
    await b.rest()
    await b.send(1)
    await b.rest()
    const seen = await b.seen()
    expect(seen.slice(-1)).toEqual([4])
    await b.judge()
  })

  it('goes on behind what is nowhere any more, and says so', async () => {
    const b = await bench()
    await b.send(2)
    await b.rest()
    b.copy()
    await b.send(3)
    await b.rest()
    await b.lose(TARGET)
    await b.send(2)
    await b.rest()
    expect(await b.seen()).toEqual([1, 2, 6, 7])
    expect(b.said('was lost with the end of the journal')).toEqual([
      { shard: TARGET, from: SENDER, first: 3, last: 5 },
    ])
  })
})

describe('a request', () => {
  const message = (text: string) => ({ from, to, event: { type: 'NOTE', text } })

  it('of a sender that was deposed is not taken', async () => {
    const b = await bench()
    await b.lose(SENDER, 0, 77)
    await b.send(1)
    await b.rest()
    const late = { from: SENDER, generation: 1, oldest: 1, first: 2, messages: [message('2')] }
    expect(b.relay(late)).toEqual({ above: 77 })
    const other = { ...late, generation: 76, lineage: [[76, 2]] }
    expect(b.relay(other)).toEqual({ above: 77 })
    expect(await b.seen()).toEqual([1])
  })

  it('of a newer generation ends those before it, also when it brings nothing', async () => {
    const b = await bench()
    await b.send(1)
    await b.rest()
    const old = { from: SENDER, generation: 1, oldest: 1, first: 2, messages: [message('2')] }
    const request = { ...old, generation: 50, lineage: [[50, 2]], messages: [] }
    expect(b.relay(request)).toEqual({ acked: 1 })
    expect(b.relay(old)).toEqual({ above: 50 })
    b.restart()
    expect(b.relay(old)).toEqual({ above: 50 })
  })

  it('of a newer generation with a gap says which message is expected', async () => {
    const b = await bench()
    await b.send(3)
    await b.rest()
    const lineage = [[50, 3]]
    const request = { from: SENDER, generation: 50, lineage, oldest: 3, first: 4, messages: [] }
    expect(b.relay(request)).toEqual({ expected: 3 })
    expect(b.relay(request), 'it remembers that').toEqual({ expected: 3 })
    expect(b.said('has lost the end of its journal')).toHaveLength(1)
    b.restart()
    expect(b.relay({ ...request, first: 3, messages: [message('3')] })).toEqual({ acked: 3 })
  })

  it.each([
    [{ oldest: 0 }],
    [{ oldest: 3 }],
    [{ oldest: undefined }],
    [{ lineage: 'x' }],
    [{ lineage: [] }],
    [{ lineage: [[5, 1]] }],
    [{ lineage: [[7]] }],
    [{ lineage: [[1, 1], 7] }],
    [{ lineage: [[7, 0]] }],
  ])('that is malformed is refused: %j', async (wrong) => {
    const { limits } = (await bench()).h
    const good = { from: 0, generation: 7, lineage: [[7, 1]], oldest: 2, first: 2, messages: [] }
    expect(checkRelay(good, limits)).toEqual({ request: good })
    const { lineage: _, ...plain } = good
    expect(checkRelay(plain, limits)).toEqual({ request: plain })
    expect(checkRelay({ ...good, ...wrong }, limits)).toMatchObject({
      error: { code: 'malformed' },
    })
  })
})

it('whatever is forgotten on either side, messages arrive once and in order', async () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('send' as const), count: fc.integer({ min: 1, max: 5 }) }),
    fc.record({ kind: fc.constant('pass' as const), ms: fc.constantFrom(0, 1, 100, 1_000) }),
    fc.record({ kind: fc.constant('restart' as const) }),
    fc.record({
      kind: fc.constant('lose' as const),
      shard: fc.constantFrom(SENDER, TARGET),
      back: fc.integer({ min: 0, max: 4 }),
    }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 14 }), fc.nat(), async (steps, seed) => {
      const b = await bench(seed)
      for (const one of steps) {
        b.copy()
        if (one.kind === 'send') await b.send(one.count)
        else if (one.kind === 'pass') await b.h.advance(one.ms)
        else if (one.kind === 'restart') b.restart()
        else await b.lose(one.shard, one.back)
      }
      await b.rest()
      await b.send(3)
      await b.rest()
      await b.judge()
    }),
    { numRuns: 150 },
  )
})
