/**
 * The registry in a simulated world, as each node sees it. Decides: latency, outcomes that stay
 * unknown with or without effect, reads of a moment ago, and watches that miss a change. A node that
 * is cut off from it, or a server that is down, is answered `unknown` after a while.
 */
import { MemoryRegistry, type VirtualClock } from '../../src/adapters/memory/index.ts'
import type { Registry } from '../../src/ports/index.ts'
import type { ProcessClock } from './process-clock.ts'
import type { SimRandom } from './random.ts'

export interface RegistryRates {
  latencyMs: number
  unknownChance: number
  staleChance: number
  watchGapChance: number
}

/** The name under which partitions cut nodes off from it. */
export const REGISTRY = 'registry'
const PATIENCE_MS = 1_000

export interface RegistrySurroundings {
  base: VirtualClock
  random: SimRandom
  rates: RegistryRates
  isCut: (from: string, to: string) => boolean
  isDown: () => boolean
  /** What became of a claim, whether its claimant hears of it or not. */
  claimed: (party: string, key: string, outcome: string) => void
}

const UNKNOWN = { kind: 'unknown', why: 'no answer' } as const

export class SimRegistry {
  readonly #around: RegistrySurroundings
  readonly #inner: MemoryRegistry
  /** Of each key, the value before the last change: what a stale read shows. */
  readonly #before = new Map<string, Uint8Array | undefined>()
  readonly #now = new Map<string, Uint8Array>()

  constructor(around: RegistrySurroundings) {
    this.#around = around
    this.#inner = new MemoryRegistry({ clock: around.base })
  }

  connect(party: string, process: ProcessClock): Registry {
    const inner = this.#inner
    return {
      claim: (key, value, done) =>
        this.#send(party, process, done, UNKNOWN, (answer) =>
          inner.claim(key, value, (outcome) => {
            this.#around.claimed(party, key, outcome.kind)
            if (outcome.kind === 'won') this.#changed(key, value)
            answer(outcome)
          }),
        ),
      put: (key, value, done) =>
        this.#send(party, process, done, 'unknown', (answer) => {
          this.#changed(key, value)
          inner.put(key, value, answer)
        }),
      get: (key, done) =>
        this.#send(party, process, done, UNKNOWN, (answer) => {
          const isStale = this.#around.random.chance(this.#around.rates.staleChance)
          const old = isStale ? this.#before.get(key) : undefined
          if (old) answer({ kind: 'found', value: Buffer.from(old) })
          else inner.get(key, answer)
        }),
      list: (prefix, done) =>
        this.#send(party, process, done, UNKNOWN, (answer) =>
          inner.list(prefix, (outcome) => {
            const isStale = this.#around.random.chance(this.#around.rates.staleChance)
            if (outcome.kind !== 'listed' || !isStale) return answer(outcome)
            answer({ kind: 'listed', entries: outcome.entries.slice(0, -1) })
          }),
        ),
      remove: (key, done) =>
        this.#send(party, process, done, 'unknown', (answer) => inner.remove(key, answer)),
      watch: (prefix, changed) =>
        inner.watch(prefix, (key) => {
          const { random, rates, isCut, isDown } = this.#around
          if (random.chance(rates.watchGapChance) || isCut(REGISTRY, party) || isDown()) return
          process.enter(() => changed(key))
        }),
    }
  }

  #changed(key: string, value: Uint8Array): void {
    this.#before.set(key, this.#now.get(key))
    this.#now.set(key, Buffer.from(value))
  }

  /** One answer, the first; a party that is not heard is told that it is unknown. */
  #send<T>(
    party: string,
    process: ProcessClock,
    done: (outcome: T) => void,
    unknown: NoInfer<T>,
    happen: (answer: (outcome: T) => void) => void,
  ): void {
    const { base, random, rates, isCut, isDown } = this.#around
    let open = true
    const settle = (outcome: T) => {
      if (!open) return
      open = false
      cancel()
      process.enter(() => done(outcome))
    }
    const cancel = base.after(PATIENCE_MS, () => settle(unknown))
    if (isCut(party, REGISTRY) || isDown()) return
    base.after(random.fraction() * rates.latencyMs, () => {
      if (isDown()) return
      if (random.chance(rates.unknownChance)) {
        const happened = random.chance(0.5)
        if (!happened) return settle(unknown)
        happen(() => settle(unknown))
        return
      }
      happen((outcome) => {
        if (isCut(REGISTRY, party)) return
        base.after(random.fraction() * rates.latencyMs, () => settle(outcome))
      })
    })
  }
}
