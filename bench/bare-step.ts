/**
 * The limit that stepping sets: the same machine, stepped and packed in a bare loop with Troupe's own
 * scope and record format, no engine around it.
 */
import type { AnyMachineSnapshot } from 'xstate'
import {
  dehydrate,
  hostMachine,
  type MachineDefinition,
  stepEvent,
  stepInitial,
} from '../src/machine/index.ts'
import { DEFAULT_LIMITS, type EventObject, pack } from '../src/protocol/index.ts'
import { type ActorRecord, encodeActor, NO_INDEX } from '../src/shard/records.ts'

/** Entries of the history in the record of an actor, on average (history.ts). */
const RECENT_COUNT = 4

export class BareSteps {
  readonly #name: string
  readonly #chart
  readonly #snapshots: AnyMachineSnapshot[] = []
  readonly #record: ActorRecord

  constructor(definition: MachineDefinition, actors: number) {
    this.#name = definition.name
    this.#chart = hostMachine(definition, DEFAULT_LIMITS).chart
    this.#record = typicalRecord(this.#chart.hash)
    for (let n = 0; n < actors; n++) {
      const step = stepInitial(this.#chart, { n }, identityOf(definition.name, n))
      if (step.kind !== 'stepped') throw new Error(step.message)
      this.#snapshots.push(step.snapshot)
    }
  }

  /** Steps and packs for a while; steps per second. */
  run(durationMs: number): number {
    const count = this.#snapshots.length
    const start = performance.now()
    const end = start + durationMs
    let done = 0
    while (performance.now() < end) {
      for (let i = 0; i < 100; i++) {
        this.step((done * 7) % count, { type: 'NEXT', by: 'bench' })
        done += 1
      }
    }
    return (done / (performance.now() - start)) * 1_000
  }

  /** The packed record of what the actor became. */
  step(n: number, event: EventObject): Uint8Array {
    const step = stepEvent(this.#chart, this.#snapshots[n]!, event, identityOf(this.#name, n))
    if (step.kind !== 'stepped') throw new Error(step.message)
    this.#snapshots[n] = step.snapshot
    this.#record.turn += 1
    return encodeActor(this.#record, dehydrate(step.snapshot))
  }
}

function identityOf(machine: string, n: number) {
  return { id: String(n), address: `${machine}/${n}`, hasParent: false }
}

function typicalRecord(chartHash: string): ActorRecord {
  const now = Date.now()
  const entry = pack([now, 'NEXT', 'client', `${now}-0123456789abcdef`, 'cart', 'placed', null])
  return {
    version: 1,
    chartHash,
    birth: '12.34',
    turn: 1,
    operations: 0,
    createdAt: now,
    updatedAt: now,
    since: now,
    status: 'active',
    paused: null,
    parked: null,
    keptFrom: 0,
    keptTo: 0,
    timers: [],
    tasks: [],
    children: [],
    sources: [],
    recent: Buffer.concat(Array.from({ length: RECENT_COUNT }, () => entry)),
    recentFrom: 1,
    index: NO_INDEX,
  }
}
