/**
 * What lanes and queues need of the configuration, and how their tasks come by it. Decides: the settings, each
 * with its reason. Leaves to others: opening them with the node.
 */
import { z } from 'zod'
import { NodePorts } from '../../plane/node-ports.ts'
import { WORK_QUEUE_MAX, WORK_QUEUE_SIZE } from './lane-record.ts'

/** Twice as long as workers wait between two renewals. */
const LEASE_MS = 10_000
/** What a worker could not do, another can do no better at once. */
const CANCEL_PUNISH_MS = 20_000

export const lanesConfig = z.strictObject({
  /** Tasks of one type that are in hand at a time: from their turn until their volume is free again. */
  workQueueSize: z.int().min(1).max(WORK_QUEUE_MAX).default(WORK_QUEUE_SIZE),
  /** Silence of a worker after which another gets its task. */
  leaseMs: z.int().min(1_000).max(600_000).default(LEASE_MS),
  /** How long a task that its worker gave up is kept from all of them. */
  cancelPunishMs: z.int().min(0).max(3_600_000).default(CANCEL_PUNISH_MS),
})
export type LanesConfig = z.output<typeof lanesConfig>

const ports = new NodePorts<LanesConfig>()

export const openLanes = ports.open.bind(ports)
export const settingsOf = ports.of.bind(ports)
