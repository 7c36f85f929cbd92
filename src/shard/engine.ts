/**
 * The engine of one shard: mailbox → batch → commit → effects.
 *
 * Decides: the order of everything in a shard. It is synchronous; the world comes in through calls
 * and ports, and goes out through ports after the commit. One batch is under way at a time, what
 * arrives meanwhile is the next. Leaves to others: what a command does (commands.ts), how a batch
 * becomes durable (commit.ts), where effects go (release.ts).
 */
import {
  type Command,
  type ErrorRecord,
  type EventObject,
  errorRecord,
  invariant,
  type Outcome,
  pack,
  type ShardQuery,
  type ShardStatus,
  toErrorRecord,
} from '../protocol/index.ts'
import { Batch, type ChildStart, type Delivery } from './batch.ts'
import { Channels, type RelayReply, type RelayRequest } from './channels.ts'
import { applyCommand } from './commands.ts'
import type { CommitOutcome } from './commit.ts'
import type { ShardContext } from './context.ts'
import { Counters } from './counters.ts'
import { Dedupe } from './dedupe.ts'
import { deliverLive, drainDeliveries } from './deliver.ts'
import { type EngineDeps, makeContext } from './engine-deps.ts'
import { Inbound } from './inbound.ts'
import { updateIndexRows } from './index-rows.ts'
import { actorKey, metaKey, outboxKey } from './keys.ts'
import { Mailbox, type MailItem } from './mailbox.ts'
import { answerQuery } from './queries.ts'
import { readShard } from './recovery.ts'
import { Reindex } from './reindex.ts'
import { release } from './release.ts'
import { drainKept } from './resume.ts'
import { Retention } from './retention.ts'
import { TaskBoard } from './task-board.ts'
import { fireTimer } from './tasks.ts'
import { TimerQueue } from './timer-queue.ts'

export type EngineState = 'recovering' | 'serving' | 'stopped'

export class ShardEngine {
  readonly shard: number
  readonly #deps: EngineDeps
  readonly #context: ShardContext
  readonly #mailbox: Mailbox
  readonly #timers: TimerQueue
  readonly #channels: Channels
  readonly #counters: Counters
  readonly #board: TaskBoard
  readonly #retention: Retention
  readonly #reindex: Reindex
  #dedupe: Dedupe
  #inbound: Inbound
  /** Deliveries that did not fit the last batch; their rows are in channel (S, S). */
  #carried: (Delivery | ChildStart)[] = []
  #carriedRows = 0
  readonly #draining = new Set<string>()
  #state: EngineState = 'recovering'
  #nextSlot = 1
  #lastTime = 0
  #pumpPlanned = false
  #inFlight: { batch: Batch; replies: Reply[]; since: number } | undefined
  /** Answered with the next batch, from what is applied then. */
  #queries: Reply[] = []
  #cancelWake: (() => void) | undefined
  /** On the monotonic clock: the other may jump, and a wake that is planned does not jump with it. */
  #wakeAt = Number.POSITIVE_INFINITY
  /** Timers alone do not wake the shard before this, on the same clock. */
  #timersGatherUntil = Number.NEGATIVE_INFINITY

  constructor(deps: EngineDeps) {
    this.shard = deps.shard
    this.#deps = deps
    this.#context = makeContext(deps)
    const { shard, store, limits } = deps
    this.#mailbox = new Mailbox(limits)
    this.#timers = new TimerQueue(shard, store, limits)
    this.#counters = new Counters(shard, store)
    this.#board = new TaskBoard(deps)
    this.#channels = new Channels({ ...deps, acknowledged: () => this.#enqueue({ kind: 'wake' }) })
    this.#dedupe = new Dedupe(this.#context, 0)
    this.#retention = new Retention(this.#context)
    this.#reindex = new Reindex(this.#context)
    this.#inbound = new Inbound(this.#context, new Map())
  }

  get state(): EngineState {
    return this.#state
  }

  /** Takes the shard and recovers it; `done` is told once it serves, or why it does not. */
  open(done: (failure?: ErrorRecord) => void): void {
    this.#deps.commit.take((outcome) => {
      if (outcome.kind !== 'taken') {
        this.#stop(outcome.why, outcome.kind)
        return done(errorRecord('unavailable', outcome.why))
      }
      this.#nextSlot = outcome.nextSlot
      this.#recover()
      this.#state = 'serving'
      done()
      this.#planPump()
    })
  }

  /** A command from outside. The outcome comes after the commit, never before the call returns. */
  submit(command: Command, bytes: number, done: (outcome: Outcome) => void): void {
    if (this.#state === 'stopped') return done({ error: this.#unavailable() })
    const refused = this.#mailbox.push({ kind: 'command', command, done }, bytes)
    if (refused) return done({ error: { ...refused, address: command.address } })
    this.#planPump()
  }

  /** Messages from another shard. */
  relay(request: RelayRequest, bytes: number, done: (reply: RelayReply) => void): void {
    if (this.#state === 'stopped') return done({ error: this.#unavailable() })
    const refused = this.#mailbox.push({ kind: 'relay', request, done }, bytes)
    if (refused) return done({ error: refused })
    this.#planPump()
  }

  /** An event of a callback or observable that runs beside this owner. */
  liveEvent(address: string, effectId: string, event: EventObject): void {
    this.#enqueue({ kind: 'live', address, effectId, event })
  }

  /** Lists answer from applied state; like every read they wait for the ownership to be confirmed. */
  query(query: ShardQuery, done: (answer: Outcome) => void): void {
    if (this.#state !== 'serving') return done({ error: this.#unavailable() })
    const send = (refused: unknown) => done((refused as Outcome) ?? this.#answer(query))
    this.#queries.push({ value: undefined, send })
    this.#planPump()
  }

  /** A question that makes no sense is the asker's failure, not the engine's. */
  #answer(query: ShardQuery): Outcome {
    const { durability } = this.#deps.commit
    try {
      return answerQuery(this.#context, this.#counters, query, () => this.status(), durability)
    } catch (thrown) {
      return { error: toErrorRecord(thrown, 'invalid-query') }
    }
  }

  status(): ShardStatus {
    return {
      shard: this.shard,
      state: this.#state,
      slot: this.#nextSlot - 1,
      mailboxCount: this.#mailbox.count,
      residentCount: this.#context.heads.count,
      residentBytes: this.#context.heads.bytes,
      timersPending: this.#timers.count,
      commitAgeMs: this.#inFlight ? this.#deps.clock.monotonic() - this.#inFlight.since : 0,
    }
  }

  stop(): void {
    this.#stop('the node is stopping', 'lost')
  }

  #unavailable(): ErrorRecord {
    return errorRecord('unavailable', `shard ${this.shard} is not served here now; try again`)
  }

  #recover(): void {
    const found = readShard(this.#context)
    this.#lastTime = found.lastTime
    this.#dedupe = new Dedupe(this.#context, found.dedupeFloor)
    this.#inbound = new Inbound(this.#context, found.inbound)
    this.#carried = found.carried
    this.#carriedRows = found.carried.length
    for (const address of found.draining) this.#draining.add(address)
    this.#counters.load()
    this.#reindex.load()
    this.#channels.load()
    this.#board.recover(found.tasks)
    for (const live of found.live) {
      release(this.#deps, this.#context, this.#board, { kind: 'live-start', ...live })
    }
    this.#channels.resume()
    this.#planWake()
  }

  #enqueue(item: MailItem): void {
    if (this.#state === 'stopped') return
    this.#mailbox.pushInternal(item)
    this.#planPump()
  }

  /** Everything that arrives in the same turn of the event loop becomes one batch. */
  #planPump(): void {
    if (this.#pumpPlanned || this.#inFlight || this.#state !== 'serving') return
    this.#pumpPlanned = true
    this.#deps.clock.defer(() => {
      this.#pumpPlanned = false
      this.#pump()
    })
  }

  #pump(): void {
    if (this.#inFlight || this.#state !== 'serving') return
    const now = Math.max(this.#deps.clock.now(), this.#lastTime)
    const batch = new Batch(this.#nextSlot, now)
    const replies = this.#queries
    this.#queries = []
    try {
      this.#gather(batch, replies)
      this.#finish(batch)
    } catch (thrown) {
      // A broken invariant: memory may be wrong, the store is not.
      const why = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)
      for (const reply of replies)
        this.#deps.clock.defer(() => reply.send({ error: this.#unavailable() }))
      return this.#stop(why, 'failed')
    }
    if (batch.writes.length === 0 && replies.length === 0) return this.#planWake()
    this.#inFlight = { batch, replies, since: this.#deps.clock.monotonic() }
    if (batch.writes.length === 0)
      return this.#deps.commit.confirm((outcome) => this.#settled(outcome))
    batch.write(metaKey(this.shard), pack([batch.slot, now, this.#dedupe.floor]))
    this.#nextSlot += 1
    this.#lastTime = now
    this.#deps.commit.commit({ slot: batch.slot, writes: batch.writes }, (outcome) =>
      this.#settled(outcome),
    )
  }

  /** Steps what waits: first what earlier batches left, then what is new, then what is due. */
  #gather(batch: Batch, replies: Reply[]): void {
    const { limits } = this.#deps
    this.#takeCarried(batch)
    for (const address of this.#draining) {
      const head = this.#context.heads.get(address)
      if (head) drainKept(this.#context, batch, head)
      drainDeliveries(this.#context, batch)
      if (!head || head.keptFrom >= head.keptTo || head.paused || head.parked)
        this.#draining.delete(address)
    }
    // What earlier batches left goes first: a timer could leave a state that it is meant for.
    const room = batch.deliveries.length === 0 ? limits.batchCountMax : 0
    const due = this.#timers.takeDue(batch.now, room)
    if (due.length > 0)
      this.#timersGatherUntil = this.#deps.clock.monotonic() + limits.timerGatherMs
    for (const { effectId, dueAt } of due) {
      fireTimer(this.#context, batch, effectId.slice(0, effectId.indexOf('#')), effectId, dueAt)
      drainDeliveries(this.#context, batch)
    }
    for (let taken = 0; taken < limits.batchCountMax; taken++) {
      if (batch.deliveries.length > 0 || batch.bytes > limits.batchBytesMax / 2) break
      const item = this.#mailbox.shift()
      if (!item) break
      this.#take(batch, item, replies)
      drainDeliveries(this.#context, batch)
    }
  }

  #takeCarried(batch: Batch): void {
    for (let n = 1; n <= this.#carriedRows; n++)
      batch.write(outboxKey(this.shard, this.shard, n), null)
    this.#carriedRows = 0
    batch.deliveries.push(...this.#carried)
    this.#carried = []
    drainDeliveries(this.#context, batch)
  }

  #take(batch: Batch, item: MailItem, replies: Reply[]): void {
    switch (item.kind) {
      case 'command': {
        const outcome = applyCommand(
          this.#context,
          batch,
          this.#dedupe,
          item.command,
          this.#deps.commit.durability,
        )
        replies.push(replyOf(item.done, outcome))
        return
      }
      case 'relay':
        replies.push(replyOf(item.done, this.#inbound.take(batch, item.request)))
        return
      case 'live':
        return deliverLive(this.#context, batch, item)
      case 'wake':
    }
  }

  /** Rows that are written once per batch, whatever happened in it. */
  #finish(batch: Batch): void {
    if (batch.deliveries.length > 0) this.#carryOver(batch)
    this.#channels.write(batch)
    this.#reindex.step(batch)
    for (const head of batch.dirty) {
      invariant(head.encoded, 'a changed actor was encoded')
      updateIndexRows(this.#context, batch, head)
      batch.write(actorKey(this.shard, head.address), head.encoded)
      if (head.keptFrom < head.keptTo && !head.paused && !head.parked)
        this.#draining.add(head.address)
    }
    this.#counters.write(batch)
    this.#dedupe.evict(batch)
    this.#retention.sweep(batch)
  }

  #carryOver(batch: Batch): void {
    this.#carried = [...batch.deliveries]
    this.#carriedRows = this.#carried.length
    this.#carried.forEach((delivery, index) => {
      batch.write(outboxKey(this.shard, this.shard, index + 1), pack(delivery))
    })
  }

  #settled(outcome: CommitOutcome): void {
    const flight = this.#inFlight
    this.#inFlight = undefined
    if (!flight) return
    if (outcome.kind !== 'committed') {
      // Of what may have happened nobody is told that it did not.
      if (!outcome.unknown)
        for (const { send } of flight.replies) send({ error: this.#unavailable() })
      return this.#stop(outcome.why, outcome.kind)
    }
    const { batch, replies } = flight
    for (const head of batch.dirty) {
      head.dirty = false
      head.encoded = undefined
    }
    this.#context.heads.settle()
    for (const reply of replies) reply.send(reply.value)
    this.#channels.committed(batch)
    for (const effect of batch.releases) {
      if (effect.kind === 'timer') this.#timers.add(effect)
      else release(this.#deps, this.#context, this.#board, effect)
    }
    this.#context.heads.trim()
    const waiting = this.#mailbox.count + this.#carried.length + this.#queries.length
    if (waiting > 0 || this.#draining.size > 0) this.#planPump()
    else this.#planWake()
  }

  /** Wakes for the next timer, and now and then to forget old command ids. */
  #planWake(): void {
    if (this.#state !== 'serving') return
    if (this.#reindex.busy) return this.#planPump()
    const now = this.#deps.clock.now()
    const monotonic = this.#deps.clock.monotonic()
    const dueIn = this.#timers.nextWakeAt(now) - now
    const wakeAt = Math.max(monotonic + dueIn, this.#timersGatherUntil)
    if (wakeAt <= monotonic) return this.#planPump()
    if (this.#cancelWake && wakeAt >= this.#wakeAt) return
    this.#cancelWake?.()
    this.#wakeAt = wakeAt
    this.#cancelWake = this.#deps.clock.after(wakeAt - monotonic, () => {
      this.#cancelWake = undefined
      this.#wakeAt = Number.POSITIVE_INFINITY
      this.#planPump()
    })
  }

  #stop(why: string, kind: 'lost' | 'failed'): void {
    if (this.#state === 'stopped') return
    this.#state = 'stopped'
    this.#cancelWake?.()
    this.#channels.stop()
    this.#board.stop()
    this.#deps.commit.stop()
    this.#context.heads.clear()
    for (const item of this.#mailbox.drain()) {
      if (item.kind === 'command') item.done({ error: this.#unavailable() })
      if (item.kind === 'relay') item.done({ error: this.#unavailable() })
    }
    for (const { send } of this.#queries) send({ error: this.#unavailable() })
    this.#deps.stopped({ shard: this.shard, why, kind })
  }
}

interface Reply {
  value: unknown
  send: (value: unknown) => void
}

function replyOf<T>(send: (value: T) => void, value: T): Reply {
  return { value, send: send as (value: unknown) => void }
}
