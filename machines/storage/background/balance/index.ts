/** Balancing: disks of an idc are kept equally full. */
import type { AppOptions, MachineDefinition } from '../../../../src/index.ts'
import { balancePlanner, balanceSingleton } from './planner.ts'

export { type BalanceConfig, balanceConfig } from './config.ts'
export { type BalanceView, balanceView, type PlannerRecord } from './planner-record.ts'
export { type BalancePorts, openBalance } from './ports.ts'

export const balanceMachines: readonly MachineDefinition[] = [balancePlanner]
export const balanceSingletons: NonNullable<AppOptions<unknown>['singletons']> = [balanceSingleton]
