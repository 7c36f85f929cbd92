/** Memory of stripes: what is kept, that padding is zero, and that nobody has another's. */
import { expect, it } from 'vitest'
import { codeModeOf, readsNeeded } from '../../../../../machines/storage/plane/codes/index.ts'
import { Stripe, StripePool } from '../../../../../machines/storage/plane/erasure/stripe.ts'

const KIB = 1024
const mode = codeModeOf('EC6P3')

it('lays data, parity and padding out side by side', () => {
  const stripe = new Stripe(mode, 20_000, new StripePool())
  expect([stripe.shardBytes, stripe.blobBytes, stripe.data.length]).toEqual([3334, 20_000, 20_000])
  stripe.data.fill(1)
  expect(
    stripe
      .shard(5)
      .subarray(-4)
      .every((byte) => byte === 0),
  ).toBe(true)
  expect(
    stripe
      .shard(5)
      .subarray(0, -4)
      .every((byte) => byte === 1),
  ).toBe(true)
  stripe.shard(8).fill(7)
  expect(Buffer.from(stripe.memory, 8 * 3334, 3334).every((byte) => byte === 7)).toBe(true)
})

it('gives memory again', () => {
  const pool = new StripePool()
  const memory = pool.take(100 * KIB)
  expect(memory.byteLength).toBe(128 * KIB)
  pool.give(memory)
  expect(pool.idleBytes).toBe(128 * KIB)
  const again = pool.take(70 * KIB)
  expect(again).toBe(memory)
  expect(pool.idleBytes).toBe(0)
  expect(pool.take(70 * KIB)).not.toBe(memory)
})

it('zeroes the padding in memory that another blob had', () => {
  const pool = new StripePool()
  for (const name of ['EC6P3', 'Replica3'])
    for (const bytes of [1, 20_001]) {
      const used = pool.take(64 * KIB)
      new Uint8Array(used).fill(9)
      pool.give(used)
      const stripe = new Stripe(codeModeOf(name), bytes, pool)
      expect(stripe.memory).toBe(used)
      const dataBytes = readsNeeded(stripe.mode) * stripe.shardBytes
      const padding = Buffer.from(stripe.memory, bytes, dataBytes - bytes)
      expect(padding.every((byte) => byte === 0)).toBe(true)
      pool.give(stripe.leaveMemory() as SharedArrayBuffer)
    }
})

it('keeps no more than it may', () => {
  const pool = new StripePool(256 * KIB)
  const taken = Array.from({ length: 10 }, () => pool.take(64 * KIB))
  for (const memory of taken) pool.give(memory)
  expect(pool.idleBytes).toBe(256 * KIB)
  pool.give(new SharedArrayBuffer(1024 * KIB))
  expect(pool.idleBytes).toBe(256 * KIB)
  const again = Array.from({ length: 5 }, () => pool.take(64 * KIB))
  expect(again.filter((memory) => taken.includes(memory))).toHaveLength(4)
})

it('has no memory when it is released', () => {
  const stripe = new Stripe(mode, 10, new StripePool())
  const { memory } = stripe
  expect(stripe.leaveMemory()).toBe(memory)
  expect(stripe.leaveMemory()).toBeUndefined()
  for (const use of [() => stripe.memory, () => stripe.data, () => stripe.shard(0)]) {
    expect(use).toThrow('released')
  }
})
