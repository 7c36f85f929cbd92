/**
 * Where each kind of row lives in the store. Decides: the key layout, part of the format on disk.
 *
 * A key is `shard (2 bytes) | table (1 byte) | rest`, so that a shard is one contiguous range.
 * Numbers are big-endian, texts are ended by a zero byte (no name can hold one), and addresses are
 * ASCII by construction. Times and counters take 6 bytes: 2^48 ms reaches the year 10889.
 */
import { type AddressText, pack, unpack } from '../protocol/index.ts'

/**
 * LMDB copies every page in which a row changes, so rows that change with every batch lie together:
 * the counts and `meta` right behind the newest of the remembered ids.
 */
export const TABLE = {
  loading: 0x01,
  applied: 0x02,
  actor: 0x10,
  history: 0x11,
  kept: 0x12,
  dedupe: 0x20,
  counter: 0x21,
  meta: 0x22,
  timer: 0x30,
  task: 0x40,
  live: 0x41,
  draining: 0x42,
  leftover: 0x43,
  outbox: 0x50,
  outboxEnd: 0x51,
  inbound: 0x52,
  deadLetter: 0x53,
  generation: 0x54,
  stateIndex: 0x60,
  fieldIndex: 0x61,
  fingerprint: 0x63,
  audit: 0x70,
  tail: 0x80,
  quarantine: 0x81,
} as const

/** The window of remembered ids moves in steps of this, so that not every batch has to look. */
export const DEDUPE_STEP_MS = 60_000

const NO_SHARD = 0xffff
/** Below it in the same place stand the rows of the data directory. */
const NODE_ROWS = 0x10

/** Bytes of shard and table. */
export const HEAD = 3

/** Times of six bytes: what lies beyond the year 10889 stands at its end. */
export const TIME_MAX_MS = 2 ** 48 - 1

function keyTime(timeMs: number): number {
  return Math.min(Math.max(0, timeMs), TIME_MAX_MS)
}

/** A key with its shard and table; the caller fills the rest. */
export function begin(shard: number, table: number, rest: number): Buffer {
  const key = Buffer.allocUnsafe(HEAD + rest)
  key[0] = shard >> 8
  key[1] = shard & 0xff
  key[2] = table
  return key
}

export function tableRange(shard: number, table: number): { from: Buffer; to: Buffer } {
  return { from: begin(shard, table, 0), to: begin(shard, table + 1, 0) }
}

export function metaKey(shard: number): Buffer {
  return begin(shard, TABLE.meta, 0)
}

/** Journaled only: the newest slot whose rows the store shows, and its hash. */
export function appliedKey(shard: number): Buffer {
  return begin(shard, TABLE.applied, 0)
}

/** Journaled only: while a checkpoint takes the place of the rows of the shard. */
export function loadingKey(shard: number): Buffer {
  return begin(shard, TABLE.loading, 0)
}

export function actorKey(shard: number, address: AddressText): Buffer {
  return addressKey(shard, TABLE.actor, address)
}

export function liveKey(shard: number, effectId: string): Buffer {
  return addressKey(shard, TABLE.live, effectId)
}

export function taskKey(shard: number, effectId: string): Buffer {
  return addressKey(shard, TABLE.task, effectId)
}

export function drainingKey(shard: number, address: AddressText): Buffer {
  return addressKey(shard, TABLE.draining, address)
}

/** What is left to remove of an actor that is gone (leftovers.ts). */
export function leftoverKey(shard: number, address: AddressText): Buffer {
  return addressKey(shard, TABLE.leftover, address)
}

function addressKey(shard: number, table: number, ascii: string): Buffer {
  const key = begin(shard, table, ascii.length)
  key.write(ascii, HEAD, 'latin1')
  return key
}

/** The address (or effect id) of such a key. */
export function nameOfKey(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1', HEAD)
}

export function historyKey(shard: number, address: AddressText, turn: number): Buffer {
  return numberedKey(shard, TABLE.history, address, turn)
}

export function keptKey(shard: number, address: AddressText, sequence: number): Buffer {
  return numberedKey(shard, TABLE.kept, address, sequence)
}

/** Bytes of a numbered key beside its address: head, a zero byte, the number. */
export const NUMBER_BYTES = HEAD + 7

function numberedKey(shard: number, table: number, address: AddressText, count: number): Buffer {
  const length = address.length
  const key = begin(shard, table, length + 7)
  key.write(address, HEAD, 'latin1')
  key[HEAD + length] = 0
  key.writeUIntBE(count, HEAD + length + 1, 6)
  return key
}

/**
 * In the order of the time in the id: what is written together lies together, and what is past the
 * window is one range. The rest of the id is printable ASCII, so a zero byte ends it.
 */
export function dedupeKey(
  shard: number,
  issuedAtMs: number,
  address: AddressText,
  commandId: string,
): Buffer {
  const key = begin(shard, TABLE.dedupe, 6 + commandId.length + 1 + address.length)
  key.writeUIntBE(issuedAtMs, HEAD, 6)
  key.write(commandId, HEAD + 6, 'latin1')
  key[HEAD + 6 + commandId.length] = 0
  key.write(address, HEAD + 7 + commandId.length, 'latin1')
  return key
}

/** Everything issued before this time. */
export function dedupeRangeBefore(shard: number, timeMs: number): { from: Buffer; to: Buffer } {
  const to = begin(shard, TABLE.dedupe, 6)
  to.writeUIntBE(keyTime(timeMs), HEAD, 6)
  return { from: begin(shard, TABLE.dedupe, 0), to }
}

/** Of a key of `dedupeKey`. */
export function issuedAtOfDedupeKey(key: Uint8Array): number {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).readUIntBE(HEAD, 6)
}

export function timerKey(shard: number, dueAtMs: number, effectId: string): Buffer {
  const key = begin(shard, TABLE.timer, 6 + effectId.length)
  key.writeUIntBE(keyTime(dueAtMs), HEAD, 6)
  key.write(effectId, HEAD + 6, 'latin1')
  return key
}

export function timerBound(shard: number, dueAtMs: number): Buffer {
  const key = begin(shard, TABLE.timer, 6)
  key.writeUIntBE(keyTime(dueAtMs), HEAD, 6)
  return key
}

export function parseTimerKey(key: Uint8Array): { dueAtMs: number; effectId: string } {
  const bytes = Buffer.from(key.buffer, key.byteOffset, key.byteLength)
  return { dueAtMs: bytes.readUIntBE(HEAD, 6), effectId: bytes.toString('latin1', HEAD + 6) }
}

export function outboxKey(shard: number, target: number, sequence: number): Buffer {
  const key = begin(shard, TABLE.outbox, 8)
  key.writeUInt16BE(target, HEAD)
  key.writeUIntBE(sequence, HEAD + 2, 6)
  return key
}

export function parseOutboxKey(key: Uint8Array): { target: number; sequence: number } {
  const bytes = Buffer.from(key.buffer, key.byteOffset, key.byteLength)
  return { target: bytes.readUInt16BE(HEAD), sequence: bytes.readUIntBE(HEAD + 2, 6) }
}

export function outboxEndKey(shard: number, target: number): Buffer {
  return peerKey(shard, TABLE.outboxEnd, target)
}

/** By the slot in which it began. */
export function generationKey(shard: number, slot: number): Buffer {
  return slotKey(shard, TABLE.generation, slot)
}

export function inboundKey(shard: number, source: number): Buffer {
  return peerKey(shard, TABLE.inbound, source)
}

function peerKey(shard: number, table: number, peer: number): Buffer {
  const key = begin(shard, table, 2)
  key.writeUInt16BE(peer, HEAD)
  return key
}

export function peerOfKey(key: Uint8Array): number {
  return ((key[HEAD] ?? 0) << 8) | (key[HEAD + 1] ?? 0)
}

/** Audit rows and dead letters, in the order of their commits. */
export function sequencedKey(
  shard: number,
  table: typeof TABLE.audit | typeof TABLE.deadLetter,
  atMs: number,
  slot: number,
  index: number,
): Buffer {
  const key = begin(shard, table, 14)
  key.writeUIntBE(atMs, HEAD, 6)
  key.writeUIntBE(slot, HEAD + 6, 6)
  key.writeUInt16BE(index & 0xffff, HEAD + 12)
  return key
}

export function sequencedBound(
  shard: number,
  table: typeof TABLE.audit | typeof TABLE.deadLetter,
  atMs: number,
): Buffer {
  const key = begin(shard, table, 6)
  key.writeUIntBE(keyTime(atMs), HEAD, 6)
  return key
}

export function tailKey(shard: number, slot: number): Buffer {
  return slotKey(shard, TABLE.tail, slot)
}

function slotKey(shard: number, table: number, slot: number): Buffer {
  const key = begin(shard, table, 6)
  key.writeUIntBE(slot, HEAD, 6)
  return key
}

/** A record that was off the chain of the journal; its hash tells those of one slot apart. */
export function quarantineKey(shard: number, slot: number, hash: string): Buffer {
  const key = begin(shard, TABLE.quarantine, 6 + hash.length)
  key.writeUIntBE(slot, HEAD, 6)
  key.write(hash, HEAD + 6, 'latin1')
  return key
}

/** Rows of the node itself lie behind those of every shard: 0xffff is no shard. */
export function nodeKey(name: string): Buffer {
  return addressKey(NO_SHARD, NODE_ROWS, name)
}

export function slotOfTailKey(key: Uint8Array): number {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).readUIntBE(HEAD, 6)
}

/** Under which form of a machine its actors are stored and indexed (reindex.ts). */
export function fingerprintKey(shard: number, machine: string): Buffer {
  return addressKey(shard, TABLE.fingerprint, machine)
}

/** The smallest key above every key that begins with `prefix`. */
export function prefixEnd(prefix: Uint8Array): Buffer {
  const end = Buffer.from(prefix)
  for (let i = end.length - 1; i >= 0; i--) {
    const byte = end[i] ?? 0
    if (byte < 0xff) {
      end[i] = byte + 1
      return end.subarray(0, i + 1)
    }
  }
  return Buffer.concat([Buffer.from(prefix), Buffer.from([0xff])])
}

export const EMPTY = Buffer.alloc(0)

export function packNumber(value: number): Uint8Array {
  return pack(value)
}

export function unpackNumber(bytes: Uint8Array): number {
  return unpack(bytes) as number
}
