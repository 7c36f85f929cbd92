/** The table of modes against the reference sheet (section 8), and what follows from each of them. */
import { describe, expect, it } from 'vitest'
import {
  azOfUnit,
  CODE_MODES,
  type CodeMode,
  codeModeOf,
  localStripes,
  readsNeeded,
  shardBytesOf,
  unitCount,
} from '../../../../../machines/storage/plane/codes/index.ts'

/** As the sheet has it: number, name, N, M, L, AZs, quorum, smallest shard. */
const SHEET = `
1 EC15P12 15 12 0 3 24 2048
2 EC6P6 6 6 0 3 11 2048
3 EC16P20L2 16 20 2 2 34 2048
4 EC6P10L2 6 10 2 2 14 2048
5 EC6P3L3 6 3 3 3 9 2048
6 EC6P6Align0 6 6 0 3 11 0
7 EC6P6Align512 6 6 0 3 11 512
8 EC4P4L2 4 4 2 2 6 2048
9 EC12P4 12 4 0 1 15 2048
10 EC16P4 16 4 0 1 19 2048
11 EC3P3 3 3 0 1 5 2048
12 EC10P4 10 4 0 1 13 2048
13 EC6P3 6 3 0 1 8 2048
14 EC12P9 12 9 0 3 20 2048
15 EC24P8 24 8 0 1 30 2048
100 Replica3 3 0 0 3 3 0
101 Replica3OneAZ 3 0 0 1 3 0
200 EC6P6L9 6 6 9 3 11 2048
201 EC6P8L10 6 8 10 2 13 0
202 Replica4TwoAZ 4 0 0 2 3 0`.trim()

it('has the modes of the sheet', () => {
  const lines = CODE_MODES.map((mode) => {
    const { id, name, data, parity, local, azs, putQuorum, shardBytesMin } = mode
    return [id, name, data, parity, local, azs, putQuorum, shardBytesMin].join(' ')
  })
  expect(lines.join('\n')).toBe(SHEET)
})

it('finds a mode by number and name, and refuses others', () => {
  expect(codeModeOf(12)).toBe(codeModeOf('EC10P4'))
  for (const unknown of [0, 255, 'EC1P1', '12', 'toString']) {
    expect(() => codeModeOf(unknown)).toThrow(
      expect.objectContaining({ status: 674, code: 'malformed' }),
    )
  }
})

describe.each(CODE_MODES.map((mode) => [mode.name, mode] as const))('%s', (_, mode) => {
  it('has an equal run of data, parity and local parity in each AZ', () => {
    const kinds: [from: number, to: number][] = [
      [0, mode.data],
      [mode.data, mode.data + mode.parity],
      [mode.data + mode.parity, unitCount(mode)],
    ]
    for (const [from, to] of kinds) {
      const azs = Array.from({ length: to - from }, (_, at) => azOfUnit(mode, from + at))
      expect(azs).toEqual([...azs].sort((a, b) => a - b))
      const counts = Array.from({ length: mode.azs }, (_, az) => azs.filter((a) => a === az).length)
      if (mode.azs === 1) expect(counts).toEqual([to - from])
      else expect(new Set(counts).size).toBe(1)
    }
  })

  it('has each unit in one local stripe, or none', () => {
    const stripes = localStripes(mode)
    const members = stripes.flatMap(({ units, locals }) => [...units, ...locals])
    const all = Array.from({ length: unitCount(mode) }, (_, index) => index)
    expect(members.sort((a, b) => a - b)).toEqual(mode.local === 0 ? [] : all)
    for (const { az, units, locals } of stripes) {
      expect([...units, ...locals].map((index) => azOfUnit(mode, index))).toEqual(
        [...units, ...locals].map(() => az),
      )
      expect(locals).toHaveLength(mode.local / mode.azs)
    }
  })

  it('has shards that hold the blob, and no smaller ones than it may', () => {
    for (const blobBytes of [0, 1, 511, 512, 2048, 12_289, 4 * 1024 ** 2]) {
      const bytes = shardBytesOf(mode, blobBytes)
      if (mode.kind === 'replica') expect(bytes).toBe(blobBytes)
      else expect(bytes * mode.data).toBeGreaterThanOrEqual(blobBytes)
      expect(bytes).toBeGreaterThanOrEqual(mode.shardBytesMin)
      if (bytes > mode.shardBytesMin) {
        expect(bytes).toBe(Math.ceil(blobBytes / readsNeeded(mode)))
      }
    }
  })
})

it('lays out EC6P3L3 as the sheet does', () => {
  const mode: CodeMode = codeModeOf('EC6P3L3')
  expect(localStripes(mode)).toEqual([
    { az: 0, units: [0, 1, 6], locals: [9] },
    { az: 1, units: [2, 3, 7], locals: [10] },
    { az: 2, units: [4, 5, 8], locals: [11] },
  ])
  expect([unitCount(mode), readsNeeded(mode), readsNeeded(codeModeOf(100))]).toEqual([12, 6, 1])
})
