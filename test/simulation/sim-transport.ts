/**
 * The network between simulated parties, and the Transport port of each of them.
 *
 * Decides: that messages of one sender to one receiver keep their order and all else may overtake;
 * what a partition swallows, in one direction; loss, duplication and delay by rates; that whoever has
 * no connection is listened for by nobody, and may be for a moment after it is back. Everybody who
 * listens on a subject gets a message, two owners that both believe in themselves included, and the
 * first reply counts. Leaves to others: when parties freeze and die (process-clock.ts).
 */

import type { VirtualClock } from '../../src/adapters/memory/index.ts'
import {
  checkSubject,
  hasWildcard,
  SubjectTree,
  subjectsOverlap,
} from '../../src/adapters/memory/subjects.ts'
import type {
  MessageHandler,
  SubscribeOptions,
  Subscription,
  Transport,
  TransportOutcome,
  TransportRequest,
} from '../../src/ports/index.ts'
import type { ProcessClock } from './process-clock.ts'
import type { SimRandom } from './random.ts'

export interface NetworkRates {
  latencyMs: number
  slowChance: number
  slowMs: number
  lossChance: number
  replyLossChance: number
  duplicateChance: number
}

/** What watchers are told; `replyTo` is the payload that a reply answers. */
export interface NetworkWatch {
  sent(party: string, subject: string, payload: Uint8Array): void
  replied(party: string, subject: string, request: Uint8Array, reply: Uint8Array): void
}

interface Listener {
  endpoint: SimTransport
  queue: string | undefined
  handle: MessageHandler
  active: boolean
}

export class SimNetwork {
  readonly clock: VirtualClock
  readonly #random: SimRandom
  rates: NetworkRates
  watch: NetworkWatch = { sent: () => {}, replied: () => {} }
  readonly #exact = new Map<string, Set<Listener>>()
  readonly #wild = new SubjectTree<Listener>()
  #wildCount = 0
  /** `from>to`, each direction of its own. */
  readonly #cuts = new Set<string>()
  /** Who has no connection. */
  readonly #away = new Set<string>()
  readonly #connections = new Map<string, number>()
  /** `asker>listener`: the server of the one does not know that the other listens. */
  readonly #unknown = new Set<string>()
  readonly #lastArrival = new Map<string, number>()
  #turn = 0

  constructor(clock: VirtualClock, random: SimRandom, rates: NetworkRates) {
    this.clock = clock
    this.#random = random
    this.rates = rates
  }

  cut(from: string, to: string): void {
    this.#cuts.add(`${from}>${to}`)
  }

  heal(): void {
    this.#cuts.clear()
    this.#unknown.clear()
  }

  /** Its connection is lost. */
  leave(party: string): void {
    this.#away.add(party)
    this.#connections.set(party, (this.#connections.get(party) ?? 1) + 1)
  }

  /** It has another. */
  join(party: string): void {
    this.#away.delete(party)
  }

  joinAll(): void {
    this.#away.clear()
  }

  connectionOf(party: string): number | undefined {
    return this.#away.has(party) ? undefined : (this.#connections.get(party) ?? 1)
  }

  /** Whoever asks there is told that nobody listens, although messages arrive. */
  hide(listener: string, from: string): void {
    this.#unknown.add(`${from}>${listener}`)
  }

  show(listener: string, to: string): void {
    this.#unknown.delete(`${to}>${listener}`)
  }

  /** Whether a question finds this listener. */
  finds(asker: string, listener: string): boolean {
    return !this.#away.has(listener) && !this.#unknown.has(`${asker}>${listener}`)
  }

  isCut(from: string, to: string): boolean {
    return this.#cuts.size > 0 && this.#cuts.has(`${from}>${to}`)
  }

  add(subject: string, listener: Listener): void {
    checkSubject(subject)
    if (hasWildcard(subject)) {
      this.#wild.add(subject, listener)
      this.#wildCount += 1
      return
    }
    const known = this.#exact.get(subject)
    if (known) known.add(listener)
    else this.#exact.set(subject, new Set([listener]))
  }

  remove(subject: string, listener: Listener): void {
    listener.active = false
    if (hasWildcard(subject)) {
      this.#wild.remove(subject, listener)
      this.#wildCount -= 1
    } else this.#exact.get(subject)?.delete(listener)
  }

  /** Members of a group take turns; everybody else gets each message. */
  receivers(subject: string, asker?: string): Listener[] {
    let all = [...(this.#exact.get(subject) ?? [])]
    if (this.#wildCount > 0) all.push(...this.#wild.match(subject))
    if (asker !== undefined && this.#unknown.size + this.#away.size > 0) {
      all = all.filter(({ endpoint }) => this.finds(asker, endpoint.party))
    }
    if (all.every(({ queue }) => queue === undefined)) return all
    const groups = new Map<string, Listener[]>()
    const chosen = all.filter((listener) => {
      if (listener.queue === undefined) return true
      const group = groups.get(listener.queue)
      if (group) group.push(listener)
      else groups.set(listener.queue, [listener])
      return false
    })
    for (const members of groups.values()) chosen.push(members[this.#turn++ % members.length]!)
    return chosen
  }

  hears(subject: string): boolean {
    if (this.#wildCount > 0) return true
    if (!hasWildcard(subject)) return (this.#exact.get(subject)?.size ?? 0) > 0
    return [...this.#exact.keys()].some((known) => subjectsOverlap(known, subject))
  }

  /** One message on its way; nothing tells the sender that it was lost. */
  carry(from: string, to: string, isReply: boolean, arrive: () => void): void {
    const { rates } = this
    const loss = isReply ? rates.replyLossChance : rates.lossChance
    if (this.isCut(from, to) || this.#random.chance(loss)) return
    if (this.#away.has(from) || this.#away.has(to)) return
    this.#fly(from, to, arrive)
    if (this.#random.chance(rates.duplicateChance)) this.#fly(from, to, arrive)
  }

  #fly(from: string, to: string, arrive: () => void): void {
    const { rates } = this
    const slow = this.#random.chance(rates.slowChance) ? this.#random.exponential(rates.slowMs) : 0
    const latency = this.#random.fraction() * rates.latencyMs + slow
    const pair = `${from}>${to}`
    const now = this.clock.monotonic()
    const at = Math.max(this.#lastArrival.get(pair) ?? 0, now + latency)
    this.#lastArrival.set(pair, at)
    this.clock.after(at - now, arrive)
  }
}

export class SimTransport implements Transport {
  readonly party: string
  readonly process: ProcessClock
  readonly #network: SimNetwork
  readonly #mine = new Map<Listener, string>()
  #closed = false

  constructor(network: SimNetwork, party: string, process: ProcessClock) {
    this.#network = network
    this.party = party
    this.process = process
  }

  request(request: TransportRequest, done: (outcome: TransportOutcome) => void): void {
    const { subject, timeoutMs } = request
    const question = new Question(this, subject, Buffer.from(request.payload), done)
    question.expire(timeoutMs)
    if (this.#closed) return
    this.#network.watch.sent(this.party, subject, question.payload)
    const isConnected = this.connection() !== undefined
    const receivers = isConnected ? this.#network.receivers(subject, this.party) : []
    if (receivers.length === 0) {
      this.process.after(1, () => question.finish({ kind: 'no-responders' }))
      return
    }
    for (const listener of receivers) {
      this.#deliver(listener, subject, question.payload, question)
    }
  }

  publish(subject: string, payload: Uint8Array | string): void {
    if (this.#closed) return
    const copy = typeof payload === 'string' ? Buffer.from(payload) : Buffer.from(payload)
    for (const listener of this.#network.receivers(subject)) {
      this.#deliver(listener, subject, copy)
    }
  }

  hears(subject: string): boolean {
    return this.#network.hears(subject)
  }

  connection(): number | undefined {
    return this.#closed ? undefined : this.#network.connectionOf(this.party)
  }

  subscribe(subject: string, options: SubscribeOptions, handle: MessageHandler): Subscription {
    const listener: Listener = { endpoint: this, queue: options.queue, handle, active: true }
    this.#mine.set(listener, subject)
    this.#network.add(subject, listener)
    return {
      unsubscribe: () => {
        if (this.#mine.delete(listener)) this.#network.remove(subject, listener)
      },
    }
  }

  /** The process is gone: its server forgets whom it served. */
  close(): void {
    this.#closed = true
    for (const [listener, subject] of this.#mine) this.#network.remove(subject, listener)
    this.#mine.clear()
  }

  /** Receivers share the bytes: whoever unpacks them copies what it keeps. */
  #deliver(listener: Listener, subject: string, payload: Buffer, question?: Question): void {
    const to = listener.endpoint
    this.#network.carry(this.party, to.party, false, () => {
      to.process.enter(() => {
        if (!listener.active) return
        if (question === undefined) return listener.handle({ subject, payload })
        listener.handle({ subject, payload, reply: (bytes) => to.#answer(question, bytes) })
      })
    })
  }

  #answer(question: Question, bytes: Uint8Array): void {
    if (this.#closed) return
    const { asker, subject } = question
    const payload = Buffer.from(bytes)
    this.#network.watch.replied(this.party, subject, question.payload, payload)
    this.#network.carry(this.party, asker.party, true, () => {
      asker.process.enter(() => question.finish({ kind: 'reply', payload }))
    })
  }
}

/** A request that waits for its first outcome. */
class Question {
  readonly asker: SimTransport
  readonly subject: string
  readonly payload: Buffer
  #done: ((outcome: TransportOutcome) => void) | undefined
  #cancel: (() => void) | undefined

  constructor(
    asker: SimTransport,
    subject: string,
    payload: Buffer,
    done: (outcome: TransportOutcome) => void,
  ) {
    this.asker = asker
    this.subject = subject
    this.payload = payload
    this.#done = done
  }

  expire(timeoutMs: number): void {
    this.#cancel = this.asker.process.after(timeoutMs, () => this.finish({ kind: 'timeout' }))
  }

  finish(outcome: TransportOutcome): void {
    const done = this.#done
    if (done === undefined) return
    this.#done = undefined
    this.#cancel?.()
    done(outcome)
  }
}
