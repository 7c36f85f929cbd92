/**
 * A node's connection to the journal, as protocols.md section 1 wants it: it does not reconnect by
 * itself. When the server dies, nothing that was sent before arrives after, whoever waits is told
 * `unknown`, and on the next connection no write of a shard goes out before its end was read.
 *
 * What an adapter for NATS has to do; MemoryJournal alone has one connection that outlives its server.
 */
import { MemoryJournal, type MemoryJournalServer } from '../../src/adapters/memory/index.ts'
import type { MemoryJournalOptions } from '../../src/adapters/memory/journal.ts'
import type { Clock, Journal, JournalWrite } from '../../src/ports/index.ts'

/** What was said to the journal, and what was answered. */
export interface Said {
  on: 'write' | 'read' | 'end' | 'remove'
  slot?: number
  record?: Buffer
  answer?: string
}

type Answers = Parameters<Journal['write']>[1] &
  Parameters<Journal['read']>[2] &
  Parameters<Journal['end']>[1]

export class Line implements Journal {
  readonly said: Said[] = []
  /** The present connection: faults are injected here. */
  connection: MemoryJournal
  readonly #clock: Clock
  readonly #server: MemoryJournalServer
  readonly #options: Partial<MemoryJournalOptions>
  #alive = { yes: true }
  /** Of these shards the end was asked for on this connection; of all before the first one is lost. */
  #known: Set<number> | undefined
  readonly #outstanding = new Set<() => void>()

  constructor(
    clock: Clock,
    server: MemoryJournalServer,
    options: Partial<MemoryJournalOptions> = {},
  ) {
    this.#clock = clock
    this.#server = server
    this.#options = options
    this.connection = this.#connect()
  }

  /** The server died: what is on its way is lost with it. */
  cut(): void {
    this.#alive.yes = false
    this.#alive = { yes: true }
    this.#known = new Set()
    this.connection = this.#connect()
    for (const unknown of [...this.#outstanding]) this.#clock.defer(unknown)
    this.#outstanding.clear()
  }

  #connect(): MemoryJournal {
    const alive = this.#alive
    const server = this.#server
    // Late arrivals of a dead connection touch nothing.
    const through = Object.create(server) as MemoryJournalServer
    through.write = (request) => (alive.yes ? server.write(request) : undefined)
    through.remove = (shard, slot) => {
      if (alive.yes) server.remove(shard, slot)
    }
    return new MemoryJournal({ clock: this.#clock, ...this.#options, server: through })
  }

  write(request: JournalWrite, done: Parameters<Journal['write']>[1]): void {
    const { shard, slot } = request
    const answer = this.#ask({ on: 'write', slot, record: Buffer.from(request.record) }, done)
    const isKnown = this.#known?.has(shard) ?? true
    if (isKnown) this.connection.write(request, answer)
    else this.#clock.defer(() => answer({ kind: 'unknown', why: 'a new connection' }))
  }

  read(shard: number, slot: number, done: Parameters<Journal['read']>[2]): void {
    this.connection.read(shard, slot, this.#ask({ on: 'read', slot }, done))
  }

  end(shard: number, done: Parameters<Journal['end']>[1]): void {
    this.#known?.add(shard)
    this.connection.end(shard, this.#ask({ on: 'end' }, done))
  }

  remove(shard: number, slot: number, done: Parameters<Journal['remove']>[2]): void {
    this.connection.remove(shard, slot, done)
  }

  /** Passes one answer on, the first. */
  #ask<T extends { kind: string }>(said: Said, done: (outcome: T) => void): Answers {
    this.said.push(said)
    let answered = false
    const once = (outcome: T) => {
      this.#outstanding.delete(unknown)
      if (answered) return
      answered = true
      said.answer = outcome.kind
      done(outcome)
    }
    const unknown = () => once({ kind: 'unknown', why: 'the connection was lost' } as never)
    this.#outstanding.add(unknown)
    return once as never
  }
}
