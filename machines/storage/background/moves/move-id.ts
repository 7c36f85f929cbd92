/**
 * What moves are called. Decides: the kinds there are, in the order in which workers take them, and the ids
 * of tasks, which are the reference's (section 5.5): lists of one kind, or of one disk, are prefixes.
 */
import { type Clock, formatAddress, parseAddress, type Random } from '../../../../src/index.ts'
import { MOVER_MACHINE } from '../../plane/volumes/index.ts'

/** In the order in which they are given to workers. */
export const MOVE_TYPES = ['manual_migrate', 'disk_repair', 'disk_drop', 'balance'] as const
export type MoveType = (typeof MOVE_TYPES)[number]

/** Base 32 in the order of its values: ids of one disk and volume sort by their age. */
const DIGITS = '0123456789abcdefghijklmnopqrstuv'
const DIGIT_BITS = 5
const XID_BYTES = 12
const XID_CHARS = Math.ceil((XID_BYTES * 8) / DIGIT_BITS)

export interface MoveIdSources {
  clock: Pick<Clock, 'now'>
  random: Pick<Random, 'fraction'>
}

/** `balance-2678-387752-cg08egoi5d8une4a6cp0` */
export function newMoveId(
  type: MoveType,
  diskId: number,
  vid: number,
  sources: MoveIdSources,
): string {
  return `${type}-${diskId}-${vid}-${newXid(sources)}`
}

/** Undefined where that is no id of a move. */
export function volumeOfMove(taskId: string): number | undefined {
  const vid = Number(taskId.split('-')[2])
  return Number.isInteger(vid) && vid > 0 ? vid : undefined
}

/** As `rs/xid` has them: 4 bytes of seconds, 8 that tell apart who asks in the same one; 20 characters. */
export function newXid({ clock, random }: MoveIdSources): string {
  const bytes = new Uint8Array(XID_BYTES)
  new DataView(bytes.buffer).setUint32(0, Math.floor(clock.now() / 1_000))
  for (let at = 4; at < XID_BYTES; at++) bytes[at] = Math.floor(random.fraction() * 256)
  let value = bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n)
  // 96 bits are 20 digits with four bits to spare.
  value <<= BigInt(XID_CHARS * DIGIT_BITS - XID_BYTES * 8)
  let text = ''
  for (let at = 0; at < XID_CHARS; at++) {
    text = (DIGITS[Number(value & 31n)] ?? '0') + text
    value >>= BigInt(DIGIT_BITS)
  }
  return text
}

export function moveAddress(taskId: string): string {
  return formatAddress(MOVER_MACHINE, taskId)
}

/** The id of the task at an address; undefined where something else lives. */
export function parseMoveAddress(address: string): string | undefined {
  const { machine, id } = parseAddress(address)
  return machine === MOVER_MACHINE ? id : undefined
}
