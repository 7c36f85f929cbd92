/**
 * Names an owner for every shard, as a cluster's leader would, with views that only ever get newer.
 *
 * Decides: whom it believes alive (by what it hears, so it may be wrong about frozen and cut-off
 * nodes), and that after the journal lost its end nobody takes a shard before all nodes were asked
 * for their tails. A stand-in for the cluster's own logic: nothing depends on it for safety but that.
 */

import type { Store } from '../../src/ports/index.ts'
import { TABLE, tableRange } from '../../src/shard/keys.ts'
import type { SlotRecord } from '../../src/shard/slot-records.ts'
import { decodeRecord } from '../shard/slot-record.ts'
import type { NodeLogic, SimNode, Surroundings } from './node.ts'
import type { SimRandom } from './random.ts'

const TICK_MS = 200
const SILENCE_MS = 700
/** Where heartbeats arrive: partitions cut nodes off from it, too. */
export const ORACLE = 'oracle'

export class Oracle {
  readonly #around: Surroundings
  readonly #random: SimRandom
  #nodes: readonly SimNode[] = []
  #version = 0
  readonly #owners: string[] = []
  readonly #heard = new Map<string, number>()
  /** Shards whose journal may have lost its end since they were last taken. */
  readonly #asking = new Set<number>()
  readonly #logics = new Map<SimNode, StandIn>()
  #fickleAt = 0

  constructor(around: Surroundings, random: SimRandom) {
    this.#around = around
    this.#random = random
  }

  run(nodes: readonly SimNode[]): void {
    this.#nodes = nodes
    this.#fickleAt = this.#nextFickle()
    this.#tick()
  }

  logicOf = (node: SimNode): NodeLogic => {
    const logic = new StandIn(this, node)
    this.#logics.set(node, logic)
    return logic
  }

  mayTry(shard: number): boolean {
    return !this.#asking.has(shard)
  }

  /** The journal's server came back with another id: whoever was about to take a shard begins anew. */
  journalLost(): void {
    for (let shard = 0; shard < this.#around.parameters.shards; shard++) this.#asking.add(shard)
    this.#settled.clear()
    for (const node of this.#nodes) {
      for (const [shard, { engine }] of [...(node.life?.shards ?? [])]) {
        if (engine.state === 'recovering') node.letGo(shard)
      }
    }
  }

  #tick(): void {
    this.#around.base.after(TICK_MS, () => this.#tick())
    const now = this.#around.base.monotonic()
    for (const node of this.#nodes) {
      const cut = this.#around.network.isCut(node.name, ORACLE)
      if (node.life && !node.life.process.isFrozen && !cut) this.#heard.set(node.name, now)
    }
    if (this.#rename()) {
      this.#version += 1
      const { recorder } = this.#around
      recorder.add({ kind: 'view', version: this.#version, owners: [...this.#owners] })
    }
    for (const node of this.#nodes) this.#tell(node)
  }

  /** True when somebody else has to own something. */
  #rename(): boolean {
    this.#noteVersions()
    const alive = this.#nodes.filter((node) => this.#isAlive(node))
    if (alive.length === 0) return false
    let changed = false
    for (let shard = 0; shard < this.#around.parameters.shards; shard++) {
      const chosen = this.#asking.has(shard) ? this.#ask(shard) : this.#choose(shard, alive)
      if (chosen === undefined) continue
      this.#owners[shard] = chosen
      changed = true
    }
    if (this.#fickleAt > 0 && this.#around.base.monotonic() > this.#fickleAt) {
      this.#fickleAt = this.#nextFickle()
      const shard = this.#random.between(0, this.#around.parameters.shards - 1)
      if (!this.#asking.has(shard))
        this.#owners[shard] = this.#pick(shard, alive) ?? this.#owners[shard]!
      changed = true
    }
    return changed
  }

  #nextFickle(): number {
    const { fickleMs } = this.#around.parameters
    return fickleMs === 0 ? 0 : this.#around.base.monotonic() + this.#random.exponential(fickleMs)
  }

  #isAlive(node: SimNode): boolean {
    const heard = this.#heard.get(node.name)
    return heard !== undefined && this.#around.base.monotonic() - heard < SILENCE_MS
  }

  /** Undefined when the owner is as it should be. */
  #choose(shard: number, alive: readonly SimNode[]): string | undefined {
    const owner = this.#nodes.find(({ name }) => name === this.#owners[shard])
    if (owner && this.#isAlive(owner)) {
      const logic = this.#logics.get(owner)
      const isLate = logic === undefined || logic.version < this.#version
      if (isLate || owner.life?.shards.has(shard)) return undefined
    }
    return this.#pick(shard, alive)
  }

  /** A node does not get a shard whose actors another has brought to a version that it does not know. */
  #pick(shard: number, alive: readonly SimNode[]): string | undefined {
    const version = this.#versions.get(shard) ?? 1
    const able = alive.filter((node) => node.version >= version)
    if (able.length === 0) return undefined
    const node = this.#random.pick(able)
    this.#versions.set(shard, node.version)
    return node.name
  }
  readonly #versions = new Map<number, number>()

  /** An owner may have been upgraded where it stands. */
  #noteVersions(): void {
    for (const { name, version } of this.#nodes) {
      this.#owners.forEach((owner, shard) => {
        if (owner === name)
          this.#versions.set(shard, Math.max(version, this.#versions.get(shard) ?? 1))
      })
    }
  }

  /** Everybody lets go and shows its tail; who has the newest record of the newest owner takes it. */
  #ask(shard: number): string | undefined {
    const owner = this.#nodes.find(({ name }) => name === this.#owners[shard])
    const owned = owner?.life?.shards.get(shard)
    if (
      owned &&
      owned.viewVersion > 0 &&
      owned.engine.state === 'serving' &&
      this.#settled.has(shard)
    ) {
      this.#asking.delete(shard)
      this.#settled.delete(shard)
      return undefined
    }
    const everybody = this.#nodes.every(({ life }) => life && !life.process.isFrozen)
    if (!everybody) {
      this.#settled.delete(shard)
      return undefined
    }
    if (this.#settled.has(shard) && owned) return undefined
    for (const node of this.#nodes) node.letGo(shard)
    const chosen = newestTail(this.#nodes, shard)
    if (chosen.version < (this.#versions.get(shard) ?? 1)) {
      chosen.crash('it is upgraded to take a shard back')
      chosen.version = 2
      chosen.start()
      return undefined
    }
    this.#settled.add(shard)
    return chosen.name
  }
  readonly #settled = new Set<number>()

  /** Whether a node may take a shard although all are still asked: it was chosen for its tail. */
  isChosen(shard: number, node: string): boolean {
    return this.#settled.has(shard) && this.#owners[shard] === node
  }

  #tell(node: SimNode): void {
    const { life } = node
    const logic = this.#logics.get(node)
    if (!life || !logic || logic.version >= this.#version) return
    if (this.#around.network.isCut(ORACLE, node.name)) return
    const version = this.#version
    const owners = [...this.#owners]
    const { base, parameters } = this.#around
    base.after(this.#random.fraction() * parameters.network.latencyMs, () => {
      life.process.enter(() => logic.see(version, owners))
    })
  }
}

function newestTail(nodes: readonly SimNode[], shard: number): SimNode {
  let best = { node: nodes[0]!, epoch: -1, slot: -1 }
  for (const node of nodes) {
    const last = node.store && lastOfTail(node.store, shard)
    if (!last) continue
    const { epoch, slot } = last
    if (epoch > best.epoch || (epoch === best.epoch && slot > best.slot)) {
      best = { node, epoch, slot }
    }
  }
  return best.node
}

function lastOfTail(store: Store, shard: number): { epoch: number; slot: number } | undefined {
  const [row] = store.range({ ...tableRange(shard, TABLE.tail), reverse: true, limit: 1 })
  if (!row) return undefined
  const slot = Buffer.from(row.key).readUIntBE(3, 6)
  const record: SlotRecord = decodeRecord(row.value)
  return { slot, epoch: record.kind === 'claim' ? slot : record.epoch.slot }
}

/** Opens what the newest view gives it and lets go of the rest. */
class StandIn implements NodeLogic {
  readonly #oracle: Oracle
  readonly #node: SimNode
  version = 0

  constructor(oracle: Oracle, node: SimNode) {
    this.#oracle = oracle
    this.#node = node
  }

  start(): void {
    this.version = 0
  }

  stop(): void {
    for (const shard of [...(this.#node.life?.shards.keys() ?? [])]) this.#node.letGo(shard)
  }

  serves(shard: number): boolean {
    return this.#node.life?.shards.get(shard)?.engine.state === 'serving'
  }

  see(version: number, owners: readonly string[]): void {
    if (version <= this.version) return
    this.version = version
    const { name, life, around } = this.#node
    for (const [shard, owner] of owners.entries()) {
      if (owner !== name) this.#node.letGo(shard)
      else if (this.#mayOpen(shard) && !life?.shards.has(shard)) {
        this.#node.open(shard, version, around.parameters.limits)
      }
    }
  }

  #mayOpen(shard: number): boolean {
    return this.#oracle.mayTry(shard) || this.#oracle.isChosen(shard, this.#node.name)
  }
}
