/**
 * What the server does not let our user say or hear.
 *
 * Decides: a subscription outlives its refusal. The library gives up what is refused, or keeps what the
 * server has dropped: after a reload of the server's users a process would be deaf for ever. So it is asked
 * for again until it is heard. Also: what of that is said in the log, once each, and what counts as refused
 * now: what nobody tried for a while does not.
 * Leaves to others: what a refusal means to whoever asked (requests.ts, transport.ts).
 */
import type { Msg, NatsConnection, Subscription as Sub } from 'nats'
import type { Clock, Log } from '../../ports/index.ts'

export interface Refusal {
  operation: string
  subject: string
}

export interface HearOptions {
  queue?: string
  heard: (message: Msg) => void
  /** It was refused, and is heard again: what came meanwhile is lost. */
  again?: () => void
}

export interface Hearing {
  unsubscribe(): void
  /** What is on its way still comes. */
  drain(): Promise<void>
}

export interface RightsDeps {
  nats: Pick<NatsConnection, 'subscribe' | 'flush' | 'isClosed' | 'isDraining'>
  clock: Pick<Clock, 'after' | 'defer' | 'monotonic'>
  log: Log
  /** How often what was refused is asked for again. */
  retryMs?: number | undefined
}

interface Wish {
  subject: string
  options: HearOptions
  subscription: Sub | undefined
  /** Until the server has certainly taken it. */
  isRefused: boolean
}

/** A question of some bytes for each refused subject; a person who mends the users waits no longer. */
const RETRY_MS = 5_000
/** What a node needs it tries far more often. */
const SHOWN_MS = 3 * RETRY_MS
/** Subjects of actors are endless. */
const REFUSALS_MAX = 1_000

export class Rights {
  readonly #deps: RightsDeps
  readonly #retryMs: number
  readonly #wishes = new Set<Wish>()
  /** By what was said of it, so that it is said once. */
  readonly #refused = new Map<string, Refusal & { atMs: number }>()
  #isTrying = false
  #isRetryPlanned = false
  #cancelRetry = () => {}

  constructor(deps: RightsDeps) {
    this.#deps = deps
    this.#retryMs = deps.retryMs ?? RETRY_MS
  }

  hear(subject: string, options: HearOptions): Hearing {
    const wish: Wish = { subject, options, subscription: undefined, isRefused: false }
    this.#subscribe(wish)
    this.#wishes.add(wish)
    return {
      unsubscribe: () => {
        if (this.#wishes.delete(wish)) giveUp(wish)
      },
      drain: async () => {
        if (!this.#wishes.delete(wish)) return
        // It fails only when the connection ends first.
        if (wish.subscription?.isClosed() === false) await wish.subscription.drain().catch(() => {})
      },
    }
  }

  /**
   * Something that was to be heard is refused. What the server itself gives away, as `$SRV` for those who look
   * for services, nobody depends on.
   */
  get isDeaf(): boolean {
    for (const { isRefused, subject } of this.#wishes) {
      if (isRefused && !subject.startsWith('$')) return true
    }
    return false
  }

  /** Those of late. */
  refusals(): Refusal[] {
    const sinceMs = this.#deps.clock.monotonic() - SHOWN_MS
    return [...this.#refused.values()]
      .filter(({ atMs }) => atMs >= sinceMs)
      .map(({ operation, subject }) => ({ operation, subject }))
  }

  /** By a word of the server. At a reload of its users that does not name the group of a subscription. */
  refuse({ operation, subject }: Refusal): void {
    const { clock, log } = this.#deps
    const what = `${operation} ${subject}`
    const isKnown = this.#refused.has(what)
    if (this.#refused.size >= REFUSALS_MAX) this.#forgetOld()
    if (isKnown || this.#refused.size < REFUSALS_MAX) {
      this.#refused.set(what, { operation, subject, atMs: clock.monotonic() })
      if (!isKnown) log.error({ operation, subject }, 'NATS does not allow this to our user')
    }
    if (operation !== 'subscription') return
    const lost = [...this.#wishes].filter((one) => one.subject === subject && one.subscription)
    for (const wish of lost) {
      giveUp(wish)
      wish.isRefused = true
    }
    if (lost.length > 0) this.#retryLater()
  }

  #forgetOld(): void {
    const sinceMs = this.#deps.clock.monotonic() - SHOWN_MS
    for (const [what, { atMs }] of this.#refused) if (atMs < sinceMs) this.#refused.delete(what)
  }

  /** Another server, or the same one started anew: its users may be others. */
  reconnected(): void {
    this.#refused.clear()
    this.#tryAgain()
  }

  close(): void {
    this.#cancelRetry()
    this.#wishes.clear()
  }

  #subscribe(wish: Wish): void {
    const { queue, heard } = wish.options
    wish.subscription = this.#deps.nats.subscribe(wish.subject, {
      ...(queue !== undefined && { queue }),
      callback: (error, message) => {
        // An error is the refusal, of which the connection tells.
        if (error === null) heard(message)
      },
    })
  }

  #retryLater(): void {
    if (this.#isRetryPlanned || this.#isTrying) return
    this.#isRetryPlanned = true
    this.#cancelRetry = this.#deps.clock.after(this.#retryMs, () => {
      this.#isRetryPlanned = false
      this.#tryAgain()
    })
  }

  #tryAgain(): void {
    const { nats } = this.#deps
    const tried = [...this.#wishes].filter(({ isRefused }) => isRefused)
    const isEnding = nats.isClosed() || nats.isDraining()
    if (tried.length === 0 || this.#isTrying || isEnding) return
    this.#isTrying = true
    for (const wish of tried) if (!wish.subscription) this.#subscribe(wish)
    const end = (isAnswered: boolean) => {
      this.#isTrying = false
      if (isAnswered) this.#settle(tried)
      if ([...this.#wishes].some(({ isRefused }) => isRefused)) this.#retryLater()
    }
    // The server answers in order. The library tells of a refusal a little later than of what follows it.
    nats.flush().then(
      () => this.#deps.clock.defer(() => end(true)),
      () => end(false),
    )
  }

  #settle(tried: readonly Wish[]): void {
    const heard = tried.filter((wish) => wish.subscription && this.#wishes.has(wish))
    for (const wish of heard) {
      wish.isRefused = false
      this.#refused.delete(`subscription ${wish.subject}`)
    }
    if (heard.length === 0) return
    const subjects = heard.slice(0, NAMED_MAX).map(({ subject }) => subject)
    const fields = { subjects, count: heard.length }
    this.#deps.log.info(fields, 'NATS lets our user hear again what it had refused')
    for (const { options } of heard) options.again?.()
  }
}

/** Subjects in one line of the log. */
const NAMED_MAX = 10

function giveUp(wish: Wish): void {
  if (wish.subscription?.isClosed() === false) wish.subscription.unsubscribe()
  wish.subscription = undefined
}
