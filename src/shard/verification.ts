/**
 * Whether the rows of a shard agree with each other, read from one snapshot of a store.
 *
 * Decides: what must hold between an actor and the rows that are made from it, and between the two
 * ends of a channel. A generator, so that whoever runs it may do other things between two pages.
 * Leaves to others: how rows are read (row-reader.ts), what is done about a problem.
 */
import { hashBytes, shardOf, unpack, unpackAll } from '../protocol/index.ts'
import { type CounterName, counterKey, parseCounterKey } from './index-keys.ts'
import {
  appliedKey,
  begin,
  nameOfKey,
  packNumber,
  parseOutboxKey,
  peerOfKey,
  slotOfTailKey,
  TABLE,
  tableRange,
  unpackNumber,
} from './keys.ts'
import { UnknownFormError } from './records.ts'
import type { RowReader } from './row-reader.ts'
import { appliedOf, brokenChain } from './tail.ts'
import {
  belongsTo,
  type DerivedRow,
  derivedRows,
  type ReadActor,
  readActor,
} from './verify-actors.ts'
import { type ChannelEnds, noteMessage, outgoingOf, verifyChannel } from './verify-channels.ts'

export type ProblemKind =
  | 'unreadable'
  | 'misplaced'
  /** A row that lists are answered from is missing. */
  | 'unlisted'
  /** A row by which a timer falls due, or a task is offered, is missing. */
  | 'unarmed'
  | 'kept'
  | 'stray'
  | 'count'
  | 'channel'
  | 'journal'

export interface Problem {
  kind: ProblemKind
  shard: number
  /** The address of an actor, or what else it is about. */
  subject: string
  what: string
}

/** A row that is wholly made from others, as it should be; null: it should not be there. */
export type Repair = readonly [key: Uint8Array, value: Uint8Array | null]

/** @param repair where it is certain what is right, and nothing is lost by it */
export type ReportProblem = (problem: Problem, repair?: Repair) => void

export interface VerifiedShard {
  shard: number
  rows: number
  actors: number
  /** It is part of a cluster: its journal is true, and this store may be behind it. */
  journaled: boolean
  channels: ChannelEnds
}

/** Tables whose rows are one pack each, and mean nothing here. */
const PACKED: ReadonlySet<number> = new Set([
  TABLE.kept,
  TABLE.dedupe,
  TABLE.meta,
  TABLE.task,
  TABLE.live,
  TABLE.leftover,
  TABLE.deadLetter,
  TABLE.fingerprint,
  TABLE.audit,
  TABLE.applied,
])
const NAMES = new Map<number, string>(Object.entries(TABLE).map(([name, table]) => [table, name]))
const DERIVED = [TABLE.stateIndex, TABLE.fieldIndex, TABLE.timer, TABLE.task] as const

export class ShardVerification {
  readonly #shard: number
  readonly #shardCount: number
  readonly #reader: RowReader
  readonly #report: ReportProblem
  readonly #counts = new Map<string, { name: CounterName; count: number }>()
  /** Of each derived table: the rows that are there, less those that actors ask for. */
  readonly #surplus = new Map<number, number>(DERIVED.map((table) => [table, 0]))
  readonly #channels: ChannelEnds = { outgoing: new Map(), inbound: new Map() }
  #actors = 0
  #unreadable = 0
  #hasMisplaced = false

  constructor(shard: number, shardCount: number, reader: RowReader, report: ReportProblem) {
    this.#shard = shard
    this.#shardCount = shardCount
    this.#reader = reader
    this.#report = report
  }

  /** Yields the number of rows that it has read since the last time. */
  *run(): Generator<number, VerifiedShard> {
    const shard = this.#shard
    const range = { from: begin(shard, 0, 0), to: begin(shard + 1, 0, 0) }
    let rows = 0
    for (const page of this.#reader.pages(range)) {
      for (const { key, value } of page) this.#row(key, value)
      rows += page.length
      yield page.length
    }
    this.#checkCounts()
    for (const [table, surplus] of this.#surplus) {
      if (surplus > 0) yield* this.#strays(table)
    }
    const journaled = this.#checkJournal()
    verifyChannel(shard, this.#channels.outgoing, (subject, what) =>
      this.#problem('channel', subject, what),
    )
    return { shard, rows, actors: this.#actors, journaled, channels: this.#channels }
  }

  #problem(kind: ProblemKind, subject: string, what: string, repair?: Repair): void {
    this.#report({ kind, shard: this.#shard, subject, what }, repair)
  }

  #row(key: Uint8Array, value: Uint8Array): void {
    const table = key[2] ?? 0
    const surplus = this.#surplus.get(table)
    if (surplus !== undefined) this.#surplus.set(table, surplus + 1)
    try {
      if (table === TABLE.actor) this.#actor(nameOfKey(key), value)
      else if (table === TABLE.counter) this.#counter(key, value)
      else if (table === TABLE.outbox) this.#channelRow(key, value)
      else if (table === TABLE.outboxEnd) this.#channelEnd(key, value)
      else if (table === TABLE.inbound) this.#inbound(key, value)
      else if (table === TABLE.history) unpackAll(value)
      else if (PACKED.has(table)) unpack(value)
      else if (!NAMES.has(table)) {
        this.#problem('stray', `row ${hexOf(key)}`, `stands in a table (${table}) that is unknown`)
      }
    } catch (thrown) {
      const where = NAMES.get(table) ?? String(table)
      const what = `a row of the table "${where}" cannot be read: ${(thrown as Error).message}`
      this.#problem('unreadable', table === TABLE.actor ? nameOfKey(key) : hexOf(key), what)
    }
  }

  #actor(address: string, value: Uint8Array): void {
    this.#actors += 1
    let actor: ReadActor
    try {
      actor = readActor(address, value)
    } catch (thrown) {
      this.#unreadable += 1
      const isNewer = thrown instanceof UnknownFormError
      const why = isNewer ? 'was written by a newer program' : 'its record cannot be read'
      return this.#problem('unreadable', address, `${why}: ${(thrown as Error).message}`)
    }
    const belongs = shardOf(address, this.#shardCount)
    const isMisplaced = belongs !== this.#shard
    this.#hasMisplaced ||= isMisplaced
    if (isMisplaced)
      this.#problem('misplaced', address, `stands in shard ${this.#shard}, not in ${belongs}`)
    for (const row of derivedRows(this.#shard, actor)) this.#derived(address, row, isMisplaced)
    this.#checkKept(actor)
    const name = actor.counter
    const key = hexOf(counterKey(this.#shard, name))
    const known = this.#counts.get(key)
    if (known) known.count += 1
    else this.#counts.set(key, { name, count: 1 })
  }

  #derived(address: string, { table, key, value, what }: DerivedRow, isMisplaced: boolean): void {
    if (this.#reader.has(key)) {
      this.#surplus.set(table, (this.#surplus.get(table) ?? 0) - 1)
      return
    }
    const isListing = table === TABLE.stateIndex || table === TABLE.fieldIndex
    const kind = isListing ? 'unlisted' : 'unarmed'
    // Of an actor that stands where it should not nothing is certain.
    const repair: Repair | undefined = isMisplaced ? undefined : [key, value]
    this.#problem(kind, address, `its row for ${what} is missing`, repair)
  }

  #checkKept({ address, record }: ReadActor): void {
    const wanted = record.keptTo - record.keptFrom
    if (wanted === 0) return
    const found = this.#reader.countKept(this.#shard, address, record)
    if (found === wanted) return
    this.#problem('kept', address, `${wanted} events are kept for it, ${found} of them are there`)
  }

  #counter(key: Uint8Array, value: Uint8Array): void {
    const name = parseCounterKey(key)
    const text = hexOf(key)
    const counted = this.#counts.get(text)?.count ?? 0
    const stored = unpackNumber(value)
    // Actors come before their counts in the order of keys.
    this.#counts.delete(text)
    if (stored !== counted) this.#miscounted(name, stored, counted)
  }

  /** What is left has no row. */
  #checkCounts(): void {
    for (const { name, count } of this.#counts.values()) this.#miscounted(name, 0, count)
  }

  #miscounted(name: CounterName, stored: number, counted: number): void {
    // Where those stand that cannot be read is not known.
    if (this.#unreadable > 0) return
    const { machine, state, condition } = name
    const subject = `${machine} ${state} (${condition})`
    const right = counted === 0 ? null : packNumber(counted)
    const repair: Repair | undefined = this.#hasMisplaced
      ? undefined
      : [counterKey(this.#shard, name), right]
    this.#problem('count', subject, `is counted as ${stored}; there are ${counted}`, repair)
  }

  /** Rows that no actor asks for: there are more than asked for, or this is not called. */
  *#strays(table: number): Generator<number> {
    const range = { from: begin(this.#shard, table, 0), to: begin(this.#shard, table + 1, 0) }
    for (const page of this.#reader.pages(range)) {
      for (const { key } of page) {
        const address = belongsTo(table, key)
        const bytes = address === undefined ? undefined : this.#reader.actor(this.#shard, address)
        if (bytes !== undefined && this.#asksFor(address ?? '', bytes, key)) continue
        const name = NAMES.get(table) ?? ''
        const what = `no actor asks for a row of the table "${name}"`
        // A row that names nobody may be of a form that is not known here.
        const repair: Repair | undefined = address === undefined ? undefined : [key, null]
        this.#problem('stray', address ?? hexOf(key), what, repair)
      }
      yield 0
    }
  }

  #asksFor(address: string, bytes: Uint8Array, key: Uint8Array): boolean {
    try {
      const rows = derivedRows(this.#shard, readActor(address, bytes))
      return rows.some((row) => Buffer.compare(row.key, key) === 0)
    } catch {
      // That it cannot be read was told.
      return true
    }
  }

  #channelRow(key: Uint8Array, value: Uint8Array): void {
    const { target, sequence } = parseOutboxKey(key)
    unpack(value)
    noteMessage(outgoingOf(this.#channels, target), sequence)
  }

  #channelEnd(key: Uint8Array, value: Uint8Array): void {
    const [generation, next] = unpack(value) as [number, number]
    Object.assign(outgoingOf(this.#channels, peerOfKey(key)), { generation, next })
  }

  #inbound(key: Uint8Array, value: Uint8Array): void {
    const [generation, last] = unpack(value) as [number, number]
    this.#channels.inbound.set(peerOfKey(key), { generation, last })
  }

  /** The raw records of a cluster's journal: each names the one before, up to what is applied. */
  #checkJournal(): boolean {
    const shard = this.#shard
    const applied = this.#reader.get(appliedKey(shard))
    const range = tableRange(shard, TABLE.tail)
    let before: { slot: number; hash: string } | undefined
    for (const page of this.#reader.pages(range)) {
      for (const { key, value } of page) {
        const slot = slotOfTailKey(key)
        // Rows behind a gap are candidates only, as those behind what is applied.
        const broken = before?.slot === slot - 1 ? brokenChain(before, [value]) : undefined
        if (slot <= appliedOf(applied).slot && broken !== undefined)
          this.#problem('journal', `slot ${slot}`, broken)
        before = { slot, hash: hashBytes(value) }
        if (slot === appliedOf(applied).slot && before.hash !== appliedOf(applied).hash)
          this.#problem('journal', `slot ${slot}`, 'what is applied is not the record that is kept')
      }
    }
    return applied !== undefined || before !== undefined
  }
}

function hexOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('hex')
}
