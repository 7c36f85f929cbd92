/**
 * Two nodes that were alone bring what they have into one cluster at once: one of them does, wherever either
 * ends meanwhile, and the other is told so and has lost nothing.
 */
import { expect, inject, it } from 'vitest'
import { VirtualClock } from '../../src/adapters/memory/index.ts'
import { storedFormat, write, writeFormat } from '../../src/node/data.ts'
import { Joining } from '../../src/node/joining.ts'
import { memberDataIn } from '../../src/node/member-data.ts'
import { takePart } from '../../src/node/taking-part.ts'
import type { Log, Store } from '../../src/ports/index.ts'
import { pack, TroupeError } from '../../src/protocol/index.ts'
import { actorKey, metaKey } from '../../src/shard/keys.ts'
import { readRecord } from '../../src/shard/slot-records.ts'
import { rowsOf } from './draining.ts'
import { drawParameters, type Parameters } from './parameters.ts'
import { ProcessClock } from './process-clock.ts'
import { SimRandom } from './random.ts'
import { SimCheckpoints } from './sim-checkpoints.ts'
import { SimDirectory } from './sim-directory.ts'
import { JournalLine, SimJournalServer } from './sim-journal.ts'
import { SimRegistry } from './sim-registry.ts'

const SEEDS = 30
const CLUSTER = 'sim'
const SHARDS = 2
const LAST_BATCH = 4
const CHUNK_BYTES_MAX = 100
const AGAIN_MS = 50
const STEPS_MAX = 120
const RUN_MS = 60_000

const quiet = () => {}
const SILENT: Log = { debug: quiet, info: quiet, warn: quiet, error: quiet, child: () => SILENT }

/** What two nodes share, and how it fails. */
class Shared {
  readonly base = new VirtualClock()
  readonly journal = new SimJournalServer()
  readonly published: string[] = []
  readonly rates: Parameters
  readonly registry: SimRegistry
  readonly checkpoints: SimCheckpoints
  /** Of checkpoints that are whole, as `shard slot`, who made them. */
  readonly whole = new Map<string, string>()

  constructor(random: SimRandom) {
    const { base } = this
    this.rates = drawParameters(random.fork('parameters'), { logic: 'founding' })
    this.registry = new SimRegistry({
      ...{ base, random: random.fork('registry'), rates: this.rates.registry },
      ...{ isCut: () => false, isDown: () => false },
      claimed: (node, key, outcome) => {
        if (key === 'published' && outcome === 'won') this.published.push(node)
      },
    })
    this.checkpoints = new SimCheckpoints({
      ...{ base, random: random.fork('checkpoints'), rates: this.rates.checkpoints },
      isDown: () => false,
      recorded: (node, shard, { slot }) => this.whole.set(`${shard} ${slot}`, node),
      gone: (shard, slot) => this.whole.delete(`${shard} ${slot}`),
    })
  }
}

class Founder {
  readonly name: string
  /** What became of it: `in`, or the code of its refusal. */
  outcome: string | undefined
  readonly #shared: Shared
  readonly #random: SimRandom
  readonly #directory: SimDirectory
  #endsLeft: number
  #lives = 0

  constructor(name: string, shared: Shared, random: SimRandom) {
    const { base, rates } = shared
    this.name = name
    this.#shared = shared
    this.#random = random
    this.#endsLeft = random.between(0, 3)
    this.#directory = new SimDirectory({
      ...{ base, random: random.fork('directory'), rates: { ...rates.disk, brokenChance: 0 } },
      ...{ owned: quiet, committed: quiet, founded: quiet, flushed: quiet },
    })
  }

  get store(): Store {
    return this.#directory.inner
  }

  /** What it has, alone: rows of each shard that say whose they are. */
  async fill(): Promise<void> {
    await writeFormat(this.store, { shardCount: SHARDS, cluster: CLUSTER })
    for (let shard = 0; shard < SHARDS; shard++) {
      const actor = [actorKey(shard, `ward/${this.name}`), Buffer.from(this.name)] as const
      await write(this.store, [[metaKey(shard), pack([LAST_BATCH, 1])], actor])
    }
  }

  live(): void {
    const { base } = this.#shared
    const process = new ProcessClock(base, { skewMs: 0, rate: 1 })
    const end = (hasPower: boolean) => {
      process.die()
      if (!hasPower) this.#directory.losePower()
      base.after(AGAIN_MS, () => this.live())
    }
    if (this.#endsLeft > 0) {
      this.#endsLeft -= 1
      const hasPower = this.#random.chance(0.5)
      process.tripAfter(this.#random.between(1, STEPS_MAX), () => end(hasPower))
    }
    this.#join(process).then(
      () => {
        if (!process.isDead) this.#over(process, 'in')
      },
      (thrown: unknown) => {
        if (process.isDead) return
        const code = thrown instanceof TroupeError ? thrown.code : String(thrown)
        if (code === 'unavailable' || code === 'store-failed') end(true)
        else this.#over(process, code)
      },
    )
  }

  #over(process: ProcessClock, outcome: string): void {
    process.die()
    this.outcome = outcome
  }

  async #join(process: ProcessClock): Promise<void> {
    const { name } = this
    const { base, rates, journal: server } = this.#shared
    const life = this.#random.fork(`life ${++this.#lives}`)
    const store = this.#directory.open(process, name)
    const registry = this.#shared.registry.connect(name, process)
    const checkpoints = this.#shared.checkpoints.connect(name, process)
    const journal = new JournalLine({
      ...{ base, process, node: name, server, random: life.fork('journal') },
      ...{ rates: rates.journal, known: quiet },
    })
    const random = life.fork('ids')
    const data = await memberDataIn(store, name, { name, cluster: CLUSTER }, random)
    const ports = { clock: process, log: SILENT, registry }
    const peers = { who: () => Promise.resolve(undefined) }
    const joining = new Joining({ name, cluster: CLUSTER, ...ports, peers })
    const deps = { ...ports, name, data, joining, journal, checkpoints, random, replace: false }
    await takePart({ ...deps, chunkBytesMax: CHUNK_BYTES_MAX })
  }
}

it('of two foundings at once one is, and the other has lost nothing', async () => {
  const base = inject('seed')
  const winners = new Set<string>()
  for (let seed = base; seed < base + SEEDS; seed++) {
    const random = new SimRandom(seed)
    const shared = new Shared(random.fork('shared'))
    const founders = ['a', 'b'].map((name) => new Founder(name, shared, random.fork(name)))
    const filled = Promise.all(founders.map((one) => one.fill()))
    await shared.base.settle(RUN_MS)
    await filled
    const before = founders.map(({ store }) => rowsTextOf(store))
    for (const one of founders) shared.base.after(random.between(0, 100), () => one.live())
    await shared.base.settle(RUN_MS)
    const why = `seed ${seed}: ${founders.map(({ outcome }) => outcome).join(', ')}`
    expect(founders.map(({ outcome }) => outcome).sort(), why).toEqual(['conflict', 'in'])
    const [winner, loser] = founders[0]?.outcome === 'in' ? founders : founders.toReversed()
    winners.add(winner!.name)
    expectAlone(loser!.store, before[founders.indexOf(loser!)]!)
    expectPublished(shared, winner!)
  }
  expect(winners.size).toBe(2)
})

function expectAlone(store: Store, rows: string): void {
  expect(storedFormat(store, 'the directory')?.member).toBeUndefined()
  expect(rowsTextOf(store)).toBe(rows)
}

function expectPublished({ published, whole, journal }: Shared, { name, store }: Founder): void {
  expect(published).toEqual([name])
  expect(storedFormat(store, name)).toMatchObject({ member: name })
  for (let shard = 0; shard < SHARDS; shard++) {
    expect(whole.get(`${shard} ${LAST_BATCH + 1}`)).toBe(name)
    const found = journal.read(shard, LAST_BATCH + 2)
    expect(found.kind === 'found' && readRecord(found.record).head).toMatchObject({ node: name })
    expect(journal.end(shard)).toMatchObject({ lastSlot: LAST_BATCH + 2 })
  }
}

function rowsTextOf(store: Store): string {
  const shards = Array.from({ length: SHARDS }, (_, shard) => [...rowsOf(store, shard)])
  return JSON.stringify(shards.flat().map(({ key, value }) => [[...key], [...value]]))
}
