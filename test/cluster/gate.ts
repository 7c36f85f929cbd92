/**
 * A node's way to the world: everything that comes back to it passes a gate, which a test can hold
 * (the process stands still) or shut for ever (kill -9).
 */
import type {
  Clock,
  MessageHandler,
  Registry,
  SubscribeOptions,
  Subscription,
  Transport,
  TransportOutcome,
  TransportRequest,
} from '../../src/ports/index.ts'

export class Gate {
  #held: (() => void)[] | undefined
  #isShut = false
  readonly #subscriptions = new Set<Subscription>()

  through<T extends unknown[]>(call: (...args: T) => void): (...args: T) => void {
    return (...args) => {
      if (this.#isShut) return
      if (this.#held) this.#held.push(() => call(...args))
      else call(...args)
    }
  }

  hold(): void {
    this.#held ??= []
  }

  /** What came meanwhile comes now, in its order. */
  release(each: () => void = () => {}): void {
    const held = this.#held ?? []
    this.#held = undefined
    for (const call of held) {
      if (!this.#isShut) call()
      each()
    }
  }

  shut(): void {
    this.#isShut = true
    this.#held = undefined
    for (const one of this.#subscriptions) one.unsubscribe()
  }

  get isShut(): boolean {
    return this.#isShut
  }

  keep(subscription: Subscription): Subscription {
    this.#subscriptions.add(subscription)
    return subscription
  }
}

export class GatedClock implements Clock {
  readonly #clock: Clock
  readonly #gate: Gate

  constructor(clock: Clock, gate: Gate) {
    this.#clock = clock
    this.#gate = gate
  }

  now(): number {
    return this.#clock.now()
  }

  monotonic(): number {
    return this.#clock.monotonic()
  }

  after(delayMs: number, call: () => void): () => void {
    let isCancelled = false
    const cancel = this.#clock.after(
      delayMs,
      this.#gate.through(() => {
        if (!isCancelled) call()
      }),
    )
    return () => {
      isCancelled = true
      cancel()
    }
  }

  defer(call: () => void): void {
    this.#clock.defer(this.#gate.through(call))
  }
}

export class GatedTransport implements Transport {
  readonly #transport: Transport
  readonly #gate: Gate
  readonly #listeners = new Set<{ leave(): void; join(): void }>()
  #connection = 1
  #isCut = false
  #isDeaf = false
  /** Subjects whose messages from this node are lost. */
  readonly lost = new Set<string>()

  constructor(transport: Transport, gate: Gate) {
    this.#transport = transport
    this.#gate = gate
  }

  /** Without a connection nothing is said or heard, and the server forgets who listens, until it is back. */
  get isCut(): boolean {
    return this.#isCut
  }

  set isCut(isCut: boolean) {
    if (isCut === this.#isCut) return
    this.#isCut = isCut
    if (isCut) this.#connection += 1
    this.#listen()
  }

  /** The server has taken all its rights to hear; it may say what it likes, and has answers. */
  set isDeaf(isDeaf: boolean) {
    this.#isDeaf = isDeaf
    this.#listen()
  }

  connection(): number | undefined {
    return this.isCut || this.#isDeaf || this.#gate.isShut ? undefined : this.#connection
  }

  #listen(): void {
    const hearsNothing = this.#isCut || this.#isDeaf
    for (const listener of this.#listeners) {
      if (hearsNothing) listener.leave()
      else if (!this.#gate.isShut) listener.join()
    }
  }

  request(request: TransportRequest, done: (outcome: TransportOutcome) => void): void {
    if (this.#gate.isShut) return
    const subject = this.isCut ? 'cut.off' : request.subject
    this.#transport.request({ ...request, subject }, this.#gate.through(done))
  }

  publish(subject: string, payload: Uint8Array | string): void {
    if (this.#gate.isShut || this.isCut || this.lost.has(subject)) return
    this.#transport.publish(subject, payload)
  }

  hears(subject: string): boolean {
    return this.#transport.hears(subject)
  }

  subscribe(subject: string, options: SubscribeOptions, handle: MessageHandler): Subscription {
    const through = this.#gate.through(handle)
    const subscribe = () =>
      this.#transport.subscribe(subject, options, (message) => {
        const { reply } = message
        // Nor does a dead process answer what it was asked while it lived.
        through(
          reply
            ? { ...message, reply: (bytes) => void (this.#gate.isShut || reply(bytes)) }
            : message,
        )
      })
    let subscription = this.#isCut || this.#isDeaf ? undefined : subscribe()
    const leave = () => {
      subscription?.unsubscribe()
      subscription = undefined
    }
    const join = () => {
      subscription ??= subscribe()
    }
    const listener = { leave, join }
    this.#listeners.add(listener)
    return this.#gate.keep({
      unsubscribe: () => {
        this.#listeners.delete(listener)
        leave()
      },
    })
  }
}

/** What a node puts into the registry. While they are held it never learns what became of them. */
export class GatedPuts {
  readonly #clock: Clock
  readonly held: { value: Uint8Array; arrive: () => void }[] = []
  isHolding = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  put(registry: Registry, ...[key, value, done]: Parameters<Registry['put']>): void {
    if (!this.isHolding) return registry.put(key, value, done)
    this.held.push({ value, arrive: () => registry.put(key, value, () => {}) })
    this.#clock.defer(() => done('unknown'))
  }
}

/** @param stale what reads of the view show instead, while it says so */
export function gatedRegistry(
  registry: Registry,
  gate: Gate,
  stale: () => Uint8Array | undefined = () => undefined,
  puts?: GatedPuts,
): Registry {
  return {
    claim: (key, value, done) => {
      if (!gate.isShut) registry.claim(key, value, gate.through(done))
    },
    put: (key, value, done) => {
      if (gate.isShut) return
      if (puts) puts.put(registry, key, value, gate.through(done))
      else registry.put(key, value, gate.through(done))
    },
    get: (key, done) =>
      registry.get(
        key,
        gate.through((outcome) => {
          const value = key === 'view' ? stale() : undefined
          done(value && outcome.kind === 'found' ? { kind: 'found', value } : outcome)
        }),
      ),
    list: (prefix, done) => registry.list(prefix, gate.through(done)),
    remove: (key, done) => {
      if (!gate.isShut) registry.remove(key, gate.through(done))
    },
    watch: (prefix, changed) => registry.watch(prefix, gate.through(changed)),
  }
}
