/**
 * An operator of the simulated cluster: drains nodes and takes that back, moves shards, pins and unpins
 * them, at moments that are drawn. Decides: what is ordered, and that in the end no node is drained any
 * more: then everything has to come to rest. Leaves to others: whether an order is followed (src/cluster).
 */
import type { VirtualClock } from '../../src/adapters/memory/index.ts'
import type { Order } from '../../src/cluster/index.ts'
import type { Recorder } from './events.ts'
import type { SimNode } from './node.ts'
import type { SimRandom } from './random.ts'

export interface OperatorDeps {
  base: VirtualClock
  recorder: Recorder
  nodes: readonly SimNode[]
  shards: number
}

const AGAIN_MS = 300

export class ClusterOperator {
  readonly #deps: OperatorDeps
  readonly #random: SimRandom
  /** Who may be drained: an order whose outcome is not known counts. */
  readonly #drained = new Set<string>()

  constructor(deps: OperatorDeps, random: SimRandom) {
    this.#deps = deps
    this.#random = random
  }

  orderSomething(): void {
    const random = this.#random
    const [node] = this.#drained
    if (node !== undefined && random.chance(0.4)) return this.#undrain(node)
    this.#give(this.#drawn())
  }

  /** Asks until every node may have shards again. */
  end(): void {
    for (const node of this.#drained) this.#undrain(node)
    if (this.#drained.size > 0) this.#deps.base.after(AGAIN_MS, () => this.end())
  }

  #drawn(): Order {
    const { nodes, shards } = this.#deps
    const random = this.#random
    const { name } = random.pick(nodes)
    const by = 'operator'
    if (random.chance(0.4)) {
      this.#drained.add(name)
      return { kind: 'drain', node: name, by }
    }
    const shard = random.between(0, shards - 1)
    if (random.chance(0.2)) return { kind: 'unpin', shard, by }
    return { kind: 'move', shard, to: name, isPinned: random.chance(0.3), by }
  }

  #undrain(node: string): void {
    this.#give({ kind: 'undrain', node, by: 'operator' }, () => this.#drained.delete(node))
  }

  /** To everybody: whoever leads takes it. */
  #give(order: Order, taken: () => void = () => {}): void {
    const { nodes, recorder } = this.#deps
    for (const node of nodes) {
      node.order(order, (isTaken) => {
        if (!isTaken) return
        recorder.add({ kind: 'ordered', node: node.name, what: JSON.stringify(order) })
        taken()
      })
    }
  }
}
