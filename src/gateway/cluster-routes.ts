/**
 * The cluster, as a node of it knows it, and what administrators order. Decides: that whoever asks a node
 * that runs alone is told so, and that every order stands in the log with its author.
 */
import { z } from 'zod'
import type {
  ClusterOrder,
  ClusterReport,
  Handover,
  LeaderReport,
  Membership,
  NodeReport,
  OwnerChange,
  ShardReport,
  TroupeNode,
  Unplaced,
} from '../node/index.ts'
import { TroupeError } from '../protocol/index.ts'
import type { Exchange } from './exchange.ts'
import { flag, readFields, readQuery } from './parameters.ts'

const nodeReport = z.object({
  name: z.string(),
  isHeard: z.boolean().describe('false for a member that is silent'),
  isLeaving: z.boolean().describe('it stops, and hands over what it serves'),
  drain: z
    .object({ by: z.string(), at: z.number() })
    .nullable()
    .describe('an operator wishes that it has no shards'),
  zone: z.string().nullable(),
  weight: z.number(),
  owns: z.number(),
  serves: z.number(),
  follows: z.number(),
}) satisfies z.ZodType<NodeReport>

const shardReport = z.object({
  shard: z.number(),
  owner: z.string().nullable(),
  standby: z.string().nullable(),
  servedBy: z.array(z.string()),
  standbyLag: z.number().nullable().describe('slots; null while it is not known'),
  waitsFor: z.array(z.string()).describe('whose records this node waits for'),
  move: z
    .object({ to: z.string(), isPinned: z.boolean(), by: z.string(), at: z.number() })
    .nullable()
    .describe('where an operator wishes it'),
}) satisfies z.ZodType<ShardReport>

const change = {
  shard: z.number(),
  from: z.string().nullable(),
  to: z.string().nullable(),
}
const ownerChange = z.object(change) satisfies z.ZodType<OwnerChange>

const handover = z.object({
  ...change,
  waitsFor: z
    .enum(['standby', 'turn', 'claim'])
    .describe(
      'the new owner is behind; others are on their way, or it is behind with others; it is named and does not serve yet',
    ),
  lag: z.number().nullable().describe('slots that the new owner is behind'),
}) satisfies z.ZodType<Handover>

const unplaced = z.object({
  shard: z.number(),
  keptBy: z.string().nullable().describe('one that should not have it; null for nobody'),
  why: z.array(z.string()).describe('why each node that is there does not take it'),
}) satisfies z.ZodType<Unplaced>

const leaderReport = z.object({
  name: z.string(),
  epoch: z.number(),
  proposed: z
    .object({ leaderEpoch: z.number(), version: z.number() })
    .nullable()
    .describe('a view that the registry is not known to have yet'),
  handovers: z.array(handover),
  unplaced: z.array(unplaced),
}) satisfies z.ZodType<LeaderReport>

/** As the node has it, with what the leader and the owners say of themselves. */
export const clusterReport = z.object({
  leader: z.object({ name: z.string(), epoch: z.number() }).nullable(),
  view: z.object({ leaderEpoch: z.number(), version: z.number() }).nullable(),
  nodes: z.array(nodeReport),
  shards: z.array(
    shardReport.extend({
      slot: z.number().nullable().describe('null where owners are silent'),
      epoch: z.number().nullable().describe('the slot of the claim by which it is owned'),
    }),
  ),
  plans: leaderReport.nullable().describe('null where nobody leads, or it does not answer'),
}) satisfies z.ZodType<ClusterReport>

const NODE = { node: z.string().describe('its name') }
const SHARD = { shard: z.int().min(0) }
const MOVE = {
  ...SHARD,
  ...NODE,
  pin: z.boolean().optional().describe('it stays there until it is unpinned'),
}

interface OrderRoute {
  summary: string
  fields: z.ZodRawShape
  /** @throws TroupeError `malformed` */
  orderOf: (body: unknown, by: string) => ClusterOrder
}

/** By their paths below `/cluster`. */
export const ORDERS: Readonly<Record<string, OrderRoute>> = {
  drain: {
    summary: 'All shards of a node go to others, until it is undrained; it goes on without',
    fields: NODE,
    orderOf: (body, by) => ({ kind: 'drain', ...readFields(body, NODE), by }),
  },
  undrain: {
    summary: 'A node that was drained takes shards again',
    fields: NODE,
    orderOf: (body, by) => ({ kind: 'undrain', ...readFields(body, NODE), by }),
  },
  move: {
    summary: 'A shard goes to a node; where all have the same, one of that node goes back',
    fields: MOVE,
    orderOf: (body, by) => {
      const { shard, node: to, pin: isPinned = false } = readFields(body, MOVE)
      return { kind: 'move', shard, to, isPinned, by }
    },
  },
  unpin: {
    summary: 'A shard that was pinned goes where the others do',
    fields: SHARD,
    orderOf: (body, by) => ({ kind: 'unpin', ...readFields(body, SHARD), by }),
  },
}

export const ORDER_QUERY = { dryRun: flag.optional() }
export const ORDER_ANSWER = z.object({
  changes: z.array(ownerChange).describe('the shards that get other owners, of these and others'),
})

export const GIVE_UP = z.strictObject({ node: z.string() })
export const GIVEN_UP = z.object({ shards: z.array(z.number()) })

/** In trouble owners do not answer: the rest is shown without them. */
const SLOTS_MS = 1_000

/** @throws TroupeError `not-found` on a node that runs alone */
export async function showCluster(
  node: TroupeNode,
  { search }: Exchange,
): Promise<z.infer<typeof clusterReport>> {
  readQuery(search, {})
  const membership = membershipOf(node)
  const [owners, plans] = await Promise.all([
    node.client.shards({ timeoutMs: SLOTS_MS }).catch(() => []),
    membership.plans(),
  ])
  const report = membership.status()
  const said = new Map(owners.map((one) => [one.shard, one]))
  const shards = report.shards.map((one) => {
    const { slot = null, epoch = null } = said.get(one.shard) ?? {}
    return { ...one, slot, epoch }
  })
  return { ...report, shards, plans }
}

/** @throws TroupeError `not-found`, `malformed`, `conflict`, `unavailable`, `no-answer` */
export async function orderCluster(
  node: TroupeNode,
  name: string,
  { body, search, access }: Exchange,
): Promise<z.infer<typeof ORDER_ANSWER>> {
  const membership = membershipOf(node)
  const { dryRun = false } = readQuery(search, ORDER_QUERY)
  const order = ORDERS[name]!.orderOf(body(), access.author)
  const changes = await membership.order(order, { dryRun })
  if (!dryRun) {
    const { by: author, ...what } = order
    node.log.warn({ ...what, author, changes: changes.length }, 'an operator has given an order')
  }
  return { changes }
}

/** @throws TroupeError `not-found`, `malformed`, `conflict` */
export async function giveUpNode(
  node: TroupeNode,
  { body, access }: Exchange,
): Promise<z.infer<typeof GIVEN_UP>> {
  const membership = membershipOf(node)
  const given = GIVE_UP.safeParse(body())
  if (!given.success) {
    throw new TroupeError('malformed', 'the body names whose records are given up: {"node": "n3"}')
  }
  const shards = await membership.giveUp(given.data.node)
  const fields = { node: given.data.node, author: access.author, shards }
  node.log.warn(fields, 'an operator has given up the records of a node')
  return { shards }
}

function membershipOf({ membership, name }: TroupeNode): Membership {
  if (membership) return membership
  throw new TroupeError('not-found', `${name} runs alone: it has all shards to itself`)
}
