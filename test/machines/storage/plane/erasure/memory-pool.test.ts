/** Memory that lies idle: what is kept of it, and what has to go. */
import { expect, it } from 'vitest'
import { MemoryPool } from '../../../../../machines/storage/plane/erasure/memory-pool.ts'

const KIB = 1024

function poolOf(idleBytesMax: number) {
  let made = 0
  const pool = new MemoryPool((bytes) => {
    made += 1
    return new ArrayBuffer(bytes)
  }, idleBytesMax)
  const use = (...sizes: number[]) => {
    for (const memory of sizes.map((bytes) => pool.take(bytes))) pool.give(memory)
  }
  const madeFor = (...sizes: number[]) => {
    const before = made
    use(...sizes)
    return made - before
  }
  return { pool, use, madeFor }
}

it('makes room for what is used now out of what nobody has asked for since', () => {
  const { pool, use, madeFor } = poolOf(512 * KIB)
  use(256 * KIB, 256 * KIB)
  expect(pool.idleBytes).toBe(512 * KIB)
  expect(madeFor(128 * KIB, 128 * KIB)).toBe(2)
  expect(madeFor(128 * KIB, 128 * KIB)).toBe(0)
  // One of the others had to go, and no more than that.
  expect(pool.idleBytes).toBe(512 * KIB)
  expect(madeFor(256 * KIB)).toBe(0)
})

it('takes first what was used longest ago', () => {
  const { use, madeFor } = poolOf(448 * KIB)
  use(256 * KIB)
  use(128 * KIB)
  use(64 * KIB)
  expect(madeFor(256 * KIB)).toBe(0)
  use(64 * KIB, 64 * KIB)
  expect(madeFor(256 * KIB)).toBe(0)
  expect(madeFor(128 * KIB)).toBe(1)
})

it('leaves everything as it is for memory that would not fit even then', () => {
  const { pool, use, madeFor } = poolOf(128 * KIB)
  use(64 * KIB, 64 * KIB)
  use(256 * KIB)
  expect(pool.idleBytes).toBe(128 * KIB)
  expect(madeFor(64 * KIB, 64 * KIB)).toBe(0)
})

it('keeps none of a size beyond what fits beside the others of that size', () => {
  const { pool, use } = poolOf(128 * KIB)
  use(64 * KIB, 64 * KIB, 64 * KIB)
  expect(pool.idleBytes).toBe(128 * KIB)
})
