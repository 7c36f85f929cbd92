/**
 * Checkpoints in a simulated world, as each node sees them.
 *
 * Decides: latency, outcomes that stay unknown with or without effect, lists of a moment ago, chunks
 * that are damaged behind the back of whoever wrote them, and that checkpoints which are younger than
 * the retention may go when the journal's machine dies. What is older is on disk.
 */
import { MemoryCheckpoints, type VirtualClock } from '../../src/adapters/memory/index.ts'
import type { Checkpoints, StoreRow } from '../../src/ports/index.ts'
import { type Checkpoint, decodeCheckpoint, decodeChunk } from '../../src/shard/checkpoint-form.ts'
import { writesOf } from '../../src/shard/row-run.ts'
import type { ProcessClock } from './process-clock.ts'
import type { SimRandom } from './random.ts'

export interface CheckpointRates {
  /** As limits of the cluster: small, so that slots are removed within a minute. */
  slots: number
  lookMs: number
  chunkBytesMax: number
  retentionMs: number
  slotsMin: number
  latencyMs: number
  unknownChance: number
  staleChance: number
  damagedChance: number
}

export interface CheckpointSurroundings {
  base: VirtualClock
  random: SimRandom
  rates: CheckpointRates
  isDown: () => boolean
  recorded: (node: string, shard: number, checkpoint: Checkpoint, rows: StoreRow[]) => void
  gone: (shard: number, slot: number, why: 'lost' | 'damaged' | 'removed') => void
}

const PATIENCE_MS = 1_000
/** Of the retention: clocks that run fast count a second too early. */
const YOUNG = 0.9
const UNKNOWN = { kind: 'unknown', why: 'no answer' } as const

export class SimCheckpoints {
  readonly #around: CheckpointSurroundings
  readonly #inner: MemoryCheckpoints
  readonly #recordedAt = new Map<string, number>()

  constructor(around: CheckpointSurroundings) {
    this.#around = around
    this.#inner = new MemoryCheckpoints({ clock: around.base })
  }

  /** The machine of the journal dies: what is young was perhaps not on its disk. */
  lose(): void {
    const { base, random, rates, gone } = this.#around
    const youngMs = rates.retentionMs * YOUNG
    for (const [name, atMs] of this.#recordedAt) {
      if (base.monotonic() - atMs >= youngMs || random.chance(0.5)) continue
      const [shard = 0, slot = 0] = name.split(' ').map(Number)
      this.#recordedAt.delete(name)
      this.#inner.lose(shard, slot)
      gone(shard, slot, 'lost')
    }
  }

  connect(node: string, process: ProcessClock): Checkpoints {
    const inner = this.#inner
    return {
      write: (chunk, bytes, done) =>
        this.#send(process, done, 'unknown', (answer) => inner.write(chunk, bytes, answer)),
      read: (chunk, done) =>
        this.#send(process, done, UNKNOWN, (answer) => inner.read(chunk, answer)),
      record: (shard, slot, value, done) =>
        this.#send(process, done, UNKNOWN, (answer) =>
          inner.record(shard, slot, value, (outcome) => {
            if (outcome.kind === 'won') this.#recorded(node, shard, slot, value)
            answer(outcome)
          }),
        ),
      list: (shard, done) =>
        this.#send(process, done, UNKNOWN, (answer) =>
          inner.list(shard, (outcome) => {
            const isStale = this.#around.random.chance(this.#around.rates.staleChance)
            if (outcome.kind !== 'listed' || !isStale) return answer(outcome)
            answer({ kind: 'listed', records: outcome.records.slice(0, -1) })
          }),
        ),
      discard: (attempt, done) =>
        this.#send(process, done, 'unknown', (answer) => inner.discard(attempt, answer)),
      removeBelow: (shard, slot, done) =>
        this.#send(process, done, 'unknown', (answer) => {
          for (const at of inner.shown(shard).slots) {
            if (at >= slot) continue
            this.#recordedAt.delete(`${shard} ${at}`)
            this.#around.gone(shard, at, 'removed')
          }
          inner.removeBelow(shard, slot, answer)
        }),
    }
  }

  #recorded(node: string, shard: number, slot: number, value: Uint8Array): void {
    const { base, random, rates, recorded, gone } = this.#around
    const checkpoint = decodeCheckpoint({ slot, value })
    if (!checkpoint) throw new Error(`the record of slot ${slot} cannot be read`)
    this.#recordedAt.set(`${shard} ${slot}`, base.monotonic())
    const rows = this.#rowsOf(shard, checkpoint)
    // Its chunks went with the machine after they were read back: whoever reads it notices.
    if (!rows) return gone(shard, slot, 'damaged')
    recorded(node, shard, checkpoint, rows)
    if (checkpoint.chunks === 0 || !random.chance(rates.damagedChance)) return
    const { attempt } = checkpoint
    const index = random.between(0, checkpoint.chunks - 1)
    this.#inner.damage({ shard, slot, attempt, index }, random.pick(['gone', 'changed']))
    gone(shard, slot, 'damaged')
  }

  /** Undefined when a chunk is missing. */
  #rowsOf(shard: number, { slot, attempt, chunks }: Checkpoint): StoreRow[] | undefined {
    const parts = Array.from({ length: chunks }, (_, index) => {
      const bytes = this.#inner.chunk({ shard, slot, attempt, index })
      const run = bytes && decodeChunk(shard, index, bytes)
      return bytes && (run ? writesOf(run).map(([key, value]) => ({ key, value: value! })) : [])
    })
    return parts.every((part) => part !== undefined) ? parts.flat() : undefined
  }

  /** One answer, the first. */
  #send<T>(
    process: ProcessClock,
    done: (outcome: T) => void,
    unknown: NoInfer<T>,
    happen: (answer: (outcome: T) => void) => void,
  ): void {
    const { base, random, rates, isDown } = this.#around
    let open = true
    const settle = (outcome: T) => {
      if (!open) return
      open = false
      cancel()
      process.enter(() => done(outcome))
    }
    const cancel = base.after(PATIENCE_MS, () => settle(unknown))
    base.after(random.fraction() * rates.latencyMs, () => {
      if (isDown()) return
      const isUnknown = random.chance(rates.unknownChance)
      if (isUnknown && random.chance(0.5)) return settle(unknown)
      happen((outcome) =>
        base.after(random.fraction() * rates.latencyMs, () =>
          settle(isUnknown ? unknown : outcome),
        ),
      )
    })
  }
}
