/** All nodes are restarted one by one, as for a roll-out, while clients write: none of them sees an error. */
import { afterEach, describe, expect, it } from 'vitest'
import { shardOf } from '../../../src/protocol/index.ts'
import { missingNatsServer } from '../../nats-server.ts'
import { Processes } from './harness.ts'
import type { Notes } from './notes.ts'

const NODES = ['n1', 'n2', 'n3']
const ROUNDS = 2

let cluster: Processes | undefined

afterEach(() => cluster?.close())

describe.skipIf(missingNatsServer)('a rolling restart', () => {
  it('is seen by no client, over the library or bare NATS', async () => {
    cluster = await Processes.open({ nodes: NODES })
    await cluster.startAll()
    const notes = await cluster.notes({ library: 12, json: 12 })
    for (let round = 0; round < ROUNDS; round++) {
      for (const name of NODES) {
        expect(await cluster.node(name).stop(), 'it hands over and ends').toBe(0)
        await notes.everybody(3)
        await cluster.node(name).start()
        await cluster.settled()
        await notes.everybody(3)
      }
    }
    expect(await notes.findings()).toEqual([])
    expect(notes.failures).toEqual([])
    process.stdout.write(`longest pauses by shard: ${pausesOf(notes, cluster.settings.shards)}\n`)
  }, 400_000)
})

/** Reported, and not judged: what it is depends on the machine. */
function pausesOf({ pauses }: Notes, shardCount: number): string {
  const byShard = new Map<number, number>()
  for (const { address, pauseMs } of pauses) {
    const shard = shardOf(address, shardCount)
    byShard.set(shard, Math.max(byShard.get(shard) ?? 0, pauseMs))
  }
  return [...byShard]
    .sort(([one], [other]) => one - other)
    .map(([shard, ms]) => `${shard}: ${Math.round(ms)} ms`)
    .join(', ')
}
