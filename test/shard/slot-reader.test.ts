/** Reading many slots: as many at once as memory allows, and no more. */
import { describe, expect, it } from 'vitest'
import { MemoryJournal, VirtualClock } from '../../src/adapters/memory/index.ts'
import { SlotReader } from '../../src/shard/index.ts'

const SHARD = 0
const KIB = 1_024

/** A journal of records of such sizes, and the most of it that is under way at once. */
function scene(sizes: readonly number[]) {
  const clock = new VirtualClock()
  const line = new MemoryJournal({ clock })
  const most = { reads: 0, bytes: 0 }
  let reads = 0
  let bytes = 0
  line.read = (_shard, slot, done) => {
    const size = sizes[slot - 1]
    reads += 1
    bytes += size ?? 0
    most.reads = Math.max(most.reads, reads)
    most.bytes = Math.max(most.bytes, bytes)
    clock.after(1, () => {
      reads -= 1
      if (size === undefined) return done({ kind: 'empty' })
      done({ kind: 'found', record: Buffer.alloc(size, slot), sequence: slot })
    })
  }
  const reader = new SlotReader(SHARD, line, clock)
  async function read(range: { from: number; to: number; bytesMax: number }) {
    let told: { records: Uint8Array[] | undefined } | undefined
    bytes = 0
    Object.assign(most, { reads: 0, bytes: 0 })
    reader.readAll(range, (records) => {
      told = { records }
    })
    for (let n = 0; n < 1_000 && !told; n++) await clock.settle(1)
    return told!.records
  }
  return { read, most }
}

const slots = (records: Uint8Array[] | undefined) => records?.map((record) => record[0])

describe('slots that are read', () => {
  it('are given in their order, many of them at once', async () => {
    const { read, most } = scene(new Array<number>(200).fill(10))
    const records = await read({ from: 1, to: 200, bytesMax: 1_000 * KIB })
    expect(slots(records)).toEqual(Array.from({ length: 200 }, (_, n) => n + 1))
    expect(most.reads).toBeGreaterThan(64)
    expect(await read({ from: 5, to: 4, bytesMax: 1 })).toEqual([])
  })

  it('are as many as fit, but at least one', async () => {
    const { read, most } = scene(new Array<number>(200).fill(100 * KIB))
    const bytesMax = 1_000 * KIB
    const first = await read({ from: 1, to: 200, bytesMax })
    expect(first!.length, 'while nobody knows how large they are').toBeLessThanOrEqual(16)
    const next = await read({ from: first!.length + 1, to: 200, bytesMax })
    expect(slots(next)![0]).toBe(first!.length + 1)
    expect(next).toHaveLength(10)
    expect(most.bytes, 'what is on its way counts').toBe(bytesMax)
    expect(await read({ from: 1, to: 200, bytesMax: 1 })).toHaveLength(1)
  })

  it('are more again when large ones are behind', async () => {
    const { read, most } = scene([900 * KIB, ...new Array<number>(300).fill(10)])
    const bytesMax = 1_000 * KIB
    expect(await read({ from: 1, to: 1, bytesMax })).toHaveLength(1)
    expect(await read({ from: 2, to: 301, bytesMax })).toHaveLength(300)
    expect(most.reads).toBeGreaterThan(64)
  })

  it('are few at first, also where the last ones were small: the next may be large', async () => {
    const small = new Array<number>(100).fill(10)
    const { read, most } = scene([...small, ...new Array<number>(200).fill(900 * KIB)])
    const bytesMax = 8_000 * KIB
    await read({ from: 1, to: 100, bytesMax })
    const records = await read({ from: 101, to: 300, bytesMax })
    expect(records!.length).toBeLessThanOrEqual(9)
    expect(most.bytes).toBeLessThanOrEqual(bytesMax + 900 * KIB)
  })

  it('are none where one of them is missing', async () => {
    const { read } = scene(new Array<number>(30).fill(10))
    expect(await read({ from: 20, to: 40, bytesMax: 1_000 * KIB })).toBeUndefined()
  })
})
