/** The switches of background tasks: which of them may run. */
import type { AppOptions, MachineDefinition } from '../../../src/index.ts'
import { storageSwitches, switchesSingleton } from './storage-switches.ts'

export {
  SWITCHES_ADDRESS,
  type SwitchTold,
  type SwitchValues,
  switchTold,
} from './storage-switches.ts'
export { isUnheardSubscription, subscriptionTo } from './subscription.ts'
export { openSwitches, SWITCH_NAMES, type SwitchName, switchName } from './switch-names.ts'
export { Switches } from './switches.ts'

export const switchMachines: readonly MachineDefinition[] = [storageSwitches]
export const switchSingletons: NonNullable<AppOptions<unknown>['singletons']> = [switchesSingleton]
