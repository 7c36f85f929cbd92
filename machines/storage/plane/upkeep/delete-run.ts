/**
 * One try to delete a blob from all units of its volume. Decides: the two phases, and what an answer of a
 * blobnode means for them. Leaves to others: when each is tried (`delete-task.ts`).
 *
 * Where nothing is found something may still come: a put that was given up, and is on its way. What is deleted
 * does not come back at a unit that knows of it; so one that knows nothing is given a shard without bytes, and
 * that is marked. A unit that takes nothing gets no such mark, and is asked by the second phase all the same: what
 * it had begun to take before may be there by then. What comes to its end still later is not found here: it stays,
 * as a shard of a blob that those units call deleted which took the mark.
 */
import { crc32 } from 'node:zlib'
import { TroupeError } from '../../../../src/index.ts'
import { mayHaveMoved, StorageRefusal, vuidParts } from '../codes/index.ts'
import type { UpkeepPorts, UpkeepVolume } from './ports.ts'
import type { Stage } from './stages.ts'

type Unit = UpkeepVolume['units'][number]

/** Clients go first at every disk. */
const DELETE = { io: 'delete' } as const
const NEVER_HAD = 651
/** Read-only, no room in the chunk, none on the disk: no put that begins now is taken, either. */
const TAKES_NOTHING = [622, 627, 615] as const
const NO_BYTES = new Uint8Array(0)
const NOT_MARKED = 653
const MARKED_ALREADY = 654

export class DeleteRun {
  readonly #shards: UpkeepPorts['shards']
  readonly #units: readonly Unit[]
  readonly #bid: bigint
  readonly #stages: Stage[]
  readonly #troubles: string[] = []
  #isMoved = false

  constructor(ports: UpkeepPorts, { units }: UpkeepVolume, bid: bigint, stages: readonly Stage[]) {
    this.#shards = ports.shards
    this.#units = units
    this.#bid = bid
    this.#stages = units.map(({ index }) => stages[index] ?? 0)
  }

  get stages(): Stage[] {
    return [...this.#stages]
  }

  /** Whether a unit was not where the mapping says. */
  get isMoved(): boolean {
    return this.#isMoved
  }

  /** What stood in the way of the last phase. */
  get why(): string {
    return this.#troubles[0] ?? 'not all units have deleted it'
  }

  /** @returns whether all units are marked */
  async mark(): Promise<boolean> {
    await this.#eachBelow(1, (unit) => this.#mark(unit))
    return this.#stages.every((stage) => stage >= 1)
  }

  /** Once all are marked. @returns whether all have deleted it */
  async delete(): Promise<boolean> {
    await this.#eachBelow(2, (unit) => this.#delete(unit))
    return this.#stages.every((stage) => stage === 2)
  }

  async #eachBelow(stage: Stage, ask: (unit: Unit) => Promise<void>): Promise<void> {
    const asked = this.#units.filter(({ index }) => (this.#stages[index] ?? 0) < stage)
    await Promise.all(asked.map(ask))
  }

  async #mark(unit: Unit): Promise<void> {
    try {
      const isThere = await this.#marked(unit)
      // What has come meanwhile is marked with it.
      if (!isThere && (await this.#forestalled(unit))) await this.#marked(unit)
    } catch (thrown) {
      return this.#failed(unit, thrown)
    }
    this.#stages[unit.index] = 1
  }

  /** @returns false where there is nothing to mark */
  async #marked(unit: Unit): Promise<boolean> {
    try {
      await this.#shards.markDelete(unit, this.#bid, DELETE)
    } catch (thrown) {
      if (hasStatus(thrown, NEVER_HAD)) return false
      if (!hasStatus(thrown, MARKED_ALREADY)) throw thrown
    }
    return true
  }

  /** @returns false where the unit takes nothing */
  async #forestalled(unit: Unit): Promise<boolean> {
    try {
      await this.#shards.putShard(unit, this.#bid, NO_BYTES, { crc: crc32(NO_BYTES), ...DELETE })
    } catch (thrown) {
      if (hasStatus(thrown, ...TAKES_NOTHING)) return false
      if (!hasStatus(thrown, MARKED_ALREADY)) throw thrown
    }
    return true
  }

  async #delete(unit: Unit): Promise<void> {
    try {
      await this.#shards.deleteShard(unit, this.#bid, DELETE)
    } catch (thrown) {
      if (hasStatus(thrown, NOT_MARKED)) this.#stages[unit.index] = 0
      if (!hasStatus(thrown, NEVER_HAD)) return this.#failed(unit, thrown)
    }
    this.#stages[unit.index] = 2
  }

  #failed({ vuid, diskId }: Unit, thrown: unknown): void {
    if (!(thrown instanceof TroupeError)) throw thrown
    if (mayHaveMoved(thrown)) this.#isMoved = true
    const place = `unit ${vuidParts(vuid).index} on disk ${diskId}`
    this.#troubles.push(`${place}: ${thrown.message}`)
  }
}

function hasStatus(thrown: unknown, ...statuses: number[]): boolean {
  return thrown instanceof StorageRefusal && statuses.includes(thrown.status)
}
