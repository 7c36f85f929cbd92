export { requireLoopback } from './access.ts'
export { createGateway, DEFAULT_HTTP, type Gateway, type GatewayOptions } from './gateway.ts'
export { durationMs } from './parameters.ts'
