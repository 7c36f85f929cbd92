/** What window proofs of tests are of. */
import type { WdPoStRequest } from '../../../../machines/sealing/wdpost/index.ts'

const bytes64 = (byte: number) => Buffer.alloc(32, byte).toString('base64')

export function sectorsOf(count: number, miner = 1_000) {
  return Array.from({ length: count }, (_, index) => ({
    SectorID: { Miner: miner, Number: index + 1 },
    CommR: bytes64(index % 256),
    Accesses: {
      CacheDir: `/stores/one/cache/s-t0${miner}-${index + 1}`,
      SealedFile: `/stores/one/sealed/s-t0${miner}-${index + 1}`,
    },
  }))
}

export function requestOf({
  deadline = 3,
  miner = 1_000,
  proofType = 5,
  seed = 1,
  count = 2,
} = {}) {
  const Sectors = sectorsOf(count, miner)
  const input = { Sectors, MinerID: miner, ProofType: proofType, Seed: bytes64(seed) }
  return { deadline, partitions: [0, 1], input } satisfies WdPoStRequest
}
