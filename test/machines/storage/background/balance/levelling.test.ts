/**
 * What balancing makes of whole clusters: that a disk which was replaced gets its share of units (#3939) and a fair
 * mix of them (#3940), that it comes to an end, and that nothing is lost on the way.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { GB, SimulatedCluster, TICKS_MAX } from './simulated-cluster.ts'

const MIB = 2 ** 20

function farm(seed: number, disks: number): SimulatedCluster {
  const cluster = new SimulatedCluster(seed)
  for (let n = 0; n < disks; n++) cluster.addDisk()
  return cluster
}

/** Half of them as good as empty, the others full: as a store has them that has grown. */
function fill(cluster: SimulatedCluster, volumes: number): void {
  const among = [...cluster.disks]
  for (let vid = 0; vid < volumes; vid++) {
    cluster.addVolume(vid % 2 === 0 ? 4 * MIB : 8 * GB, among)
  }
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

describe('a disk that was replaced (#3939)', () => {
  it('has as many free chunks as the others in the end', () => {
    const cluster = farm(1, 12)
    fill(cluster, 400)
    cluster.balance()
    const fresh = cluster.addDisk()
    const { even, moves } = cluster.balance()
    expect(even).toBe(true)
    const free = cluster.free()
    // Nearer than two points of a hundred no disk has to be, and no two are further apart than twice that.
    expect(Math.max(...free) - Math.min(...free)).toBeLessThanOrEqual(8)
    const share = cluster.units(fresh.diskId).length
    // What the others level among themselves meanwhile is less than what it gets.
    expect(moves).toBeLessThan(share * 2)
  })

  it('takes its share by its size where disks are of many sizes', () => {
    const cluster = farm(2, 8)
    fill(cluster, 300)
    cluster.addDisk({ chunksMax: 400, sizeBytes: 4_000 * GB })
    cluster.addDisk({ chunksMax: 100, sizeBytes: 1_000 * GB })
    expect(cluster.balance().even).toBe(true)
    const parts = cluster.disks.map(
      ({ diskId, chunksMax }) => cluster.units(diskId).length / chunksMax,
    )
    expect(Math.max(...parts) - Math.min(...parts)).toBeLessThan(0.05)
  })

  it('gets its share although no disk is nearly full', () => {
    const cluster = farm(3, 12)
    fill(cluster, 40)
    const fresh = cluster.addDisk()
    expect(cluster.balance().even).toBe(true)
    expect(cluster.units(fresh.diskId).length).toBeGreaterThan(4)
  })
})

describe('what comes to it (#3940)', () => {
  it('is as mixed as what the others have, at the end and on the way', () => {
    const cluster = farm(4, 12)
    fill(cluster, 600)
    const fresh = cluster.addDisk()
    const { received, even } = cluster.balance()
    expect(even).toBe(true)
    const sizes = received.get(fresh.diskId) ?? []
    const of = (diskId: number) => cluster.bytes(diskId) / cluster.units(diskId).length
    const others = mean(cluster.disks.slice(0, 12).map(({ diskId }) => of(diskId)))
    expect(of(fresh.diskId) / others).toBeGreaterThan(0.8)
    expect(of(fresh.diskId) / others).toBeLessThan(1.25)
    for (const quarter of [1, 2, 3, 4]) {
      const part = sizes.slice(0, Math.floor((sizes.length * quarter) / 4))
      const small = part.filter((bytes) => bytes < GB).length / part.length
      expect(small).toBeGreaterThan(0.25)
      expect(small).toBeLessThan(0.75)
    }
  })

  it('is never more at a time than it may take', () => {
    const cluster = farm(5, 24)
    fill(cluster, 800)
    cluster.addDisk()
    cluster.limits = { ...cluster.limits, movesMax: 50, movesIntoDiskMax: 3 }
    const { intoMost, moves } = cluster.balance()
    expect(moves).toBeGreaterThan(50)
    expect(intoMost).toBe(3)
  })

  it('is made up for where it got the small ones only before', () => {
    const cluster = farm(6, 10)
    fill(cluster, 300)
    const fresh = cluster.addDisk()
    // As the old scheduler would have left it: its share of units, and none of the bytes.
    for (const [vid, { bytes, diskIds }] of cluster.volumes.entries()) {
      if (bytes < GB && vid < 160) cluster.move(vid, diskIds[0] ?? 0, fresh.diskId)
    }
    expect(cluster.bytes(fresh.diskId)).toBeLessThan(GB)
    expect(cluster.balance().even).toBe(true)
    const bytes = cluster.disks.map(({ diskId, sizeBytes }) => cluster.bytes(diskId) / sizeBytes)
    expect(Math.max(...bytes) - Math.min(...bytes)).toBeLessThan(0.05)
  })
})

it('comes to an end, and takes no volume its spread, whatever it begins with', () => {
  fc.assert(
    fc.property(
      fc.record({
        seed: fc.nat(),
        disks: fc.integer({ min: 6, max: 16 }),
        volumes: fc.integer({ min: 0, max: 200 }),
        fresh: fc.integer({ min: 0, max: 4 }),
        idle: fc.double({ min: 0, max: 1, noNaN: true }),
        largest: fc.integer({ min: 1, max: 16 }),
      }),
      ({ seed, disks, volumes, fresh, idle, largest }) => {
        const cluster = farm(seed, disks)
        const old = [...cluster.disks]
        for (let vid = 0; vid < volumes; vid++) {
          cluster.addVolume(Math.floor(cluster.fraction() * largest * GB), old)
        }
        for (const volume of cluster.volumes) volume.isIdle = cluster.fraction() < idle
        for (let n = 0; n < fresh; n++) cluster.addDisk()
        const before = cluster.volumes.map((volume) => cluster.hostsToLose(volume))
        const { ticks, intoMost } = cluster.balance()
        expect(ticks).toBeLessThan(TICKS_MAX)
        expect(intoMost).toBeLessThanOrEqual(2)
        for (const [vid, volume] of cluster.volumes.entries()) {
          expect(new Set(volume.diskIds).size).toBe(volume.diskIds.length)
          expect(cluster.hostsToLose(volume)).toBeGreaterThanOrEqual(before[vid] ?? 0)
        }
        // And there is nothing left to do: the same again moves nothing, but by chance of what is drawn.
        expect(cluster.balance().moves).toBeLessThanOrEqual(disks)
      },
    ),
    { numRuns: 25 },
  )
})
