/**
 * After a roll-out: brings stored actors, and the rows they are listed by, to the machines that are
 * registered now.
 *
 * Decides: that the actors of a machine are walked when what they were stored under (its fingerprint)
 * has changed, a slice with each batch, beside the ordinary work. An unchanged machine costs one read.
 * Leaves to others: what becomes of an actor (heads.ts) and of its rows (index-rows.ts), which shard of the
 * node walks (walk-turns.ts).
 */
import type { Chart, HostedMachine } from '../machine/index.ts'
import { hashBytes, pack, unpack } from '../protocol/index.ts'
import { type Batch, beginBytesMax } from './batch.ts'
import type { ShardContext } from './context.ts'
import { standsForVersion } from './heads.ts'
import { actorKey, drainingKey, EMPTY, fingerprintKey, nameOfKey, prefixEnd } from './keys.ts'
import type { Head } from './records.ts'
import { encodeWithin } from './turn.ts'
import type { BeginSlice, WalkTurns } from './walk-turns.ts'

/** Actors looked at with one batch: some ms, which is what a command may wait for them. */
export const SLICE_COUNT_MAX = 100

/** Raised when what a walk does changes: then every actor is walked once more. */
const WALK_FORM = 1

interface Walk {
  machine: string
  fingerprint: string
  /** The first key that was not looked at; undefined at the start. */
  from: Uint8Array | undefined
  changed: number
  stuck: number
}

export class Reindex {
  readonly #shard: ShardContext
  readonly #turns: WalkTurns
  readonly #begin: BeginSlice
  #walks: Walk[] = []
  /** Fingerprint rows that the next batch that writes brings along; null removes one. */
  #rows: [machine: string, fingerprint: string | null][] = []
  /** Loaded by the slice before, and by nobody else. */
  #lent: Head[] = []
  /** In the batch before, whose commit has come. */
  #hadTurn = false

  /** @param begin has to bring about a batch @param turns of the node */
  constructor(shard: ShardContext, begin: BeginSlice, turns: WalkTurns) {
    this.#shard = shard
    this.#turns = turns
    this.#begin = begin
  }

  /** The next batch has something to do for it. */
  get busy(): boolean {
    const lostTurn = this.#walks.length > 0 && !this.#turns.knows(this.#begin)
    return lostTurn || this.#turns.isOf(this.#begin)
  }

  load(): void {
    const { shard, store, machines } = this.#shard
    for (const [machine, hosted] of machines) {
      const row = store.get(fingerprintKey(shard, machine))
      const fingerprint = fingerprintOf(hosted)
      if (row && unpack(row) === fingerprint) continue
      const [first] = store.range({ ...this.#rangeOf(machine), limit: 1 })
      if (!first) {
        this.#rows.push([machine, fingerprint])
        continue
      }
      // It goes before the first actor changes: a walk that does not end is begun anew.
      if (row) this.#rows.push([machine, null])
      this.#walks.push({ machine, fingerprint, from: undefined, changed: 0, stuck: 0 })
    }
    if (this.#walks.length > 0) this.#turns.enter(this.#begin)
  }

  stop(): void {
    this.#turns.leave(this.#begin)
  }

  /** Adds the next slice to a batch that has room for it. */
  step(batch: Batch): void {
    const { shard, heads, limits } = this.#shard
    for (const head of this.#lent) heads.letGo(head)
    this.#lent = []
    if (this.busy || batch.writes.length > 0 || batch.dirty.size > 0) this.#writeRows(batch)
    this.#endTurn()
    const walk = this.#walks[0]
    if (!walk || !this.#turns.isOf(this.#begin)) return
    this.#hadTurn = true
    if (!batch.mayStep(limits) || !this.#slice(batch, walk)) return
    this.#walks.shift()
    batch.write(fingerprintKey(shard, walk.machine), pack(walk.fingerprint))
    if (walk.changed > 0) {
      const { machine, changed, stuck } = walk
      this.#shard.log.info({ shard, machine, changed, stuck }, 'actors were brought up to date')
    }
  }

  /** What it did in the batch before is committed by now: commands of any shard come between two slices. */
  #endTurn(): void {
    if (this.#walks.length === 0) this.#turns.leave(this.#begin)
    else if (this.#hadTurn) this.#turns.pass(this.#begin)
    this.#hadTurn = false
    // It may have lost it while a commit hung.
    if (this.#walks.length > 0) this.#turns.enter(this.#begin)
  }

  #rangeOf(machine: string): { from: Uint8Array; to: Uint8Array } {
    const from = actorKey(this.#shard.shard, `${machine}/`)
    return { from, to: prefixEnd(from) }
  }

  #writeRows(batch: Batch): void {
    for (const [machine, fingerprint] of this.#rows) {
      const value = fingerprint === null ? null : pack(fingerprint)
      batch.write(fingerprintKey(this.#shard.shard, machine), value)
    }
    this.#rows = []
  }

  /** True when it came to the end of the machine's actors. */
  #slice(batch: Batch, walk: Walk): boolean {
    const { store, limits } = this.#shard
    const range = this.#rangeOf(walk.machine)
    let count = 0
    let bytes = 0
    for (const { key, value } of store.range({ ...range, from: walk.from ?? range.from })) {
      walk.from = key
      if (count >= SLICE_COUNT_MAX || bytes > limits.batchBytesMax) return false
      if (!this.#visit(batch, walk, nameOfKey(key), value)) return false
      count += 1
      bytes += value.length
    }
    return true
  }

  /** False when the batch has no room for this actor. */
  #visit(batch: Batch, walk: Walk, address: string, stored: Uint8Array): boolean {
    const { shard, heads, limits, log } = this.#shard
    const head = heads.visit(address, stored)
    // What this batch changed is written anyhow; what a newer version wrote is left to it.
    if (!head || head.dirty || head.version > head.hosted.definition.version) return true
    const encoded = encodeWithin(this.#shard, head, head.stored)
    if (!(encoded instanceof Uint8Array)) {
      log.warn({ address, why: encoded.message }, 'an actor cannot be brought up to date')
      return true
    }
    // It stood for its version and goes on: what it kept meanwhile is stepped by the next batch.
    const drains = head.keptFrom < head.keptTo && !head.paused && !head.parked
    if (!drains && Buffer.compare(encoded, stored) === 0) return true
    // An idle shard makes room for the largest: a batch of its own.
    const isEmpty = batch.writes.length === 0 && batch.dirty.size === 0
    if (!isEmpty && batch.bytes + encoded.length > beginBytesMax(limits)) return false
    if (!heads.holds(head)) {
      heads.add(head)
      this.#lent.push(head)
    }
    if (drains) batch.write(drainingKey(shard, address), EMPTY)
    batch.save(head)
    walk.changed += 1
    if (standsForVersion(head)) walk.stuck += 1
    return true
  }
}

/** Changes with everything that the stored form of an actor, its condition or its rows depend on. */
export function fingerprintOf({ definition, chart }: HostedMachine): string {
  const { version, index, migrations } = definition
  const steps = Object.entries(migrations).map(([from, migration]) => [from, String(migration)])
  const parts = [WALK_FORM, version, chartHashes(chart), String(index), steps]
  return hashBytes(Buffer.from(JSON.stringify(parts)))
}

/** Of the chart and of all its children, which may be each other's. */
function chartHashes(root: Chart): string[] {
  const charts = new Set([root])
  for (const chart of charts) {
    for (const source of chart.sources.values()) {
      if (source.kind === 'machine') charts.add(source.chart)
    }
  }
  return [...charts].map(({ hash }) => hash)
}
