/**
 * How nodes know of the disks of a blobnode: registered once, and heard from then on. Decides: when what is
 * said, and that nothing is given up: a node that is away is asked for ever, a disk that broke is told at
 * once and until a node has taken it in. Leaves to others: what a node makes of it, and the way to it.
 */
import { z } from 'zod'
import { type Clock, type Log, TroupeError } from '../../../../src/index.ts'
import { readRefusal, StorageRefusal } from '../codes/index.ts'
import type { DiskUsage } from './disk-store.ts'
import type { NodeCall } from './node-calls.ts'
import type { ServedDisk } from './served-disk.ts'

export interface Whereabouts {
  /** Where others call this blobnode. */
  address: string
  host: string
  rack: string
  idc: string
}

export interface RegistrationDeps extends Whereabouts {
  call: NodeCall
  disks: readonly ServedDisk[]
  clock: Clock
  log: Log
  /** Until a node says otherwise. */
  heartbeatMs?: number
}

const HEARTBEAT_MS = 5_000
/** From a node that is restarted to one that is away for a day; in between nobody waits long. */
const RETRY_MS_MIN = 500
/** What a node has refused stays so until a person does something. */
const REFUSED_MS = 30_000
const WHY_LENGTH_MAX = 1_000
const NORMAL = 1

const registered = z.object({
  status: z.int(),
  heartbeat_ms: z.int().min(100).max(600_000).optional(),
})
const beaten = z.object({
  disks: z.array(
    z.object({
      disk_id: z.int(),
      status: z.int(),
      /** Why it was not taken in; to be registered anew. */
      refused: z.int().optional(),
      error: z.string().optional(),
    }),
  ),
})

interface Standing {
  isRegistered: boolean
  /** By the clock that never jumps; not before is it registered again. */
  notBefore: number
  /** The node knows that it is broken. */
  isBrokenHeard: boolean
  /** What it last told, where it cannot tell any more. */
  usage: DiskUsage
}

const UNKNOWN_USAGE: DiskUsage = {
  ...{ sizeBytes: 0, freeBytes: 0, usedBytes: 0, chunks: 0, chunksMax: 0 },
}

export class Registration {
  readonly #deps: RegistrationDeps
  readonly #standings = new Map<ServedDisk, Standing>()
  #heartbeatMs: number
  #cancel = () => {}
  #beating: Promise<void> | undefined
  #isWanted = false
  #isStopped = false
  #failures = 0
  #problem: string | null = null
  #heardAt: number | null = null

  constructor(deps: RegistrationDeps) {
    this.#deps = deps
    this.#heartbeatMs = deps.heartbeatMs ?? HEARTBEAT_MS
    for (const disk of deps.disks) {
      const usage = UNKNOWN_USAGE
      const standing = { isRegistered: false, notBefore: 0, isBrokenHeard: false, usage }
      this.#standings.set(disk, standing)
    }
  }

  /** Says now what there is to say, and goes on; resolves when a node has been tried. */
  now(): Promise<void> {
    this.#cancel()
    if (this.#isStopped) return Promise.resolve()
    if (this.#beating !== undefined) {
      this.#isWanted = true
      return this.#beating
    }
    this.#beating = this.#beat().finally(() => {
      this.#beating = undefined
      const isWanted = this.#isWanted
      this.#isWanted = false
      if (isWanted) void this.now()
      else this.#later()
    })
    return this.#beating
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    this.#cancel()
    await this.#beating
  }

  report(): { heard_at: number | null; problem: string | null } {
    return { heard_at: this.#heardAt, problem: this.#problem }
  }

  #later(): void {
    if (this.#isStopped) return
    const beat = this.#heartbeatMs
    const isAway = this.#problem !== null
    const waitMs = isAway ? Math.min(beat, RETRY_MS_MIN * 2 ** this.#failures) : beat
    this.#failures = isAway ? this.#failures + 1 : 0
    this.#cancel = this.#deps.clock.after(waitMs, () => void this.now())
  }

  async #beat(): Promise<void> {
    const { clock, log } = this.#deps
    try {
      for (const disk of this.#deps.disks) {
        disk.probe()
        await this.#register(disk)
      }
      await this.#heartbeat()
      if (this.#problem !== null) log.info({}, 'a node hears this blobnode again')
      this.#problem = null
      this.#heardAt = clock.now()
    } catch (thrown) {
      const problem = thrown instanceof Error ? thrown.message : String(thrown)
      // For the same reason as before it is told once.
      if (problem !== this.#problem) {
        log.warn({ problem }, 'this blobnode waits for a node that takes in its disks')
      }
      this.#problem = problem
    }
  }

  async #register(disk: ServedDisk): Promise<void> {
    const { clock, log, address, host, rack, idc } = this.#deps
    const standing = this.#standings.get(disk)!
    const isOpen = disk.state === 'up' || disk.state === 'refused'
    if (!isOpen || standing.isRegistered || clock.monotonic() < standing.notBefore) return
    const usage = await this.#usageOf(disk, standing)
    const place = { disk_id: disk.id, uuid: disk.uuid, address, host, rack, idc, path: disk.path }
    const told = { ...place, ...writtenUsage(usage) }
    const answer = await this.#ask('/storage/disks', told, registered).catch(refusalIn)
    if (answer instanceof TroupeError) {
      standing.notBefore = clock.monotonic() + REFUSED_MS
      const problem = answer.message
      const fields = { disk: disk.id, path: disk.path, problem }
      const isNews = disk.state === 'up'
      disk.refuse(problem)
      if (isNews) log.error(fields, 'a node refuses a disk: it is not served; the others go on')
      return
    }
    standing.isRegistered = true
    this.#heartbeatMs = this.#deps.heartbeatMs ?? answer.heartbeat_ms ?? this.#heartbeatMs
    disk.refuse(null)
    log.info(
      { disk: disk.id, path: disk.path, address, status: answer.status },
      'a disk is registered',
    )
  }

  async #heartbeat(): Promise<void> {
    const beats: object[] = []
    for (const [disk, standing] of this.#standings) {
      const { broken } = disk
      // One that broke before this process could register it may be known all the same.
      if (!standing.isRegistered && broken === undefined) continue
      const usage = writtenUsage(await this.#usageOf(disk, standing))
      const why = broken === undefined ? null : broken.slice(0, WHY_LENGTH_MAX)
      beats.push({ disk_id: disk.id, uuid: disk.uuid, ...usage, broken: why })
    }
    if (beats.length === 0) return
    const heard = await this.#ask('/storage/heartbeat', { disks: beats }, beaten)
    for (const [disk, standing] of this.#standings) {
      const row = heard.disks.find(({ disk_id }) => disk_id === disk.id)
      if (row !== undefined) this.#heard(disk, standing, row)
    }
  }

  #heard(
    disk: ServedDisk,
    standing: Standing,
    { status, refused, error }: z.output<typeof beaten>['disks'][number],
  ): void {
    const { log } = this.#deps
    if (refused !== undefined && standing.isRegistered) {
      standing.isRegistered = false
      standing.notBefore = 0
      log.warn(
        { disk: disk.id, problem: error },
        'a node does not know a disk; it is registered anew',
      )
    }
    const isBrokenHeard = disk.broken !== undefined && refused === undefined && status !== NORMAL
    if (isBrokenHeard && !standing.isBrokenHeard) {
      log.info({ disk: disk.id }, 'a node knows that the disk is broken')
    }
    standing.isBrokenHeard = isBrokenHeard
  }

  /** @throws StorageRefusal, TroupeError */
  async #ask<T>(path: string, told: object, schema: z.ZodType<T>): Promise<T> {
    const { status, body } = await this.#deps.call(path, told)
    const refused = status >= 400 ? readRefusal(status, JSON.stringify(body)) : undefined
    if (refused !== undefined) throw refused
    const answer = schema.safeParse(body)
    if (status < 300 && answer.success) return answer.data
    const why = `the node answers POST ${path} in another form (HTTP ${status}): is it another version?`
    throw new TroupeError('unavailable', why)
  }

  async #usageOf(disk: ServedDisk, standing: Standing): Promise<DiskUsage> {
    standing.usage = (await disk.usage()) ?? standing.usage
    return standing.usage
  }
}

function writtenUsage({ sizeBytes, freeBytes, usedBytes, chunks, chunksMax }: DiskUsage): object {
  return { size: sizeBytes, free: freeBytes, used: usedBytes, chunks, chunks_max: chunksMax }
}

/** What is said of this one disk. @throws all else: of the node, or of the way to it */
function refusalIn(thrown: unknown): TroupeError {
  const isOfDisk = thrown instanceof StorageRefusal || isMalformed(thrown)
  if (isOfDisk && !thrown.retry) return thrown
  throw thrown
}

function isMalformed(thrown: unknown): thrown is TroupeError {
  return thrown instanceof TroupeError && thrown.code === 'malformed'
}
