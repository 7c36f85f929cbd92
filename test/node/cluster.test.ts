/** A node of a cluster, put together: whoever is asked answers, and nothing that was told is lost. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { shardOf } from '../../src/protocol/index.ts'
import { until } from '../waiting.ts'
import { ClusterRig, LIMITS, type RigNode, SHARDS } from './cluster-rig.ts'
import { counters } from './counters.ts'

let rig: ClusterRig

beforeEach(() => {
  rig = new ClusterRig([counters])
})

afterEach(() => rig.close())

/** An actor on each shard. */
function addresses(): string[] {
  const found = new Map<number, string>()
  for (let n = 0; found.size < SHARDS; n++) {
    const address = `counter/${n}`
    const shard = shardOf(address, SHARDS)
    if (!found.has(shard)) found.set(shard, address)
  }
  return [...found.values()]
}

const note = (at: RigNode, address: string, text: string) =>
  at.node.client.send(address, { type: 'NOTE', text }, { timeoutMs: 15_000 })

const seen = async (at: RigNode, address: string) =>
  ((await at.node.client.get(address)).context as { seen: string[] }).seen

/** Writes all the time, through whoever is up; what was acknowledged is kept. */
class Writer {
  readonly acknowledged = new Map<string, string[]>()
  readonly failures: unknown[] = []
  readonly #running: Promise<void>[]
  #isOver = false

  constructor(client: () => RigNode) {
    this.#running = addresses().map((address) => this.#write(address, client))
  }

  get count(): number {
    return [...this.acknowledged.values()].reduce((sum, texts) => sum + texts.length, 0)
  }

  /** So many more were acknowledged. */
  async more(count: number): Promise<void> {
    const least = this.count + count
    await until(() => this.count >= least, { timeoutMs: 15_000 }, 'writes go on')
  }

  async end(): Promise<void> {
    this.#isOver = true
    await Promise.all(this.#running)
  }

  /** What was acknowledged is there, once and in its order. */
  async judge(at: RigNode): Promise<void> {
    for (const [address, texts] of this.acknowledged) {
      const there = await seen(at, address)
      const told = new Set(texts)
      expect(there.filter((text) => told.has(text))).toEqual(texts)
      expect(new Set(there).size, 'once').toBe(there.length)
    }
  }

  async #write(address: string, client: () => RigNode): Promise<void> {
    await client().node.client.ensure(address)
    const texts: string[] = []
    this.acknowledged.set(address, texts)
    for (let n = 0; !this.#isOver; n++) {
      const text = String(n)
      try {
        await note(client(), address, text)
        texts.push(text)
      } catch (thrown) {
        this.failures.push(thrown)
      }
    }
  }
}

describe('a cluster', () => {
  it('serves every actor through every node, and runs tasks and singletons once', async () => {
    const [a, b, c] = await rig.startAll('a', 'b', 'c')
    const { leader, nodes } = await rig.settled()
    expect(['a', 'b', 'c']).toContain(leader?.name)
    expect(nodes.map(({ owns }) => owns).sort()).toEqual([2, 3, 3])
    for (const [index, address] of addresses().entries()) {
      await a!.node.client.start(address)
      await note(b!, address, `x${index}`)
      expect(await seen(c!, address)).toEqual([`x${index}`])
    }
    expect((await a!.node.client.count({ machine: 'counter' })).map(({ count }) => count)).toEqual([
      SHARDS + 1,
    ])
    for (const node of [a!, b!, c!]) {
      await node.node.client.start(`adder/${node.name}`)
      const { context } = await node.node.client.waitFor(
        `adder/${node.name}`,
        ({ status }) => status === 'done',
      )
      expect(context).toEqual({ n: 2 })
      expect(await node.node.ready()).toMatchObject({ ready: true, reasons: [] })
    }
    await expect(b!.node.client.delete('counter/only')).rejects.toMatchObject({ code: 'conflict' })
  })

  it('loses nothing that was acknowledged when a node is killed, and takes it back', async () => {
    const [a, b, c] = await rig.startAll('a', 'b', 'c')
    await rig.settled()
    const leader = a!.report().leader!.name
    const victim = [a!, b!, c!].find(({ name }) => name === leader)!
    const other = [a!, b!, c!].find((node) => node !== victim)!
    const writer = new Writer(() => other)
    await writer.more(100)
    victim.kill()
    const report = await rig.settled()
    expect(report.nodes.map(({ name }) => name)).not.toContain(victim.name)
    await writer.more(100)
    await victim.start()
    await rig.settled()
    await writer.more(100)
    await writer.end()
    expect(writer.failures).toEqual([])
    await writer.judge(victim)
  })

  it('is restarted node by node, and a client sees no error', async () => {
    const nodes = await rig.startAll('a', 'b', 'c')
    await rig.settled()
    const writer = new Writer(() => rig.up[0]!)
    for (const node of nodes) {
      await writer.more(50)
      await node.stop()
      expect(node.portsClosed).toBe(1)
      await rig.settled()
      await node.start()
      await rig.settled()
    }
    await writer.end()
    expect(writer.failures).toEqual([])
    await writer.judge(nodes[2]!)
    const [first] = nodes[0]!.said('this node leaves the cluster')
    expect(first?.fields, 'it handed everything over').toMatchObject({ serves: 0, of: SHARDS })
  })

  it('ends at once where all leave together, and where nobody else is there', async () => {
    const nodes = await rig.startAll('a', 'b')
    await rig.settled()
    const sinceMs = performance.now()
    await Promise.all(nodes.map((node) => node.stop()))
    await rig.start('a')
    await rig.at('a').stop()
    expect(performance.now() - sinceMs).toBeLessThan(LIMITS.drainMs!)
  })

  it('is not ready while it hears nobody', async () => {
    const [a] = await rig.startAll('a', 'b')
    await rig.settled()
    a!.cut()
    const reasons = async () => (await a!.node.ready()).reasons
    await until(
      async () => (await reasons()).includes('no leader is heard'),
      { timeoutMs: 10_000 },
      async () => (await reasons()).join(),
    )
    a!.cut(false)
    await rig.settled()
    await until(
      async () => (await reasons()).length === 0,
      { timeoutMs: 10_000 },
      async () => (await reasons()).join(),
    )
  })
})
