/**
 * An application that lives in a simulated world, beside the machines that every world has. Decides: what it may
 * bring: machines, what a node runs for it beside its shards, and whoever works on it from outside. Leaves to
 * others: everything that befalls nodes, lines and the journal (faults.ts), and what it has to promise (checkers/).
 */
import type { VirtualClock } from '../../src/adapters/memory/index.ts'
import type { MachineDefinition } from '../../src/machine/index.ts'
import type { Subjects } from '../../src/protocol/index.ts'
import type { Recorder } from './events.ts'
import type { Mirror } from './mirror.ts'
import type { Life, SimNode } from './node.ts'
import type { Parameters } from './parameters.ts'
import type { SimRandom } from './random.ts'
import type { SimNetwork } from './sim-transport.ts'

/** What it has of its world. */
export interface GuestStage {
  base: VirtualClock
  network: SimNetwork
  recorder: Recorder
  parameters: Parameters
  subjects: Subjects
  mirror: Mirror
  random: SimRandom
  nodes: () => readonly SimNode[]
}

/** Its parties have promises: its world is run by `runWithPromises`. */
export interface Guest {
  machines: readonly MachineDefinition[]
  /** What a node runs for it begins with the process, and ends with it. */
  live(node: SimNode, life: Life): { crash(): void }
  begin(): void
  /** Nothing goes wrong any more: it has to come to rest. */
  end(): void
  /** Of virtual time, until it has. */
  drainMaxMs: number
  /** What keeps it from being at rest. */
  restlessness(): string | undefined
  /** What the list of events has to say of its world behind all that happened. */
  tellEnd(): void
}

export type MakeGuest = (stage: GuestStage) => Guest
