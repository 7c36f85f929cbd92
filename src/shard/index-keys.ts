/**
 * Keys of the rows that lists and counts are answered from. Decides: their order, which is the order
 * of lists, and how much of a long text takes part in it. Leaves to others: the tables and what all
 * keys have in common (keys.ts).
 */
import type { ActorCondition, AddressText, IndexValue } from '../protocol/index.ts'
import { begin, HEAD, TABLE } from './keys.ts'

/** Of the state index; its letter is part of the key. */
export type Condition = ActorCondition

const CONDITION_CODE: Record<Condition, number> = {
  active: 0x61,
  paused: 0x62,
  parked: 0x63,
  done: 0x64,
  stopped: 0x65,
}

/**
 * Characters of a position that take part in keys, so that a chart of many regions fits LMDB's key.
 * Positions that differ only after that share their rows of the index; lists look at the record.
 */
const STATE_TEXT_MAX = 240

export function clipState(state: string): string {
  return state.length <= STATE_TEXT_MAX ? state : state.slice(0, STATE_TEXT_MAX)
}

/** All rows of one machine, condition and position; they end with since (6 bytes) and the address. */
export function statePrefix(
  shard: number,
  machine: string,
  condition: Condition,
  state: string,
): Buffer {
  const text = Buffer.from(`${machine}\0`, 'latin1')
  const name = Buffer.from(`${clipState(state)}\0`)
  const key = begin(shard, TABLE.stateIndex, text.length + 1 + name.length)
  text.copy(key, HEAD)
  key[HEAD + text.length] = CONDITION_CODE[condition]
  name.copy(key, HEAD + text.length + 1)
  return key
}

/** The row of one actor in the state index, in one allocation: two are made per transition. */
export function stateIndexKey(
  shard: number,
  machine: string,
  condition: Condition,
  state: string,
  sinceMs: number,
  address: AddressText,
): Buffer {
  const text = clipState(state)
  const stateBytes = Buffer.byteLength(text)
  const fixed = machine.length + 2 + stateBytes + 1
  const key = begin(shard, TABLE.stateIndex, fixed + 6 + address.length)
  let at = HEAD + key.write(machine, HEAD, 'latin1')
  key[at++] = 0
  key[at++] = CONDITION_CODE[condition]
  at += key.write(text, at)
  key[at++] = 0
  at = key.writeUIntBE(sinceMs, at, 6)
  key.write(address, at, 'latin1')
  return key
}

/** `since | address`: also the sort key of a list by age. */
export function sinceSuffix(sinceMs: number, address: AddressText): Buffer {
  const suffix = Buffer.allocUnsafe(6 + address.length)
  suffix.writeUIntBE(sinceMs, 0, 6)
  suffix.write(address, 6, 'latin1')
  return suffix
}

export function addressOfSinceSuffix(suffix: Uint8Array): AddressText {
  return Buffer.from(suffix.buffer, suffix.byteOffset, suffix.byteLength).toString('latin1', 6)
}

export function fieldPrefix(shard: number, machine: string, field: string): Buffer {
  const text = Buffer.from(`${machine}\0${field}\0`)
  const key = begin(shard, TABLE.fieldIndex, text.length)
  text.copy(key, HEAD)
  return key
}

/** `value | address`: also the sort key of a list by a field. */
export function fieldSuffix(value: IndexValue, address: AddressText): Buffer {
  return Buffer.concat([indexValueBytes(value), Buffer.from(address, 'latin1')])
}

export function addressOfFieldSuffix(suffix: Uint8Array): AddressText {
  const bytes = Buffer.from(suffix.buffer, suffix.byteOffset, suffix.byteLength)
  const start = bytes[0] === 0x05 ? bytes.indexOf(0, 1) + 1 : bytes[0] === 0x04 ? 9 : 1
  return bytes.toString('latin1', start)
}

/** Bytes of a text value that take part in the order; longer ones are cut, and equal to that point. */
const INDEX_TEXT_BYTES_MAX = 256

/** What of a value its rows can tell: a text is cut behind the bytes that take part in the order. */
export function clipIndexValue(value: IndexValue): IndexValue {
  // One more, so that a pair of surrogates that is cut here lies behind those bytes.
  return typeof value === 'string' ? value.slice(0, INDEX_TEXT_BYTES_MAX + 1) : value
}

/** Ordered bytes: null, false, true, numbers, texts (ended by a zero byte, zeros inside cut). */
export function indexValueBytes(value: IndexValue): Buffer {
  if (value === null) return Buffer.from([0x01])
  if (value === false) return Buffer.from([0x02])
  if (value === true) return Buffer.from([0x03])
  if (typeof value === 'number') {
    const bytes = Buffer.allocUnsafe(9)
    bytes[0] = 0x04
    bytes.writeDoubleBE(value === 0 ? 0 : value, 1)
    // Makes IEEE 754 sort bytewise: flip all bits of negatives, the sign bit of the others.
    if ((bytes[1] ?? 0) & 0x80) for (let i = 1; i < 9; i++) bytes[i] = ~(bytes[i] ?? 0) & 0xff
    else bytes[1] = (bytes[1] ?? 0) ^ 0x80
    return bytes
  }
  const zero = value.indexOf('\0')
  const text = Buffer.from(zero < 0 ? value : value.slice(0, zero)).subarray(
    0,
    INDEX_TEXT_BYTES_MAX,
  )
  return Buffer.concat([Buffer.from([0x05]), text, Buffer.from([0])])
}

/** What the indexes hold of an actor, and what its rows say of it. */
interface Indexed {
  address: AddressText
  kindName: string
  stateText: string
  index: Readonly<Record<string, IndexValue>>
  indexed: { stateText: string; index: Readonly<Record<string, IndexValue>> } | undefined
}

/** Of shard, table, condition, time and separators of one row, and its share of a record. */
const ROW_FIXED_BYTES = 32

/**
 * At most so many bytes of a batch are rows of the indexes and counts for a change of this actor: what
 * it stood under goes, what it stands under comes.
 */
export function indexRowsBytes({ address, kindName, stateText, index, indexed }: Indexed): number {
  const name = Buffer.byteLength(kindName)
  const now = stateBytes(stateText)
  const was =
    indexed === undefined || indexed.stateText === stateText ? now : stateBytes(indexed.stateText)
  // Of each position a row of the actor and a count.
  const positions = 2 * (address.length + 2 * name + 2 * ROW_FIXED_BYTES + now + was)
  return positions + fieldsBytes(index, address, name) + fieldsBytes(indexed?.index, address, name)
}

function stateBytes(stateText: string): number {
  return Buffer.byteLength(clipState(stateText))
}

function fieldsBytes(index: Indexed['index'] | undefined, address: string, name: number): number {
  let bytes = 0
  for (const field in index) {
    const fixed = address.length + name + INDEX_TEXT_BYTES_MAX + ROW_FIXED_BYTES
    bytes += fixed + Buffer.byteLength(field)
  }
  return bytes
}

export interface CounterName {
  machine: string
  condition: Condition
  state: string
}

export function counterKey(shard: number, name: CounterName): Buffer {
  const text = Buffer.from(`${name.machine}\0${name.condition}\0${clipState(name.state)}`)
  const key = begin(shard, TABLE.counter, text.length)
  text.copy(key, HEAD)
  return key
}

export function parseCounterKey(key: Uint8Array): CounterName {
  const text = Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('utf8', HEAD)
  const [machine = '', condition = 'active', state = ''] = text.split('\0')
  return { machine, condition: condition as Condition, state }
}
