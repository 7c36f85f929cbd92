/**
 * Watching one actor. Decides: how every turn is told once and in order although what is published is
 * best effort: turns have numbers, so a gap is seen and filled from the history. When the history no
 * longer holds it, or the actor is another one by now, the watcher is told to begin anew (`reset`).
 *
 * An id is `<created at>-<turn>`: turns of an actor that was deleted and started again are others.
 */
import type { Client } from '../client/index.ts'
import { type ActorRow, type ActorView, type HistoryView, TroupeError } from '../protocol/index.ts'
import type { ServerSentEvent } from './event-stream.ts'
import { maskRow } from './secrets.ts'

/** Turns that may be added between two looks at an actor. */
const HISTORY_SLACK = 100

/** What a watcher has seen. */
export interface Seen {
  createdAt: number
  turn: number
}

/** @throws TroupeError `malformed` for an id that this watch never gave */
export function seenOf(lastEventId: string | undefined): Seen | undefined {
  if (lastEventId === undefined || lastEventId === '') return undefined
  const [, createdAt, turn] = /^(\d{1,15})-(\d{1,15})$/.exec(lastEventId) ?? []
  if (createdAt === undefined || turn === undefined) {
    const why = 'Last-Event-ID is not the id of an event of this watch, such as 1700000000000-3'
    throw new TroupeError('malformed', why)
  }
  return { createdAt: Number(createdAt), turn: Number(turn) }
}

type WatchedClient = Pick<Client, 'watch' | 'get' | 'history'>

export class ActorWatch {
  readonly #client: WatchedClient
  readonly #address: string
  readonly #secrets: ReadonlySet<string>
  #seen: Seen | undefined

  constructor(client: WatchedClient, address: string, secrets: ReadonlySet<string>, seen?: Seen) {
    this.#client = client
    this.#address = address
    this.#secrets = secrets
    this.#seen = seen
  }

  /**
   * Ends when the actor is removed or the signal says so. The first step looks at the actor.
   * @throws TroupeError `unknown-actor`, or why the actor cannot be looked at
   */
  async *events(signal: AbortSignal): AsyncGenerator<ServerSentEvent, void, void> {
    // It listens before the first look, so that no transition falls between.
    const published = this.#client.watch({ address: this.#address }, signal)
    yield* this.#catchUp()
    for await (const event of published) {
      if (event.kind === 'removed') {
        yield { event: 'removed', data: { address: this.#address, turn: event.turn } }
        return
      }
      if (event.kind === 'emitted') {
        const { address, turn, event: emitted } = event
        yield { event: 'emitted', data: { address, turn, event: emitted } }
      } else if (event.from === null || event.turn > (this.#seen?.turn ?? 0) + 1) {
        // Another actor at this address, or a gap.
        yield* this.#catchUp()
      } else if (event.turn === (this.#seen?.turn ?? 0) + 1) {
        const { address, turn, cause, from, to, status } = event
        yield this.#told(turn, { address, turn, cause, from, to, status })
      }
    }
  }

  async *#catchUp(): AsyncGenerator<ServerSentEvent, void, void> {
    const seen = this.#seen
    const view = await this.#client.get(this.#address)
    if (seen?.createdAt === view.createdAt && seen.turn === view.turn) return
    const missed =
      seen?.createdAt === view.createdAt && seen.turn < view.turn
        ? await this.#missed(seen.turn, view.turn)
        : undefined
    if (missed) {
      for (const { turn, cause, from, to } of missed) {
        const status = turn === view.turn ? { status: view.status } : {}
        yield this.#told(turn, { address: this.#address, turn, cause, from, to, ...status })
      }
      return
    }
    this.#seen = { createdAt: view.createdAt, turn: view.turn }
    yield {
      event: seen === undefined ? 'state' : 'reset',
      data: maskRow(rowOf(view), this.#secrets),
      id: idOf(this.#seen),
    }
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

  #told(turn: number, data: object): ServerSentEvent {
    this.#seen = { createdAt: this.#seen?.createdAt ?? 0, turn }
    return { event: 'transition', data, id: idOf(this.#seen) }
  }
}

function idOf({ createdAt, turn }: Seen): string {
  return `${createdAt}-${turn}`
}

/** The actor as lists show it. */
export function rowOf(view: ActorView): ActorRow {
  const { address, machine, version, status, value, tags, turn } = view
  const { createdAt, updatedAt, since, paused, parked, index } = view
  const row: ActorRow = {
    address,
    machine,
    version,
    status,
    value,
    tags,
    turn,
    createdAt,
    updatedAt,
    since,
    paused: paused !== undefined,
    parked: parked !== undefined,
    index,
  }
  const reason = reasonOf(view)
  return reason === undefined ? row : { ...row, reason }
}

function reasonOf({ paused, parked, tasks }: ActorView): string | undefined {
  if (parked) return `parked by ${parked.cause}: ${parked.error.message}`
  if (paused) return `paused by ${paused.by}${paused.reason ? `: ${paused.reason}` : ''}`
  const waiting = tasks.find(({ state }) => state === 'waiting')
  if (waiting) return `task ${waiting.name} failed: ${waiting.lastFailure}; next attempt follows`
  const queued = tasks.find(({ state }) => state === 'queued')
  return queued ? `task ${queued.name} waits in ${queued.queue}` : undefined
}
