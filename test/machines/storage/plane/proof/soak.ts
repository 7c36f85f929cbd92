/**
 * Many objects through a store in which everything goes wrong: clients that put, read and delete at the same
 * time, blobnodes and the node killed and started again, bytes flipped on disks. Decides: what is done when,
 * by a seed, and what has to hold at the end.
 */

import { until } from '../../../../waiting.ts'
import { hurt, hurtMax, unitsToLose } from './damage.ts'
import { nameOf, Objects, type StoredObject } from './objects.ts'
import type { StoreFarm } from './store-farm.ts'

export const MODES = ['EC6P3', 'EC12P4', 'EC6P3L3', 'Replica3'] as const

export interface SoakOptions {
  /** To put in all. */
  bytes: number
  sizeMax: number
  clients: number
  seed: number
  faultEveryMs: number
  /** Then nothing is disturbed any more. Where they have an end, clients go on until all have happened. */
  faultsMax: number
  outageMs: number
  flipsEach: number
  limitMs: number
  /** In turns; blobnodes and nodes are killed and shards flipped unless others are given. */
  sabotage?: readonly ((soak: Soak) => Promise<void>)[]
  /** Shards that get lost in other ways than by flips. */
  lostMax?: number
}

/** In which a message of upkeep is not done. */
const OPEN_STATES = {
  'shard-repair': ['repairing', 'retrying', 'waiting', 'punished', 'orphan'],
  'blob-delete': ['marking', 'deleting', 'retrying', 'early', 'postponed', 'waiting', 'punished'],
} as const

/** Of what a client does next; the rest is puts. */
const READS = 0.4
const DELETES = 0.12

export class Soak {
  readonly objects: Objects
  readonly faults = { blobnodes: 0, node: 0, flips: 0 }
  readonly random: () => number
  readonly #farm: StoreFarm
  readonly #options: SoakOptions
  #isOver = false
  #areFaultsOver: boolean

  constructor(farm: StoreFarm, options: SoakOptions) {
    this.#farm = farm
    this.#options = options
    this.#areFaultsOver = !Number.isFinite(options.faultsMax)
    this.random = fractions(options.seed)
    this.objects = new Objects(farm)
  }

  async run(): Promise<void> {
    const { clients, limitMs } = this.#options
    const sabotage = this.#sabotage().finally(() => {
      this.#areFaultsOver = true
    })
    const startedAt = Date.now()
    const client = async () => {
      while (this.objects.bytesPut < this.#options.bytes || !this.#areFaultsOver) {
        if (Date.now() - startedAt > limitMs) throw new Error(`too slow: ${this.summary()}`)
        await this.#step()
      }
    }
    try {
      await Promise.all(Array.from({ length: clients }, client))
    } finally {
      this.#isOver = true
      await sabotage
    }
  }

  /** Everything is up again: what was promised has to be there, and nothing else. */
  async settle(): Promise<void> {
    await this.#farm.nodeServes()
    await this.#farm.allUp()
    const { all } = this.objects
    await this.#each(
      all.filter(({ state }) => state === 'dying'),
      (object) => this.#bury(object),
    )
    await this.#each(all, (object) => this.#readForGood(object))
  }

  /** All that was left to be repaired or deleted can be done now, and is. */
  async upkeepEnds(): Promise<void> {
    let open: string[] = []
    await until(
      async () => {
        open = await this.#openMessages()
        const resting = open.filter(
          (line) => !/ (?:repairing|marking|deleting|retrying)$/.test(line),
        )
        await Promise.all(resting.map((line) => this.#retry(line.split(' ')[0] ?? '')))
        return open.length === 0
      },
      { timeoutMs: 120_000, every: 300 },
      () => `upkeep ends; left are ${open.slice(0, 20).join(', ')}`,
    )
  }

  /** Damage that no mode survives: some objects of each mode. */
  async loseSome(perMode: number): Promise<{ tried: number; wrong: string[] }> {
    const wrong: string[] = []
    let tried = 0
    for (const mode of MODES) {
      const some = this.objects.live().filter(({ place }) => place.mode.name === mode)
      for (const object of some.slice(0, perMode)) {
        const units = unitsToLose(object.place.mode)
        for (const index of units) await hurt(this.#farm, object, index)
        // What was hurt before and is repaired meanwhile is whole again, until it is hurt here.
        if (!units.every((index) => object.hurt.has(index))) continue
        tried += 1
        const { status, text } = await this.objects.report(object)
        const isReport = status >= 500 && status !== 503 && text.includes('unit')
        if (!isReport) wrong.push(`${nameOf(object)}: ${status} ${text.slice(0, 300)}`)
      }
    }
    return { tried, wrong }
  }

  summary(): string {
    const { counts, bytesPut, all } = this.objects
    const counted = Object.entries({ ...counts, ...this.faults }).map(([k, n]) => `${k} ${n}`)
    return `${all.length} objects, ${(bytesPut / 1e6).toFixed(0)} MB put; ${counted.join(', ')}`
  }

  /** Address and state of each. */
  async #openMessages(): Promise<string[]> {
    const places = Object.entries(OPEN_STATES).flatMap(([machine, states]) =>
      states.map((state) => `machine=${machine}&state=${state}`),
    )
    const pages = await Promise.all(
      places.map((place) =>
        this.#farm.ask<{ rows: { address: string; state: string }[] }>(
          `/troupe/v1/actors?${place}&limit=200`,
        ),
      ),
    )
    return pages.flatMap(({ rows }) => rows.map(({ address, state }) => `${address} ${state}`))
  }

  async #retry(address: string): Promise<void> {
    const headers = { 'content-type': 'application/json' }
    const init = { method: 'POST', headers, body: JSON.stringify({ type: 'RETRY' }) }
    await this.#farm.ask(`/troupe/v1/actors/${address}/send`, init)
  }

  async #step(): Promise<void> {
    const chance = this.random()
    const object = this.#pick()
    if (object !== undefined && chance < READS) await this.objects.read(object)
    else if (object !== undefined && chance < READS + DELETES) await this.#delete(object)
    else if ((await this.#put()) === undefined) await this.#farm.nodeServes()
  }

  #put(): Promise<StoredObject | undefined> {
    const mode = MODES[Math.floor(this.random() * MODES.length)] ?? 'EC6P3'
    const size = Math.floor(this.#options.sizeMax ** this.random())
    return this.objects.put(mode, Math.max(1, size))
  }

  async #delete(object: StoredObject): Promise<void> {
    object.isBusy = true
    await this.objects.delete(object)
    object.isBusy = false
  }

  /** One that nobody is at, live or deleted. */
  #pick(): StoredObject | undefined {
    const { all } = this.objects
    const object = all[Math.floor(this.random() * all.length)]
    return object?.isBusy || object?.state === 'dying' ? undefined : object
  }

  async #sabotage(): Promise<void> {
    const { sabotage } = this.#options
    const kinds = sabotage ?? [killBlobnode, flipSome, killNode, flipSome]
    for (let turn = 0; turn < this.#options.faultsMax; turn += 1) {
      await this.#pass(this.#options.faultEveryMs)
      if (this.#isOver) return
      await kinds[turn % kinds.length]?.(this)
    }
  }

  async killBlobnode(): Promise<void> {
    const { blobnodes } = this.#farm
    const victim = blobnodes[Math.floor(this.random() * blobnodes.length)]
    if (victim === undefined) return
    this.faults.blobnodes += 1
    await victim.process.end('SIGKILL')
    await this.#pass(this.#options.outageMs)
    victim.process.start()
    await this.#farm.allUp()
  }

  async killNode(): Promise<void> {
    const { nodes } = this.#farm
    const victim = nodes[Math.floor(this.random() * nodes.length)]
    if (victim === undefined) return
    this.faults.node += 1
    await victim.process.end('SIGKILL')
    victim.process.start()
    await this.#farm.nodeServes()
    await this.#farm.allUp()
  }

  async flipSome(): Promise<void> {
    for (let n = 0; n < this.#options.flipsEach && !this.#isOver; n += 1) {
      const object = this.#pick()
      if (object === undefined || object.state !== 'live') continue
      const { mode } = object.place
      const index = Math.floor(this.random() * (mode.data + mode.parity))
      const hurtsMax = hurtMax(mode) - (this.#options.lostMax ?? 0)
      if (object.hurt.size >= hurtsMax || object.hurt.has(index)) continue
      if (await hurt(this.#farm, object, index).catch(() => false)) this.faults.flips += 1
    }
  }

  async #pass(ms: number): Promise<void> {
    const end = Date.now() + ms
    await until(() => this.#isOver || Date.now() >= end, { timeoutMs: 2 * ms + 1_000 }, 'a while')
  }

  /** What a client is not told is deleted, it deletes again. */
  async #bury(object: StoredObject): Promise<void> {
    let last = 0
    await until(
      async () => {
        last = await this.objects.delete(object)
        return object.state === 'deleted'
      },
      { timeoutMs: 60_000, every: 200 },
      () => `${nameOf(object)} is deleted: ${last}`,
    )
  }

  async #readForGood(object: StoredObject): Promise<void> {
    let last = ''
    await until(
      async () => {
        if (await this.objects.read(object)) return true
        last = JSON.stringify(await this.objects.report(object))
        return false
      },
      { timeoutMs: 30_000, every: 200 },
      () => `${nameOf(object)}, ${object.state}, hurt at ${[...object.hurt]}, is answered: ${last}`,
    )
  }

  async #each(
    objects: readonly StoredObject[],
    ask: (object: StoredObject) => Promise<void>,
  ): Promise<void> {
    const left = [...objects]
    const next = async () => {
      for (let object = left.pop(); object !== undefined; object = left.pop()) await ask(object)
    }
    await Promise.all(Array.from({ length: this.#options.clients }, next))
  }
}

export const killBlobnode = (soak: Soak) => soak.killBlobnode()
export const killNode = (soak: Soak) => soak.killNode()
export const flipSome = (soak: Soak) => soak.flipSome()

/** Random numbers of a seed (mulberry32). */
function fractions(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
