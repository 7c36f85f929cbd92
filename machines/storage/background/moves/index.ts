/** Moves of chunks to other disks: the actor that each of them is, and asking for one. */
import type { MachineDefinition } from '../../../../src/index.ts'
import { migrateTask } from './migrate-task.ts'

export { isMoveOver } from './live-moves.ts'
export {
  MOVE_TYPES,
  type MoveIdSources,
  type MoveType,
  moveAddress,
  newMoveId,
  newXid,
  parseMoveAddress,
  volumeOfMove,
} from './move-id.ts'
export { turnField } from './move-index.ts'
export {
  type MoveEvent,
  type MoveInput,
  type MoveRecord,
  type MoveStat,
  moveEvents,
  moveInput,
  type Unit,
} from './move-record.ts'
export { type MoveOrder, Moves } from './moves.ts'
export { type MovePorts, type MoveShards, type MoveUpkeep, openMoves } from './ports.ts'
export { type WireStat, type WireTask, type WireUnit, wireStat, wireTask } from './wire-task.ts'

export const moveMachines: readonly MachineDefinition[] = [migrateTask]
