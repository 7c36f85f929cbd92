/**
 * The room of the sector manager, in both roles: the client of one, and one that is built in. README.md
 * says what it offers.
 */
import type { AppOptions, MachineDefinition } from '../../../src/index.ts'
import { deals } from './deals.ts'
import { numbers } from './numbers.ts'
import { proof } from './proofs.ts'
import { sector } from './sector.ts'
import { storeRoom } from './store-room.ts'
import { workerPings } from './worker-pings.ts'

export { managerVerbGroups } from '../verb-groups.ts'
export { managerUrl } from './address.ts'
export type { WdPoStPort } from './calls.ts'
export type { ChainPort, MessageKind } from './chain-port.ts'
export { type CallFigures, ManagerClient, type ManagerClientOptions } from './client.ts'
export { commitmentOfPiece, commitmentOfSector } from './commitments.ts'
export { type ManagerConfig, managerConfig } from './config.ts'
export { type ContentChecks, type ContentVerdict, proverChecks } from './content-checks.ts'
export { type ManagerRoutesDeps, managerRoutes } from './routes.ts'
export { sectorAddress } from './sector.ts'
export type { SectorRecord } from './sector-record.ts'
export { managerVerbs } from './verbs.ts'
export { type PingSummary, WorkerPings } from './worker-list.ts'

export const managerMachines: readonly MachineDefinition[] = [
  sector,
  numbers,
  deals,
  storeRoom,
  proof,
  workerPings,
]
/** The room in all stores is counted in one place. */
export const managerSingletons: NonNullable<AppOptions<unknown>['singletons']> = [
  { machine: 'sealing-stores', id: 'main' },
]
