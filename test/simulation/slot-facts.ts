/**
 * Makes facts of the records of slots. Decides: what of a batch's rows checkers are shown. The same
 * bytes, written again after a loss, are the same facts.
 */

import type { StoreWrite } from '../../src/ports/index.ts'
import { hashBytes, unpack, unpackAll } from '../../src/protocol/index.ts'
import { nameOfKey, parseOutboxKey, peerOfKey, TABLE } from '../../src/shard/keys.ts'
import { decodeActor } from '../../src/shard/records.ts'
import type { SlotRecord } from '../../src/shard/slot-records.ts'
import { decodeRecord } from '../shard/slot-record.ts'
import type { ActorFact, BatchFact, HistoryEntry, SlotFact } from './events.ts'

type PackedEntry = [number, string, string, string | null, string | null, string, string | null]

export interface SlotDetails {
  hash: string
  prev: string
  record: SlotRecord
  fact: SlotFact
}

export class SlotFacts {
  readonly #known = new Map<string, SlotDetails>()
  /** The last turn that was told, by birth, so that entries are told once. */
  readonly #told = new Map<string, number>()

  of(bytes: Uint8Array): SlotDetails {
    const hash = hashBytes(bytes)
    const known = this.#known.get(hash)
    if (known) {
      // Written again after a loss: what follows goes on from here.
      if (known.fact.kind === 'batch') this.#noteTurns(known.fact.actors)
      return known
    }
    const record = decodeRecord(bytes)
    const details = { hash, prev: record.prev, record, fact: this.#factOf(record) }
    this.#known.set(hash, details)
    return details
  }

  /** The journal lost its end: what was told of turns beyond it was told of another future. */
  rewind(actors: Iterable<ActorFact>): void {
    this.#told.clear()
    this.#noteTurns(actors)
  }

  #noteTurns(actors: Iterable<ActorFact>): void {
    for (const { address, birth, turn } of actors) this.#told.set(`${address} ${birth}`, turn)
  }

  #factOf(record: SlotRecord): SlotFact {
    if (record.kind === 'claim') {
      const { node, claimId, viewVersion } = record
      return { kind: 'claim', node, claimId, viewVersion }
    }
    if (record.kind === 'release') return { kind: 'release', epoch: record.epoch }
    return this.#batch(record.epoch, record.writes)
  }

  #batch(epoch: BatchFact['epoch'], writes: readonly StoreWrite[]): BatchFact {
    const batch = {
      kind: 'batch' as const,
      epoch,
      now: 0,
      actors: [] as ActorFact[],
      removed: [] as string[],
      remembered: [] as string[],
      outbox: [] as BatchFact['outbox'][number][],
      acknowledged: [] as string[],
      inbound: [] as BatchFact['inbound'][number][],
      deadLetters: [] as BatchFact['deadLetters'][number][],
      tasks: [] as string[],
    }
    /** Of an actor that is written twice, as one that is removed and made again, the last row counts. */
    const actors = new Map<string, Uint8Array | null>()
    const chunks = writes.filter(([key, value]) => key[2] === TABLE.history && value)
    for (const [key, value] of writes) {
      switch (key[2]) {
        case TABLE.meta:
          if (value) batch.now = (unpack(value) as [number, number])[1]
          break
        case TABLE.actor:
          actors.set(nameOfKey(key), value)
          break
        case TABLE.task:
          if (value) batch.tasks.push(nameOfKey(key))
          break
        case TABLE.dedupe:
          if (value) batch.remembered.push(rememberedBy(key))
          break
        case TABLE.outbox: {
          const { target, sequence } = parseOutboxKey(key)
          if (target === (((key[0] ?? 0) << 8) | (key[1] ?? 0))) break
          if (value) batch.outbox.push(messageOf(target, sequence, value))
          else batch.acknowledged.push(`${target}/${sequence}`)
          break
        }
        case TABLE.inbound:
          if (value) {
            const [generation, last] = unpack(value) as [number, number]
            batch.inbound.push({ source: peerOfKey(key), generation, last })
          }
          break
        case TABLE.deadLetter:
          if (value) batch.deadLetters.push(deadLetterOf(value))
      }
    }
    for (const [address, value] of actors) {
      if (value) batch.actors.push(this.#actor(address, value, chunks))
      else batch.removed.push(address)
    }
    return batch
  }

  #actor(address: string, bytes: Uint8Array, chunks: readonly StoreWrite[]): ActorFact {
    const { record, stored } = decodeActor(bytes)
    const key = `${address} ${record.birth}`
    const told = this.#told.get(key) ?? 0
    this.#told.set(key, record.turn)
    return {
      address,
      birth: record.birth,
      version: record.version,
      turn: record.turn,
      status: record.status,
      state: typeof stored.value === 'string' ? stored.value : JSON.stringify(stored.value),
      paused: record.paused !== null,
      parked: record.parked ? record.parked.error.message : null,
      kept: record.keptTo - record.keptFrom,
      timers: record.timers.map(({ effectId, dueAt, kind, event, frozenMs }) => ({
        effectId,
        dueAt,
        kind,
        type: event?.type ?? '',
        frozenMs,
      })),
      tasks: record.tasks.map(({ effectId, state, attempt, token, worker }) => ({
        taskId: effectId,
        state,
        attempt,
        token,
        worker,
      })),
      children: record.children.map(({ childId }) => childId),
      lives: record.children
        .filter(({ kind, done }) => kind === 'live' && !done)
        .map(({ effectId }) => effectId),
      remembers: stored.historyValue,
      entries: record.turn > told ? entriesOf(address, record, told, chunks) : [],
      context: stored.context as Record<string, unknown>,
    }
  }
}

function entriesOf(
  address: string,
  record: { recent: Uint8Array; recentFrom: number },
  told: number,
  chunks: readonly StoreWrite[],
): HistoryEntry[] {
  const entries: HistoryEntry[] = []
  // What was pushed out of the record in this very batch stands in rows of its own.
  for (const [key, value] of chunks) {
    const name = Buffer.from(key.buffer, key.byteOffset, key.byteLength)
    const end = name.length - 7
    if (value === null || name.toString('latin1', 3, end) !== address) continue
    const first = name.readUIntBE(end + 1, 6)
    if (first < record.recentFrom) unpackEntries(entries, first, told, value)
  }
  unpackEntries(entries, record.recentFrom, told, record.recent)
  return entries
}

function unpackEntries(entries: HistoryEntry[], first: number, told: number, bytes: Uint8Array) {
  if (bytes.length === 0) return
  const packed = unpackAll(bytes) as PackedEntry[]
  packed.forEach(([at, cause, by, commandId, from, to, note], index) => {
    const turn = first + index
    if (turn > told) entries.push({ turn, at, cause, by, commandId, from, to, note })
  })
}

function rememberedBy(key: Uint8Array): string {
  const text = Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1', 9)
  const end = text.indexOf('\0')
  return `${text.slice(end + 1)} ${text.slice(0, end)}`
}

function messageOf(target: number, number: number, bytes: Uint8Array) {
  const { from, to, event } = unpack(bytes) as { from: string; to: string; event: { type: string } }
  return { target, number, from, to, type: event.type }
}

function deadLetterOf(bytes: Uint8Array) {
  const [from, to, event, error] = unpack(bytes) as [
    string,
    string,
    { type: string },
    { code: string },
  ]
  return { from, to, type: event.type, code: error.code }
}
