/**
 * A cluster of real processes under faults. What the simulator's checkers ask of a simulated world is asked
 * of this one: see checked.ts.
 */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { missingNatsServer } from '../../nats-server.ts'
import { SimRandom } from '../../simulation/random.ts'
import { CheckedWork } from './checked.ts'
import { befall, named } from './faults.ts'
import { Processes } from './harness.ts'
import { freezePastItsLease, sinceThaw } from './takeover.ts'

const TIME_MS = 180_000
const seed = inject('seed')

describe.skipIf(missingNatsServer)('three nodes', () => {
  let cluster: Processes
  let work: CheckedWork

  beforeAll(async () => {
    cluster = await Processes.open({ nodes: ['n1', 'n2', 'n3'] })
    await cluster.startAll()
    work = await CheckedWork.begin(cluster, { seed, library: 2, json: 1, actors: 12 })
    await work.more(50)
  }, TIME_MS)

  afterAll(async () => {
    work?.end()
    await cluster?.close()
  }, TIME_MS)

  it(
    'an owner that stood still past its lease cannot commit, says so, and lets go',
    async () => {
      const { leader } = await cluster.settled()
      const node = cluster.nodes.find(({ name }) => name !== leader?.name)!
      const shards = await freezePastItsLease(cluster, node)
      expect(shards.length).toBeGreaterThan(0)
      await work.more(20)
      node.thaw()
      const hasLearnt = () => {
        const { refused, unavailable, letGo } = sinceThaw(node)
        return (
          refused.length > 0 && unavailable > 0 && letGo.some((shard) => refused.includes(shard))
        )
      }
      await cluster.until(
        hasLearnt,
        () => `${node.name} lets go: ${JSON.stringify(sinceThaw(node))}`,
      )
      expect(shards).toEqual(expect.arrayContaining(sinceThaw(node).refused))
      await cluster.settled()
    },
    TIME_MS,
  )

  it(
    'outlive what befalls them, in an order of chance',
    async () => {
      const random = new SimRandom(seed).fork('faults')
      await befall({ cluster, work, random }, named('kill', 'stop', 'killNats'))
    },
    TIME_MS,
  )

  it(
    'and in the end no promise is broken',
    async () => {
      const { account, violations, events } = await work.judge()
      expect(account, `seed ${seed}`).toBe('')
      expect(violations).toEqual([])
      const kinds = new Set(events.map(({ kind }) => kind))
      // A run that did nothing proves nothing.
      for (const kind of [
        'relayed',
        'callback',
        'task-reported',
        'end-store',
        'answered',
      ] as const) {
        expect(kinds).toContain(kind)
      }
    },
    TIME_MS,
  )
})
