/**
 * Who of those who wait at a semaphore is served now, and what each is given, as a value.
 *
 * Decides: which of the names that would do somebody gets, whom a request that waits keeps back, and how
 * much is done in one turn. Leaves to others: what is asked and answered (`semaphore.ts`), timers and
 * messages (`pool.ts`).
 */

/** What a request can do with: it gets all names of one option. An option without names is units only. */
export interface Demand {
  id: number
  /** The choice that was asked for by its name; null: the options themselves. */
  choice: string | null
  /** Of those who hold by a choice that was changed since, only what they were given. */
  options: string[][]
}

/** Options by the name that many ask for them. */
export type Choices = Record<string, string[][]>

export interface Waiter {
  holder: string
  units: number
  /** The id of a demand: many ask for the same, and a pool of a thousand waiters stays a small record. */
  demand: number
  /** A higher one first. */
  priority: number
  /** 0: until it is released. */
  leaseMs: number
  /** 0: does not wait; null: waits for as long as it takes. */
  waitMs: number | null
  /** The number of the request, in the order in which they came. */
  ticket: number
  /** The caller's own word for its request, told again with what becomes of it. */
  ref: string | null
}

export interface Holder extends Waiter {
  /** The number of the grant: whoever holds the higher one was admitted later. */
  token: number
  /** Which option of its demand it has. */
  option: number
}

export interface Semaphore {
  slots: number
  /** Most units out per name; a name that is not here has no limit of its own. */
  limits: Record<string, number>
  /** Least time between two grants of a name. */
  gaps: Record<string, number>
  choices: Choices
  /** Names whose gap is not over: they have no room. */
  gapped: string[]
  waitersMax: number
  lastTicket: number
  lastToken: number
  /** Those that somebody holds or waits for. */
  demands: Demand[]
  holders: Holder[]
  /** In the order in which they are served. */
  waiters: Waiter[]
}

/** Why somebody holds or waits no more. */
export type EndReason = 'released' | 'cancelled' | 'lease' | 'wait' | 'resized' | 'evicted'

export interface Ended {
  /** A holder has a token. */
  who: Waiter | Holder
  reason: EndReason
}

export interface Served {
  next: Semaphore
  granted: Holder[]
  ended: Ended[]
  /** Names whose gap begins. */
  gapsBegun: string[]
  /** There is more to do than one turn takes. */
  isMore: boolean
}

/**
 * One for each thread of a large worker. A turn looks once at every holder and waiter, and at the options
 * of each demand, of which there are few.
 */
export const HOLDERS_MAX = 1_000

/** Grants and refusals of one turn: each costs up to three effects and a message, of which a turn has 1,000. */
export const SETTLED_MAX = 200

/** Grants what fits, in order; who can never be served any more is sent away. */
export function serve(now: Semaphore): Served {
  const round = new Round(now)
  const holders = [...now.holders]
  const waiters: Waiter[] = []
  const granted: Holder[] = []
  const ended: Ended[] = []
  // Who asks for the same as one that was kept back is kept back by it: no need to look again.
  const keptBack = new Set<string>()
  let { lastToken } = now
  let isShut = holders.length >= HOLDERS_MAX
  let isMore = false
  for (const waiter of now.waiters) {
    const { demand, units } = waiter
    const isSpent = granted.length + ended.length >= SETTLED_MAX
    if (units > round.mostOf(demand)) {
      if (isSpent) waiters.push(waiter)
      else ended.push({ who: waiter, reason: 'resized' })
      isMore ||= isSpent
      continue
    }
    const key = `${demand}/${units}`
    const option = isShut || keptBack.has(key) ? undefined : round.bestOf(demand, units)
    if (option !== undefined && units <= round.free && !isSpent) {
      lastToken += 1
      round.take(demand, option, units)
      const holder: Holder = { ...waiter, token: lastToken, option }
      holders.push(holder)
      granted.push(holder)
      isShut = holders.length >= HOLDERS_MAX
      continue
    }
    waiters.push(waiter)
    if (option !== undefined) {
      isMore ||= units <= round.free
      // Whatever comes behind it waits as well: small ones would starve it.
      isShut = true
    } else if (!isShut && !keptBack.has(key)) {
      round.reserve(demand, units)
      keptBack.add(key)
    }
  }
  const asked = new Set([...holders, ...waiters].map(({ demand }) => demand))
  const demands = now.demands.filter(({ id }) => asked.has(id))
  const { gapped, gapsBegun } = round
  const next = { ...now, gapped: [...gapped], lastToken, demands, holders, waiters }
  return { next, granted, ended, gapsBegun, isMore }
}

/** What is out while a round goes on. */
class Round {
  free: number
  readonly gapped: Set<string>
  readonly gapsBegun: string[] = []
  readonly #now: Semaphore
  readonly #options: Map<number, readonly (readonly string[])[]>
  readonly #used: Map<string, number>
  readonly #most = new Map<number, number>()
  /** Kept for somebody who waits further ahead. */
  readonly #reserved = new Set<string>()

  constructor(now: Semaphore) {
    this.#now = now
    this.#options = optionsById(now)
    this.#used = usedByName(now)
    this.free = now.slots - usedBy(now.holders)
    this.gapped = new Set(now.gapped)
  }

  mostOf(demand: number): number {
    const known = this.#most.get(demand)
    if (known !== undefined) return known
    const most = mostOf(this.#now, this.#optionsOf(demand))
    this.#most.set(demand, most)
    return most
  }

  /** The least loaded of the options with room; of equal ones the first. */
  bestOf(demand: number, units: number): number | undefined {
    let best: { index: number; loads: number[] } | undefined
    for (const [index, names] of this.#optionsOf(demand).entries()) {
      if (!names.every((name) => this.#hasRoom(name, units))) continue
      const loads = names.map((name) => this.#loadOf(name)).sort((a, b) => b - a)
      if (best === undefined || isLighter(loads, best.loads)) best = { index, loads }
    }
    return best?.index
  }

  take(demand: number, option: number, units: number): void {
    this.free -= units
    for (const name of this.#optionsOf(demand)[option] ?? []) {
      this.#used.set(name, (this.#used.get(name) ?? 0) + units)
      if (own(this.#now.gaps, name) === undefined) continue
      this.gapped.add(name)
      this.gapsBegun.push(name)
    }
  }

  /**
   * Who waits keeps its place at the names of an option up to the first without room, or those who need
   * fewer would starve it. The names behind are of no use to it yet, and it holds up nobody there.
   */
  reserve(demand: number, units: number): void {
    const possible = this.#optionsOf(demand).filter((names) => units <= mostOf(this.#now, [names]))
    const kept = possible.flatMap((names) => {
      const lacking = names.findIndex((name) => !this.#hasRoom(name, units))
      return lacking < 0 ? names : names.slice(0, lacking + 1)
    })
    for (const name of kept) this.#reserved.add(name)
  }

  #optionsOf(demand: number): readonly (readonly string[])[] {
    return this.#options.get(demand) ?? []
  }

  #hasRoom(name: string, units: number): boolean {
    if (this.#reserved.has(name) || this.gapped.has(name)) return false
    return (this.#used.get(name) ?? 0) + units <= limitOf(this.#now, name)
  }

  #loadOf(name: string): number {
    return (this.#used.get(name) ?? 0) / limitOf(this.#now, name)
  }
}

/** Both begin with their most loaded name; names that both have in common do not decide. */
function isLighter(loads: readonly number[], others: readonly number[]): boolean {
  const places = Math.max(loads.length, others.length)
  for (let at = 0; at < places; at++) {
    const [load, other] = [loads[at] ?? 0, others[at] ?? 0]
    if (load !== other) return load < other
  }
  return false
}

export function usedBy(holders: readonly Holder[]): number {
  return holders.reduce((sum, { units }) => sum + units, 0)
}

/** Units out of every name that is held. */
export function usedByName(now: Semaphore): Map<string, number> {
  const options = optionsById(now)
  const used = new Map<string, number>()
  for (const { demand, option, units } of now.holders) {
    for (const name of options.get(demand)?.[option] ?? []) {
      used.set(name, (used.get(name) ?? 0) + units)
    }
  }
  return used
}

export function demandOf(now: Semaphore, { demand }: Waiter): Demand {
  return now.demands.find(({ id }) => id === demand) ?? { id: demand, choice: null, options: [] }
}

export function optionsOf(now: Semaphore, waiter: Waiter): string[][] {
  return demandOf(now, waiter).options
}

export function namesOf(now: Semaphore, holder: Holder): string[] {
  return optionsOf(now, holder)[holder.option] ?? []
}

/** Most units that a request with these options can ever be given. */
export function mostOf(now: Semaphore, options: readonly (readonly string[])[]): number {
  const perOption = options.map((names) =>
    names.reduce((most, name) => Math.min(most, limitOf(now, name)), now.slots),
  )
  return Math.max(0, ...perOption)
}

function optionsById({ demands }: Semaphore): Map<number, string[][]> {
  return new Map(demands.map(({ id, options }) => [id, options]))
}

/** Without one nothing but the slots counts: who waits for those lets nobody pass. */
function limitOf({ limits }: Semaphore, name: string): number {
  return own(limits, name) ?? Number.POSITIVE_INFINITY
}

/** A name may be that of something every object has. */
function own(of: Readonly<Record<string, number>>, name: string): number | undefined {
  return Object.hasOwn(of, name) ? of[name] : undefined
}
