/**
 * The rows that are made from the record of an actor, and which actor such a row belongs to. Decides:
 * what a verification asks for; the engine writes these rows as the record changes.
 */
import { stateText } from '../machine/index.ts'
import { type AddressText, addressOfEffect, machineOf } from '../protocol/index.ts'
import {
  addressOfFieldSuffix,
  addressOfSinceSuffix,
  type CounterName,
  clipState,
  fieldPrefix,
  fieldSuffix,
  stateIndexKey,
} from './index-keys.ts'
import { EMPTY, HEAD, nameOfKey, parseTimerKey, TABLE, taskKey, timerKey } from './keys.ts'
import { type ActorRecord, conditionOf, decodeActor } from './records.ts'
import { encodeTaskRow } from './task-rows.ts'

export interface ReadActor {
  address: AddressText
  record: ActorRecord
  /** Where it is counted. */
  counter: CounterName
  position: string
}

export interface DerivedRow {
  table: number
  key: Uint8Array
  value: Uint8Array
  /** For people. */
  what: string
}

/** @throws Error when it cannot be read */
export function readActor(address: AddressText, bytes: Uint8Array): ReadActor {
  const { record, stored } = decodeActor(bytes)
  const position = stateText(stored.value)
  const machine = [machineOf(address), ...record.sources].join('/')
  const counter = { machine, condition: conditionOf(record), state: clipState(position) }
  return { address, record, counter, position }
}

export function derivedRows(shard: number, actor: ReadActor): DerivedRow[] {
  const { address, record, counter, position } = actor
  const { machine, condition } = counter
  const rows: DerivedRow[] = [
    {
      table: TABLE.stateIndex,
      key: stateIndexKey(shard, machine, condition, position, record.since, address),
      value: EMPTY,
      what: 'lists by state',
    },
  ]
  for (const [field, value] of Object.entries(record.index)) {
    const key = Buffer.concat([fieldPrefix(shard, machine, field), fieldSuffix(value, address)])
    rows.push({ table: TABLE.fieldIndex, key, value: EMPTY, what: `lists by the field "${field}"` })
  }
  for (const { dueAt, effectId, id, frozenMs } of record.timers) {
    if (frozenMs !== null) continue
    rows.push({
      table: TABLE.timer,
      key: timerKey(shard, dueAt, effectId),
      value: EMPTY,
      what: `the timer ${id}`,
    })
  }
  for (const task of record.tasks) {
    const key = taskKey(shard, task.effectId)
    const what = `the task ${task.name}`
    rows.push({ table: TABLE.task, key, value: encodeTaskRow(task), what })
  }
  return rows
}

/** The address that such a row names; undefined when it names none. */
export function belongsTo(table: number, key: Uint8Array): AddressText | undefined {
  switch (table) {
    case TABLE.timer:
      return addressOfEffect(parseTimerKey(key).effectId)
    case TABLE.task:
      return addressOfEffect(nameOfKey(key))
    case TABLE.stateIndex: {
      // machine 0 condition state 0 since address
      const state = afterZero(key, HEAD)
      const since = state === undefined ? undefined : afterZero(key, state + 1)
      return since === undefined ? undefined : addressOfSinceSuffix(key.subarray(since))
    }
    case TABLE.fieldIndex: {
      // machine 0 field 0 value address
      const field = afterZero(key, HEAD)
      const value = field === undefined ? undefined : afterZero(key, field)
      return value === undefined ? undefined : addressOfFieldSuffix(key.subarray(value))
    }
    default:
      return undefined
  }
}

function afterZero(key: Uint8Array, from: number): number | undefined {
  const at = key.indexOf(0, from)
  return at < 0 ? undefined : at + 1
}
