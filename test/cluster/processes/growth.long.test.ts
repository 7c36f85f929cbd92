/** A cluster grows from one node to five and shrinks again while clients write. */
import { afterEach, describe, expect, it } from 'vitest'
import { missingNatsServer } from '../../nats-server.ts'
import { Processes } from './harness.ts'
import { DEFAULT_SETTINGS } from './node-settings.ts'

/** Checkpoints come so early that whoever joins later finds no journal that begins with slot 1. */
const EARLY = {
  ...DEFAULT_SETTINGS.limits,
  checkpointSlots: 40,
  checkpointLookMs: 200,
  journalRetentionMs: 500,
  journalSlotsMin: 10,
}
const OTHERS = ['n2', 'n3', 'n4', 'n5']

let cluster: Processes | undefined

afterEach(() => cluster?.close())

describe.skipIf(missingNatsServer)('a cluster under load', () => {
  it('grows to five nodes and shrinks to one: balanced, no error, nothing lost or doubled', async () => {
    cluster = await Processes.open({ nodes: ['n1'], settings: { limits: EARLY } })
    await cluster.startAll()
    const notes = await cluster.notes({ library: 12, json: 6 })
    await notes.everybody(150, 120_000)
    for (const name of OTHERS) {
      await (await cluster.add(name)).start()
      await balanced(cluster)
      await notes.everybody(5)
    }
    const news = OTHERS.map((name) => cluster!.node(name))
    expect(news.some(({ log }) => log.includes('a checkpoint is loaded'))).toBe(true)
    for (const node of news.reverse()) {
      expect(await node.stop(), 'it hands over and ends').toBe(0)
      await balanced(cluster)
      await notes.everybody(5)
    }
    expect(await notes.findings()).toEqual([])
    expect(notes.failures).toEqual([])
  }, 500_000)
})

/** Each has as many shards as the others, or one more. */
function balanced(processes: Processes): Promise<unknown> {
  const isBalanced = async () => {
    const { nodes } = await processes.settled()
    const owns = nodes.map((one) => one.owns)
    return nodes.length === processes.up.length && Math.max(...owns) - Math.min(...owns) <= 1
  }
  return processes.until(isBalanced, 'everybody has as many shards as the others')
}
