/**
 * The transport inside one process: how an embedded node's clients reach its engine, so it is a hot
 * path.
 *
 * Decides: messages are delivered in the order in which they were sent, in a deferred call; who
 * listens is judged at delivery, so `no-responders` is exact. Payloads are copied when they are
 * sent, and once more for every receiver but the last: nobody sees another's later changes.
 * Members of a queue group take turns. There is no limit to the size of a message unless one is given.
 */
import type {
  Clock,
  MessageHandler,
  SubscribeOptions,
  Subscription,
  Transport,
  TransportOutcome,
  TransportRequest,
} from '../../ports/index.ts'
import { copyOf } from './bytes.ts'
import { Deadlines, type Waiter } from './deadlines.ts'
import { checkSubject, hasWildcard, SubjectTree, subjectsOverlap } from './subjects.ts'

/** Resolved subjects that are kept; events have a subject per actor, so there is no natural end. */
const TARGETS_MAX = 16_384
const PATTERNS_MAX = 1_024

interface Listener {
  subject: string
  queue: string | undefined
  handle: MessageHandler
  active: boolean
}

/** Whom a subject reaches. */
interface Target {
  everyone: Listener[]
  groups: { members: Listener[]; next: number }[]
}

interface PendingRequest extends Waiter {
  /** Absent once it has its outcome. */
  done: ((outcome: TransportOutcome) => void) | undefined
  timeoutMs: number
}

/** Something on its way: a message, or the reply to a request when there is no subject. */
interface InFlight {
  subject: string | undefined
  payload: Uint8Array
  pending: PendingRequest | undefined
}

const NOBODY: Target = { everyone: [], groups: [] }

export class MemoryTransport implements Transport {
  private readonly clock: Clock
  private readonly payloadBytesMax: number
  private readonly exact = new Map<string, Listener[]>()
  private readonly wild = new SubjectTree<Listener>()
  /** Patterns of subscriptions, and how many have each. */
  private readonly wildSubjects = new Map<string, number>()
  private readonly patternsHeard = new Map<string, boolean>()
  private readonly targets = new Map<string, Target>()
  private inFlight: InFlight[] = []
  private closed = false
  private readonly deadlines = new Map<number, Deadlines<PendingRequest>>()

  constructor(options: { clock: Clock; payloadBytesMax?: number }) {
    this.clock = options.clock
    this.payloadBytesMax = options.payloadBytesMax ?? Number.POSITIVE_INFINITY
  }

  request(request: TransportRequest, done: (outcome: TransportOutcome) => void): void {
    if (this.closed) {
      this.clock.defer(() => done({ kind: 'no-responders' }))
      return
    }
    if (request.payload.length > this.payloadBytesMax) {
      this.clock.defer(() => done(this.tooLarge('request')))
      return
    }
    const { timeoutMs } = request
    const pending: PendingRequest = {
      done,
      timeoutMs,
      dueMs: 0,
      earlier: undefined,
      later: undefined,
    }
    this.deadlinesOf(timeoutMs).add(pending)
    this.send(request.subject, copyOf(request.payload), pending)
  }

  publish(subject: string, payload: Uint8Array | string): void {
    const target = this.targetOf(subject)
    if (target.everyone.length === 0 && target.groups.length === 0) return
    const bytes = copyOf(payload)
    if (bytes.length <= this.payloadBytesMax) this.send(subject, bytes, undefined)
  }

  hears(subject: string): boolean {
    const known = this.patternsHeard.get(subject)
    if (known !== undefined) return known
    if (hasWildcard(subject)) return this.hearsPattern(subject)
    const { everyone, groups } = this.targetOf(subject)
    return everyone.length > 0 || groups.length > 0
  }

  connection(): number | undefined {
    return this.closed ? undefined : 1
  }

  subscribe(subject: string, options: SubscribeOptions, handle: MessageHandler): Subscription {
    checkSubject(subject)
    const listener: Listener = { subject, queue: options.queue, handle, active: true }
    const isWild = hasWildcard(subject)
    if (isWild) {
      this.wild.add(subject, listener)
      this.wildSubjects.set(subject, (this.wildSubjects.get(subject) ?? 0) + 1)
    } else {
      this.exact.set(subject, [...(this.exact.get(subject) ?? []), listener])
    }
    this.forgetTargets(subject, isWild)
    return {
      unsubscribe: () => {
        if (listener.active) this.unsubscribe(listener, isWild)
      },
    }
  }

  /** Outstanding requests time out at once; nobody answers any more. */
  close(): void {
    this.closed = true
    for (const deadlines of [...this.deadlines.values()]) {
      for (const pending of deadlines.clear()) {
        this.clock.defer(() => this.finish(pending, { kind: 'timeout' }))
      }
    }
    this.deadlines.clear()
    this.inFlight = []
  }

  private hearsPattern(pattern: string): boolean {
    const subjects = [...this.exact.keys(), ...this.wildSubjects.keys()]
    const heard = subjects.some((subject) => subjectsOverlap(subject, pattern))
    if (this.patternsHeard.size < PATTERNS_MAX) this.patternsHeard.set(pattern, heard)
    return heard
  }

  private unsubscribe(listener: Listener, isWild: boolean): void {
    const { subject } = listener
    listener.active = false
    if (isWild) {
      this.wild.remove(subject, listener)
      const left = (this.wildSubjects.get(subject) ?? 0) - 1
      if (left > 0) this.wildSubjects.set(subject, left)
      else this.wildSubjects.delete(subject)
    } else {
      const left = (this.exact.get(subject) ?? []).filter((other) => other !== listener)
      if (left.length === 0) this.exact.delete(subject)
      else this.exact.set(subject, left)
    }
    this.forgetTargets(subject, isWild)
  }

  private forgetTargets(subject: string, isWild: boolean): void {
    this.patternsHeard.clear()
    if (isWild) this.targets.clear()
    else this.targets.delete(subject)
  }

  private send(
    subject: string | undefined,
    payload: Uint8Array,
    pending: PendingRequest | undefined,
  ): void {
    if (this.closed) return
    if (this.inFlight.push({ subject, payload, pending }) === 1) this.clock.defer(this.deliverAll)
  }

  private readonly deliverAll = (): void => {
    const batch = this.inFlight
    this.inFlight = []
    let next = 0
    try {
      while (next < batch.length) this.deliver(batch[next++]!)
    } finally {
      // A handler that threw must not take the messages behind it along.
      if (next < batch.length) {
        if (this.inFlight.length === 0) this.clock.defer(this.deliverAll)
        this.inFlight = [...batch.slice(next), ...this.inFlight]
      }
    }
  }

  private deliver({ subject, payload, pending }: InFlight): void {
    if (subject === undefined) {
      this.finish(pending!, { kind: 'reply', payload })
      return
    }
    const { everyone, groups } = this.targetOf(subject)
    const receivers = everyone.length + groups.length
    if (receivers === 0) {
      if (pending !== undefined) this.finish(pending, { kind: 'no-responders' })
      return
    }
    for (let i = 0; i < receivers; i++) {
      const listener = i < everyone.length ? everyone[i]! : takeTurn(groups[i - everyone.length]!)
      // An earlier receiver of this very message may have ended the subscription.
      if (!listener.active) continue
      const own = i === receivers - 1 ? payload : copyOf(payload)
      if (pending === undefined) listener.handle({ subject, payload: own })
      else listener.handle({ subject, payload: own, reply: this.replyTo(pending) })
    }
  }

  private replyTo(pending: PendingRequest): (payload: Uint8Array) => void {
    let replied = false
    return (payload) => {
      if (replied || pending.done === undefined) return
      replied = true
      if (payload.length > this.payloadBytesMax) {
        this.clock.defer(() => this.finish(pending, this.tooLarge('reply')))
        return
      }
      this.send(undefined, copyOf(payload), pending)
    }
  }

  private tooLarge(what: 'request' | 'reply'): TransportOutcome {
    return { kind: 'too-large', what, bytesMax: this.payloadBytesMax }
  }

  private finish(pending: PendingRequest, outcome: TransportOutcome): void {
    const { done } = pending
    if (done === undefined) return
    pending.done = undefined
    const deadlines = this.deadlines.get(pending.timeoutMs)
    deadlines?.remove(pending)
    if (deadlines?.empty) this.deadlines.delete(pending.timeoutMs)
    done(outcome)
  }

  private deadlinesOf(timeoutMs: number): Deadlines<PendingRequest> {
    let deadlines = this.deadlines.get(timeoutMs)
    if (deadlines === undefined) {
      deadlines = new Deadlines(this.clock, timeoutMs, (pending) =>
        this.finish(pending, { kind: 'timeout' }),
      )
      this.deadlines.set(timeoutMs, deadlines)
    }
    return deadlines
  }

  private targetOf(subject: string): Target {
    const known = this.targets.get(subject)
    if (known !== undefined) return known
    const exact = this.exact.get(subject)
    if (this.wildSubjects.size === 0 && exact === undefined) return NOBODY
    const target = targetFrom([...(exact ?? []), ...this.wild.match(subject)])
    if (this.targets.size >= TARGETS_MAX) this.targets.clear()
    this.targets.set(subject, target)
    return target
  }
}

function targetFrom(listeners: Listener[]): Target {
  const target: Target = { everyone: [], groups: [] }
  const groups = new Map<string, Listener[]>()
  for (const listener of listeners) {
    if (listener.queue === undefined) {
      target.everyone.push(listener)
      continue
    }
    const members = groups.get(listener.queue)
    if (members !== undefined) {
      members.push(listener)
      continue
    }
    const first = [listener]
    groups.set(listener.queue, first)
    target.groups.push({ members: first, next: 0 })
  }
  return target
}

function takeTurn(group: { members: Listener[]; next: number }): Listener {
  const listener = group.members[group.next]!
  group.next = (group.next + 1) % group.members.length
  return listener
}
