export { createGateway, DEFAULT_HTTP, type Gateway, type GatewayOptions } from './gateway.ts'
export { requireLoopback } from './access.ts'
export { durationMs } from './parameters.ts'
