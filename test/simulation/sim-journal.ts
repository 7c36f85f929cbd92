/**
 * The journal's server in a simulated world, and each node's connection to it.
 *
 * Decides: what protocols.md section 1 wants of a connection: it does not outlive its server, what
 * was sent on an old one never arrives on the new, and the first write of a shard on a new one
 * answers `unknown` until the end was asked. An operation without an answer for long is `unknown`,
 * and may land all the same. Leaves to others: when servers die and lines break (faults.ts).
 */
import {
  type JournalFault,
  MemoryJournal,
  MemoryJournalServer,
  type VirtualClock,
} from '../../src/adapters/memory/index.ts'
import type {
  Journal,
  JournalEndOutcome,
  JournalReadOutcome,
  JournalWrite,
  JournalWriteOutcome,
} from '../../src/ports/index.ts'
import { entryOf } from './mirror.ts'
import type { ProcessClock } from './process-clock.ts'
import type { SimRandom } from './random.ts'

export interface JournalRates {
  latencyMs: number
  ackLostChance: number
  writeLostChance: number
  landsLateChance: number
  landsLateMs: number
  readLostChance: number
  refusedChance: number
  /** A deposed leader answers a question with what was true a moment ago. */
  staleChance: number
  timeoutMs: number
}

/** How many writes a deposed leader may be behind. */
const STALE_MAX = 12

export type RefusalWatch = (node: string, request: JournalWrite) => void
export type SlotWatch = (node: string, request: JournalWrite, sequence: number) => void

/** The end of a stream is asked for with every read: it is remembered instead of searched. */
export class SimJournalServer extends MemoryJournalServer {
  readonly #lastSlots = new Map<number, number>()
  readonly #ends = new Map<number, JournalEndOutcome>()
  /** Who writes: set by the connection around each write. */
  writer = ''
  /** Replicas that are always in step lose nothing. */
  watch: SlotWatch = () => {}
  watchRefused: RefusalWatch = () => {}
  watchRemoved: (node: string, shard: number, slot: number) => void = () => {}
  isDown = false

  override write(request: JournalWrite): number | undefined {
    const sequence = super.write(request)
    if (sequence === undefined) {
      this.watchRefused(this.writer, request)
      return undefined
    }
    this.#remember(request.shard)
    this.#lastSlots.set(request.shard, request.slot)
    this.watch(this.writer, request, sequence)
    return sequence
  }

  override end(shard: number): JournalEndOutcome {
    const known = this.#ends.get(shard)
    if (known !== undefined) return known
    const end = super.end(shard)
    this.#ends.set(shard, end)
    return end
  }

  override loseUnsynced(shard?: number): void {
    super.loseUnsynced(shard)
    this.#ends.clear()
    this.previous.clear()
  }

  override remove(shard: number, slot: number): void {
    super.remove(shard, slot)
    this.watchRemoved(this.writer, shard, slot)
    this.#ends.clear()
  }

  /** What a leader that was deposed some writes ago still says: the newest last. */
  readonly previous = new Map<number, JournalEndOutcome[]>()

  #remember(shard: number): void {
    const before = this.#ends.get(shard)
    if (before !== undefined) {
      const past = entryOf(this.previous, shard, () => [])
      if (past.push(before) > STALE_MAX) past.shift()
    }
    const last = this.#lastSlots.get(shard)
    this.#ends.delete(shard)
    if (before?.kind !== 'known' || last !== before.lastSlot) return
    // Grown by one at its end: no need to look at all slots again.
    this.#ends.set(shard, {
      ...before,
      firstSlot: before.firstSlot || 1,
      lastSlot: before.lastSlot + 1,
      lastSequence: before.lastSequence + 1,
    })
  }
}

export interface JournalLineOptions {
  base: VirtualClock
  process: ProcessClock
  node: string
  server: SimJournalServer
  random: SimRandom
  rates: JournalRates
  /** The node knows that the journal holds this slot. */
  known: (shard: number, slot: number) => void
}

type Ask<T> = (journal: MemoryJournal, done: (outcome: T) => void) => void

export class JournalLine implements Journal {
  readonly #options: JournalLineOptions
  #connection: MemoryJournal
  #alive = { yes: true }
  #isHeld = false
  /** Shards that were not written on this connection since it began. */
  #fresh = new Set<number>()
  #allFresh = true
  readonly #waiting = new Set<Asked>()
  #isStaleOnce = false

  constructor(options: JournalLineOptions) {
    this.#options = options
    this.#connection = this.#connect()
  }

  /** The connection is gone, and what is on its way with it; the next one begins at once. */
  cut(): void {
    this.#alive.yes = false
    this.#alive = { yes: true }
    this.#connection = this.#connect()
    if (this.#isHeld) this.#connection.hold()
    this.#allFresh = true
    this.#fresh.clear()
    for (const asked of [...this.#waiting]) {
      this.#options.base.defer(() => asked.unknown('the connection was lost'))
    }
  }

  /** Nothing passes until `release`. */
  hold(): void {
    this.#isHeld = true
    this.#connection.hold()
  }

  release(how: 'arrive' | 'lose'): void {
    if (!this.#isHeld) return
    this.#isHeld = false
    if (how === 'lose') this.cut()
    else this.#connection.release('arrive')
  }

  /** For stories: what befalls the next operation that fits. */
  failNext(fault: JournalFault): void {
    this.#connection.failNext(fault)
  }

  /** For stories: the next question is answered by a deposed leader. */
  beStaleOnce(): void {
    this.#isStaleOnce = true
  }

  write(request: JournalWrite, done: (outcome: JournalWriteOutcome) => void): void {
    const { shard, slot } = request
    if (this.#isFresh(shard)) {
      this.#options.process.defer(() => done({ kind: 'unknown', why: 'a new connection' }))
      return
    }
    const { random, rates } = this.#options
    if (random.chance(rates.refusedChance)) {
      this.#options.process.after(1, () => done({ kind: 'unknown', why: 'no leader' }))
      return
    }
    this.#ask<JournalWriteOutcome>(
      (journal, answer) => {
        this.#fail('write', shard)
        journal.write(request, answer)
      },
      (outcome) => {
        if (outcome.kind === 'written') this.#options.known(shard, slot)
        done(outcome)
      },
    )
  }

  read(shard: number, slot: number, done: (outcome: JournalReadOutcome) => void): void {
    this.#ask<JournalReadOutcome>(
      (journal, answer) => {
        this.#fail('read', shard)
        journal.read(shard, slot, answer)
      },
      (outcome) => {
        const { server, known } = this.#options
        const past = this.#isStale() ? server.previous.get(shard)?.[0] : undefined
        if (past?.kind === 'known' && past.lastSlot < slot) return done({ kind: 'empty' })
        if (outcome.kind === 'found') known(shard, slot)
        done(outcome)
      },
    )
  }

  end(shard: number, done: (outcome: JournalEndOutcome) => void): void {
    this.#settleFresh(shard)
    const { server, random } = this.#options
    this.#ask<JournalEndOutcome>(
      (journal, answer) => {
        this.#fail('end', shard)
        journal.end(shard, answer)
      },
      (outcome) => {
        const past = this.#isStale() ? server.previous.get(shard) : undefined
        const isOld = outcome.kind === 'known' && past !== undefined && past.length > 0
        done(isOld ? random.pick(past) : outcome)
      },
    )
  }

  remove(shard: number, slot: number, done: (outcome: 'removed' | 'unknown') => void): void {
    this.#ask<'removed' | 'unknown' | { kind: 'unknown' }>(
      (journal, answer) => journal.remove(shard, slot, answer),
      (outcome) => done(outcome === 'removed' ? 'removed' : 'unknown'),
    )
  }

  #isStale(): boolean {
    if (!this.#isStaleOnce) return this.#options.random.chance(this.#options.rates.staleChance)
    this.#isStaleOnce = false
    return true
  }

  #isFresh(shard: number): boolean {
    return this.#allFresh ? !this.#fresh.has(shard) : false
  }

  #settleFresh(shard: number): void {
    if (this.#allFresh) this.#fresh.add(shard)
  }

  #connect(): MemoryJournal {
    const { base, server, random, rates, node } = this.#options
    const alive = this.#alive
    // What arrives late on a dead connection touches nothing.
    const through = Object.create(server) as SimJournalServer
    through.write = (request) => {
      if (!alive.yes || server.isDown) return undefined
      server.writer = node
      return server.write(request)
    }
    through.read = (shard, slot) => server.read(shard, slot)
    through.end = (shard) => server.end(shard)
    through.remove = (shard, slot) => {
      if (!alive.yes || server.isDown) return
      server.writer = node
      server.remove(shard, slot)
    }
    const latencyMs = () => random.fraction() * rates.latencyMs
    return new MemoryJournal({ clock: base, server: through, latencyMs })
  }

  /** One of the faults that a real connection has, for the next operation of this kind. */
  #fail(on: JournalFault['on'], shard: number): void {
    const { random, rates } = this.#options
    if (on !== 'write') {
      if (random.chance(rates.readLostChance)) this.failNext({ on, shard, happened: false })
      return
    }
    if (random.chance(rates.ackLostChance)) this.failNext({ on, shard, happened: true })
    else if (random.chance(rates.writeLostChance)) this.failNext({ on, shard, happened: false })
    else if (random.chance(rates.landsLateChance)) {
      const landsAfterMs = random.exponential(rates.landsLateMs)
      this.failNext({ on, shard, happened: true, landsAfterMs })
    }
  }

  #ask<T extends { kind: string } | string>(ask: Ask<T>, done: (outcome: T) => void): void {
    const { base, process, server, rates } = this.#options
    const asked = new Asked(process, this.#waiting, done as (outcome: unknown) => void)
    this.#waiting.add(asked)
    asked.cancel = base.after(rates.timeoutMs, () => asked.unknown('no answer in time'))
    if (server.isDown) {
      base.after(1, () => asked.unknown('no responders'))
      return
    }
    ask(this.#connection, (outcome) => asked.settle(outcome))
  }
}

/** One answer, the first: the server's, the end of patience, or the end of the connection. */
class Asked {
  readonly #process: ProcessClock
  readonly #waiting: Set<Asked>
  readonly #done: (outcome: unknown) => void
  #open = true
  cancel: (() => void) | undefined

  constructor(process: ProcessClock, waiting: Set<Asked>, done: (outcome: unknown) => void) {
    this.#process = process
    this.#waiting = waiting
    this.#done = done
  }

  settle(outcome: unknown): void {
    if (!this.#open) return
    this.#open = false
    this.cancel?.()
    this.#waiting.delete(this)
    this.#process.enter(() => this.#done(outcome))
  }

  unknown(why: string): void {
    this.settle({ kind: 'unknown', why })
  }
}
