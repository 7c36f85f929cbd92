/** Bytes: whatever is lost, as far as the mode allows it, comes back as it was; beyond that, nothing does. */
import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import {
  CODE_MODES,
  type CodeMode,
  codeModeOf,
  unitCount,
} from '../../../../../machines/storage/plane/codes/index.ts'
import { Erasure, type Stripe } from '../../../../../machines/storage/plane/erasure/index.ts'
import { SeededRandom } from '../../../../../src/adapters/memory/index.ts'
import { closureOf, lossPatterns, unitsOf } from './losses.ts'

const GARBAGE = 0xa5

let erasure: Erasure
beforeAll(async () => {
  erasure = await Erasure.open({ threads: 2 })
})
afterAll(() => erasure.close())

/** The same bytes for the same seed. */
function bytesOf(count: number, seed: number): Buffer {
  const blocks = Array.from({ length: Math.ceil(count / 32) }, (_, block) =>
    createHash('sha256').update(`${seed}-${block}`).digest(),
  )
  return Buffer.concat(blocks).subarray(0, count)
}

interface Encoded {
  mode: CodeMode
  blob: Buffer
  shards: Buffer[]
  checksums: number[]
}

async function encoded(mode: CodeMode, blobBytes: number, seed = 1): Promise<Encoded> {
  const blob = bytesOf(blobBytes, seed)
  const stripe = erasure.stripe(mode, blobBytes)
  stripe.data.set(blob)
  const checksums = await erasure.encode(stripe)
  const shards = unitsOf(mode).map((unit) => Buffer.from(stripe.shard(unit)))
  erasure.release(stripe)
  return { mode, blob, shards, checksums }
}

/** With the shards that are not lost. */
function damaged({ mode, blob, shards }: Encoded, lost: readonly number[]): Stripe {
  const stripe = erasure.stripe(mode, blob.length)
  for (const unit of unitsOf(mode)) {
    if (lost.includes(unit)) stripe.shard(unit).fill(GARBAGE)
    else stripe.shard(unit).set(shards[unit]!)
  }
  return stripe
}

function presentWithout(mode: CodeMode, lost: readonly number[]): number[] {
  return unitsOf(mode).filter((unit) => !lost.includes(unit))
}

async function expectWholeAfter(whole: Encoded, lost: readonly number[]): Promise<void> {
  const stripe = damaged(whole, lost)
  await erasure.rebuild(stripe, presentWithout(whole.mode, lost), lost)
  const wrong = unitsOf(whole.mode).filter(
    (unit) => !stripe.shard(unit).equals(whole.shards[unit]!),
  )
  expect(wrong, `${whole.mode.name} without ${lost}`).toEqual([])
  expect(whole.blob.equals(stripe.data)).toBe(true)
  erasure.release(stripe)
}

async function expectRefusedAfter(whole: Encoded, lost: readonly number[]): Promise<void> {
  const stripe = damaged(whole, lost)
  const before = Buffer.from(new Uint8Array(stripe.memory))
  const rebuilt = erasure.rebuild(stripe, presentWithout(whole.mode, lost), lost)
  await expect(rebuilt).rejects.toMatchObject({ status: 671, code: 'store-failed' })
  expect(before.equals(new Uint8Array(stripe.memory))).toBe(true)
  erasure.release(stripe)
}

describe('every pattern of loss', () => {
  it.each([
    ['EC6P3', 3, 1_000],
    ['EC12P4', 4, 24_577],
    ['EC6P3L3', 12, 12_288],
    ['Replica3', 3, 1_234],
  ])('of %s', async (name, lostMax, blobBytes) => {
    const mode = codeModeOf(name)
    const whole = await encoded(mode, blobBytes)
    let rebuilt = 0
    for (const lost of lossPatterns(mode, lostMax)) {
      const left = closureOf(mode, presentWithout(mode, lost))
      if (left.size < unitCount(mode)) await expectRefusedAfter(whole, lost)
      else {
        await expectWholeAfter(whole, lost)
        rebuilt++
      }
    }
    const counts = { EC6P3: 129, EC12P4: 2516, Replica3: 6 } as Record<string, number>
    if (counts[name]) expect(rebuilt).toBe(counts[name])
    expect(rebuilt).toBeGreaterThan(0)
  })

  it('of one unit more than EC6P3 has parity', async () => {
    const whole = await encoded(codeModeOf('EC6P3'), 100_000)
    const lost = lossPatterns(whole.mode, 4).filter(({ length }) => length === 4)
    for (const each of lost) await expectRefusedAfter(whole, each)
    expect(lost).toHaveLength(126)
  })
})

it.each(CODE_MODES.map((mode) => [mode.name, mode] as const))(
  'rebuilds %s from some of its units, blobs of any size (see the seed)',
  async (_, mode) => {
    const random = new SeededRandom(inject('seed')).fork(mode.name)
    for (let round = 0; round < 12; round++) {
      const blobBytes = 1 + Math.floor(2 ** (18 * random.fraction()))
      const whole = await encoded(mode, blobBytes, round)
      const mayLose = mode.kind === 'replica' ? mode.data - 1 : mode.parity
      const shuffled = unitsOf(mode)
        .map((unit) => ({ unit, key: random.fraction() }))
        .sort((a, b) => a.key - b.key)
        .map(({ unit }) => unit)
      await expectWholeAfter(whole, shuffled.slice(0, Math.ceil(random.fraction() * mayLose)))
      await expectWholeAfter(whole, shuffled.slice(0, mayLose))
    }
  },
)

it.each(CODE_MODES.map((mode) => [mode.name, mode] as const))(
  'keeps %s whole at the edges of sizes',
  async (_, mode) => {
    for (const blobBytes of [1, mode.data - 1, mode.data + 1, 65_536 * mode.data + 1]) {
      const whole = await encoded(mode, blobBytes)
      expect(whole.checksums).toEqual(whole.shards.map((shard) => crc32(shard)))
      if (mode.kind === 'replica') {
        for (const shard of whole.shards) expect(shard.equals(whole.blob)).toBe(true)
      } else {
        const data = Buffer.concat(whole.shards.slice(0, mode.data))
        expect(data.subarray(0, blobBytes).equals(whole.blob)).toBe(true)
        expect(data.subarray(blobBytes).every((byte) => byte === 0)).toBe(true)
      }
      await expectWholeAfter(whole, [0])
    }
  },
)

it('has shards of nothing for a blob of nothing', async () => {
  const { shards, checksums } = await encoded(codeModeOf('EC6P6Align0'), 0)
  expect(shards.every(({ length }) => length === 0)).toBe(true)
  expect(new Set(checksums)).toEqual(new Set([0]))
})

/** What stands on disks: another library, or another version of it, must make the same bytes. */
it.each([
  ['EC6P3', '7e33835a4a581efb6326b74bb8801a66255bad35bc17301116ac7c220aecafed'],
  ['EC12P4', '350c7b5fea2976fb325aff45df857685b6fa9e36791e917cedbcfe73e3bf2ded'],
  ['EC6P3L3', '9a02e7f33eaf4c3b93eef70099deb880ea2d3371c3c87a9be91ca3cf7345336a'],
  ['EC16P20L2', 'b3dd32b5df406edaffa30379117c54de178b97be48126da16ac398dfa6d103ad'],
])('writes %s as ever', async (name, digest) => {
  const { shards } = await encoded(codeModeOf(name), 300_000)
  expect(createHash('sha256').update(Buffer.concat(shards)).digest('hex')).toBe(digest)
})

it('refuses units and sizes that there are not', async () => {
  const mode = codeModeOf('EC6P3')
  const stripe = erasure.stripe(mode, 10)
  for (const unit of [-1, 9, 1.5]) {
    const wrong = erasure.rebuild(stripe, [0, 1, 2, 3, 4, 5], [unit])
    await expect(wrong).rejects.toMatchObject({ code: 'malformed' })
    expect(() => stripe.shard(unit)).toThrow(expect.objectContaining({ code: 'malformed' }))
  }
  for (const bytes of [-1, 0.5, Number.NaN]) {
    const make = () => erasure.stripe(mode, bytes)
    expect(make).toThrow(expect.objectContaining({ code: 'malformed' }))
  }
})
