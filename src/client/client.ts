/**
 * The library that a program uses to talk to actors.
 *
 * Decides: when a call is tried again (only when certainly nothing was applied, or with the same
 * command id), and how lists of shards become one. Leaves to others: everything an actor does.
 */

import type { MachineDefinition, MachineTypes } from '../machine/index.ts'
import type { Clock, Random } from '../ports/index.ts'
import {
  type ActorExpectation,
  type ActorFilter,
  type ActorQuery,
  type ActorRow,
  type ActorScan,
  type ActorView,
  type AuditView,
  type Command,
  type CountRow,
  canonicalAddress,
  type DeadLetterView,
  type DryRunView,
  type Durability,
  type EventObject,
  formatAddress,
  formatCommandId,
  type HistoryView,
  type LegalEventView,
  type Operation,
  type OperatorReceipt,
  type Page,
  type ShardStatus,
  type TimerMode,
  TroupeError,
  type TurnView,
} from '../protocol/index.ts'
import { Arrivals } from './arrivals.ts'
import { type FollowedEvent, type FollowOptions, followActor } from './follow.ts'
import {
  type AuditOptions,
  countActors,
  listActors,
  listAudit,
  listDeadLetters,
  type ReadOptions,
  scanActors,
  shardStatuses,
} from './lists.ts'
import type { Plain } from './near-requests.ts'
import { Router, type RouterDeps, type Told } from './router.ts'
import { type WatchedEvent, type WatchTarget, watchEvents } from './watch.ts'

export interface ClientDeps extends RouterDeps {
  clock: Clock
  random: Random
}

/** What every call may say. */
export interface CallOptions {
  /** A command id of the caller's own: `<unix ms>-<unique>`. The same id is applied once. */
  id?: string
  /** How long to try and to wait, in ms. Default: the limit `requestTimeoutMs`. */
  timeoutMs?: number
  durability?: Durability
  /** Only if the actor is so; else it is refused as `conflict`. */
  when?: ActorExpectation
}

export interface PauseOptions extends CallOptions {
  reason?: string
  /** Cancels running tasks instead of letting them finish. */
  interrupt?: boolean
  timers?: TimerMode
}

export interface ResumeOptions extends CallOptions {
  state?: string
  retry?: boolean
}

/** One actor, with the types of its machine. */
export interface ActorHandle<TTypes extends MachineTypes = MachineTypes> {
  readonly address: string
  start(input?: TTypes['input'], options?: CallOptions): Promise<TurnView>
  /** Starts it unless it lives already. */
  ensure(input?: TTypes['input'], options?: CallOptions): Promise<void>
  send(event: TTypes['event'], options?: CallOptions): Promise<TurnView>
  /** Sends and returns what the machine answers with `reply(...)`. */
  ask(event: TTypes['event'], options?: CallOptions): Promise<unknown>
  get(
    options?: CallOptions,
  ): Promise<ActorView & { context: TTypes['context']; output?: TTypes['output'] }>
}

/** What is published may be lost: whoever waits looks so often for itself. */
const WAIT_LOOK_MS = 5_000

export class Client {
  readonly #deps: ClientDeps
  readonly #router: Router
  readonly #author: string

  constructor(deps: ClientDeps, author = 'client', router?: Router) {
    this.#deps = deps
    this.#author = author
    this.#router = router ?? new Router(deps)
  }

  /** The same client under another author's name. */
  as(author: string): Client {
    return new Client(this.#deps, author, this.#router)
  }

  /** An actor by machine and id. @throws TroupeError `invalid-address` */
  actor<TTypes extends MachineTypes>(
    machine: MachineDefinition<TTypes>,
    id: string,
  ): ActorHandle<TTypes> {
    const address = formatAddress(machine.name, id, [], this.#deps.limits)
    return {
      address,
      start: (input, options) => this.start(address, input, options),
      ensure: (input, options) => this.ensure(address, input, options),
      send: (event, options) => this.send(address, event as EventObject, options),
      ask: (event, options) => this.ask(address, event as EventObject, options),
      get: (options) => this.get(address, options),
    }
  }

  start(address: string, input?: unknown, options?: CallOptions): Promise<TurnView> {
    return this.#call(address, { op: 'start', input }, options)
  }

  /** Starts the actor unless it lives already; either way it does then. */
  async ensure(address: string, input?: unknown, options?: CallOptions): Promise<void> {
    try {
      await this.start(address, input, options)
    } catch (thrown) {
      if (!(thrown instanceof TroupeError) || thrown.code !== 'already-exists') throw thrown
    }
  }

  send(address: string, event: EventObject, options?: CallOptions): Promise<TurnView> {
    return this.#call(address, { op: 'send', event }, options)
  }

  async ask(address: string, event: EventObject, options?: CallOptions): Promise<unknown> {
    const view = await this.send(address, event, options)
    return view.reply
  }

  get(address: string, options?: CallOptions): Promise<ActorView> {
    return this.#call(address, { op: 'get' }, options)
  }

  /** The newest transitions first. */
  history(
    address: string,
    options: CallOptions & { limit?: number; beforeTurn?: number } = {},
  ): Promise<HistoryView[]> {
    const { limit, beforeTurn } = options
    const operation: Operation = { op: 'history' }
    if (limit !== undefined) operation.limit = limit
    if (beforeTurn !== undefined) operation.beforeTurn = beforeTurn
    return this.#call(address, operation, options)
  }

  /** The events that the present state has transitions for. */
  legalEvents(address: string, options?: CallOptions): Promise<LegalEventView[]> {
    return this.#call(address, { op: 'events' }, options)
  }

  pause(address: string, options: PauseOptions = {}): Promise<OperatorReceipt> {
    const { reason, interrupt, timers } = options
    return this.#call(address, { op: 'pause', ...given({ reason, interrupt, timers }) }, options)
  }

  resume(address: string, options: ResumeOptions = {}): Promise<OperatorReceipt> {
    const { state, retry } = options
    return this.#call(address, { op: 'resume', ...given({ state, retry }) }, options)
  }

  /** A JSON merge patch (RFC 7396) of the context. */
  patch(address: string, merge: unknown, options?: CallOptions): Promise<OperatorReceipt> {
    return this.#call(address, { op: 'patch', merge }, options)
  }

  cancel(
    address: string,
    options: CallOptions & { reason?: string } = {},
  ): Promise<OperatorReceipt> {
    return this.#call(address, { op: 'cancel', ...given({ reason: options.reason }) }, options)
  }

  delete(address: string, options?: CallOptions): Promise<OperatorReceipt> {
    return this.#call(address, { op: 'delete' }, options)
  }

  /** What an operation would do: it is stepped in memory and nothing is kept. */
  dryRun(address: string, operation: Operation, options: CallOptions = {}): Promise<DryRunView> {
    const command = this.#command(address, { ...operation }, options)
    command.dryRun = true
    return this.#execute<DryRunView>(command, options)
  }

  /** For gateways and workers: a command as it stands. `author` is filled in when it is missing. */
  execute(address: string, operation: Operation, options: CallOptions = {}): Promise<unknown> {
    return this.#call(address, { ...operation }, options)
  }

  /**
   * The same for whoever answers many: told by callback, in the moment in which it is known.
   * @param plain if it was read from JSON and holds nothing else, and the caller lets go of it: a shard of
   *   this process takes it as it is
   */
  submit(
    address: string,
    operation: Operation,
    { plain }: { plain: Plain | undefined },
    told: Told,
  ): void {
    const timeoutMs = this.#deps.limits.requestTimeoutMs
    this.#router.command(this.#command(address, operation, {}), { timeoutMs, plain }, told)
  }

  /** For whoever made it: calls under way are no longer tried again. */
  close(): void {
    this.#router.close()
  }

  list(query: ActorQuery, options: ReadOptions = {}): Promise<Page<ActorRow>> {
    return listActors(this.#router, query, options)
  }

  /** All rows of a list, page by page; `limit` is of a page. What changes meanwhile may be in it or not. */
  async *rows(query: ActorQuery, options: ReadOptions = {}): AsyncGenerator<ActorRow, void, void> {
    let { cursor } = query
    do {
      const page = await this.list(
        { ...query, ...(cursor === undefined ? {} : { cursor }) },
        options,
      )
      yield* page.rows
      cursor = page.cursor
    } while (cursor !== undefined)
  }

  /** As a list, page by page, in no order: what it costs does not depend on the number of shards. */
  scan(query: ActorScan, options: ReadOptions = {}): Promise<Page<ActorRow>> {
    return scanActors(this.#router, query, options)
  }

  count(filter: ActorFilter = {}, options: ReadOptions = {}): Promise<CountRow[]> {
    return countActors(this.#router, filter, options)
  }

  audit(options: AuditOptions = {}): Promise<AuditView[]> {
    return listAudit(this.#router, options)
  }

  deadLetters(limit?: number, options: ReadOptions = {}): Promise<DeadLetterView[]> {
    return listDeadLetters(this.#router, limit, options)
  }

  shards(options: ReadOptions = {}): Promise<ShardStatus[]> {
    return shardStatuses(this.#router, options)
  }

  /**
   * Committed transitions, emitted events and removals: of one actor, of all actors of a machine, or of
   * all. Best effort: what is published while the connection is lost is not heard. Who must not miss a turn
   * of an actor follows it.
   */
  watch(target: WatchTarget, signal: AbortSignal): AsyncIterable<WatchedEvent> {
    return watchEvents(this.#deps.transport, this.#deps.subjects, target, signal)
  }

  /**
   * How an actor stands, and then every turn once and in order, over lost connections and new owners: what
   * was not heard comes from its history. Ends when it is removed. @throws TroupeError `unknown-actor`
   */
  follow(
    address: string,
    signal: AbortSignal,
    options: FollowOptions = {},
  ): AsyncIterable<FollowedEvent> {
    const canonical = canonicalAddress(address, this.#deps.limits)
    return followActor(this, this.#deps.clock, canonical, signal, options)
  }

  /** Waits until the actor satisfies the condition. @throws TroupeError `no-answer` after `timeoutMs` */
  async waitFor(
    address: string,
    condition: (view: ActorView) => boolean,
    options: { timeoutMs?: number; signal?: AbortSignal } = {},
  ): Promise<ActorView> {
    const timeoutMs = options.timeoutMs ?? this.#deps.limits.requestTimeoutMs
    const end = this.#deps.clock.monotonic() + timeoutMs
    const stop = new AbortController()
    const giveUp = () => stop.abort()
    options.signal?.addEventListener('abort', giveUp, { once: true })
    if (options.signal?.aborted) giveUp()
    const cancel = this.#deps.clock.after(timeoutMs, () => stop.abort())
    try {
      // The subscription stands before the first look, so that no transition falls between.
      const events = this.watch({ address: canonicalAddress(address) }, stop.signal)
      const arrivals = new Arrivals(events, this.#deps.clock)
      for (;;) {
        const view = await this.#viewBy(address, end)
        // Turns of before may wait here by the hundred, and a look behind the end is in time for none of them.
        if (view === undefined) break
        if (condition(view)) return view
        if ((await arrivals.next(WAIT_LOOK_MS))?.done) break
      }
    } finally {
      cancel()
      options.signal?.removeEventListener('abort', giveUp)
      stop.abort()
    }
    const why = options.signal?.aborted
      ? 'the wait was called off before it got there'
      : `it did not get there within ${timeoutMs} ms`
    throw new TroupeError('no-answer', `${address}: ${why}`, { address })
  }

  /** Undefined where its shard comes to it behind the end: of that nobody is to be told as of a command. */
  async #viewBy(address: string, end: number): Promise<ActorView | undefined> {
    try {
      const timeoutMs = Math.max(1, end - this.#deps.clock.monotonic())
      return await this.get(address, { timeoutMs })
    } catch (thrown) {
      if (thrown instanceof TroupeError && thrown.code === 'deadline') return undefined
      throw thrown
    }
  }

  #call<T>(address: string, operation: Operation, options: CallOptions = {}): Promise<T> {
    return this.#execute<T>(this.#command(address, operation, options), options)
  }

  /** The envelope is filled in on the operation itself: each call makes one of its own. */
  #command(address: string, operation: Operation, options: CallOptions): Command {
    const { clock, random, limits } = this.#deps
    const command = operation as Command
    command.address = canonicalAddress(address, limits)
    command.id = options.id ?? formatCommandId(clock.now(), random.id())
    command.author = this.#author
    // With each try, what is left of it.
    command.timeoutMs = 0
    if (options.durability !== undefined) command.durability = options.durability
    if (options.when !== undefined) command.when = options.when
    return command
  }

  #execute<T>(command: Command, options: CallOptions): Promise<T> {
    const timeoutMs = options.timeoutMs ?? this.#deps.limits.requestTimeoutMs
    return new Promise((resolve, reject) => {
      this.#router.command(command, { timeoutMs }, { resolve: resolve as Told['resolve'], reject })
    })
  }
}

/** Leaves out what was not given. */
function given<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> }
}
