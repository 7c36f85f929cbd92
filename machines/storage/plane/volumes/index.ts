/** Volumes: their actors, which of them a node writes to, and the numbers that the store gives out. */
import type { AppOptions, MachineDefinition } from '../../../../src/index.ts'
import { numbers, numbersSingleton } from './numbers.ts'
import { volume } from './volume.ts'

export { Bids } from './bids.ts'
export { type ClaimedBefore, MoveClaims } from './claims.ts'
export { BIRTH_MS, MOVER_MACHINE } from './move-claims.ts'
export { type ChunkCalls, openVolumes, type UnitPlace } from './ports.ts'
export { type VolumeRoutesDeps, volumeRoutes } from './routes.ts'
export { StrayChunks } from './stray-chunks.ts'
export { isUnusable } from './unusable-chunks.ts'
export { volumeAddress } from './volume.ts'
export { isRefused, VolumeCalls } from './volume-calls.ts'
export { VolumeMaker } from './volume-maker.ts'
export type { Chunk, PlannedMove, VolumeRecord, VolumeStanding } from './volume-record.ts'
export { healthOf, type UnitView, type VolumeView, VolumeViews, viewOf } from './volume-views.ts'
export { Volumes } from './volumes.ts'

export const volumeMachines: readonly MachineDefinition[] = [volume, numbers]
export const volumeSingletons: NonNullable<AppOptions<unknown>['singletons']> = [numbersSingleton]
