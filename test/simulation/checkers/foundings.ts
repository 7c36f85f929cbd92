/**
 * P7, where a cluster begins with what a node had alone: when all of it is said to be there, each shard has
 * a checkpoint that is whole, and the record behind it; and before that nobody serves but the node alone.
 */
import type { SimEvent, Violation } from '../events.ts'

export const FACTS_KEY = 'facts'
export const PUBLISHED_KEY = 'published'

interface Founded {
  slot: number
  hash: string
  hasBegun: boolean
}

export function publishedIsWhole(events: readonly SimEvent[]): Violation[] {
  const founded = new Map<number, Founded>()
  /** As `shard slot`, what they name as the record there. */
  const checkpoints = new Map<string, string>()
  for (const event of events) {
    if (event.kind === 'checkpoint') {
      checkpoints.set(`${event.shard} ${event.slot}`, event.hash)
    } else if (event.kind === 'checkpoint-gone') {
      checkpoints.delete(`${event.shard} ${event.slot}`)
    } else if (event.kind === 'slot') {
      const { shard, slot, hash, fact } = event
      const before = founded.get(shard)
      if (fact.kind === 'founded') founded.set(shard, { slot, hash, hasBegun: false })
      else if (before) before.hasBegun = true
    } else if (isPublished(event)) {
      return [...wrongsOf(founded, checkpoints)].map(([shard, what]) => ({
        ...{ checker: 'published-is-whole', what, seq: event.seq, shard },
      }))
    }
  }
  return []
}

function* wrongsOf(
  founded: ReadonlyMap<number, Founded>,
  checkpoints: ReadonlyMap<string, string>,
): Generator<[shard: number, what: string]> {
  if (founded.size === 0) yield [0, 'the directory is not yet that of a member']
  for (const [shard, { slot, hash, hasBegun }] of founded) {
    if (checkpoints.get(`${shard} ${slot}`) !== hash) {
      yield [shard, `there is no whole checkpoint of slot ${slot}`]
    }
    if (!hasBegun) yield [shard, 'the journal has not begun']
  }
}

export function nobodyServesTooEarly(events: readonly SimEvent[]): Violation[] {
  if (!events.some((event) => event.kind === 'claim' && event.key === FACTS_KEY)) return []
  const found: Violation[] = []
  /** Who has the directory to itself. */
  let owner: string | undefined
  for (const event of events) {
    if (event.kind === 'owns') owner = event.node
    if (event.kind === 'slot' && event.fact.kind === 'founded') owner = undefined
    if (isPublished(event)) return found
    if (event.kind !== 'taken' || event.node === owner) continue
    const { node, shard, seq } = event
    const what = `${node} serves before all that the founder had is there`
    found.push({ checker: 'nobody-serves-too-early', what, seq, shard })
  }
  return found
}

function isPublished(event: SimEvent): boolean {
  return event.kind === 'claim' && event.key === PUBLISHED_KEY && event.outcome === 'won'
}
