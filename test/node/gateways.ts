/** Gateways of nodes of a rig, as operators reach them, and their command. Closed by `closeGateways`. */
import { createGateway, type Gateway, type GatewayOptions } from '../../src/index.ts'
import { run } from '../cli/rig.ts'
import type { RigNode } from './cluster-rig.ts'

const opened: Gateway[] = []

export async function gatewayOf(
  { node }: RigNode,
  options: Partial<GatewayOptions> = {},
): Promise<Gateway> {
  const gateway = await createGateway({ node, port: 0, ...options })
  opened.push(gateway)
  return gateway
}

export async function closeGateways(): Promise<void> {
  await Promise.all(opened.splice(0).map((gateway) => gateway.close({ graceMs: 0 })))
}

export const troupe = (gateway: Gateway, ...argv: string[]) =>
  run(argv, { env: { TROUPE_HTTP: gateway.url } })
