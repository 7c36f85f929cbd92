/**
 * The journal in memory: one party's connection to a server that several may share.
 *
 * Decides: operations of one connection arrive in the order of the calls, happen on arrival, and
 * are answered at once unless a fault says otherwise. The faults are those that a real connection
 * has: an answer that is lost, a write that is lost, a write that lands after it was given up.
 * Leaves to others: the streams and what they can lose (journal-server.ts).
 */
import type {
  Clock,
  Journal,
  JournalEndOutcome,
  JournalReadOutcome,
  JournalWrite,
  JournalWriteOutcome,
} from '../../ports/index.ts'
import { copyOf } from './bytes.ts'
import { MemoryJournalServer } from './journal-server.ts'

export interface JournalFault {
  on: 'write' | 'read' | 'end' | 'remove'
  /** Only operations on this shard; any when absent. */
  shard?: number
  /** Whether the operation happens although its outcome is unknown. */
  happened: boolean
  /** It happens this much later than it was answered; a write may be refused by then. */
  landsAfterMs?: number
  /** How many operations it meets; 1 when absent. */
  count?: number
}

export interface MemoryJournalOptions {
  clock: Clock
  /** Shared streams; new ones when absent. */
  server?: MemoryJournalServer
  /** From call to arrival; the next deferred call when absent. */
  latencyMs?: () => number
}

/** An operation under way: `happen` touches the streams, the others answer the caller. */
interface Operation {
  on: JournalFault['on']
  shard: number
  /** Returns the answer, which is given unless a fault swallows it. */
  happen: () => () => void
  unknown: (why: string) => void
}

export class MemoryJournal implements Journal {
  readonly server: MemoryJournalServer
  private readonly options: MemoryJournalOptions
  private faults: { fault: JournalFault; left: number }[] = []
  private held: Operation[] | undefined
  private lastArrivalMs = 0

  constructor(options: MemoryJournalOptions) {
    this.options = options
    this.server = options.server ?? new MemoryJournalServer()
  }

  /** Another party's connection to the same streams, with faults of its own. */
  connect(options: Partial<MemoryJournalOptions> = {}): MemoryJournal {
    return new MemoryJournal({ ...this.options, ...options, server: this.server })
  }

  write(request: JournalWrite, done: (outcome: JournalWriteOutcome) => void): void {
    const copy = { ...request, record: copyOf(request.record) }
    this.send({
      on: 'write',
      shard: request.shard,
      happen: () => {
        const sequence = this.server.write(copy)
        return () =>
          done(sequence === undefined ? { kind: 'refused' } : { kind: 'written', sequence })
      },
      unknown: (why) => done({ kind: 'unknown', why }),
    })
  }

  read(shard: number, slot: number, done: (outcome: JournalReadOutcome) => void): void {
    this.send({
      on: 'read',
      shard,
      happen: () => {
        const outcome = this.server.read(shard, slot)
        return () => done(outcome)
      },
      unknown: (why) => done({ kind: 'unknown', why }),
    })
  }

  end(shard: number, done: (outcome: JournalEndOutcome) => void): void {
    this.send({
      on: 'end',
      shard,
      happen: () => {
        const outcome = this.server.end(shard)
        return () => done(outcome)
      },
      unknown: (why) => done({ kind: 'unknown', why }),
    })
  }

  remove(shard: number, slot: number, done: (outcome: 'removed' | 'unknown') => void): void {
    this.send({
      on: 'remove',
      shard,
      happen: () => {
        this.server.remove(shard, slot)
        return () => done('removed')
      },
      unknown: () => done('unknown'),
    })
  }

  /** The next operations of this kind have an unknown outcome. Faults are met in the order given. */
  failNext(fault: JournalFault): void {
    this.faults.push({ fault, left: fault.count ?? 1 })
  }

  /** From now on operations neither happen nor are answered: a partition, or a frozen party. */
  hold(): void {
    this.held ??= []
  }

  /** What was held arrives now, in order; or is lost, with an unknown outcome. */
  release(how: 'arrive' | 'lose' = 'arrive'): void {
    const operations = this.held ?? []
    this.held = undefined
    for (const operation of operations) {
      if (how === 'arrive') this.options.clock.defer(() => this.arrive(operation))
      else this.options.clock.defer(() => operation.unknown('the connection was lost'))
    }
  }

  private send(operation: Operation): void {
    const { clock, latencyMs } = this.options
    const arrive = (): void => this.arrive(operation)
    if (latencyMs === undefined) {
      clock.defer(arrive)
      return
    }
    const nowMs = clock.monotonic()
    this.lastArrivalMs = Math.max(this.lastArrivalMs, nowMs + latencyMs())
    clock.after(this.lastArrivalMs - nowMs, arrive)
  }

  private arrive(operation: Operation): void {
    if (this.held !== undefined) {
      this.held.push(operation)
      return
    }
    const fault = this.takeFault(operation)
    if (fault === undefined) {
      operation.happen()()
      return
    }
    if (fault.landsAfterMs !== undefined) {
      this.options.clock.after(fault.landsAfterMs, () => void operation.happen())
    } else if (fault.happened) {
      operation.happen()
    }
    operation.unknown('injected')
  }

  private takeFault({ on, shard }: Operation): JournalFault | undefined {
    const met = this.faults.find(
      ({ fault }) => fault.on === on && (fault.shard === undefined || fault.shard === shard),
    )
    if (met !== undefined && --met.left === 0) {
      this.faults = this.faults.filter((other) => other !== met)
    }
    return met?.fault
  }
}
