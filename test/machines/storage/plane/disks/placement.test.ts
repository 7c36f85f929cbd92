/** Where units go: what always holds, what holds where it can, and what is said where it cannot. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  azOfUnit,
  CODE_MODES,
  type CodeMode,
  codeModeOf,
} from '../../../../../machines/storage/plane/codes/index.ts'
import {
  allUnits,
  hostsToLose,
  lossMaxOf,
  type Placement,
  type PlacementDisk,
  type PlacementRequest,
  place,
  unfitness,
} from '../../../../../machines/storage/plane/disks/placement.ts'

const GIB = 2 ** 30

function disk(diskId: number, more: Partial<PlacementDisk> = {}): PlacementDisk {
  return {
    ...{ diskId, host: 'h', rack: 'r', idc: 'z1', standing: 'writable', isHeard: true },
    ...{ freeBytes: 100 * GIB, units: 0, chunksMax: 100, ...more },
  }
}

/** 24 disks on 6 hosts in 3 AZs. */
function farm({ azs = 3, hosts = 2, disks = 4 } = {}): PlacementDisk[] {
  const all: PlacementDisk[] = []
  for (let az = 0; az < azs; az++) {
    for (let host = 0; host < hosts; host++) {
      for (let n = 0; n < disks; n++) {
        const names = { idc: `z${az}`, rack: `z${az}r${host}`, host: `z${az}h${host}` }
        all.push(disk(all.length + 1, names))
      }
    }
  }
  return all
}

function request(disks: PlacementDisk[], mode: CodeMode, more: Partial<PlacementRequest> = {}) {
  const chance = { random: () => 0.5, excludes: new Set<number>(), placed: [] }
  return { disks, mode, wanted: allUnits(mode), ...chance, ...more }
}

function picksOf(placement: Placement): { index: number; diskId: number }[] {
  if ('why' in placement) throw new Error(placement.why)
  return placement.picks
}

function unitsPer(
  picks: readonly { diskId: number }[],
  disks: readonly PlacementDisk[],
  of: (one: PlacementDisk) => string,
): number[] {
  const counts = new Map<string, number>()
  for (const { diskId } of picks) {
    const name = of(disks.find((one) => one.diskId === diskId) as PlacementDisk)
    counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  return [...counts.values()].sort((a, b) => b - a)
}

const random = fc.infiniteStream(fc.double({ min: 0, max: 0.999_999, noNaN: true }))
const modes = fc.constantFrom(...CODE_MODES)
const anyDisk = fc.record({
  host: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
  rack: fc.constantFrom('r1', 'r2'),
  idc: fc.constantFrom('z1', 'z2', 'z3'),
  standing: fc.constantFrom('writable', 'writable', 'writable', 'readonly', 'broken', 'dropping'),
  isHeard: fc.constantFrom(true, true, true, false),
  freeBytes: fc.constantFrom(0, GIB, 500 * GIB),
  units: fc.integer({ min: 0, max: 12 }),
})
const anyDisks = fc
  .array(anyDisk, { maxLength: 90 })
  .map((all) =>
    all.map((one, at) => disk(at + 1, { ...(one as Partial<PlacementDisk>), chunksMax: 10 })),
  )

describe('a new volume', () => {
  it('has all its units on different disks that can take one, in the AZs of its mode', () => {
    fc.assert(
      fc.property(anyDisks, modes, random, (disks, mode, stream) => {
        const chance = () => stream.next().value
        const placement = place(request(disks, mode, { random: chance }))
        const fit = disks.filter((one) => unfitness(one) === undefined)
        if ('why' in placement) {
          const perAz = ['z1', 'z2', 'z3'].map((idc) => fit.filter((one) => one.idc === idc).length)
          const need = allUnits(mode).length / mode.azs
          const able = perAz.filter((count) => count >= need).length
          if (mode.azs === 1) expect(fit.length).toBeLessThan(need)
          else expect(able).toBeLessThan(mode.azs)
          expect(placement.why).toContain(mode.name)
          return
        }
        const { picks } = placement
        expect(picks.map(({ index }) => index).sort((a, b) => a - b)).toEqual(allUnits(mode))
        expect(new Set(picks.map(({ diskId }) => diskId)).size).toBe(picks.length)
        for (const { diskId } of picks) expect(fit.map((one) => one.diskId)).toContain(diskId)
        const idcOf = (diskId: number) => fit.find((one) => one.diskId === diskId)?.idc
        const idcs = new Map<number, Set<string | undefined>>()
        for (const { index, diskId } of picks) {
          const az = azOfUnit(mode, index)
          idcs.set(az, (idcs.get(az) ?? new Set()).add(idcOf(diskId)))
        }
        if (mode.azs === 1) return
        expect([...idcs.values()].every((set) => set.size === 1)).toBe(true)
        expect(new Set([...idcs.values()].flatMap((set) => [...set])).size).toBe(mode.azs)
      }),
    )
  })

  it('has no more on a host than the mode can lose, where there are hosts enough', () => {
    fc.assert(
      fc.property(anyDisks, random, (disks, stream) => {
        const mode = codeModeOf('EC6P3')
        const placement = place(request(disks, mode, { random: () => stream.next().value }))
        if ('why' in placement) return
        const fit = disks.filter((one) => unfitness(one) === undefined)
        const perHost = unitsPer(fit, fit, ({ idc, host }) => `${idc}/${host}`)
        const places = perHost.reduce((sum, count) => sum + Math.min(count, lossMaxOf(mode)), 0)
        const most = unitsPer(placement.picks, disks, ({ idc, host }) => `${idc}/${host}`)[0] ?? 0
        if (places >= 9) expect(most).toBeLessThanOrEqual(lossMaxOf(mode))
      }),
    )
  })

  it.each([
    ['EC6P3', [2, 2, 2, 1, 1, 1], 1],
    ['EC12P4', [3, 3, 3, 3, 2, 2], 1],
    ['EC6P3L3', [2, 2, 2, 2, 2, 2], 1],
    ['Replica3', [1, 1, 1], 2],
  ])('%s lies evenly over 24 disks on 6 hosts in 3 AZs', (name, perHost, toLose) => {
    const disks = farm()
    const mode = codeModeOf(name)
    const picks = picksOf(place(request(disks, mode)))
    expect(unitsPer(picks, disks, ({ host }) => host)).toEqual(perHost)
    const perAz = unitsPer(picks, disks, ({ idc }) => idc)
    expect((perAz[0] ?? 0) - (perAz.at(-1) ?? 0)).toBeLessThanOrEqual(1)
    const hosts = picks.map(({ index, diskId }) => ({
      index,
      host: disks.find((one) => one.diskId === diskId)?.host ?? '',
    }))
    expect(hostsToLose(mode, hosts)).toBe(toLose)
  })

  it('of a mode with one AZ stays in one that has disks and hosts enough', () => {
    const disks = [...farm({ azs: 1, hosts: 3, disks: 3 }), disk(99, { idc: 'z9', host: 'x' })]
    const picks = picksOf(place(request(disks, codeModeOf('EC6P3'))))
    expect(unitsPer(picks, disks, ({ idc }) => idc)).toEqual([9])
    // Two hosts with 10 disks: 5 units on one of them would be more than EC6P3 can lose.
    const few = [...farm({ azs: 1, hosts: 2, disks: 5 }), ...farm({ azs: 4 }).slice(8)]
    const spread = picksOf(
      place(
        request(
          few.map((one, at) => ({ ...one, diskId: at })),
          codeModeOf('EC6P3'),
        ),
      ),
    )
    expect(spread).toHaveLength(9)
    const perHost = unitsPer(
      spread,
      few.map((one, at) => ({ ...one, diskId: at })),
      ({ host }) => host,
    )
    expect(perHost[0]).toBeLessThanOrEqual(3)
  })

  it('goes where there is more room', () => {
    const roomy = Array.from({ length: 3 }, (_, at) => disk(at, { host: `h${at}` }))
    const nearlyFull = Array.from({ length: 3 }, (_, at) =>
      disk(at + 3, { host: `h${at + 3}`, freeBytes: GIB }),
    )
    let seed = 7
    const chance = () => {
      seed = (seed * 48_271) % 2_147_483_647
      return seed / 2_147_483_647
    }
    let full = 0
    for (let n = 0; n < 300; n++) {
      const mode = codeModeOf('Replica3OneAZ')
      const picks = picksOf(place(request([...roomy, ...nearlyFull], mode, { random: chance })))
      full += picks.filter(({ diskId }) => diskId >= 3).length
    }
    expect(full).toBeLessThan(100)
  })
})

describe('a unit in the place of another', () => {
  it('stays in its AZ, away from disks and hosts of the volume', () => {
    const mode = codeModeOf('EC6P3L3')
    const disks = farm({ hosts: 6, disks: 2 })
    const all = picksOf(place(request(disks, mode)))
    for (const old of all) {
      const placed = all.filter(({ index }) => index !== old.index)
      const one = { wanted: [old.index], placed, replaced: [old], excludes: new Set([old.diskId]) }
      const [fresh] = picksOf(place(request(disks, mode, one)))
      const of = (diskId: number) => disks.find((disk) => disk.diskId === diskId)
      const chosen = of(fresh?.diskId ?? 0)
      expect(chosen?.idc).toBe(of(old.diskId)?.idc)
      expect(placed.map(({ diskId }) => of(diskId)?.host)).not.toContain(chosen?.host)
    }
  })

  it('of a volume over all AZs goes to another one only where its own has no disk left', () => {
    const mode = codeModeOf('EC6P3')
    const disks = farm()
    const all = picksOf(place(request(disks, mode)))
    const [old] = all
    const placed = all.slice(1)
    const idc = disks.find((one) => one.diskId === old?.diskId)?.idc
    const one = { wanted: [0], placed, replaced: [old ?? { index: 0, diskId: 0 }] }
    const [fresh] = picksOf(place(request(disks, mode, one)))
    expect(disks.find((disk) => disk.diskId === fresh?.diskId)?.idc).toBe(idc)
    const without = disks.map((disk) => (disk.idc === idc ? { ...disk, isHeard: false } : disk))
    const [other] = picksOf(place(request(without, mode, one)))
    expect(disks.find((disk) => disk.diskId === other?.diskId)?.idc).not.toBe(idc)
  })
})

describe('where there is no place, it says what is lacking', () => {
  it.each<[string, PlacementDisk[], string]>([
    ['EC6P3', [], 'EC6P3 needs 9 disks that can take a chunk: 0 of 0 can'],
    [
      'Replica3OneAZ',
      [
        disk(1),
        disk(2, { isHeard: false }),
        disk(3, { standing: 'broken' }),
        disk(4, { units: 100 }),
      ],
      'needs 3 disks that can take a chunk: 1 of 4 can (1 silent, 1 broken, 1 full of chunks)',
    ],
    ['EC6P3L3', farm({ azs: 2 }), 'needs 3 AZs, and there are disks in 2: z0, z1'],
    [
      'EC6P3L3',
      farm({ disks: 1 }),
      'needs 4 disks in each of 3 AZs that can take a chunk: z0: 2 of 2 can',
    ],
  ])('%s', (mode, disks, said) => {
    const placement = place(request(disks, codeModeOf(mode)))
    expect('why' in placement && placement.why).toContain(said)
  })

  it('excluded ones and those of the volume among it', () => {
    const disks = [disk(1), disk(2), disk(3)]
    const more = {
      wanted: [2],
      placed: [
        { index: 0, diskId: 1 },
        { index: 1, diskId: 2 },
      ],
    }
    const excludes = new Set([3])
    const placement = place(request(disks, codeModeOf('Replica3OneAZ'), { ...more, excludes }))
    const said =
      'needs a disk that can take a chunk: 0 of 3 can (2 of the volume already, 1 excluded)'
    expect('why' in placement && placement.why).toContain(said)
  })
})

it('how many hosts can be lost counts what cannot be made up', () => {
  const mode = codeModeOf('EC6P3L3')
  const all = allUnits(mode).map((index) => ({
    index,
    host: index < 9 ? `h${index % 3}` : 'locals',
  }))
  expect(hostsToLose(mode, all)).toBe(1)
  expect(
    hostsToLose(
      mode,
      all.map((one) => ({ ...one, host: `h${one.index}` })),
    ),
  ).toBe(3)
  expect(
    hostsToLose(
      mode,
      all.map((one) => ({ ...one, host: 'h' })),
    ),
  ).toBe(0)
})
