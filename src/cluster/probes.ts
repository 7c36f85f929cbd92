/**
 * Who is gone, where others are only silent. A process that has ended listens nowhere any more, and the
 * server says so at once; one that stands still, or is slow, is still listened for, and its silence says
 * nothing.
 *
 * Decides: whom this node asks (a leader all others, they the leader: so the number of questions grows with
 * the number of nodes), and when it takes somebody for gone: once nobody has listened there for a while, as
 * seen on a connection that is old enough. Who finds most others gone at once is rather cut off from them
 * itself, as by a route between NATS servers: then silence decides, as where nobody asks. So whoever misses
 * one that it watches asks some others, too.
 * Leaves to others: silence (members.ts), what follows (node.ts).
 *
 * Nothing depends on its being right: slots decide who owns a shard. A wrong word moves shards for nothing,
 * so whoever was wrongly taken for gone is judged by its silence alone for some time.
 */
import type { Clock, Log, Subscription, Transport, TransportOutcome } from '../ports/index.ts'
import type { Subjects } from '../protocol/index.ts'
import type { ClusterLimits } from './limits.ts'

/** One life of a node. */
export interface Life {
  readonly name: string
  readonly bootId: string
}

export interface ProbesDeps extends Life {
  clock: Clock
  log: Log
  transport: Transport
  subjects: Subjects
  limits: ClusterLimits
  /** Who is taken for alive, this node too. */
  live: () => readonly Life[]
  /** Whether this node has to know soon when that one is gone. */
  watches: (life: Life) => boolean
  /** When it was heard last, by the monotonic clock. */
  heardAtMs: (life: Life) => number | undefined
  answered: (life: Life) => void
  gone: (life: Life) => void
}

interface Probe {
  life: Life
  /** Who never answered may not be able to: of a version without probes, or not allowed to listen. */
  hasAnswered: boolean
  /** Nobody has listened there since, nor was it heard; undefined when somebody does, or may. */
  absentSinceMs: number | undefined
  isAsking: boolean
  cancelNext: (() => void) | undefined
}

/**
 * Whom a follower that misses its leader asks besides: enough to tell one dead node from a lost route, and
 * no storm of questions where a hundred nodes miss their leader at once.
 */
const WITNESSES = 4

export class Probes {
  readonly #deps: ProbesDeps
  readonly #probes = new Map<string, Probe>()
  /** Who was taken for gone. Heard again, it was not: until then only its silence counts. */
  readonly #judged = new Map<string, { bootId: string; atMs: number }>()
  /** Most others seem gone, which is said once. */
  #isCutOff = false
  /** The present connection, and since when this node has heard all that came on it. */
  #connection: { number: number; sinceMs: number } | undefined
  #lastTickMs = 0
  #cancelTick: (() => void) | undefined
  #subscription: Subscription | undefined
  #stopped = false

  constructor(deps: ProbesDeps) {
    this.#deps = deps
  }

  start(): void {
    const { transport, subjects, clock, name, bootId } = this.#deps
    const answer = Buffer.from(bootId)
    this.#subscription = transport.subscribe(subjects.alive(name), {}, ({ reply }) => {
      if (!this.#stopped) reply?.(answer)
    })
    this.#lastTickMs = clock.monotonic()
    this.#tick()
  }

  stop(): void {
    this.#stopped = true
    this.#subscription?.unsubscribe()
    this.#cancelTick?.()
    for (const { cancelNext } of this.#probes.values()) cancelNext?.()
  }

  /**
   * For a whole silence this node was connected and heard what there was to hear, so it knows everybody who
   * lives. The same time makes `no-responders` worth something: a server that was away has forgotten who
   * listens, and whoever comes back first finds nobody; by then all others are back, too.
   */
  get hasListened(): boolean {
    const { clock, limits, transport } = this.#deps
    const connection = this.#connection
    if (!connection || connection.number !== transport.connection()) return false
    return clock.monotonic() - connection.sinceMs >= limits.memberSilenceMs
  }

  #tick(): void {
    const { clock, limits } = this.#deps
    this.#cancelTick = clock.after(limits.memberProbeMs, () => this.#tick())
    this.#lookAtConnection()
    const living = this.#targets()
    for (const [name, { life, cancelNext }] of this.#probes) {
      if (living.get(name)?.bootId === life.bootId) continue
      cancelNext?.()
      this.#probes.delete(name)
    }
    for (const life of living.values()) this.#probeOf(life)
    const witnesses = this.#isSuspicious() ? this.#witnesses() : NOBODY
    for (const probe of this.#probes.values()) {
      const { hasAnswered, life } = probe
      const isAsked = !hasAnswered || this.#deps.watches(life) || witnesses.has(life.name)
      if (isAsked) this.#ask(probe)
      else probe.absentSinceMs = undefined
    }
    if (this.#isCutOff && !this.#seemsCutOff()) this.#isCutOff = false
  }

  /** Somebody is missed who would be taken for gone. */
  #isSuspicious(): boolean {
    return [...this.#probes.values()].some(
      ({ absentSinceMs, life }) => absentSinceMs !== undefined && this.#deps.watches(life),
    )
  }

  /** The next in the order of names: so not all ask the same ones. */
  #witnesses(): ReadonlySet<string> {
    const names = [...this.#probes.keys()].sort()
    const after = names.filter((name) => name > this.#deps.name)
    const before = names.filter((name) => name < this.#deps.name)
    return new Set([...after, ...before].slice(0, WITNESSES))
  }

  /** More than one of those that were asked, and most of them, are missed; who is gone of late is, too. */
  #seemsCutOff(): boolean {
    const { clock, limits, watches, live } = this.#deps
    const witnesses = this.#witnesses()
    const there = new Set(live().map(({ name }) => name))
    const asked = [...this.#probes.values()].filter(
      ({ life }) => watches(life) || witnesses.has(life.name),
    )
    const sinceMs = clock.monotonic() - limits.memberSilenceMs
    const goneOfLate = [...this.#judged].filter(
      ([name, { atMs }]) => atMs > sinceMs && !there.has(name),
    ).length
    const missed = asked.filter((one) => one.absentSinceMs !== undefined).length + goneOfLate
    return missed > 1 && missed * 2 > asked.length + goneOfLate
  }

  #lookAtConnection(): void {
    const { clock, limits, transport } = this.#deps
    const nowMs = clock.monotonic()
    const number = transport.connection()
    const stoodStill = nowMs - this.#lastTickMs > limits.memberProbeMs + limits.memberBeatMs
    this.#lastTickMs = nowMs
    if (number === undefined) this.#connection = undefined
    else if (number !== this.#connection?.number || stoodStill) {
      this.#connection = { number, sinceMs: nowMs }
    }
  }

  #targets(): Map<string, Life> {
    const { clock, live, name, limits } = this.#deps
    const trustedMs = clock.monotonic() - limits.memberTrustMs
    for (const [one, { atMs }] of this.#judged) if (atMs <= trustedMs) this.#judged.delete(one)
    const others = live().filter(
      (one) => one.name !== name && this.#judged.get(one.name)?.bootId !== one.bootId,
    )
    return new Map(others.map((one) => [one.name, one]))
  }

  #probeOf({ name, bootId }: Life): Probe {
    const known = this.#probes.get(name)
    if (known) return known
    const probe: Probe = {
      life: { name, bootId },
      ...{ hasAnswered: false, absentSinceMs: undefined, isAsking: false, cancelNext: undefined },
    }
    this.#probes.set(name, probe)
    return probe
  }

  #ask(probe: Probe): void {
    const { clock, transport, subjects, limits } = this.#deps
    if (probe.isAsking || transport.connection() === undefined) return
    probe.cancelNext?.()
    probe.isAsking = true
    const askedAtMs = clock.monotonic()
    const subject = subjects.alive(probe.life.name)
    // An answer that comes later than the next question is worth no more than that one's.
    const request = { subject, payload: NOTHING, timeoutMs: limits.memberProbeMs }
    transport.request(request, (outcome) => {
      probe.isAsking = false
      if (this.#stopped || this.#probes.get(probe.life.name) !== probe) return
      this.#judge(probe, outcome, askedAtMs)
    })
  }

  #judge(probe: Probe, outcome: TransportOutcome, askedAtMs: number): void {
    const { clock, limits, heardAtMs, answered, watches } = this.#deps
    const { life, absentSinceMs } = probe
    probe.absentSinceMs = undefined
    if (outcome.kind === 'reply') {
      // By another life of the node: that one speaks for itself.
      if (Buffer.from(outcome.payload).toString() !== life.bootId) return
      probe.hasAnswered = true
      return answered(life)
    }
    const nowMs = clock.monotonic()
    // It may have died with the question: the next one, which says so, need not wait for its time.
    const isSilent = outcome.kind === 'timeout' && nowMs - askedAtMs >= limits.memberProbeMs
    if (isSilent && probe.hasAnswered && watches(life)) return this.#ask(probe)
    if (outcome.kind !== 'no-responders' || !this.hasListened || !probe.hasAnswered) return
    const wasBack = (heardAtMs(life) ?? 0) > (absentSinceMs ?? 0)
    probe.absentSinceMs = absentSinceMs === undefined || wasBack ? nowMs : absentSinceMs
    if (!watches(life)) return
    const leftMs = limits.memberGoneMs - (askedAtMs - probe.absentSinceMs)
    if (leftMs <= 0) return this.#seemsCutOff() ? this.#cutOff() : this.#gone(life)
    if (leftMs >= limits.memberProbeMs) return
    probe.cancelNext = clock.after(leftMs, () => this.#ask(probe))
  }

  /** They are asked further on: as soon as most are there again, who is not is gone. */
  #cutOff(): void {
    if (this.#isCutOff) return
    this.#isCutOff = true
    this.#deps.log.warn(
      {},
      'most other nodes seem gone at once: this one may be cut off, so their silence decides',
    )
  }

  #gone(life: Life): void {
    const { clock, log, gone } = this.#deps
    const { name, bootId } = life
    this.#probes.delete(name)
    this.#judged.set(name, { bootId, atMs: clock.monotonic() })
    log.warn({ node: name }, 'a node is gone: nobody listens there any more')
    gone(life)
  }
}

const NOTHING = new Uint8Array()
const NOBODY: ReadonlySet<string> = new Set()
