/** A client within a node, which asks the shards that the node owns without a transport. */
import { expect, it } from 'vitest'
import { Client } from '../../src/client/index.ts'
import { shardOf } from '../../src/protocol/index.ts'
import { Cluster, type TestNode } from './nodes.ts'

const SHARDS = 8
const PLAIN = 30
const shards = Array.from({ length: SHARDS }, (_, shard) => shard)
const servedBy = ({ here }: TestNode) => shards.filter((shard) => here.of(shard) !== undefined)

/** Notes numbers of its own with one actor per shard, one after the other without waiting. */
class Notes {
  readonly client: Client
  readonly addresses: string[]
  readonly failed: unknown[] = []
  sent = 0
  done = 0

  constructor(cluster: Cluster, { here, transport }: TestNode) {
    const { clock, subjects, limits, shardCount } = cluster
    const random = cluster.random.fork('near')
    const deps = { transport, subjects, clock, random, limits, shardCount, near: here }
    this.client = new Client({ ...deps, answerMs: 1_000 })
    this.addresses = shards.map((shard) => {
      let n = 0
      while (shardOf(`counter/${n}`, SHARDS) !== shard) n += 1
      return `counter/${n}`
    })
  }

  send(): void {
    const event = { type: 'NOTE', text: String(this.sent++) }
    for (const address of this.addresses) {
      const again = () => ({ op: 'send' as const, event: { ...event } })
      this.client.submit(
        address,
        again(),
        { plain: { bytes: PLAIN, again } },
        {
          resolve: () => {
            this.done += 1
          },
          reject: (error) => void this.failed.push(error),
        },
      )
    }
  }
}

it('finds those that the node serves, for so long, and loses nothing when they move', async () => {
  const cluster = new Cluster({ shardCount: SHARDS })
  const [a] = await cluster.started(['a'])
  expect(servedBy(a!)).toEqual(shards)
  const notes = new Notes(cluster, a!)
  for (const address of notes.addresses) await cluster.run(notes.client.start(address))
  const sendUntil = (holds: () => boolean, what: string) =>
    cluster.until(
      () => {
        notes.send()
        return holds()
      },
      what,
      60_000,
      100,
    )
  const b = cluster.node('b')
  b.start()
  await sendUntil(() => cluster.isSettled(), 'a second node has its share')
  const own = (name: string) => shards.filter((shard) => cluster.view().owners[shard] === name)
  expect([servedBy(a!), servedBy(b)]).toEqual([own('a'), own('b')])
  expect(servedBy(b)).toHaveLength(SHARDS / 2)
  b.kill()
  await sendUntil(() => cluster.isSettled(), 'the first has all again')
  expect(servedBy(a!)).toEqual(shards)
  await cluster.until(() => notes.done + notes.failed.length === notes.sent * SHARDS, 'answers')
  expect(notes.failed).toEqual([])
  const all = Array.from({ length: notes.sent }, (_, n) => String(n))
  for (const address of notes.addresses) {
    const { context } = await cluster.run(notes.client.get(address))
    expect((context as { seen: string[] }).seen, 'each once, in order').toEqual(all)
  }
})
