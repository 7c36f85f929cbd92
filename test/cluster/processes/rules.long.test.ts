/**
 * Each rule of the journal's writes taken away, in front of nodes that are the ones that are shipped, with
 * an owner that stood still past its lease: would the checkers notice that there are two writers?
 *
 * Of the two conditions the stream's sequence alone keeps slots from being written twice, on one server and
 * on three (2.9.10; 200 races of 12 writers had one winner each): the last message of a stream that has slot
 * n is never that of slot n - 1. So the create-only condition can be missed only where the other one is
 * missing as well, and both cases are shown here.
 */
import { afterEach, describe, expect, it } from 'vitest'
import { missingNatsServer } from '../../nats-server.ts'
import { CheckedWork } from './checked.ts'
import { Processes } from './harness.ts'
import type { Rewrite } from './link.ts'
import { DEFAULT_SETTINGS } from './node-settings.ts'
import { AFTER_SEQUENCE, CREATE_ONLY, without } from './rules-taken-away.ts'
import { freezePastItsLease, sinceThaw } from './takeover.ts'

const TIME_MS = 170_000
const NOTICED_MS = 30_000

/** Slots go as soon as a checkpoint has what they held. */
const FORGETFUL = {
  ...DEFAULT_SETTINGS.limits,
  checkpointSlots: 10,
  checkpointLookMs: 100,
  journalRetentionMs: 200,
  journalSlotsMin: 1,
}

let cluster: Processes
let work: CheckedWork

afterEach(async () => {
  work?.end()
  await cluster?.close()
}, TIME_MS)

/** Two nodes, of which the first has stood still while the other had all shards. */
async function frozen(rewrite: () => Rewrite, isForgetful: boolean) {
  const settings = { shards: 2, ...(isForgetful && { limits: FORGETFUL }) }
  cluster = await Processes.open({ nodes: ['n1', 'n2'], settings, rewrite })
  await cluster.startAll()
  work = await CheckedWork.begin(cluster, { seed: 1 })
  await work.more(50)
  const node = cluster.node('n1')
  const shards = await freezePastItsLease(cluster, node)
  expect(shards).not.toEqual([])
  return { node, shards }
}

async function notices(checker: string): Promise<void> {
  let found: string[] = []
  await cluster.until(
    async () => {
      found = [...new Set((await work.verdictNow()).map((one) => one.checker))]
      return found.includes(checker)
    },
    () => `${checker} notices it; found were ${found.join(', ') || 'none'}`,
    NOTICED_MS,
    1_000,
  )
}

/** Its slots are gone from the journals, up to those that it would write next. */
async function slotsAreRemoved(shards: readonly number[]): Promise<void> {
  const last = new Map<number, number>()
  for (const event of cluster.node('n1').events) {
    if (event.kind === 'slot-seen') {
      last.set(event.shard, Math.max(last.get(event.shard) ?? 0, event.slot))
    }
  }
  const journals = await cluster.journals()
  await cluster.until(
    async () => {
      const slots = await journals.read()
      return shards.every((shard) => {
        const [first] = slots.filter((slot) => slot.shard === shard)
        return first !== undefined && first.slot > last.get(shard)! + 2
      })
    },
    'slots are removed behind a checkpoint',
    NOTICED_MS,
    500,
  )
}

describe.skipIf(missingNatsServer)('an owner that stood still past its lease', () => {
  it(
    'writes over another one where slots are written without conditions',
    async () => {
      const { node } = await frozen(without(CREATE_ONLY, AFTER_SEQUENCE), false)
      node.thaw()
      await notices('one-writer')
    },
    TIME_MS,
  )

  it(
    'writes a removed slot anew where the sequence of the stream is no condition',
    async () => {
      const { node, shards } = await frozen(without(AFTER_SEQUENCE), true)
      await slotsAreRemoved(shards)
      node.thaw()
      await notices('one-writer')
    },
    TIME_MS,
  )

  it(
    'is refused where both hold, and slots were removed',
    async () => {
      const { node, shards } = await frozen(without(), true)
      await slotsAreRemoved(shards)
      node.thaw()
      await cluster.settled()
      const { account } = await work.judge()
      expect(account).toBe('')
    },
    TIME_MS,
  )

  it(
    'is refused where slots are not created only, but after a sequence',
    async () => {
      const { node } = await frozen(without(CREATE_ONLY), false)
      node.thaw()
      await cluster.until(() => sinceThaw(node).refused.length > 0, 'it is refused')
      await cluster.settled()
      const { account } = await work.judge()
      expect(account).toBe('')
    },
    TIME_MS,
  )
})
