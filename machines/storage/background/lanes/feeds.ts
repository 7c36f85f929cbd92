/**
 * Workers that wait at a node for something to do.
 *
 * Decides: that the queue is asked again when it says that something can be had, by one of those who wait, and
 * by the next one when that one got something; and now and then anyhow, since what is published may be lost.
 * So a thousand workers that wait cost nothing, and one task wakes one of them. Leaves to others: the asking.
 */
import type { Client, Clock } from '../../../../src/index.ts'
import { FREED } from './worker-queue.ts'

const LOOK_MS = 5_000

export interface FeedsDeps {
  client: Pick<Client, 'watch'>
  clock: Clock
}

/** Of one worker that may have to wait. */
export interface FeedPlace {
  /** How often something could be had so far: taken before the queue is asked. */
  freed(): number
  /**
   * Resolves with true when it is worth asking again: something could be had since `seen`, or it is time to
   * look. With false after `withinMs`, or when nobody waits for it any more.
   */
  next(seen: number, withinMs: number, signal: AbortSignal): Promise<boolean>
  /** It got something: another who waits may, too. */
  passOn(): void
  leave(): void
}

export class Feeds {
  readonly #deps: FeedsDeps
  readonly #feeds = new Map<string, Feed>()

  constructor(deps: FeedsDeps) {
    this.#deps = deps
  }

  /** @param address of the queue */
  enter(address: string): FeedPlace {
    const feed = this.#feeds.get(address) ?? new Feed(this.#deps, address)
    this.#feeds.set(address, feed)
    feed.places += 1
    return {
      freed: () => feed.freed,
      next: (seen, withinMs, signal) => feed.next(seen, withinMs, signal),
      passOn: () => feed.wakeNext(),
      leave: () => {
        feed.places -= 1
        if (feed.places > 0) return
        feed.stop()
        if (this.#feeds.get(address) === feed) this.#feeds.delete(address)
      },
    }
  }

  close(): void {
    for (const feed of this.#feeds.values()) feed.stop()
    this.#feeds.clear()
  }
}

/** Of one queue, for as long as somebody waits there. */
class Feed {
  readonly #clock: Clock
  readonly #stopped = new AbortController()
  /** In the order in which they came. */
  readonly #waiting = new Set<(isWorthAsking: boolean) => void>()
  #cancelLook = () => {}
  places = 0
  freed = 0

  constructor({ client, clock }: FeedsDeps, address: string) {
    this.#clock = clock
    const { signal } = this.#stopped
    void this.#listen(client.watch({ address }, signal))
    this.#look()
  }

  stop(): void {
    this.#stopped.abort()
    this.#cancelLook()
    for (const settle of [...this.#waiting]) settle(false)
  }

  next(seen: number, withinMs: number, signal: AbortSignal): Promise<boolean> {
    if (this.#stopped.signal.aborted || signal.aborted) return Promise.resolve(false)
    if (this.freed !== seen) return Promise.resolve(true)
    return new Promise((resolve) => {
      const settle = (isWorthAsking: boolean) => {
        this.#waiting.delete(settle)
        cancel()
        signal.removeEventListener('abort', end)
        resolve(isWorthAsking)
      }
      const end = () => settle(false)
      const cancel = this.#clock.after(withinMs, end)
      signal.addEventListener('abort', end, { once: true })
      this.#waiting.add(settle)
    })
  }

  wakeNext(): void {
    const [first] = this.#waiting
    first?.(true)
  }

  async #listen(events: AsyncIterable<{ kind: string; event?: unknown }>): Promise<void> {
    for await (const { kind, event } of events) {
      if (kind !== 'emitted' || (event as { type?: string }).type !== FREED) continue
      this.freed += 1
      this.wakeNext()
    }
  }

  #look(): void {
    this.#cancelLook = this.#clock.after(LOOK_MS, () => {
      this.wakeNext()
      this.#look()
    })
  }
}
