/**
 * The cluster, as a node of it knows it. Decides: that whoever asks a node that runs alone is told so.
 */
import { z } from 'zod'
import type {
  ClusterReport,
  Membership,
  NodeReport,
  ShardReport,
  TroupeNode,
} from '../node/index.ts'
import { TroupeError } from '../protocol/index.ts'
import type { Exchange } from './exchange.ts'
import { readQuery } from './parameters.ts'

const nodeReport = z.object({
  name: z.string(),
  isHeard: z.boolean().describe('false for a member that is silent'),
  isLeaving: z.boolean(),
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
}) satisfies z.ZodType<ShardReport>

/** As the node has it, with what the owners say of themselves. */
export const clusterReport = z.object({
  leader: z.object({ name: z.string(), epoch: z.number() }).nullable(),
  view: z.object({ leaderEpoch: z.number(), version: z.number() }).nullable(),
  nodes: z.array(nodeReport),
  shards: z.array(
    shardReport.extend({ slot: z.number().nullable().describe('null where owners are silent') }),
  ),
}) satisfies z.ZodType<ClusterReport>

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
  const report = membershipOf(node).status()
  const owners = await node.client.shards({ timeoutMs: SLOTS_MS }).catch(() => [])
  const slots = new Map(owners.map(({ shard, slot }) => [shard, slot]))
  const shards = report.shards.map((one) => ({ ...one, slot: slots.get(one.shard) ?? null }))
  return { ...report, shards }
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
