/**
 * A crash at every operation, and within writes at many a byte, of one process, and a loss of power then: what was
 * acknowledged is there, what was begun is there whole or not at all, and so it stays after the next loss.
 */
import { expect, inject, it } from 'vitest'
import type { DiskFiles } from '../../../../../machines/storage/plane/disk-files/index.ts'
import { until } from '../../../../waiting.ts'
import { type Outcome, Outcomes, outcomeOf } from './outcomes.ts'
import { content, inPieces, newDirectory, openDisk, randomOf, VUID } from './rig.ts'
import { DiskState, SimulatedDisk, type Step } from './simulated-disk.ts'

const CHUNK_BYTES = 64 * 1_048_576
/** The heads of this form are at the ends of what is written. */
const END_BYTES = [1, 63, 64, 65]

type Mark = { bid: bigint; outcome: Outcome } | { bid: bigint; isDone: boolean } | 'chunk is made'

class Work {
  readonly disk = new SimulatedDisk()
  files!: DiskFiles

  async open(directory: string): Promise<void> {
    this.files = await openDisk(directory, { ops: this.disk })
    await this.files.createChunk(VUID, CHUNK_BYTES)
    this.#mark('chunk is made')
  }

  put(bid: bigint, size: number, seed: number, isStreamed = false): Promise<void> {
    const bytes = content(size, seed)
    const body = isStreamed ? inPieces(bytes, 300_000) : bytes
    const act = () => this.files.putShard(VUID, bid, size, body)
    return this.#do(bid, `${size}/${size === 0 ? 0 : seed}`, act)
  }

  markDeleted(bid: bigint): Promise<void> {
    return this.#do(bid, 'marked', () => this.files.markDeleted(VUID, bid))
  }

  delete(bid: bigint): Promise<void> {
    return this.#do(bid, 'deleted', () => this.files.deleteShard(VUID, bid))
  }

  async #do(bid: bigint, outcome: Outcome, act: () => Promise<unknown>): Promise<void> {
    this.#mark({ bid, outcome })
    await act()
    this.#mark({ bid, isDone: true })
  }

  #mark(mark: Mark): void {
    this.disk.do({ kind: 'mark', mark })
  }
}

/** All that a chunk knows to do: alone, in batches, over each other, streamed, deleted, compacted. */
async function work(directory: string): Promise<Step[]> {
  const work = new Work()
  await work.open(directory)
  await work.put(1n, 3_000, 1)
  await Promise.all([2n, 3n, 4n, 5n].map((bid) => work.put(bid, 100 * Number(bid), 2)))
  await Promise.all([work.put(1n, 2_500, 3), work.put(6n, 0, 3), work.put(7n, 70_000, 3)])
  const large = work.put(8n, 1_300_000, 4, true)
  for (const bid of [9n, 10n, 11n]) await work.put(bid, 2_000, 5)
  await work.markDeleted(2n)
  await large
  await Promise.all([work.markDeleted(8n), work.delete(2n), work.put(3n, 4_000, 6)])
  // Most of the file is dead from here on.
  await work.delete(8n)
  for (const bid of [12n, 13n, 14n]) await work.put(bid, 500, 7)
  const used = () => work.files.statChunk(VUID).usedBytes
  await until(() => used() < 1_000_000, { timeoutMs: 30_000 }, 'the compaction')
  await Promise.all([work.markDeleted(9n), work.put(10n, 600, 8), work.put(15n, 9_000, 8)])
  await work.files.close()
  return work.disk.steps
}

/** Where within a step the process may end. */
function cutsOf(step: Step, random: () => number): number[] {
  if (step.kind !== 'write') return [0]
  const { length } = step.bytes
  const ends = END_BYTES.flatMap((bytes) => [bytes, length - bytes])
  const places = [0, ...ends, ...[1, 2].map(() => Math.floor(random() * length)), length]
  return [...new Set(places.filter((place) => place >= 0 && place <= length))]
}

async function expectKnown(
  state: DiskState,
  directory: string,
  known: { outcomes: Outcomes; isMade: boolean },
  moment: string,
): Promise<Map<bigint, Outcome>> {
  const files = await openDisk(directory, { ops: new SimulatedDisk(state) })
  const seen = new Map<bigint, Outcome>()
  try {
    if (known.isMade) expect(files.statChunk(VUID).damagedBytes, moment).toBe(0)
    await files.createChunk(VUID, CHUNK_BYTES)
    for (const bid of known.outcomes.bids) {
      const outcome = await outcomeOf(files, VUID, bid)
      expect(known.outcomes.allowed(bid), `${moment}, shard ${bid}`).toContain(outcome)
      seen.set(bid, outcome)
    }
    await files.putShard(VUID, 1_000n, 3, content(3, 1))
  } finally {
    await files.close()
  }
  return seen
}

it('leaves what was acknowledged, and of the rest all or nothing', {
  timeout: 300_000,
}, async () => {
  const random = randomOf(inject('seed'))
  const directory = newDirectory()
  const steps = await work(directory)
  const state = new DiskState()
  const known = { outcomes: new Outcomes(), isMade: false }
  let cuts = 0
  for (const [index, step] of steps.entries()) {
    if (step.kind === 'mark') {
      const mark = step.mark as Mark
      if (mark === 'chunk is made') known.isMade = true
      else if ('outcome' in mark) known.outcomes.begin(mark.bid, mark.outcome)
      else known.outcomes.end(mark.bid, mark.isDone)
      continue
    }
    for (const bytes of cutsOf(step, random)) {
      cuts += 1
      const cut = state.killed()
      if (bytes > 0) cut.apply(step, bytes)
      const moment = `step ${index} (${step.kind}), byte ${bytes}`
      const isPowerLost = random() < 0.5
      const left = isPowerLost ? cut.withoutPower(random) : cut
      const how = isPowerLost ? 'power lost' : 'killed'
      const seen = await expectKnown(left, directory, known, `${moment}, ${how}`)
      // What was found is what is found from then on.
      const settled = { outcomes: new Outcomes(), isMade: true }
      for (const [bid, outcome] of seen) {
        settled.outcomes.begin(bid, outcome)
        settled.outcomes.end(bid, true)
      }
      await expectKnown(left.withoutPower(random), directory, settled, `${moment}, ${how} again`)
    }
    state.apply(step)
  }
  expect(cuts).toBeGreaterThan(200)
})
