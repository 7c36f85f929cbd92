/**
 * One look through the ledger of a disk. Decides: for which units a move is started, that each is asked for in
 * the order of the round, and what of a broken disk is struck out at once, since nobody can read it there.
 *
 * A look reads a bounded part of the ledger; what it has done and where it stopped is its outcome, whatever
 * stands in the way of the rest.
 */
import type { Client } from '../../../../src/index.ts'
import { vuidParts } from '../../plane/codes/index.ts'
import type { DiskRecord } from '../../plane/disks/index.ts'
import { isRefused, type VolumeRecord } from '../../plane/volumes/index.ts'
import type { JobKind } from './job-kinds.ts'
import { type LiveMove, type Round, STILL_MAX } from './job-record.ts'
import { type Looked, withNotes } from './job-rules.ts'
import { alsoBad, fateOf, type LineFate, NO_NOTES } from './ledger-lines.ts'
import type { DiskJobPorts } from './ports.ts'
import { isRefusedMove, ownMove, startedMove } from './started-moves.ts'

/** Lines that a look reads volumes for. */
const LINES_MAX = 256

export interface LookOptions {
  kind: JobKind
  diskId: number
  isOn: boolean
  live: readonly LiveMove[]
  ended: readonly string[]
  round: Round
  client: Client
  signal: AbortSignal
  /** The address of the job. */
  owner: string
}

type Outcome = Pick<Looked, 'added' | 'gone' | 'still' | 'bytes' | 'counted' | 'left' | 'round'>

export class LedgerLook {
  readonly #ports: DiskJobPorts
  readonly #options: LookOptions
  readonly #out: Outcome
  /** Of the disks, those that are normal. */
  #normal: ReadonlySet<number> = new Set()

  constructor(ports: DiskJobPorts, options: LookOptions) {
    const { round, kind, live } = options
    this.#ports = ports
    this.#options = options
    // Of a disk that can be read no volume is in a hurry.
    const begun: Round =
      kind === 'disk_drop' && round.pass === 'urgent' ? { ...round, pass: 'all' } : round
    const left = live.length
    this.#out = { added: [], gone: [], still: [], bytes: 0, counted: [], left, round: begun }
  }

  /** What was done so far. */
  outcome(): Outcome {
    return this.#out
  }

  /** @throws TroupeError for what stands in the way */
  async look(record: DiskRecord): Promise<void> {
    const lines = Object.keys(record.units).map(BigInt).sort(ascending)
    this.#out.left = lines.length
    await this.#count()
    await this.#hearLive()
    if (this.#options.kind === 'disk_repair') await this.#knowNormal()
    for (let looked = 0; looked < LINES_MAX; ) {
      this.#options.signal.throwIfAborted()
      const vuid = this.#next(lines)
      if (vuid === undefined) {
        if (this.#out.round.pass === 'all') {
          this.#out.round = { ...this.#out.round, isThrough: true }
          return
        }
        this.#out.round = { ...this.#out.round, pass: 'all', cursor: null, notes: NO_NOTES }
        continue
      }
      if (!this.#hasPlace()) return
      looked += 1
      await this.#lookAt(vuid, record)
      this.#out.round = { ...this.#out.round, cursor: vuid.toString() }
    }
  }

  /** Behind the last one, and without a move of this job. */
  #next(lines: readonly bigint[]): bigint | undefined {
    const { cursor } = this.#out.round
    const after = cursor === null ? -1n : BigInt(cursor)
    const moving = new Set([...this.#living(), ...this.#out.added].map(({ vuid }) => vuid))
    return lines.find((vuid) => vuid > after && !moving.has(vuid))
  }

  #living(): LiveMove[] {
    return this.#options.live.filter(({ taskId }) => !this.#out.gone.includes(taskId))
  }

  #hasPlace(): boolean {
    const { limits } = this.#ports
    const { still, added } = this.#out
    const moving = this.#living().length - still.length + added.length
    return this.#options.isOn && moving < limits.taskLimitPerDisk && still.length < STILL_MAX
  }

  async #lookAt(vuid: bigint, disk: DiskRecord): Promise<void> {
    const { pass } = this.#out.round
    const { diskId } = this.#options
    const volume = await this.#volume(vuidParts(vuid).vid)
    const fate = fateOf(volume, { vuid, diskId })
    const bad = volume ? alsoBad(volume, diskId, (id) => this.#normal.has(id)) : 0
    if (pass === 'urgent' && (fate !== 'unit' || bad === 0)) return
    if (fate === 'unit') return this.#move(vuid, disk, bad)
    const isStruck = this.#options.kind === 'disk_repair' && (await this.#strike(fate, vuid))
    if (isStruck) this.#out.round = { ...this.#out.round, isFruitful: true }
    this.#note({ [fate]: 1 })
  }

  /** As it stands behind the ledger: what a ledger has and its volume has not is nobody's. */
  async #volume(vid: number): Promise<VolumeRecord | undefined> {
    try {
      return await this.#ports.views.record(vid, { fresh: true })
    } catch (thrown) {
      if (isRefused(thrown, NO_VOLUME)) return undefined
      throw thrown
    }
  }

  async #move(vuid: bigint, { idc, diskId }: DiskRecord, bad: number): Promise<void> {
    const { kind, owner, client } = this.#options
    try {
      const { taskId } = await this.#ports.moves.add({
        ...{ type: kind, sourceVuid: vuid, sourceDiskId: diskId, sourceIdc: idc, owner },
        ...{ forbiddenDirectDownload: kind === 'disk_repair', priority: bad },
      })
      this.#began(taskId, vuid)
    } catch (thrown) {
      if (!isRefusedMove(thrown)) throw thrown
      const own = await ownMove(client, this.#ports.views, { vuid, owner })
      if (own === undefined) this.#note({ refused: 1, first: thrown.message })
      else this.#began(own, vuid)
    }
  }

  #began(taskId: string, vuid: bigint): void {
    this.#out.added.push({ taskId, vuid, isStill: false })
    this.#out.round = { ...this.#out.round, isFruitful: true }
  }

  /** Of a disk that nobody reads any more. @returns whether something changed */
  async #strike(fate: LineFate, vuid: bigint): Promise<boolean> {
    const { disks, calls, views } = this.#ports
    const { diskId } = this.#options
    if (fate === 'leaving') {
      await calls.releaseUnit(vuid, diskId)
      return true
    }
    // Of a volume whose number was not given out yet its record may be on its way.
    const isGone = fate === 'orphan' && vuidParts(vuid).vid <= (await views.lastVid())
    if (fate !== 'stray' && !isGone) return false
    await disks.free(diskId, vuid)
    return true
  }

  async #knowNormal(): Promise<void> {
    const all = [...(await this.#ports.table.all({ fresh: true })).values()]
    this.#normal = new Set(all.filter(({ status }) => status === 1).map(({ diskId }) => diskId))
  }

  /** Those whose ends nobody has told, as when they were removed by hand. */
  async #hearLive(): Promise<void> {
    for (const { taskId } of this.#options.live) {
      const { isOver, isStill } = await startedMove(this.#options.client, taskId)
      if (isOver) this.#out.gone.push(taskId)
      else if (isStill) this.#out.still.push(taskId)
    }
  }

  /** What the moves have moved that have ended. */
  async #count(): Promise<void> {
    for (const taskId of this.#options.ended) {
      const { record } = await startedMove(this.#options.client, taskId)
      if (record?.state === FINISHED) this.#out.bytes += record.stat.doneSize
      this.#out.counted.push(taskId)
    }
  }

  #note(more: Partial<typeof NO_NOTES>): void {
    this.#out.round = withNotes(this.#out.round, { ...NO_NOTES, ...more })
  }
}

const NO_VOLUME = 904
/** Of the states of a move: its chunk has taken the place of the old one. */
const FINISHED = 4

function ascending(a: bigint, b: bigint): number {
  return a < b ? -1 : Number(a > b)
}
