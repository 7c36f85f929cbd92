/**
 * What befalls a cluster in a story, drawn from a seed. Decides: the faults, and that each ends before the
 * next one begins, with every node up again: that the work goes on meanwhile is part of it.
 */
import type { SimRandom } from '../../simulation/random.ts'
import type { CheckedWork } from './checked.ts'
import type { Processes } from './harness.ts'
import type { Direction } from './link.ts'
import type { ClusterNodeProcess } from './node.ts'
import { freezePastItsLease } from './takeover.ts'

export interface Scene {
  cluster: Processes
  work: CheckedWork
  random: SimRandom
}

export type Fault = (scene: Scene) => Promise<void>

/** Answers that the work has to have, whatever is wrong. */
const ANSWERS = 15
const DIRECTIONS: readonly (Direction | 'both')[] = ['to-server', 'to-node', 'both']

function anyNode({ cluster, random }: Scene): ClusterNodeProcess {
  return random.pick(cluster.up)
}

function cutting(how: 'hold' | 'swallow'): Fault {
  return async (scene) => {
    const node = anyNode(scene)
    node.cut(scene.random.pick(DIRECTIONS), how)
    await scene.work.more(ANSWERS)
    node.heal()
  }
}

export const FAULTS = {
  kill: async (scene) => {
    const node = anyNode(scene)
    await node.kill()
    await scene.work.more(ANSWERS)
    await node.start()
  },
  stop: async (scene) => {
    const node = anyNode(scene)
    const code = await node.stop()
    if (code !== 0) throw new Error(`${node.name} ended with ${code}:\n${node.account()}`)
    await scene.work.more(ANSWERS)
    await node.start()
  },
  /** Shorter than anybody notices. */
  pause: async (scene) => {
    const node = anyNode(scene)
    await node.freeze()
    node.thaw()
    await scene.work.more(ANSWERS)
  },
  freeze: async (scene) => {
    const node = anyNode(scene)
    await freezePastItsLease(scene.cluster, node)
    node.thaw()
    await scene.work.more(ANSWERS)
  },
  cut: cutting('hold'),
  halfOpen: cutting('swallow'),
  breakLinks: async (scene) => {
    for (const link of anyNode(scene).links) link.breakAll()
    await scene.work.more(ANSWERS)
  },
  stopNats: async ({ cluster, work }) => {
    await cluster.restartNats('stop')
    await work.more(ANSWERS)
  },
  killNats: async ({ cluster, work }) => {
    await cluster.restartNats('kill')
    await work.more(ANSWERS)
  },
  killAll: async ({ cluster, work }) => {
    await Promise.all(cluster.nodes.map((node) => node.kill()))
    await Promise.all(cluster.nodes.map((node) => node.start()))
    await work.more(ANSWERS)
  },
} satisfies Record<string, Fault>

/** Of NATS clusters: the others go on. */
export const killOneServer: Fault = async ({ cluster, work, random }) => {
  const server = random.pick(cluster.nats.servers)
  await server.kill()
  await work.more(ANSWERS)
  await cluster.nats.start()
}

export type FaultName = keyof typeof FAULTS

/** Each once, in an order of chance; between two of them the cluster settles. */
export async function befall(scene: Scene, faults: readonly (readonly [string, Fault])[]) {
  const left = [...faults]
  while (left.length > 0) {
    const at = scene.random.between(0, left.length - 1)
    const [name, fault] = left.splice(at, 1)[0]!
    try {
      await fault(scene)
      await scene.cluster.settled()
    } catch (thrown) {
      throw new Error(`${name}: ${String(thrown)}`, { cause: thrown })
    }
  }
}

export function named(...names: readonly FaultName[]): [string, Fault][] {
  return names.map((name) => [name, FAULTS[name]])
}
