/**
 * One try to make the bad shards of a blob whole again. Decides: which units are asked, what is read, and
 * when it may be said that a shard is repaired. Leaves to others: when it is tried (`shard-repair.ts`), the
 * arithmetic (`erasure`).
 *
 * A deleted blob must not come back. Who has marked one on more units than the mode can lose says that it is
 * deleted, so after a put all other units are asked once more: as many as make up the blob have to have it
 * unmarked, or what was put is taken away again. A deletion that begins behind that finds the shard.
 */
import { setMaxListeners } from 'node:events'
import { crc32 } from 'node:zlib'
import { type CodeMode, mayHaveMoved, readsNeeded, refusal, vuidParts } from '../codes/index.ts'
import { canRebuild, rebuildSources } from '../erasure/index.ts'
import { messageOf } from '../why.ts'
import { commonSize, type Finding, findingOf } from './findings.ts'
import { united } from './messages.ts'
import type { UpkeepPorts, UpkeepStripe, UpkeepVolume } from './ports.ts'

export interface RepairOutcome {
  end: 'repaired' | 'whole' | 'deleted' | 'orphan' | 'failed'
  repaired: number[]
  /** What is still to be done. */
  badIndexes: number[]
  /** Put, while too few others could be asked: it has to be looked at again. */
  inDoubt: number[]
  /** For `orphan` and `failed`. */
  why: string | null
}

export interface RepairOrder {
  bid: bigint
  badIndexes: readonly number[]
  /** Units that an earlier try may have put: they cannot say that the blob is not deleted. */
  inDoubt: readonly number[]
  signal: AbortSignal
  /** Whether somebody was asked to delete it. */
  isBeingDeleted: () => Promise<boolean>
}

type Unit = UpkeepVolume['units'][number]

/** Clients go first at every disk. */
const REPAIR = { io: 'repair' } as const
/** Nobody can tell whether the blob is deleted. */
const IN_DOUBT = 'too few units can be asked whether the blob is deleted'

export class RepairRun {
  readonly #ports: UpkeepPorts
  readonly #volume: UpkeepVolume
  readonly #order: RepairOrder
  readonly #findings: Finding[] = []
  readonly #repaired: number[] = []
  readonly #troubles: string[] = []
  #bad: number[]
  #isMoved = false

  constructor(ports: UpkeepPorts, volume: UpkeepVolume, order: RepairOrder) {
    this.#ports = ports
    this.#volume = volume
    this.#order = order
    // Each call listens to it, and there is one per unit at a time.
    setMaxListeners(0, order.signal)
    this.#bad = order.badIndexes.filter((index) => index < volume.units.length)
  }

  /** Whether a unit was not where the mapping says. */
  get isMoved(): boolean {
    return this.#isMoved
  }

  async run(): Promise<RepairOutcome> {
    const { signal, inDoubt } = this.#order
    if (await this.#isDeleted(this.#volume.units)) {
      return this.#withdrawn(united(this.#bad, inDoubt))
    }
    await this.#verify()
    if (this.#lack() === undefined) await this.#rebuild()
    signal.throwIfAborted()
    if (this.#repaired.length > 0 && (await this.#isDeleted(this.#unitsOf(this.#sources())))) {
      return this.#withdrawn(united(this.#repaired, inDoubt))
    }
    return this.#outcome()
  }

  /** Whether the blob is, or is about to be, deleted, as far as these can tell. */
  async #isDeleted(units: readonly Unit[]): Promise<boolean> {
    const said = await Promise.all(units.map((unit) => this.#stat(unit)))
    for (const [at, finding] of said.entries()) {
      const unit = units[at]
      if (unit !== undefined) this.#findings[unit.index] = finding
    }
    if (said.some(({ kind }) => kind === 'deleted')) return true
    if (this.#isAbsent(units)) return true
    return this.#order.isBeingDeleted()
  }

  /**
   * Whether nobody has it, so that what is there was put by an earlier try. That takes more units without it
   * than a put may leave out and be acknowledged; of fewer it may as well be the others who have it by right.
   */
  #isAbsent(units: readonly Unit[]): boolean {
    const { data, parity, putQuorum } = this.#volume.mode
    const { inDoubt } = this.#order
    const isAbsent = ({ index }: Unit) => this.#finding(index).kind === 'absent'
    if (units.every(isAbsent)) return true
    const others = units.filter(({ index }) => !inDoubt.includes(index))
    const global = others.filter(({ index }) => index < data + parity)
    return others.every(isAbsent) && global.length > data + parity - putQuorum
  }

  async #stat(unit: Unit): Promise<Finding> {
    try {
      const { size, flag } = await this.#ports.shards.statShard(unit, this.#order.bid, REPAIR)
      return flag === 2 ? { kind: 'deleted' } : { kind: 'whole', size }
    } catch (thrown) {
      return this.#failed(unit, thrown)
    }
  }

  /**
   * That a shard is there does not say that its bytes are, and where one is bad others are, too: those that
   * show are repaired with it.
   */
  async #verify(): Promise<void> {
    const size = this.#shardBytes()
    for (const [index, finding] of this.#findings.entries()) {
      if (finding.kind === 'absent') this.#addBad(index, finding)
      if (finding.kind !== 'whole') continue
      const why = `it has ${finding.size} bytes, not ${size}`
      if (finding.size !== size) this.#addBad(index, { kind: 'corrupt', why })
      else if (this.#bad.includes(index)) await this.#readBothWays(this.#unit(index))
    }
  }

  /** A shard may be whole while the checksums of its blocks, by which parts of it are read, are not. */
  async #readBothWays(unit: Unit): Promise<void> {
    const { signal, bid } = this.#order
    const bytes = await this.#read(unit)
    if (bytes === undefined || bytes.length === 0) return
    try {
      const range = { from: 0, to: 1 }
      await this.#ports.shards.getShard(unit, bid, { signal, range, ...REPAIR })
    } catch (thrown) {
      signal.throwIfAborted()
      this.#findings[unit.index] = this.#failed(unit, thrown)
    }
  }

  #addBad(index: number, finding: Finding): void {
    this.#findings[index] = finding
    this.#bad = united(this.#bad, [index])
  }

  /** Who is said to be bad is not believed against the others. */
  #shardBytes(): number | undefined {
    const good = this.#findings.filter((_, index) => !this.#bad.includes(index))
    return commonSize(good) ?? commonSize(this.#findings)
  }

  #wanted(): number[] {
    return this.#bad.filter((index) => {
      const { kind } = this.#finding(index)
      return kind === 'absent' || kind === 'corrupt'
    })
  }

  #unitsThat(...kinds: Finding['kind'][]): number[] {
    return this.#findings.flatMap(({ kind }, index) => (kinds.includes(kind) ? [index] : []))
  }

  /** Whole, and not by this message. */
  #sources(): number[] {
    return this.#unitsThat('whole').filter(
      (index) => !this.#order.inDoubt.includes(index) && !this.#repaired.includes(index),
    )
  }

  /** Whether what is left is too little: for now, or for good as far as anybody can tell. */
  #lack(): { isLost: boolean; why: string } | undefined {
    const { mode } = this.#volume
    const isMissing = ({ kind }: Finding) => ['absent', 'corrupt', 'gone'].includes(kind)
    const missing = this.#bad.filter((index) => isMissing(this.#finding(index)))
    const sources = this.#sources()
    if (missing.length === 0 || canRebuild(mode, sources, missing)) return undefined
    const isLost = !canRebuild(mode, [...sources, ...this.#unitsThat('away')], missing)
    const count = (kind: Finding['kind']) => this.#unitsThat(kind).length
    const why = `of the shards of blob ${this.#order.bid} ${count('whole')} are whole, ${count('absent')} are not there, ${count('corrupt')} are corrupt, ${count('gone')} are on disks that are gone, ${count('away')} cannot be reached: too few to make up the others`
    return { isLost, why }
  }

  async #rebuild(): Promise<void> {
    const size = this.#shardBytes()
    if (size === undefined || this.#wanted().length === 0) return
    const { mode } = this.#volume
    const { erasure } = this.#ports
    const stripe = erasure.stripe(mode, blobBytesOf(mode, size))
    try {
      const present = await this.#readInto(stripe)
      if (present === undefined) return
      const wanted = this.#wanted()
      await erasure.rebuild(stripe, present, wanted)
      this.#order.signal.throwIfAborted()
      await Promise.all(wanted.map((index) => this.#put(index, stripe.shard(index))))
    } finally {
      erasure.release(stripe)
    }
  }

  /** Reads what it takes; who turns out to be bad is wanted, too, and others are read instead. */
  async #readInto(stripe: UpkeepStripe): Promise<number[] | undefined> {
    const read = new Set<number>()
    for (;;) {
      this.#order.signal.throwIfAborted()
      const wanted = this.#wanted()
      const plan = rebuildSources(this.#volume.mode, this.#sources(), wanted)
      if (plan === undefined) return undefined
      const missing = plan.filter((index) => !read.has(index))
      if (missing.length === 0) return plan
      await Promise.all(missing.map((index) => this.#readOne(index, stripe, read)))
    }
  }

  async #readOne(index: number, stripe: UpkeepStripe, read: Set<number>): Promise<void> {
    const unit = this.#unit(index)
    const bytes = await this.#read(unit)
    if (bytes === undefined) {
      if (this.#finding(index).kind !== 'away') this.#bad = united(this.#bad, [index])
      return
    }
    stripe.shard(index).set(bytes)
    read.add(index)
  }

  /** Undefined when it cannot be read, and what is found of it is changed then. */
  async #read(unit: Unit): Promise<Buffer | undefined> {
    const { signal, bid } = this.#order
    const found = this.#finding(unit.index)
    try {
      const bytes = await this.#ports.shards.getShard(unit, bid, { signal, ...REPAIR })
      if (found.kind === 'whole' && bytes.length === found.size) return bytes
      this.#findings[unit.index] = { kind: 'corrupt', why: `${bytes.length} bytes were read of it` }
    } catch (thrown) {
      signal.throwIfAborted()
      this.#findings[unit.index] = this.#failed(unit, thrown)
    }
    return undefined
  }

  async #put(index: number, bytes: Buffer): Promise<void> {
    const { signal, bid } = this.#order
    const unit = this.#unit(index)
    try {
      const options = { crc: crc32(bytes), signal, ...REPAIR }
      await this.#ports.shards.putShard(unit, bid, bytes, options)
      this.#repaired.push(index)
      this.#findings[index] = { kind: 'whole', size: bytes.length }
    } catch (thrown) {
      signal.throwIfAborted()
      this.#failed(unit, thrown)
      this.#troubles.push(`${nameOf(unit)}: ${messageOf(thrown)}`)
    }
  }

  /** Of a deleted blob nothing may stay that this run, or one before it, has put. */
  async #withdrawn(indexes: readonly number[]): Promise<RepairOutcome> {
    const { bid } = this.#order
    const { shards } = this.#ports
    for (const index of indexes) {
      if (this.#finding(index).kind !== 'whole') continue
      const unit = this.#unit(index)
      try {
        await shards.markDelete(unit, bid, REPAIR)
        await shards.deleteShard(unit, bid, REPAIR)
      } catch (thrown) {
        if (['absent', 'deleted'].includes(this.#failed(unit, thrown).kind)) continue
        const why = `the blob is deleted, and its shard at ${nameOf(unit)} not yet: ${messageOf(thrown)}`
        const inDoubt = united(indexes, [])
        return { end: 'failed', repaired: [], badIndexes: [...this.#bad], inDoubt, why }
      }
    }
    return { end: 'deleted', repaired: [], badIndexes: [], inDoubt: [], why: null }
  }

  /** So many units say that they have it that nobody can have said that it is deleted. */
  #isConfirmed(): boolean {
    const { mode } = this.#volume
    const global = this.#sources().filter((index) => index < mode.data + mode.parity)
    return global.length >= readsNeeded(mode)
  }

  #outcome(): RepairOutcome {
    const badIndexes = this.#bad.filter((index) => this.#finding(index).kind !== 'whole')
    const repaired = [...this.#repaired]
    const lack = this.#lack()
    const isSure = this.#isConfirmed()
    const inDoubt = isSure ? [] : united(repaired, this.#order.inDoubt)
    const left = { repaired, badIndexes, inDoubt }
    if (lack !== undefined)
      return { ...left, end: lack.isLost ? 'orphan' : 'failed', why: lack.why }
    if (badIndexes.length > 0)
      return { ...left, end: 'failed', why: this.#firstTrouble(badIndexes) }
    if (!isSure) return { ...left, end: 'failed', why: IN_DOUBT }
    return { ...left, end: repaired.length > 0 ? 'repaired' : 'whole', why: null }
  }

  #firstTrouble(badIndexes: readonly number[]): string {
    const whys = badIndexes.flatMap((index) => {
      const finding = this.#finding(index)
      return finding.kind === 'away' || finding.kind === 'gone' ? [finding.why] : []
    })
    return [...this.#troubles, ...whys][0] ?? 'not all could be repaired'
  }

  #failed(unit: Unit, thrown: unknown): Finding {
    if (mayHaveMoved(thrown)) this.#isMoved = true
    const finding = findingOf(thrown)
    if (!('why' in finding)) return finding
    return { ...finding, why: `${nameOf(unit)}: ${finding.why}` }
  }

  /** Of a unit that was not asked nothing is known. */
  #finding(index: number): Finding {
    return this.#findings[index] ?? { kind: 'away', why: 'it was not asked' }
  }

  #unitsOf(indexes: readonly number[]): Unit[] {
    return indexes.map((index) => this.#unit(index))
  }

  #unit(index: number): Unit {
    const unit = this.#volume.units[index]
    if (unit === undefined) throw refusal(924, `the volume has no unit ${index}`)
    return unit
  }
}

/** A blob that fills its shards, of whatever size it is: shards are made of shards here. */
function blobBytesOf(mode: CodeMode, shardBytes: number): number {
  return mode.kind === 'replica' ? shardBytes : shardBytes * mode.data
}

function nameOf({ vuid, diskId }: Unit): string {
  return `unit ${vuidParts(vuid).index} on disk ${diskId}`
}
