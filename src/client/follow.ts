/**
 * Following one actor. Decides: how every turn is told once and in order although what is published is
 * best effort: turns have numbers, so a gap is seen and filled from the history; and whoever hears
 * nothing looks at the actor from time to time, since the last thing said may be what was lost. Where the
 * history no longer holds what was missed, or the actor is another one by now, the follower is told how it
 * stands, to begin anew.
 * Leaves to others: what is published (watch.ts), how the actor is asked (client.ts).
 */
import type { Clock } from '../ports/index.ts'
import { type ActorView, type HistoryView, TroupeError } from '../protocol/index.ts'
import { Arrivals } from './arrivals.ts'
import type { WatchedEvent } from './watch.ts'

export type FollowedEvent =
  /** How it stands: at the beginning, and (`isReset`) where turns were missed for good. */
  | {
      kind: 'state'
      address: string
      turn: number
      createdAt: number
      view: ActorView
      isReset: boolean
    }
  | {
      kind: 'transition'
      address: string
      turn: number
      createdAt: number
      cause: string
      from: string | null
      to: string
      /** Absent of a turn that was read from the history and is not the newest. */
      status?: string
    }
  /** Best effort: no history holds these. */
  | Extract<WatchedEvent, { kind: 'emitted' | 'removed' }>

/** A turn of an actor; `createdAt` tells it from a later one at the same address. */
export interface SeenTurn {
  createdAt: number
  turn: number
}

export interface FollowOptions {
  /** Where to go on; without it the first event says how the actor stands. */
  after?: SeenTurn
  /** How long nothing may come before the actor is looked at. Default 10 s. */
  lookMs?: number
}

const LOOK_MS = 10_000
/** Turns that may be added between two looks at an actor. */
const HISTORY_SLACK = 100

/** As a client has it. */
interface Followed {
  watch(target: { address: string }, signal: AbortSignal): AsyncIterable<WatchedEvent>
  get(address: string): Promise<ActorView>
  history(address: string, options: { limit: number }): Promise<HistoryView[]>
}

/**
 * Ends when the actor is removed or the signal says so. The first step looks at the actor.
 * @throws TroupeError `unknown-actor`, or why the actor cannot be looked at
 */
export function followActor(
  client: Followed,
  clock: Clock,
  address: string,
  signal: AbortSignal,
  options: FollowOptions = {},
): AsyncGenerator<FollowedEvent, void, void> {
  return new Follower(client, clock, address, options).events(signal)
}

class Follower {
  readonly #client: Followed
  readonly #clock: Clock
  readonly #address: string
  readonly #lookMs: number
  #seen: SeenTurn | undefined

  constructor(client: Followed, clock: Clock, address: string, options: FollowOptions) {
    this.#client = client
    this.#clock = clock
    this.#address = address
    this.#seen = options.after
    this.#lookMs = options.lookMs ?? LOOK_MS
  }

  async *events(signal: AbortSignal): AsyncGenerator<FollowedEvent, void, void> {
    const stop = new AbortController()
    const end = () => stop.abort()
    signal.addEventListener('abort', end, { once: true })
    if (signal.aborted) end()
    try {
      // It listens before the first look, so that no transition falls between.
      const published = this.#client.watch({ address: this.#address }, stop.signal)
      const arrivals = new Arrivals(published, this.#clock)
      yield* this.#look()
      for (;;) {
        const arrived = await arrivals.next(this.#lookMs)
        if (arrived?.done) return
        const goesOn = yield* arrived ? this.#told(arrived.value) : this.#lookAgain()
        if (!goesOn) return
      }
    } finally {
      end()
      signal.removeEventListener('abort', end)
    }
  }

  async *#told(event: WatchedEvent): AsyncGenerator<FollowedEvent, boolean, void> {
    if (event.kind !== 'transition') {
      yield event
      return event.kind !== 'removed'
    }
    const { createdAt, turn: last } = this.#seen ?? { createdAt: 0, turn: 0 }
    const expected = last + 1
    // Another actor at this address, or a gap.
    if (event.createdAt !== createdAt || event.turn > expected) return yield* this.#lookAgain()
    if (event.turn === expected) {
      const { turn, cause, from, to, status } = event
      yield this.#transition(turn, { cause, from, to, status })
    }
    return true
  }

  /** False once it is gone. While nobody can say, it is looked at again later. */
  async *#lookAgain(): AsyncGenerator<FollowedEvent, boolean, void> {
    try {
      yield* this.#look()
      return true
    } catch (thrown) {
      if (!(thrown instanceof TroupeError)) throw thrown
      if (thrown.retry) return true
      if (thrown.code !== 'unknown-actor') throw thrown
      yield { kind: 'removed', address: this.#address, turn: this.#seen?.turn ?? 0 }
      return false
    }
  }

  async *#look(): AsyncGenerator<FollowedEvent, void, void> {
    const seen = this.#seen
    const view = await this.#client.get(this.#address)
    const { createdAt, turn } = view
    const isSame = seen?.createdAt === createdAt
    if (isSame && seen.turn === turn) return
    const missed = isSame && seen.turn < turn ? await this.#missed(seen.turn, turn) : undefined
    if (missed) {
      for (const { turn: at, cause, from, to } of missed) {
        const status = at === turn ? { status: view.status } : {}
        yield this.#transition(at, { cause, from, to, ...status })
      }
      return
    }
    this.#seen = { createdAt, turn }
    const isReset = seen !== undefined
    yield { kind: 'state', address: this.#address, turn, createdAt, view, isReset }
  }

  /** All turns after one, up to another at least; undefined when the history does not hold them. */
  async #missed(after: number, upTo: number): Promise<HistoryView[] | undefined> {
    const newestFirst = await this.#client.history(this.#address, {
      // It goes on meanwhile.
      limit: upTo - after + HISTORY_SLACK,
    })
    const missed = newestFirst.reverse().filter(({ turn }) => turn > after)
    return missed[0]?.turn === after + 1 ? missed : undefined
  }

  #transition(
    turn: number,
    what: { cause: string; from: string | null; to: string; status?: string },
  ): FollowedEvent {
    const createdAt = this.#seen?.createdAt ?? 0
    this.#seen = { createdAt, turn }
    return { kind: 'transition', address: this.#address, turn, createdAt, ...what }
  }
}
