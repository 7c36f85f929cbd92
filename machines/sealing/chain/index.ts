/** The room of the simulated chain: a class for the manager, machines, routes and verbs. */
import type { MachineDefinition } from '../../../src/index.ts'
import { sealingChain } from './chain-machine.ts'
import { sealingMessage } from './message.ts'

export { chainVerbGroups } from '../verb-groups.ts'
export {
  Chain,
  type ChainView,
  type FaultRequest,
  type MessageState,
  type SeedState,
} from './chain.ts'
export { digestOf } from './randomness.ts'
export { chainRoutes } from './routes.ts'
export {
  type ChainConfig,
  chainConfig,
  MESSAGE_FAULTS,
  MESSAGE_KINDS,
  type MessageFault,
  type MessageKind,
} from './settings.ts'
export { chainVerbs } from './verbs.ts'

export const chainMachines: readonly MachineDefinition[] = [sealingChain, sealingMessage]
