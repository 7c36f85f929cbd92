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
  type Outcome,
  pack,
  type ShardQuery,
  type ShardStatus,
} from '../protocol/index.ts'
import { Batch } from './batch.ts'
import { Carried } from './carried.ts'
import { Channels, type RelayReply, type RelayRequest } from './channels.ts'
import { applyCommand, withDurability } from './commands.ts'
import type { CommitOutcome } from './commit.ts'
import type { ShardContext } from './context.ts'
import { encodeHead } from './control.ts'
import { Counters } from './counters.ts'
import { Dedupe } from './dedupe.ts'
import { deliverLive } from './deliveries.ts'
import { Draining } from './draining.ts'
import { type EngineDeps, makeContext } from './engine-deps.ts'
import { Flight, type Reply, replyOf } from './flight.ts'
import { Gathering } from './gathering.ts'
import { Inbound } from './inbound.ts'
import { updateIndexRows } from './index-rows.ts'
import { actorKey, metaKey } from './keys.ts'
import { brokeOnIt, Mailbox, type MailItem, notServed, traceOf } from './mailbox.ts'
import { Pace } from './pace.ts'
import { Questions } from './questions.ts'
import { readShard } from './recovery.ts'
import { Reindex } from './reindex.ts'
import { release } from './release.ts'
import { Retention } from './retention.ts'
import { ShardTime } from './shard-time.ts'
import { TaskBoard } from './task-board.ts'
import { hear } from './tasks.ts'
import { TimerQueue } from './timer-queue.ts'
import { Wake } from './wake.ts'

export type EngineState = 'recovering' | 'serving' | 'leaving' | 'stopped'

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
  readonly #carried: Carried
  readonly #gathering: Gathering
  readonly #wake: Wake
  readonly #draining = new Draining()
  readonly #pace = new Pace()
  #state: EngineState = 'recovering'
  #nextSlot = 1
  readonly #time: ShardTime
  #pumpPlanned = false
  #inFlight: Flight | undefined
  /** Whose item, or what that sends, is stepped just now. */
  #inHand: Reply | undefined
  readonly #questions: Questions
  /** While it leaves: to whom, and who is told at the end. */
  #leaving: { to: string; done: () => void } | undefined

  constructor(deps: EngineDeps) {
    this.shard = deps.shard
    this.#deps = deps
    this.#context = makeContext(deps, {
      countFor: (target) =>
        target === this.shard ? this.#carried.count : this.#channels.waitingFor(target),
    })
    const { shard, store, limits } = deps
    this.#mailbox = new Mailbox(limits)
    this.#timers = new TimerQueue(shard, store, limits)
    this.#counters = new Counters(shard, store)
    this.#questions = new Questions({
      ...{ context: this.#context, counters: this.#counters, status: () => this.status() },
      durability: deps.commit.durability,
    })
    this.#time = new ShardTime(deps)
    this.#board = new TaskBoard(deps)
    this.#carried = new Carried(shard)
    this.#gathering = new Gathering({
      ...{ context: this.#context, carried: this.#carried, draining: this.#draining },
      ...{ timers: this.#timers, mailbox: this.#mailbox },
    })
    this.#wake = new Wake(deps.clock, () => this.#planPump())
    const changed = () => this.#enqueue({ kind: 'wake' })
    this.#channels = new Channels({ ...deps, changed })
    this.#dedupe = new Dedupe(this.#context, 0)
    this.#retention = new Retention(this.#context)
    this.#reindex = new Reindex(this.#context, changed, deps.walks)
    this.#inbound = new Inbound(this.#context, new Map())
  }

  get state(): EngineState {
    return this.#state
  }

  /** Takes the shard and recovers it; `done` is told once it serves, or why not. What comes once `claimed` waits. */
  open(done: (failure?: ErrorRecord) => void, claimed?: () => void): void {
    this.#deps.commit.take((outcome) => {
      if (outcome.kind !== 'taken') {
        this.#stop(outcome.why, outcome)
        return done(errorRecord('unavailable', outcome.why))
      }
      this.#nextSlot = outcome.nextSlot
      this.#recover()
      this.#state = 'serving'
      done()
      this.#planPump()
    }, claimed)
  }

  /** A command from outside. Its outcome comes after the commit; a refusal at once. */
  submit(command: Command, bytes: number, done: (outcome: Outcome) => void): void {
    if (this.#refuses) return done({ error: this.#unavailable() })
    const heard = this.#state === 'serving' ? hear(this.#context, command) : undefined
    const until = this.#deps.clock.monotonic() + (command.timeoutMs ?? Number.POSITIVE_INFINITY)
    const refused = this.#mailbox.push({ kind: 'command', command, until, heard, done }, bytes)
    if (refused) return done({ error: { ...refused, address: command.address } })
    if (heard !== undefined) this.#context.leases.arrived(heard)
    this.#planPump()
  }

  /** Messages from another shard. */
  relay(request: RelayRequest, bytes: number, done: (reply: RelayReply) => void): void {
    if (this.#refuses) return done({ error: this.#unavailable() })
    const refused = this.#mailbox.push({ kind: 'relay', request, done }, bytes)
    if (refused) return done({ error: refused })
    this.#planPump()
  }

  /** An event of a callback or observable that runs beside this owner. */
  liveEvent(address: string, effectId: string, event: EventObject): void {
    if (this.#refuses) return
    this.#mailbox.pushLive({ kind: 'live', address, effectId, event }, this.#deps.log)
    this.#planPump()
  }

  /** Lists answer from applied state; like every read they wait for the ownership to be confirmed. */
  query(query: ShardQuery, done: (answer: Outcome) => void): void {
    if (this.#state !== 'serving') return done({ error: this.#unavailable() })
    const refused = this.#questions.push(query, done)
    if (refused) return done({ error: refused })
    this.#planPump()
  }

  status(): ShardStatus {
    return {
      ...{ shard: this.shard, state: this.#state, slot: this.#nextSlot - 1 },
      epoch: this.#deps.commit.epoch?.slot ?? null,
      mailboxCount: this.#mailbox.count,
      residentCount: this.#context.heads.count,
      residentBytes: this.#context.heads.bytes,
      timersPending: this.#timers.count,
      commitAgeMs: this.#inFlight ? this.#deps.clock.monotonic() - this.#inFlight.since : 0,
      commits: this.#pace.tally,
    }
  }

  stop(): void {
    this.#stop('the node is stopping', { kind: 'lost' })
  }

  /**
   * Hands the shard over: takes nothing more (`moved`), finishes what is under way, writes the release,
   * ends. `done` is told at the end, also when it ended otherwise; `stopped` only then.
   */
  letGo(to: string, done: () => void): void {
    if (this.#state === 'stopped' || this.#leaving) return done()
    this.#leaving = { to, done }
    if (this.#state === 'recovering') return this.#end()
    this.#state = 'leaving'
    this.#wake.stop()
    this.#refuseWaiting(this.#unavailable())
    if (!this.#inFlight) this.#release(to)
  }

  #release(to: string): void {
    this.#deps.commit.release(to, (outcome) => {
      if (outcome.kind === 'committed') this.#end()
      else this.#stop(outcome.why, outcome)
    })
  }

  get #refuses(): boolean {
    return this.#state === 'leaving' || this.#state === 'stopped'
  }

  #unavailable(): ErrorRecord {
    return notServed(this.shard, this.#state === 'leaving')
  }

  #recover(): void {
    const found = readShard(this.#context)
    this.#time.begin(found.lastTime)
    this.#dedupe = new Dedupe(this.#context, found.dedupeFloor)
    this.#inbound = new Inbound(this.#context, found.inbound)
    this.#carried.load(found.carried, found.carriedFrom)
    this.#draining.load(found.draining)
    this.#counters.load()
    this.#context.leases.begin()
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
    const now = this.#time.now()
    const batch = new Batch(this.#nextSlot, now)
    const replies = this.#questions.take()
    try {
      this.#gathering.fill(batch, (item, deliver) => {
        this.#take(batch, item, replies, deliver)
        // What it sends is stepped on its account: a command that breaks its target is not tried again.
        deliver()
        this.#inHand = undefined
      })
      this.#finish(batch)
    } catch (thrown) {
      return this.#broke(thrown, replies)
    }
    if (batch.writes.length === 0 && replies.length === 0) return this.#goOn()
    const flight = new Flight(batch, replies, this.#deps.clock.monotonic())
    this.#inFlight = flight
    const settled = (outcome: CommitOutcome) => this.#settled(outcome)
    if (batch.writes.length === 0) return this.#deps.commit.confirm(settled)
    batch.write(metaKey(this.shard), pack([batch.slot, now, this.#dedupe.floor]))
    this.#nextSlot += 1
    const { slot, writes } = batch
    this.#deps.commit.commit({ slot, writes, certain: () => flight.certain() }, settled)
  }

  /** A broken invariant: memory may be wrong, the store is not, unless it is somebody else's by now. */
  #broke(thrown: unknown, replies: readonly Reply[]): void {
    const whyLost = this.#deps.commit.whyLost()
    for (const reply of replies) {
      const isCause = whyLost === undefined && reply === this.#inHand
      const error = isCause ? brokeOnIt(this.shard) : this.#unavailable()
      this.#deps.clock.defer(() => reply.send({ error }))
    }
    this.#stop(whyLost ?? traceOf(thrown), { kind: whyLost === undefined ? 'failed' : 'lost' })
  }

  #take(batch: Batch, item: MailItem, replies: Reply[], deliver: () => void): void {
    if (item.kind === 'wake') return
    if (item.kind === 'live') return deliverLive(this.#context, batch, item)
    // Before it is looked at: whatever comes of that, its sender is told.
    const reply = replyOf(item)
    this.#inHand = reply
    replies.push(reply)
    if (item.kind === 'relay') reply.value = this.#inbound.take(batch, item.request)
    else {
      if (item.heard !== undefined) this.#context.leases.taken(item.heard)
      const { durability } = this.#deps.commit
      reply.value = applyCommand(this.#context, batch, this.#dedupe, item, durability, deliver)
    }
  }

  /** Rows that are written once per batch, whatever happened in it. */
  #finish(batch: Batch): void {
    if (batch.deliveries.length > 0) this.#carried.keep(batch)
    this.#channels.write(batch)
    this.#reindex.step(batch)
    for (const head of batch.dirty) {
      updateIndexRows(this.#context, batch, head)
      batch.write(actorKey(this.shard, head.address), encodeHead(this.#context, head))
      this.#draining.note(head)
    }
    this.#counters.write(batch)
    // Chores, with the room that is left.
    this.#retention.sweep(batch)
    this.#channels.removeAcknowledged(batch)
    this.#dedupe.evict(batch)
  }

  #settled(outcome: CommitOutcome): void {
    const flight = this.#inFlight
    if (!flight) return
    if (outcome.kind !== 'committed' && outcome.unknown) {
      // Of what may have happened nobody is told that it did not: it stays under way.
      return this.#stop(outcome.why, outcome)
    }
    this.#inFlight = undefined
    const { batch, count, since } = flight
    if (outcome.kind !== 'committed') {
      flight.refused(this.#unavailable())
      return this.#stop(outcome.why, outcome)
    }
    if (batch.writes.length > 0) this.#pace.committed(count, this.#deps.clock.monotonic() - since)
    if (this.#state === 'stopped') {
      // What is true is told; the next owner finds what is to be released.
      return flight.committed()
    }
    this.#context.heads.settle(batch.dirty)
    flight.committed()
    this.#channels.committed(batch)
    for (const effect of batch.releases) {
      if (effect.kind === 'timer') this.#timers.add(effect)
      else release(this.#deps, this.#context, this.#board, effect)
    }
    this.#context.heads.trim()
    if (this.#leaving) return this.#release(this.#leaving.to)
    this.#goOn()
  }

  #goOn(): void {
    const waiting = this.#mailbox.count + this.#carried.count + this.#questions.count
    if (waiting > 0 || this.#draining.size > 0) this.#planPump()
    else this.#planWake()
  }

  /** Wakes for the next timer, and to forget old command ids. */
  #planWake(): void {
    if (this.#state !== 'serving') return
    if (this.#reindex.busy || this.#context.leftovers.busy) return this.#planPump()
    const now = this.#time.now()
    const monotonic = this.#deps.clock.monotonic()
    const dueIn = Math.min(this.#timers.nextWakeAt(now) - now, this.#dedupe.restMs)
    const wakeAt = Math.max(monotonic + dueIn, this.#gathering.timersRestUntil)
    if (wakeAt <= monotonic) return this.#planPump()
    this.#wake.at(wakeAt)
  }

  #stop(why: string, { kind, reset }: { kind: 'lost' | 'failed'; reset?: true }): void {
    if (this.#state === 'stopped') return
    this.#end()
    this.#deps.stopped({ shard: this.shard, why, kind, ...(reset && { reset }) })
  }

  #end(): void {
    const error = notServed(this.shard, this.#state === 'recovering')
    this.#state = 'stopped'
    this.#wake.stop()
    this.#channels.stop()
    this.#reindex.stop()
    this.#board.stop()
    this.#deps.commit.stop()
    this.#context.heads.clear()
    this.#refuseWaiting(error)
    this.#inFlight?.end(this.#unavailable())
    this.#leaving?.done()
  }

  #refuseWaiting(error: ErrorRecord): void {
    for (const item of this.#mailbox.drain()) {
      if ('done' in item && !this.#isUnderWay(item)) item.done({ error })
    }
    this.#questions.refuse(error)
  }

  /** A second copy of a command of the batch under way is told what the first one is, or nothing. */
  #isUnderWay(item: MailItem): boolean {
    const answer = item.kind === 'command' && this.#inFlight?.batch.answerTo(item.command)
    if (!answer) return false
    const value = withDurability(answer, this.#deps.commit.durability)
    this.#inFlight?.add({ ...replyOf(item), value })
    return true
  }
}
