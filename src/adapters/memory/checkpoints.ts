/**
 * Checkpoints in memory. Several nodes of one process share one, each through its own clock.
 *
 * Decides: each operation happens when it arrives (through `clock.defer`). Test control: `failNext`
 * makes outcomes unknown, with the change made or not; `lose` and `damage` are what a disk does.
 */
import type {
  AttemptName,
  CheckpointListOutcome,
  Checkpoints,
  ChunkName,
  ChunkReadOutcome,
  ClaimOutcome,
  Clock,
} from '../../ports/index.ts'
import { copyOf } from './bytes.ts'

export interface CheckpointFault {
  on: 'write' | 'read' | 'record' | 'list' | 'remove'
  /** Whether the change is made although its outcome is unknown. */
  happened: boolean
  /** How many operations it meets; 1 when absent. */
  count?: number
}

interface Shard {
  records: Map<number, Uint8Array>
  chunks: Map<string, { slot: number; bytes: Uint8Array }>
}

export class MemoryCheckpoints implements Checkpoints {
  private readonly clock: Clock
  private readonly shards: Map<number, Shard>
  private faults: { on: CheckpointFault['on']; happened: boolean; left: number }[] = []

  constructor(options: { clock: Clock; shards?: Map<number, Shard> }) {
    this.clock = options.clock
    this.shards = options.shards ?? new Map<number, Shard>()
  }

  /** Another party on the same checkpoints, with faults of its own. */
  connect(clock: Clock = this.clock): MemoryCheckpoints {
    return new MemoryCheckpoints({ clock, shards: this.shards })
  }

  write(chunk: ChunkName, bytes: Uint8Array, done: (outcome: 'written' | 'unknown') => void): void {
    const copy = copyOf(bytes)
    this.happen('write', (fault) => {
      if (fault?.happened !== false) {
        this.shard(chunk.shard).chunks.set(nameOf(chunk), { slot: chunk.slot, bytes: copy })
      }
      done(fault ? 'unknown' : 'written')
    })
  }

  read(chunk: ChunkName, done: (outcome: ChunkReadOutcome) => void): void {
    this.happen('read', (fault) => {
      const found = this.shard(chunk.shard).chunks.get(nameOf(chunk))
      if (fault) done({ kind: 'unknown', why: 'injected' })
      else done(found ? { kind: 'found', bytes: copyOf(found.bytes) } : { kind: 'absent' })
    })
  }

  record(
    shard: number,
    slot: number,
    value: Uint8Array,
    done: (outcome: ClaimOutcome) => void,
  ): void {
    const copy = copyOf(value)
    this.happen('record', (fault) => {
      const { records } = this.shard(shard)
      const winner = records.get(slot)
      if (!winner && fault?.happened !== false) records.set(slot, copy)
      if (fault) done({ kind: 'unknown', why: 'injected' })
      else done(winner ? { kind: 'lost', value: copyOf(winner) } : { kind: 'won' })
    })
  }

  list(shard: number, done: (outcome: CheckpointListOutcome) => void): void {
    this.happen('list', (fault) => {
      if (fault) return done({ kind: 'unknown', why: 'injected' })
      const records = [...this.shard(shard).records].map(([slot, value]) => ({
        slot,
        value: copyOf(value),
      }))
      done({ kind: 'listed', records: records.sort((a, b) => a.slot - b.slot) })
    })
  }

  discard(attempt: AttemptName, done: (outcome: 'removed' | 'unknown') => void): void {
    const prefix = nameOf({ ...attempt, index: 0 }).slice(0, -1)
    this.happen('remove', (fault) => {
      const { chunks } = this.shard(attempt.shard)
      if (fault?.happened !== false) {
        for (const name of chunks.keys()) if (name.startsWith(prefix)) chunks.delete(name)
      }
      done(fault ? 'unknown' : 'removed')
    })
  }

  removeBelow(shard: number, slot: number, done: (outcome: 'removed' | 'unknown') => void): void {
    this.happen('remove', (fault) => {
      const { records, chunks } = this.shard(shard)
      if (fault?.happened !== false) {
        for (const at of records.keys()) if (at < slot) records.delete(at)
        for (const [name, chunk] of chunks) if (chunk.slot < slot) chunks.delete(name)
      }
      done(fault ? 'unknown' : 'removed')
    })
  }

  failNext(fault: CheckpointFault): void {
    this.faults.push({ on: fault.on, happened: fault.happened, left: fault.count ?? 1 })
  }

  /** The record and the chunks of a checkpoint are gone. */
  lose(shard: number, slot: number): void {
    const { records, chunks } = this.shard(shard)
    records.delete(slot)
    for (const [name, chunk] of chunks) if (chunk.slot === slot) chunks.delete(name)
  }

  /** A chunk is gone, or holds other bytes. */
  damage(at: ChunkName, how: 'gone' | 'changed'): void {
    const { chunks } = this.shard(at.shard)
    const name = nameOf(at)
    const chunk = chunks.get(name)
    if (!chunk) throw new Error(`there is no chunk ${name}`)
    if (how === 'gone') return void chunks.delete(name)
    const bytes = copyOf(chunk.bytes)
    bytes[bytes.length - 1]! ^= 1
    chunks.set(name, { ...chunk, bytes })
  }

  /** As it is now: for judges in tests. */
  chunk(name: ChunkName): Uint8Array | undefined {
    return this.shard(name.shard).chunks.get(nameOf(name))?.bytes
  }

  /** The slots of what is recorded, and the number of all chunks: for judges in tests. */
  shown(shard: number): { slots: number[]; chunks: number } {
    const { records, chunks } = this.shard(shard)
    return { slots: [...records.keys()].sort((a, b) => a - b), chunks: chunks.size }
  }

  private happen(
    on: CheckpointFault['on'],
    call: (fault: { happened: boolean } | undefined) => void,
  ): void {
    this.clock.defer(() => call(this.takeFault(on)))
  }

  private takeFault(on: CheckpointFault['on']): { happened: boolean } | undefined {
    const fault = this.faults.find((candidate) => candidate.on === on)
    if (fault && --fault.left === 0) this.faults = this.faults.filter((other) => other !== fault)
    return fault
  }

  private shard(number: number): Shard {
    let shard = this.shards.get(number)
    if (!shard) {
      shard = { records: new Map(), chunks: new Map() }
      this.shards.set(number, shard)
    }
    return shard
  }
}

function nameOf({ slot, attempt, index }: ChunkName): string {
  return `${slot} ${attempt} ${index}`
}
