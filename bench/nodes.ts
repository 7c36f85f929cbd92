/** Nodes to measure, put together through the public door alone. */
import { type App, createNode, type Limits, type TroupeNode } from '../src/index.ts'
import { benchApp, order } from './machines.ts'
import { each } from './measure.ts'

export interface BenchNodeOptions {
  directory: string
  limits?: Partial<Limits>
  apps?: readonly App[]
  /** Default: no worker. */
  slots?: number
}

export function openNode(options: BenchNodeOptions): Promise<TroupeNode> {
  const { directory, limits, apps, slots } = options
  return createNode({
    dataDirectory: directory,
    apps: apps ?? [benchApp],
    ...(limits === undefined ? {} : { limits }),
    worker: slots === undefined ? false : { slots },
  })
}

/** Calls under way while many actors are made: what a bulk load by a program looks like. */
export const BULK_IN_FLIGHT = 4_096

/** Starts orders 0 … count-1; the time it took in ms. */
export function startOrders(node: TroupeNode, count: number, idOf?: (n: number) => string) {
  return each(count, BULK_IN_FLIGHT, (n) =>
    node.client.start(`order/${n}`, { n }, idOf === undefined ? {} : { id: idOf(n) }),
  )
}

export function orderAddress(n: number): string {
  return `${order.name}/${n}`
}
