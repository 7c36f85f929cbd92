/**
 * Whatever happens in whatever order: nodes are killed, stand still, are cut off, join and leave, the
 * registry does not answer and the journal loses its end. In the end all that was acknowledged is there.
 */
import { describe, expect, inject, it } from 'vitest'
import { SeededRandom } from '../../src/adapters/memory/index.ts'
import { Load } from './load.ts'
import { Cluster, type TestNode } from './nodes.ts'

const ROUNDS = 12
const NAMES = ['a', 'b', 'c', 'd']

class Chaos {
  readonly cluster: Cluster
  readonly random: SeededRandom
  readonly done: string[] = []
  readonly loses: boolean

  constructor(ofSeed: string, loses: boolean) {
    this.random = new SeededRandom(ofSeed)
    this.cluster = new Cluster({ seed: this.#below(1e6) })
    this.loses = loses
  }

  #below(n: number): number {
    return Math.floor(this.random.fraction() * n)
  }

  async run(): Promise<void> {
    const { cluster } = this
    await cluster.started(NAMES)
    const load = await Load.on(cluster, 20_000)
    for (let round = 0; round < ROUNDS; round++) {
      this.#harm()
      await cluster.settle(500 + this.#below(6_000))
      if (this.#below(2) === 0) this.#mend()
    }
    for (const node of cluster.nodes.values()) this.#heal(node)
    await cluster.until(() => cluster.isSettled(), `it comes to rest: ${this.done.join(', ')}`)
    await load.judge()
  }

  #harm(): void {
    const { cluster } = this
    const node = cluster.at(NAMES[this.#below(NAMES.length)]!)
    const harms: [string, () => void][] = [
      ['kill', () => node.isUp && node.kill()],
      ['restart', () => node.restart()],
      ['freeze', () => node.isUp && node.freeze()],
      [
        'cut',
        () => {
          node.transport.isCut = true
        },
      ],
      ['hold the journal of', () => node.journal.connection.hold()],
      [
        'the registry does not answer',
        () => {
          const on = (['claim', 'put', 'get', 'list', 'remove'] as const)[this.#below(5)]!
          cluster.registry.failNext({
            on,
            happened: this.#below(2) === 0,
            count: 1 + this.#below(9),
          })
        },
      ],
    ]
    if (this.loses) {
      harms.push([
        'the journal loses its end',
        () => {
          for (let shard = 0; shard < cluster.shardCount; shard++) {
            if (this.#below(3) === 0) cluster.loseLast(shard, 1 + this.#below(6))
          }
        },
      ])
    }
    const [what, harm] = harms[this.#below(harms.length)]!
    this.done.push(`${cluster.clock.monotonic()} ${what} ${node.name}`)
    harm()
  }

  #mend(): void {
    const { cluster } = this
    const node = cluster.at(NAMES[this.#below(NAMES.length)]!)
    this.done.push(`${cluster.clock.monotonic()} mend ${node.name}`)
    this.#heal(node)
  }

  #heal(node: TestNode): void {
    node.transport.isCut = false
    node.journal.connection.release()
    if (node.isFrozen) node.thaw()
    if (!node.isUp) node.restart()
  }
}

describe('nothing acknowledged is lost', () => {
  const seeds = Array.from({ length: 4 }, (_, n) => n)
  it.each(seeds)('when nodes fail (%i)', async (n) => {
    await new Chaos(`${inject('seed')}/${n}`, false).run()
  })

  const losses = seeds.map((n) => `${inject('seed')}/${n}/losses`)
  // Has failed before.
  losses.push('528546836/1/losses')
  it.each(losses)('when nodes fail and the journal loses its end (%s)', async (ofSeed) => {
    const chaos = new Chaos(ofSeed, true)
    await chaos.run()
    for (const { stops } of chaos.cluster.nodes.values()) expect(stops).toEqual([])
  })
})
