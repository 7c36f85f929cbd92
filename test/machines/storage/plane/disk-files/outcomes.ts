/** What is known of the shards of a chunk: what was acknowledged last, and what was begun since. */
import { createHash } from 'node:crypto'
import type { DiskFiles } from '../../../../../machines/storage/plane/disk-files/index.ts'
import { bytesOf, content, statusOf } from './rig.ts'

/** `absent`, `marked`, `deleted`, or `<size>/<seed>` of what is in it. */
export type Outcome = string

export class Outcomes {
  readonly #acknowledged = new Map<bigint, Outcome>()
  readonly #begun = new Map<bigint, Outcome>()

  get bids(): bigint[] {
    return [...new Set([...this.#acknowledged.keys(), ...this.#begun.keys()])]
  }

  begin(bid: bigint, outcome: Outcome): void {
    this.#begun.set(bid, outcome)
  }

  end(bid: bigint, isDone: boolean): void {
    if (isDone) this.#acknowledged.set(bid, this.#begun.get(bid)!)
    this.#begun.delete(bid)
  }

  allowed(bid: bigint): Outcome[] {
    const begun = this.#begun.get(bid)
    return [this.#acknowledged.get(bid) ?? 'absent', ...(begun === undefined ? [] : [begun])]
  }
}

/** As readers find it; what is refused otherwise is said by its number. */
export async function outcomeOf(disk: DiskFiles, vuid: bigint, bid: bigint): Promise<Outcome> {
  let bytes: Buffer = Buffer.alloc(0)
  const status = await statusOf(async () => {
    bytes = await bytesOf(await disk.readShard(vuid, bid))
  })
  if (status === 0) return `${bytes.length}/${seedOf(bytes)}`
  if (status === 651) return 'absent'
  if (status !== 654) return `refused ${status}`
  return (await statusOf(() => disk.statShard(vuid, bid))) === 0 ? 'marked' : 'deleted'
}

const SEEDS_MAX = 1_000
const known = new Map<string, number>()

/** Which content it is; 'unknown' is nobody's. */
function seedOf(bytes: Buffer): number | 'unknown' {
  if (bytes.length === 0) return 0
  const key = createHash('sha1').update(bytes).digest('hex')
  const found = known.get(key)
  if (found !== undefined) return found
  for (let seed = 0; seed < SEEDS_MAX; seed += 1) {
    // The first bytes rule nearly all of them out.
    if (!content(Math.min(16, bytes.length), seed, bytes.length).equals(bytes.subarray(0, 16)))
      continue
    if (!content(bytes.length, seed).equals(bytes)) continue
    known.set(key, seed)
    return seed
  }
  return 'unknown'
}
