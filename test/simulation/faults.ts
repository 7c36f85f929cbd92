/**
 * What befalls the parties of a simulated world, and when.
 *
 * Decides: crashes and freezes at moments and between steps, partitions, connections that are lost and
 * made anew, clocks that jump, lines and servers of the journal that break, workers that die or freeze,
 * upgrades, orders of operators. Everything comes from rates (parameters.ts); what goes wrong within an operation is decided by
 * the simulated ports.
 */
import type { VirtualClock } from '../../src/adapters/memory/index.ts'
import { ClusterOperator } from './cluster-operator.ts'
import type { Recorder } from './events.ts'
import type { SimNode } from './node.ts'
import { ORACLE } from './oracle.ts'
import { NO_CHECKPOINTS, type Parameters, type Troubles } from './parameters.ts'
import type { SimRandom } from './random.ts'
import type { SimJournalServer } from './sim-journal.ts'
import { REGISTRY } from './sim-registry.ts'
import type { SimNetwork } from './sim-transport.ts'
import type { WorkerProcess } from './worker-process.ts'

export interface Victims {
  base: VirtualClock
  recorder: Recorder
  parameters: Parameters
  network: SimNetwork
  journal: SimJournalServer
  nodes: readonly SimNode[]
  workers: readonly WorkerProcess[]
  callers: readonly string[]
  /** The journal's server came back and may have lost its end. */
  journalLost: () => void
  /** All processes are gone at once, with what their kernel had not written. */
  powerLost: () => void
}

/** Of crashes, those of everybody at once, with their power. */
const POWER_CHANCE: Record<Parameters['logic'], number> = {
  oracle: 0.05,
  cluster: 0.05,
  embedded: 0.4,
  founding: 0.15,
}

export class Faults {
  readonly #victims: Victims
  readonly #random: SimRandom
  readonly #connections: SimRandom
  readonly #operator: ClusterOperator
  #isOver = false

  constructor(victims: Victims, random: SimRandom) {
    this.#victims = victims
    this.#random = random
    this.#connections = random.fork('connections')
    const { shards } = victims.parameters
    this.#operator = new ClusterOperator({ ...victims, shards }, random.fork('operator'))
  }

  begin(): void {
    this.#every('crashMs', () => this.#crash())
    this.#every('freezeMs', () => this.#freeze())
    this.#every('partitionMs', () => this.#partition())
    this.#every('jumpMs', () => this.#jump())
    this.#every('lineMs', () => this.#line())
    this.#every('journalRestartMs', () => this.#restartJournal(false))
    this.#every('journalLossMs', () => this.#restartJournal(true))
    this.#every('workerMs', () => this.#worker())
    this.#every('upgradeMs', () => this.#upgrade())
    this.#every('wipeMs', () => this.#someNode()?.wipe())
    this.#every('connectionMs', () => this.#disconnect())
    this.#every('orderMs', () => this.#operator.orderSomething())
    this.#sync()
    this.#reviveDead()
  }

  /** Everything stands up again, in the version that is newest, and stays so. */
  end(): void {
    this.#isOver = true
    const { network, nodes, workers, journal, recorder } = this.#victims
    network.heal()
    network.joinAll()
    if (journal.isDown) this.#journalUp()
    const isUpgraded = nodes.some(({ version }) => version === 2)
    for (const node of nodes) {
      this.#releaseLine(node, 'arrive')
      node.crash('the end of the troubles')
      if (isUpgraded) node.version = 2
      node.start()
    }
    for (const worker of workers) {
      worker.thaw()
      worker.start()
    }
    this.#operator.end()
    recorder.add({ kind: 'faults-over' })
  }

  #every(trouble: keyof Troubles, happen: () => void): void {
    const { parameters, base } = this.#victims
    const mean = parameters.troubles[trouble]
    if (mean === 0) return
    const random = this.#random.fork(trouble)
    const plan = () =>
      void base.after(random.exponential(mean), () => {
        if (this.#isOver) return
        happen()
        plan()
      })
    plan()
  }

  /** Whatever ended a node, it comes back after a while. */
  #reviveDead(): void {
    const { base, nodes } = this.#victims
    base.after(500, () => {
      if (this.#isOver) return
      for (const node of nodes) if (!node.isUp && this.#random.chance(0.3)) node.start()
      this.#reviveDead()
    })
  }

  #later(meanMs: number, happen: () => void): void {
    this.#victims.base.after(this.#random.exponential(meanMs), () => {
      if (!this.#isOver) happen()
    })
  }

  #someNode(): SimNode | undefined {
    const up = this.#victims.nodes.filter(({ isUp }) => isUp)
    return up.length > 0 ? this.#random.pick(up) : undefined
  }

  #crash(): void {
    if (this.#random.chance(POWER_CHANCE[this.#victims.parameters.logic])) {
      for (const node of this.#victims.nodes) node.crash('all at once')
      this.#victims.powerLost()
      return
    }
    const node = this.#someNode()
    const life = node?.life
    if (!node || !life) return
    if (this.#random.chance(0.4)) return node.crash('kill -9')
    if (this.#random.chance(0.3)) return node.leave('it was stopped')
    life.process.tripAfter(this.#random.between(1, 60), () => {
      if (node.life === life && !this.#isOver) node.crash('kill -9 between two steps')
    })
  }

  #freeze(): void {
    const node = this.#someNode()
    const life = node?.life
    if (!node || !life) return
    life.process.tripAfter(this.#random.between(1, 60), () => {
      if (node.life !== life || this.#isOver) return
      this.#victims.recorder.add({ kind: 'frozen', node: node.name })
      life.process.freeze()
      this.#later(this.#random.pick([50, 1_000, 5_000]), () => {
        if (node.life !== life) return
        this.#victims.recorder.add({ kind: 'thawed', node: node.name })
        life.process.thaw()
      })
    })
  }

  /** Some directions between parties, the journal not included. */
  #partition(): void {
    const { network, nodes, callers, recorder } = this.#victims
    const parties = [...nodes.map(({ name }) => name), ...callers, ORACLE, REGISTRY]
    const one = this.#random.pick(nodes).name
    const others = parties.filter((name) => name !== one && this.#random.chance(0.6))
    const isOneWay = this.#random.chance(0.4)
    // Their servers have lost each other: a question is not lost, but told that nobody listens.
    const isTold = this.#connections.chance(0.3)
    for (const other of others) {
      network.cut(one, other)
      recorder.add({ kind: 'cut', from: one, to: other })
      if (isTold) network.hide(other, one)
      if (isOneWay) continue
      network.cut(other, one)
      recorder.add({ kind: 'cut', from: other, to: one })
    }
    this.#later(2_500, () => {
      network.heal()
      recorder.add({ kind: 'healed' })
    })
  }

  /** One party is without a connection for a while, or all are: their server starts again. */
  #disconnect(): void {
    const { network, nodes, callers, recorder } = this.#victims
    const random = this.#connections
    const names = nodes.map(({ name }) => name)
    const parties = random.chance(0.3) ? [...names, ...callers] : [random.pick(names)]
    const meanMs = random.pick([60, 400, 2_000])
    for (const party of parties) {
      network.leave(party)
      recorder.add({ kind: 'disconnected', party })
      this.#victims.base.after(random.exponential(meanMs), () => {
        if (this.#isOver) return
        network.join(party)
        recorder.add({ kind: 'connected', party })
        this.#becomeKnown(party, names)
      })
    }
  }

  /** Which servers know who is back, and listens, is a matter of moments. */
  #becomeKnown(party: string, others: readonly string[]): void {
    const { network, base } = this.#victims
    for (const other of others) {
      if (other === party || this.#connections.chance(0.7)) continue
      network.hide(party, other)
      base.after(this.#connections.exponential(150), () => network.show(party, other))
    }
  }

  #jump(): void {
    const byMs = this.#random.pick([-3_000, -200, 200, 3_000, 8_000])
    this.#someNode()?.jump(byMs)
  }

  /** A node and the journal lose sight of each other. */
  #line(): void {
    const node = this.#someNode()
    const life = node?.life
    if (!node || !life) return
    const { recorder } = this.#victims
    if (this.#random.chance(0.5)) {
      recorder.add({ kind: 'line', node: node.name, how: 'cut' })
      life.journal.cut()
      return
    }
    recorder.add({ kind: 'line', node: node.name, how: 'held' })
    node.isLineHeld = true
    life.journal.hold()
    this.#later(1_500, () => this.#releaseLine(node, this.#random.pick(['arrive', 'lose'])))
  }

  #releaseLine(node: SimNode, how: 'arrive' | 'lose'): void {
    if (!node.isLineHeld) return
    node.isLineHeld = false
    this.#victims.recorder.add({ kind: 'line', node: node.name, how })
    node.life?.journal.release(how)
  }

  #restartJournal(isLoss: boolean): void {
    const { journal, recorder, parameters, nodes } = this.#victims
    if (journal.isDown) return
    recorder.add({ kind: 'journal-down', why: isLoss ? 'power' : 'restart' })
    journal.isDown = true
    for (const { life } of nodes) life?.journal.cut()
    if (isLoss) {
      for (let shard = 0; shard < parameters.shards; shard++) {
        journal.loseUnsynced(shard)
        const end = journal.end(shard)
        const lastSlot = end.kind === 'known' ? end.lastSlot : 0
        recorder.add({ kind: 'slots-lost', shard, lastSlot })
      }
      this.#victims.journalLost()
    }
    this.#later(400, () => this.#journalUp())
  }

  #journalUp(): void {
    const { journal, recorder, nodes } = this.#victims
    if (!journal.isDown) return
    journal.isDown = false
    for (const { life } of nodes) life?.journal.cut()
    recorder.add({ kind: 'journal-up' })
  }

  /** JetStream syncs its disk now and then, and says nothing of it. */
  #sync(): void {
    const { base, journal, parameters } = this.#victims
    // What is as old as the retention is on disk: that is what the retention is for.
    const { slots, retentionMs } = parameters.checkpoints
    const latestMs = slots < NO_CHECKPOINTS ? retentionMs / 4 : Number.POSITIVE_INFINITY
    base.after(Math.min(this.#random.exponential(3_000), latestMs), () => {
      if (!journal.isDown) journal.sync()
      this.#sync()
    })
  }

  #worker(): void {
    const { workers } = this.#victims
    const worker = this.#random.pick(workers)
    if (this.#random.chance(0.5)) {
      worker.crash()
      this.#later(600, () => worker.start())
      return
    }
    worker.freeze()
    this.#later(this.#random.pick([300, 2_500]), () => worker.thaw())
  }

  /** One node after the other learns version 2; nobody goes back. */
  #upgrade(): void {
    const node = this.#victims.nodes.find(({ version }) => version === 1)
    if (!node) return
    node.crash('it is upgraded')
    node.version = 2
    this.#later(300, () => node.start())
  }
}
