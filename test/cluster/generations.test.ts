/** A shard whose end nobody has any more, taken on an operator's word: its channels go on. */
import { describe, expect, it } from 'vitest'
import { tell } from '../../src/machine/index.ts'
import { shardOf } from '../../src/protocol/index.ts'
import { generationsOf } from '../../src/shard/lineage.ts'
import { type Args, host } from '../shard/support.ts'
import { judgeJournals } from './load.ts'
import { Cluster, type TestNode } from './nodes.ts'

const SHARD = 5

const teller = host(
  'teller',
  { on: { TELL: { actions: 'tell' } } },
  {
    actions: {
      tell: tell((({ event }: Args) => ({
        to: event.to,
        event: { type: 'NOTE', text: event.text },
      })) as never),
    },
  },
)

/** Messages from the shard and to it, numbered as they are sent. */
class Messages {
  readonly cluster: Cluster
  readonly away: { from: string; to: string }
  readonly home: { from: string; to: string }
  #sent = 0

  constructor(cluster: Cluster, other: number) {
    this.cluster = cluster
    this.away = { from: this.#on('teller', SHARD), to: this.#on('counter', other) }
    this.home = { from: this.#on('teller', other), to: this.#on('counter', SHARD) }
  }

  #on(machine: string, shard: number): string {
    for (let n = 0; ; n++) {
      const address = `${machine}/${n}`
      if (shardOf(address, this.cluster.shardCount) === shard) return address
    }
  }

  async start(): Promise<void> {
    const { client } = this.cluster
    for (const address of [...Object.values(this.away), ...Object.values(this.home)]) {
      expect(await this.cluster.answer(client.start(address))).toBe('ok')
    }
  }

  async send(count: number): Promise<void> {
    for (let n = 0; n < count; n++) {
      this.#sent += 1
      for (const { from, to } of [this.away, this.home]) {
        const event = { type: 'TELL', to, text: String(this.#sent) }
        const sent = this.cluster.client.send(from, event, { timeoutMs: 20_000 })
        expect(await this.cluster.answer(sent)).toBe('ok')
      }
    }
    await this.cluster.settle(1_000)
  }

  async seen({ to }: { to: string }): Promise<number[]> {
    return (await this.cluster.seen(to)).map(Number)
  }
}

const waitsFor = (node: TestNode) => node.node.status().shards[SHARD]!.waitsFor
const SAID = 'goes on without the records of nodes that were given up'

/** Whoever has the newest records is dead for good, and the journal has lost them. */
async function lost(seed: number) {
  const cluster = new Cluster({ seed })
  for (const name of ['a', 'b']) cluster.node(name).others = [teller]
  for (const node of cluster.nodes.values()) node.restart()
  await cluster.until(() => cluster.isSettled(), 'they come up')
  const messages = new Messages(cluster, seed % 4)
  await messages.start()
  await messages.send(3)
  await cluster.until(() => cluster.isSettled(), 'both have everything')
  const [gone, left] = [cluster.at('a'), cluster.at('b')]
  left.kill()
  await cluster.until(() => cluster.isServed(), 'one has all shards')
  const before = cluster.server.slots(SHARD).length
  await messages.send(3)
  gone.kill()
  cluster.loseLast(SHARD, cluster.server.slots(SHARD).length - before)
  left.restart()
  await cluster.until(() => waitsFor(left).length > 0, 'it asks for what was lost')
  return { cluster, messages, gone, left }
}

describe('a shard that goes on without records that were given up', () => {
  it.each([1, 2, 3])('is heard and hears, in order, none twice (seed %d)', async (seed) => {
    const { cluster, messages, gone, left } = await lost(seed)
    expect(left.node.giveUp(gone.name)).toEqual([SHARD])
    await cluster.until(() => cluster.isServed(), 'it goes on')
    await messages.send(3)
    expect(await messages.seen(messages.away)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9])
    expect(await messages.seen(messages.home), 'lost with the journal').toEqual([1, 2, 3, 7, 8, 9])
    // Said once by each: by who took it, by who had its messages, and of those that it has lost.
    const [generation] = generationsOf(SHARD, left.store)
    const claim = cluster.records(SHARD).findLast(({ kind }) => kind === 'claim')
    expect(claim).toMatchObject({ generation })
    const said = left.said('error', SAID)
    expect(said.map(({ fields }) => fields)).toMatchObject([
      { shard: SHARD, generation, givenUp: [gone.name] },
    ])
    expect(left.said('error', 'does not know that they took effect here')).toHaveLength(1)
    expect(left.said('error', 'was lost with the end of the journal')).toHaveLength(1)
    // The next owner, from the journal alone, goes on in the same generation.
    cluster.node('c').others = [teller]
    cluster.at('c').restart()
    await cluster.until(() => cluster.isSettled(), 'another follows')
    left.kill()
    await cluster.until(() => cluster.isServed(), 'and takes it')
    await messages.send(1)
    expect(generationsOf(SHARD, cluster.at('c').store)).toEqual([generation])
    expect((await messages.seen(messages.away)).slice(-2)).toEqual([9, 10])
    expect((await messages.seen(messages.home)).slice(-2)).toEqual([9, 10])
    judgeJournals(cluster)
  })

  it('has no new generation when they come after all', async () => {
    const { cluster, messages, gone, left } = await lost(1)
    await cluster.settle(5_000)
    gone.restart()
    await cluster.until(() => cluster.isSettled(), 'nothing is lost')
    await messages.send(1)
    expect(await messages.seen(messages.home)).toEqual([1, 2, 3, 4, 5, 6, 7])
    expect(generationsOf(SHARD, left.store)).toEqual([])
    expect(left.said('error', SAID)).toEqual([])
  })
})
