/**
 * What one batch gathers: rows to write, things to release after the commit, and deliveries still to
 * be stepped inside it. Data only.
 */
import type { AnyActorLogic } from 'xstate'
import type { StoreWrite, TaskMessage } from '../ports/index.ts'
import {
  type AddressText,
  type Command,
  type ErrorRecord,
  type EventObject,
  invariant,
  type Limits,
} from '../protocol/index.ts'
import { type CounterName, indexRowsBytes } from './index-keys.ts'
import type { Head } from './records.ts'

/** What becomes of a command, before it is known how durable that is. */
export type Answer = { ok: unknown } | { error: ErrorRecord }

/** A child on its way to its first state. */
export interface ChildStart {
  kind: 'start'
  to: AddressText
  parent: AddressText
  childId: string
  /** Of the `spawnChild` that asked for it: a child of the same id may have been asked for since. */
  effectId: string
  src: string
  input: unknown
}

/** An event on its way to an actor of this shard. */
export interface Delivery {
  kind: 'event'
  to: AddressText
  event: EventObject
  /** An address, `timer`, `task <name>` or a caller: for the history. */
  by: string
  /** The sender of a `tell`, to be told of a dead letter. */
  tellFrom?: AddressText
  /** Of a child to its parent: the effect id under which that lists it; another of its id is not meant. */
  fromChild?: string
}

/** Released when the batch is committed, in order. */
export type Release =
  | { kind: 'publish-task'; message: TaskMessage }
  | { kind: 'cancel-task'; worker: string; taskId: string }
  | { kind: 'emit'; address: AddressText; event: EventObject; turn: number }
  | {
      kind: 'transition'
      address: AddressText
      createdAt: number
      turn: number
      cause: string
      from: string | null
      to: string
      status: string
    }
  | { kind: 'removed'; address: AddressText; turn: number }
  | { kind: 'action'; address: AddressText; type: string; run: () => void }
  | { kind: 'log'; address: AddressText; value: unknown }
  | {
      kind: 'live-start'
      address: AddressText
      childId: string
      effectId: string
      logic: AnyActorLogic
      input: unknown
    }
  | { kind: 'live-send'; effectId: string; event: EventObject }
  | { kind: 'live-stop'; effectId: string }
  | { kind: 'timer'; effectId: string; address: AddressText; dueAt: number }
  | { kind: 'parked'; address: AddressText; error: ErrorRecord; cause: string }

/** Of the record of a slot: what stands beside the bytes of a key and a value. */
export const ROW_BYTES = 14

/** The row of the shard itself comes last. */
const OWN_ROW_BYTES = 64

/** Of a batch: kept free for what every one brings along, from its own row to leftovers. */
const CHORES_PART = 32

/** A batch with more than this begins nothing: a turn and its chores fit behind it. */
export function beginBytesMax({ batchBytesMax, turnBytesMax }: Limits): number {
  return batchBytesMax - turnBytesMax - Math.ceil(batchBytesMax / CHORES_PART)
}

export class Batch {
  readonly slot: number
  /** The shard's time (shard-time.ts): never goes back. */
  readonly now: number
  readonly writes: StoreWrite[] = []
  readonly releases: Release[] = []
  readonly deliveries: (Delivery | ChildStart)[] = []
  readonly dirty = new Set<Head>()
  readonly removed = new Set<AddressText>()
  readonly counters = new Map<string, { name: CounterName; delta: number }>()
  /** To commands applied in this batch, for a repeat while it is under way. */
  readonly answers = new Map<string, Answer>()
  /** Rows of kept queues written in this batch: the store does not show them yet. */
  readonly kept = new Map<string, Uint8Array>()
  /** Messages for other shards, in order, by target. */
  readonly outgoing = new Map<
    number,
    { from: AddressText; to: AddressText; event: EventObject }[]
  >()
  /** The first so many of `writes`, once somebody has asked: many ask in one batch. */
  readonly #byKey = new Map<string, Uint8Array | null>()
  #byKeyCount = 0
  #births = 0
  #sequenced = 0
  /** What its rows take in a record of the journal. */
  rowBytes = 0
  /** Of rows that come at the end: changed actors, their index, and what is sent and finds no room here. */
  #reservedBytes = 0
  readonly #indexBytes = new Map<Head, number>()
  /** Already promised to what the command under way does after its turn. */
  heldBytes = 0
  steps = 0

  constructor(slot: number, now: number) {
    this.slot = slot
    this.now = now
  }

  write(key: Uint8Array, value: Uint8Array | null): void {
    this.writes.push([key, value])
    this.rowBytes += key.length + (value?.length ?? 0) + ROW_BYTES
  }

  /** Takes back what would start a callback, and what was sent to it; false when it began before. */
  forgetLive(effectId: string): boolean {
    const isOf = (release: Release) => 'effectId' in release && release.effectId === effectId
    const began = this.releases.findIndex((one) => one.kind === 'live-start' && isOf(one))
    if (began < 0) return false
    const after = this.releases.splice(began).slice(1)
    this.releases.push(...after.filter((one) => one.kind !== 'live-send' || !isOf(one)))
    return true
  }

  /** By task: what is published since there were so many releases; one that `forgetLive` moved ahead is not found. */
  publicationsFrom(count: number): Map<string, Release> {
    const found = new Map<string, Release>()
    for (const one of this.releases.slice(count))
      if (one.kind === 'publish-task') found.set(one.message.taskId, one)
    return found
  }

  /** It is not released after all. */
  takeBack(release: Release): void {
    const at = this.releases.lastIndexOf(release)
    invariant(at >= 0, 'only what is to be released is taken back')
    this.releases.splice(at, 1)
  }

  /** Room for rows that come later; it stays reserved when they do, so that it is never too little. */
  reserve(bytes: number): void {
    this.#reservedBytes += bytes
  }

  /** A changed actor grows again: its room was for what it was. */
  resized(head: Head, bytes: number): void {
    if (!this.dirty.has(head)) return
    this.reserve(Math.max(0, bytes - head.bytes))
    this.#reserveIndex(head)
  }

  /** At most so many will be in its record. */
  get bytes(): number {
    return this.rowBytes + this.#reservedBytes
  }

  /** What this batch may still take on, after everything else has its rows. */
  roomLeft({ batchBytesMax }: Limits): number {
    return batchBytesMax - this.rowBytes - OWN_ROW_BYTES
  }

  /** What this batch writes to a key, as far as it is known now: for the few reads that need it. */
  written(key: Uint8Array): Uint8Array | null | undefined {
    for (const [written, value] of this.writes.slice(this.#byKeyCount))
      this.#byKey.set(textOf(written), value)
    this.#byKeyCount = this.writes.length
    return this.#byKey.get(textOf(key))
  }

  /** Of a command that was applied in this batch. */
  answerTo({ address, id }: Pick<Command, 'address' | 'id'>): Answer | undefined {
    return this.answers.get(`${address}\0${id}`)
  }

  count(name: CounterName, delta: number): void {
    const key = `${name.machine}\0${name.condition}\0${name.state}`
    const entry = this.counters.get(key)
    if (entry) entry.delta += delta
    else this.counters.set(key, { name, delta })
  }

  /** Nothing more is begun: the rest of its size is for what the last step brings. */
  isFull(limits: Limits): boolean {
    return this.deliveries.length >= limits.stepsPerBatchMax || !this.mayStep(limits)
  }

  /** What waits inside it may still be stepped. An empty one takes whatever a turn may add. */
  mayStep(limits: Limits): boolean {
    return this.steps < limits.stepsPerBatchMax && this.bytes <= Math.max(0, beginBytesMax(limits))
  }

  nextBirth(): string {
    return `${this.slot}.${this.#births++}`
  }

  nextSequence(): number {
    return this.#sequenced++
  }

  tell(target: number, message: { from: AddressText; to: AddressText; event: EventObject }): void {
    const list = this.outgoing.get(target)
    if (list) list.push(message)
    else this.outgoing.set(target, [message])
  }

  /** The head has changed: it is packed and written at the end, however often that happens. */
  save(head: Head): void {
    head.encoded = undefined
    this.touch(head)
  }

  touch(head: Head): void {
    invariant(
      !this.removed.has(head.address) || head.status !== 'active',
      'a removed actor does not change',
    )
    if (!this.dirty.has(head)) {
      this.reserve(head.bytes)
      this.#reserveIndex(head)
    }
    head.dirty = true
    this.dirty.add(head)
  }

  /** Its index rows come once, however often it moves: the largest of them count. */
  #reserveIndex(head: Head): void {
    const before = this.#indexBytes.get(head) ?? 0
    const bytes = indexRowsBytes(head)
    if (bytes <= before) return
    this.reserve(bytes - before)
    this.#indexBytes.set(head, bytes)
  }
}

function textOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1')
}
