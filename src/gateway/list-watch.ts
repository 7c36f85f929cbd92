/**
 * Watching a list: the rows that a filter finds, and then every row that changes. Decides: what a
 * watcher is told, and how it goes on after a broken connection.
 *
 *     row    an actor that the filter finds, as it is now
 *     gone   the address of one that it finds no more
 *     live   the rows that were there have been told; changes follow
 *     reset  forget all rows: changes were missed, and all rows follow
 *
 * What an actor was between two looks is not told: a list shows how things are. Who needs every
 * transition watches the actor.
 */
import type { Client } from '../client/index.ts'
import { type ActorFilter, type ActorRow, type Limits, TroupeError } from '../protocol/index.ts'
import { rowOf } from './actor-watch.ts'
import type { ChangeFeed } from './change-feed.ts'
import type { EventStream } from './event-stream.ts'
import { mayMatch, rowMatches } from './filters.ts'
import { maskRow } from './secrets.ts'

export interface ListWatchOptions {
  client: Client
  feed: ChangeFeed
  stream: EventStream
  filter: ActorFilter
  /** False: only changes are told, from now on. */
  tellsRows: boolean
  limits: Pick<Limits, 'pageCountMax'>
  secretsOf: (address: string) => ReadonlySet<string>
}

/** Rows of which is known that the watcher has them; past this it is told of more that go than it has. */
const TOLD_MAX = 10_000

export class ListWatch {
  readonly #options: ListWatchOptions
  /** The turns of the rows that the watcher has. */
  readonly #told = new Map<string, number>()
  /** True while the watcher has no rows beside those. */
  #isComplete: boolean

  constructor(options: ListWatchOptions) {
    this.#options = options
    this.#isComplete = options.tellsRows
  }

  /** @param lastEventId where the watcher was, if it was here. Returns when it cannot go on. */
  async run(lastEventId: string | undefined, signal: AbortSignal): Promise<void> {
    const { feed, stream } = this.#options
    let from = this.#placeOf(lastEventId)
    if (from === undefined) {
      from = feed.next
      await this.#begin(lastEventId !== undefined, signal)
      stream.send({ event: 'live', data: {}, id: this.#idOf(from) })
    } else this.#isComplete = false
    while (stream.isOpen) {
      const changes = await feed.read(from, signal)
      // Forgotten, because the watcher was too slow: it comes back and begins anew.
      if (!changes) return
      from = changes.next
      await this.#tell(changes.addresses)
      stream.mark(this.#idOf(from))
      await stream.drained()
    }
  }

  /** @returns undefined where it has to begin with the rows */
  #placeOf(lastEventId: string | undefined): number | undefined {
    const { feed } = this.#options
    const [, id, next] = /^([\w-]{8})\.(\d{1,15})$/.exec(lastEventId ?? '') ?? []
    return id === feed.id && feed.remembers(Number(next)) ? Number(next) : undefined
  }

  #idOf(next: number): string {
    return `${this.#options.feed.id}.${next}`
  }

  async #begin(isBack: boolean, signal: AbortSignal): Promise<void> {
    const { client, stream, filter, tellsRows, limits, secretsOf } = this.#options
    if (isBack) stream.send({ event: 'reset', data: { reason: 'changes were missed' } })
    if (!tellsRows) return
    let cursor: string | undefined
    do {
      const limit = limits.pageCountMax
      const query = cursor === undefined ? { filter, limit } : { filter, limit, cursor }
      const page = await client.list(query)
      for (const row of page.rows) {
        this.#remember(row)
        stream.send({ event: 'row', data: maskRow(row, secretsOf(row.address)) })
      }
      cursor = page.cursor
      await stream.drained()
    } while (cursor !== undefined && stream.isOpen && !signal.aborted)
  }

  async #tell(addresses: readonly string[]): Promise<void> {
    const { filter, stream, secretsOf } = this.#options
    const wanted = addresses.filter((address) => mayMatch(address, filter))
    const rows = await Promise.all(wanted.map((address) => this.#look(address)))
    wanted.forEach((address, index) => {
      const row = rows[index]
      if (row && rowMatches(row, filter)) {
        if (this.#told.get(address) === row.turn) return
        this.#remember(row)
        stream.send({ event: 'row', data: maskRow(row, secretsOf(address)) })
        return
      }
      const wasTold = this.#told.delete(address)
      if (wasTold || !this.#isComplete) stream.send({ event: 'gone', data: { address } })
    })
  }

  #remember({ address, turn }: ActorRow): void {
    if (this.#told.size >= TOLD_MAX && !this.#told.has(address)) this.#isComplete = false
    else this.#told.set(address, turn)
  }

  async #look(address: string): Promise<ActorRow | undefined> {
    try {
      return rowOf(await this.#options.client.get(address))
    } catch (thrown) {
      const isGone = thrown instanceof TroupeError && thrown.code === 'unknown-actor'
      // A machine that is no longer registered has no rows either.
      const isUnknown = thrown instanceof TroupeError && thrown.code === 'unknown-machine'
      if (isGone || isUnknown) return undefined
      throw thrown
    }
  }
}
