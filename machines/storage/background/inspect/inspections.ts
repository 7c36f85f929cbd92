/**
 * Inspections as a node serves them to workers. Decides: that what was found is asked to be repaired, durably,
 * before the inspection counts as done, so that a crash between repeats it and loses nothing; that what was
 * inspected by an old mapping is inspected again; that a worker waits for the next volume instead of asking again
 * and again. Leaves to others: whose turn it is (`inspect-rules.ts`), repairs (`upkeep`), chunks that cannot be
 * used (`unusable-units.ts`), the paths.
 */
import {
  type ActorView,
  type AppContext,
  type EventObject,
  TroupeError,
} from '../../../../src/index.ts'
import { StorageRefusal, VID_MAX, vuidParts } from '../../plane/codes/index.ts'
import type { RepairMessage } from '../../plane/upkeep/index.ts'
import { whyOf } from '../../plane/why.ts'
import { newXid } from '../moves/index.ts'
import { type InspectAnswer, type InspectRecord, vidOfTask } from './inspect-record.ts'
import { freeVid } from './inspect-rules.ts'
import { forget } from './inspect-tidy.ts'
import type { InspectConfig } from './settings.ts'
import { type RemadeUnits, UnusableUnits, type UnusableUnitsDeps } from './unusable-units.ts'
import { INSPECT_ADDRESS } from './volume-inspect.ts'
import { type InspectionResult, inspectionAddress, TROUBLES_MAX } from './volume-inspection.ts'
import type { FoundShard, InspectReport, InspectTask } from './wire.ts'

export interface InspectionsDeps
  extends Pick<AppContext, 'client' | 'clock' | 'random'>,
    Omit<UnusableUnitsDeps, 'client' | 'clock'> {
  settings: InspectConfig
  upkeep: { repair(message: RepairMessage): Promise<void> }
}

export interface AcquireWish {
  worker: string
  /** How long it waits for a volume; 0: not at all. */
  waitMs?: number
  signal?: AbortSignal
}

export type ReportAnswer = { ok: true } | { refused: string; message: string }

/** Each is a commit of its own, and those of a turn share a flush. */
const REPAIRS_AT_ONCE = 32
const NOT_FOUND = 904

export class Inspections {
  readonly #deps: InspectionsDeps
  readonly #unusable: UnusableUnits

  constructor(deps: InspectionsDeps) {
    this.#deps = deps
    this.#unusable = new UnusableUnits(deps)
  }

  /** A volume for a worker; undefined when there is none in time. */
  async acquire({ worker, waitMs = 0, signal }: AcquireWish): Promise<InspectTask | undefined> {
    const { client, clock } = this.#deps
    const endMs = clock.monotonic() + waitMs
    while (!signal?.aborted) {
      // A look costs no commit.
      const isFree = hasFree(await client.get(INSPECT_ADDRESS))
      const given = isFree ? await this.#take(worker) : undefined
      if (given !== undefined && !('none' in given)) {
        const task = await this.#taskOf(given)
        if (task === undefined) continue
        if (!signal?.aborted) return task
        await this.#giveBack(task.task_id, null)
        break
      }
      const leftMs = endMs - clock.monotonic()
      if (leftMs <= 0 || !(await this.#waited(leftMs, signal))) break
    }
    return undefined
  }

  /** What a worker found; `more`: and goes on. @throws TroupeError when it is not known to be kept */
  async report(report: InspectReport): Promise<ReportAnswer> {
    const { clock, settings } = this.#deps
    const { task_id: taskId, missed_shards: missed, corrupt_shards: corrupt } = report
    const vid = vidOfTask(taskId)
    if (vid === undefined || vid < 1 || vid > VID_MAX) return unknownTask(taskId)
    // Whoever comes late changes nothing: neither repairs nor what is known of the volume.
    const { leaseMs } = settings
    const refused = refusalOf(await this.#ask({ type: 'RENEW', taskId, at: clock.now(), leaseMs }))
    if (refused) return refused
    await this.#repair(vid, { missed, corrupt })
    if (report.more) return { ok: true }
    const unusable = report.unusable_units
    const remade = unusable.length > 0 ? await this.#unusable.remake(vid, unusable) : undefined
    const { found, ...told } = resultOf(report, remade)
    const at = clock.now()
    await this.#keep(vid, { ...found, ...told, at })
    const done = await this.#ask({ type: 'COMPLETE', taskId, at, error: told.error, found })
    return refusalOf(done) ?? { ok: true }
  }

  /** The next pass begins now. */
  async begin(author: string): Promise<ReportAnswer> {
    const at = this.#deps.clock.now()
    return refusalOf(await this.#ask({ type: 'BEGIN', at }, author)) ?? { ok: true }
  }

  /** One volume, whichever turn it has. @throws StorageRefusal 904 */
  async inspect(vid: number, author: string): Promise<ReportAnswer> {
    const { views, clock } = this.#deps
    await views.view(vid, { fresh: true })
    const event = { type: 'INSPECT', vid, at: clock.now() }
    return refusalOf(await this.#ask(event, author)) ?? { ok: true }
  }

  async #take(worker: string): Promise<InspectAnswer> {
    const { clock, random, settings } = this.#deps
    const xid = newXid({ clock, random })
    const { leaseMs } = settings
    return this.#ask({ type: 'ACQUIRE', worker, at: clock.now(), leaseMs, xid })
  }

  /** Undefined for a volume that is none any more. */
  async #taskOf(given: InspectAnswer): Promise<InspectTask | undefined> {
    const { views, clock, client } = this.#deps
    if (!('taskId' in given)) return undefined
    const { taskId, vid, leaseMs } = given
    try {
      const { mode, units } = await views.view(vid, { fresh: true })
      const replicas = units
        .filter(({ address }) => address !== '')
        .map(({ vuid, address, diskId }) => ({ vuid, host: address, disk_id: diskId }))
      return { task_id: taskId, mode: mode.id, replicas, lease_ms: leaseMs }
    } catch (thrown) {
      if (!(thrown instanceof StorageRefusal) || thrown.status !== NOT_FOUND) {
        await this.#giveBack(taskId, `its mapping cannot be read: ${whyOf(thrown)}`)
        throw thrown
      }
      await this.#ask({ type: 'DISMISS', taskId, at: clock.now() })
      await forget(client, vid)
      return undefined
    }
  }

  /** @param why what is wrong with the volume; null: nothing, its worker has gone away */
  async #giveBack(taskId: string, why: string | null): Promise<void> {
    await this.#ask({ type: 'GIVE_BACK', taskId, at: this.#deps.clock.now(), why })
  }

  /** Whether there may be one now. */
  async #waited(timeoutMs: number, signal: AbortSignal | undefined): Promise<boolean> {
    try {
      await this.#deps.client.waitFor(INSPECT_ADDRESS, hasFree, {
        timeoutMs,
        ...(signal === undefined ? {} : { signal }),
      })
      return true
    } catch (thrown) {
      if (thrown instanceof TroupeError && thrown.code === 'no-answer') return false
      throw thrown
    }
  }

  async #repair(
    vid: number,
    { missed, corrupt }: { missed: readonly FoundShard[]; corrupt: readonly FoundShard[] },
  ): Promise<void> {
    const { upkeep } = this.#deps
    const bad = new Map<bigint, { missing: Set<number>; corrupt: Set<number> }>()
    const note = (shards: readonly FoundShard[], kind: 'missing' | 'corrupt') => {
      for (const { vuid, bid } of shards) {
        const { vid: of, index } = vuidParts(vuid)
        if (of !== vid) continue
        const known = bad.get(bid) ?? { missing: new Set(), corrupt: new Set() }
        known[kind].add(index)
        bad.set(bid, known)
      }
    }
    note(missed, 'missing')
    note(corrupt, 'corrupt')
    const blobs = [...bad]
    for (let from = 0; from < blobs.length; from += REPAIRS_AT_ONCE) {
      const some = blobs.slice(from, from + REPAIRS_AT_ONCE)
      await Promise.all(
        some.map(([bid, kinds]) => {
          const badIndexes = [...new Set([...kinds.missing, ...kinds.corrupt])].sort(
            (a, b) => a - b,
          )
          const words = [
            ...(kinds.missing.size > 0 ? [`${kinds.missing.size} missing`] : []),
            ...(kinds.corrupt.size > 0 ? [`${kinds.corrupt.size} corrupt`] : []),
          ]
          return upkeep.repair({ vid, bid, badIndexes, reason: `inspect: ${words.join(', ')}` })
        }),
      )
    }
  }

  async #keep(vid: number, result: InspectionResult): Promise<void> {
    const { client } = this.#deps
    const address = inspectionAddress(vid)
    try {
      await client.send(address, { type: 'RESULT', ...result })
    } catch (thrown) {
      if (!(thrown instanceof TroupeError) || thrown.code !== 'unknown-actor') throw thrown
      await client.start(address, { vid, ...result, remakes: [] })
    }
  }

  /** @throws TroupeError `unavailable` while an operator has paused it */
  async #ask(event: EventObject, author?: string): Promise<InspectAnswer> {
    const { client } = this.#deps
    const speaker = author === undefined ? client : client.as(author)
    const answer = await speaker.ask(INSPECT_ADDRESS, event)
    if (answer !== undefined) return answer as InspectAnswer
    throw new TroupeError('unavailable', `${INSPECT_ADDRESS} is paused or parked: resume it`)
  }
}

function hasFree({ context, paused, parked }: ActorView & { paused?: unknown; parked?: unknown }) {
  const record = context as InspectRecord
  return !paused && !parked && record.isOn && freeVid(record) !== undefined
}

function refusalOf(answer: InspectAnswer): Extract<ReportAnswer, { refused: string }> | undefined {
  return 'refused' in answer ? answer : undefined
}

function unknownTask(taskId: string): ReportAnswer {
  return { refused: 'unknown_task', message: `"${taskId.slice(0, 80)}" is no inspection` }
}

/** @param remade undefined: all chunks can be used @returns it as it is kept; of what was inspected by an old mapping it is not believed what is lost. */
function resultOf(report: InspectReport, remade: RemadeUnits | undefined) {
  const { missed_shards: missed, corrupt_shards: corrupt, worker } = report
  const error = report.inspect_err_str || (remade?.changed ?? null)
  const isOld = remade !== undefined && remade.changed !== null
  const found = {
    ...{ blobs: report.blob_cnt, shards: report.shard_cnt, bytes: report.byte_cnt },
    missed: report.missed_cnt ?? missed.length,
    corrupt: report.corrupt_cnt ?? corrupt.length,
    lost: isOld ? 0 : report.lost_cnt,
  }
  const troubles = [...(remade?.troubles ?? []), ...report.troubles].slice(0, TROUBLES_MAX)
  return { found, worker, error, troubles, lostBlobs: isOld ? [] : report.lost_blobs }
}
