export { checkListeners, createGateway, type Gateway, type GatewayOptions } from './gateway.ts'
export type { GatewayLimits } from './limits.ts'
export { durationMs } from './parameters.ts'
