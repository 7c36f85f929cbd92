/**
 * P7, where slots are removed: what is gone from the journal stands in a checkpoint of the same chain
 * that is whole, at every moment. And a checkpoint is what a replay of its slots gives.
 */
import type { SimEvent, Violation } from '../events.ts'
import { entryOf } from '../mirror.ts'

interface Line {
  /** The hash of the record of every slot, that of slot 1 at index 0. */
  hashes: string[]
  removedTo: number
  /** Of every checkpoint that is whole, the hash of the record in its slot. */
  checkpoints: Map<number, string>
}

export function nothingNeededIsRemoved(events: readonly SimEvent[]): Violation[] {
  const found: Violation[] = []
  const lines = new Map<number, Line>()
  for (const event of events) {
    if (!('shard' in event) || event.shard === undefined) continue
    const { seq, shard } = event
    const line = entryOf(lines, shard, newLine)
    if (event.kind === 'slot') line.hashes[event.slot - 1] = event.hash
    else if (event.kind === 'slots-lost') line.hashes.splice(event.lastSlot)
    else if (event.kind === 'checkpoint') line.checkpoints.set(event.slot, event.hash)
    else if (event.kind === 'slots-removed') line.removedTo = Math.max(line.removedTo, event.to)
    else if (event.kind === 'checkpoint-gone') line.checkpoints.delete(event.slot)
    const isLess = event.kind === 'slots-removed' || event.kind === 'checkpoint-gone'
    if (!isLess || isCovered(line)) continue
    const what = `slots up to ${line.removedTo} are gone, and no checkpoint has what they held`
    found.push({ checker: 'nothing-needed-is-removed', what, seq, shard })
  }
  return found
}

export function checkpointsEqualJournals(events: readonly SimEvent[]): Violation[] {
  return events.flatMap((event) => {
    if (event.kind !== 'checkpoint' || event.differs === null) return []
    const { seq, shard, slot, node, differs } = event
    const what = `the checkpoint of slot ${slot} by ${node}: ${differs}`
    return [{ checker: 'checkpoint-equals-journal', what, seq, shard }]
  })
}

function newLine(): Line {
  return { hashes: [], removedTo: 0, checkpoints: new Map() }
}

function isCovered({ hashes, removedTo, checkpoints }: Line): boolean {
  if (removedTo === 0) return true
  return [...checkpoints].some(
    ([slot, hash]) => slot >= removedTo && (hashes[slot - 1] ?? hash) === hash,
  )
}
