/**
 * One task from its lease to its end (reference sheet, section 9). Decides: the order, and that nothing is said
 * to be moved before the new chunk itself has said that all of it is there. What an earlier worker has copied
 * is not copied again. Leaves to others: the lease (`move-worker.ts`), one shard (`shard-mover.ts`).
 */
import { setMaxListeners } from 'node:events'
import { type Clock, type Log, wait } from '../../../../src/index.ts'
import { inParallel } from '../../plane/access/parallel.ts'
import { COPY_COUNT_MAX } from '../../plane/blobnode/index.ts'
import { messageOf } from '../../plane/why.ts'
import { benchmarkOf, nameOf, readonlyNeeded } from './benchmark.ts'
import { type ListDeps, shardsOf } from './chunk-list.ts'
import { DestinationFailed, destinationFailure, SourceFailed } from './failures.ts'
import { jointRows } from './joint-recovery.ts'
import type { MoveLimits } from './limits.ts'
import { type MovePlan, type MoveTask, movePlanOf } from './move-task.ts'
import type { ChunkCalls, RecoveryCode } from './ports.ts'
import type { Progress } from './progress.ts'
import { type CopyOutcome, type Moved, ShardMover } from './shard-mover.ts'
import type { ShardRow, ShardTable } from './shard-table.ts'
import { type Tasklet, taskletsOf } from './tasklets.ts'

export interface RunDeps {
  chunks: ChunkCalls
  erasure: RecoveryCode
  clock: Clock
  log: Log
  limits: MoveLimits
  progress: Pick<Progress, 'begin' | 'moved' | 'dropped' | 'tell'>
}

export type MoveEnd =
  /** `lost`: blobs of which too little is left. */
  { kind: 'completed'; lost: number } | { kind: 'cancel' | 'reclaim'; reason: string }

const NONE: ReadonlyMap<bigint, CopyOutcome> = new Map()
/** Of blobs that are left out, each is told; more are counted. */
const TOLD_MAX = 100

export class MoveRun {
  readonly #task: MoveTask
  readonly #deps: RunDeps
  readonly #signal: AbortSignal
  #lost = 0

  constructor(task: MoveTask, deps: RunDeps, signal: AbortSignal) {
    this.#task = task
    this.#deps = deps
    this.#signal = signal
    // Each call listens to it.
    setMaxListeners(0, signal)
  }

  /** @throws why it was aborted */
  async run(): Promise<MoveEnd> {
    try {
      await this.#move(movePlanOf(this.#task))
      return { kind: 'completed', lost: this.#lost }
    } catch (thrown) {
      this.#signal.throwIfAborted()
      const kind = thrown instanceof DestinationFailed ? 'reclaim' : 'cancel'
      return { kind, reason: messageOf(thrown) }
    }
  }

  async #move(plan: MovePlan): Promise<void> {
    const { clock, limits, chunks, progress } = this.#deps
    const signal = this.#signal
    const io = plan.isRepair ? ('repair' as const) : ('migrate' as const)
    const lists: ListDeps = { chunks, clock, limits, io, signal }
    if (!plan.isRepair) await this.#waitForReadonly(plan)
    const table = await benchmarkOf(plan, lists, (bid, why) => this.#tellLost(bid, why))
    await this.#compare(plan, table, lists)
    progress.begin(statOf(table))
    await this.#copyAll(plan, table, io)
    await this.#check(plan, table, lists)
  }

  /** Until no put can have its quorum any more: what is listed then stays all there is. */
  async #waitForReadonly({ mode, units, isRepair }: MovePlan): Promise<void> {
    const { chunks, clock, limits } = this.#deps
    const needed = readonlyNeeded(mode)
    const io = isRepair ? 'repair' : 'migrate'
    for (let count = 1; ; count += 1) {
      const stats = await Promise.allSettled(
        units.map((unit) => chunks.statChunk(unit, { io, signal: this.#signal })),
      )
      this.#signal.throwIfAborted()
      const is = stats.filter(
        (one) => one.status === 'fulfilled' && one.value.status === 'readonly',
      )
      if (is.length >= needed) return
      if (count >= limits.readyTriesMax) {
        const why = `${is.length} of ${units.length} chunks are read-only, and ${needed} have to be`
        throw new SourceFailed(`not ready for migrate: ${why}`)
      }
      await wait({ clock, signal: this.#signal }, limits.readyWaitMs)
    }
  }

  /** What the new chunk has of them is there. */
  async #compare({ destination }: MovePlan, table: ShardTable, deps: ListDeps): Promise<void> {
    try {
      for await (const page of shardsOf(destination, deps)) {
        for (const { bid, size, crc, flag } of page) {
          const at = table.find(bid)
          if (at === undefined || table.state(at) !== 'todo') continue
          const wanted = table.row(at)
          // Deleted there: it is not to come back.
          if (flag === 2) table.set(at, 'dropped')
          else if (size === wanted.size && (wanted.crc === 0 || crc === wanted.crc)) {
            table.set(at, 'there')
          }
        }
      }
    } catch (thrown) {
      this.#signal.throwIfAborted()
      throw destinationFailure(`${nameOf(destination)} cannot be listed`, thrown)
    }
  }

  async #copyAll(plan: MovePlan, table: ShardTable, io: ListDeps['io']): Promise<void> {
    const { chunks, erasure, clock, limits } = this.#deps
    const { taskletBytesMax: bytesMax, taskletsAtOnce, recoveriesAtOnce } = limits
    const rowsMax = COPY_COUNT_MAX
    const stopped = new AbortController()
    const signal = AbortSignal.any([this.#signal, stopped.signal])
    setMaxListeners(0, signal)
    const deps = { chunks, erasure, clock, limits, recoveriesAtOnce, io, signal }
    const mover = new ShardMover(plan, deps)
    try {
      await inParallel(
        taskletsOf(table, { bytesMax, rowsMax }),
        taskletsAtOnce,
        async (tasklet) => {
          try {
            await this.#moveSome(tasklet, { plan, table, mover })
          } catch (thrown) {
            // The first says why; what else is under way ends with it.
            stopped.abort(thrown)
            throw thrown
          }
        },
      )
    } catch (thrown) {
      this.#signal.throwIfAborted()
      throw stopped.signal.reason ?? thrown
    }
  }

  async #moveSome(
    tasklet: Tasklet,
    { plan, table, mover }: { plan: MovePlan; table: ShardTable; mover: ShardMover },
  ): Promise<void> {
    const { limits, progress } = this.#deps
    const rows = tasklet.map((at) => ({ at, row: table.row(at) }))
    const direct = rows.filter(({ row }) => mover.isDirect(row)).map(({ row }) => row)
    const outcomes = direct.length === 0 ? NONE : await mover.copy(direct)
    const settle = (at: number, row: ShardRow, moved: Moved) => {
      table.set(at, moved.kind === 'copied' ? 'there' : 'dropped')
      if (moved.kind === 'copied') progress.moved({ bytes: row.size, shards: 1 })
      else progress.dropped(row.size)
      if (moved.kind === 'lost') this.#tellLost(row.bid, moved.why)
    }
    const left: typeof rows = []
    for (const one of rows) {
      const outcome = outcomes.get(one.row.bid)
      if (outcome?.kind === 'copied' || outcome?.kind === 'deleted') {
        settle(one.at, one.row, outcome)
      } else left.push(one)
    }
    await inParallel(jointRows(left, plan), limits.groupsAtOnce, async (some) => {
      const made = await mover.recoverSome(some.map(({ row }) => row))
      await inParallel(some, limits.recoveriesAtOnce, async ({ at, row }) => {
        settle(at, row, made.get(row.bid) ?? (await mover.recover(row, outcomes.get(row.bid))))
      })
    })
    progress.tell()
  }

  /** @throws DestinationFailed when the new chunk lacks anything */
  async #check({ destination }: MovePlan, table: ShardTable, deps: ListDeps): Promise<void> {
    let there = 0
    try {
      for await (const page of shardsOf(destination, deps)) {
        for (const { bid, size, flag } of page) {
          const at = table.find(bid)
          if (at === undefined || table.state(at) !== 'there') continue
          if (flag === 2 || size === table.size(at)) there += 1
        }
      }
    } catch (thrown) {
      this.#signal.throwIfAborted()
      throw destinationFailure(`${nameOf(destination)} cannot be listed`, thrown)
    }
    const wanted = statOf(table).doneCount
    if (there === wanted) return
    const why = `${nameOf(destination)} has ${there} of the ${wanted} shards that it is to have`
    throw new DestinationFailed(why)
  }

  #tellLost(bid: bigint, why: string): void {
    this.#lost += 1
    if (this.#lost > TOLD_MAX) return
    const fields = { task: this.#task.task_id, bid: String(bid), why }
    this.#deps.log.error(fields, 'a shard cannot be made up: it is left out of the new chunk')
  }
}

/** What is dropped is none of it. */
function statOf(table: ShardTable) {
  const stat = { doneSize: 0, doneCount: 0, totalSize: 0, totalCount: 0 }
  for (let at = 0; at < table.length; at += 1) {
    const state = table.state(at)
    if (state === 'dropped') continue
    stat.totalSize += table.size(at)
    stat.totalCount += 1
    if (state !== 'there') continue
    stat.doneSize += table.size(at)
    stat.doneCount += 1
  }
  return stat
}
