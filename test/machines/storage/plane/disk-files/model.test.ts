/** Puts, reads, deletes, lists and restarts at once: each shard is as the last of its acknowledged calls left it. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { DiskFiles } from '../../../../../machines/storage/plane/disk-files/index.ts'
import { outcomeOf } from './outcomes.ts'
import { CHUNK_BYTES, content, inPieces, newDirectory, openDisk, statusOf, VUID } from './rig.ts'

type Call =
  | { kind: 'put'; bid: bigint; size: number; seed: number; isStreamed: boolean }
  | { kind: 'mark' | 'delete' | 'read'; bid: bigint }
  | { kind: 'readonly' | 'normal' | 'list' | 'restart' }

const bid = fc.bigInt({ min: 1n, max: 6n })
const put = fc.record({
  kind: fc.constant('put' as const),
  bid: fc.oneof({ weight: 3, arbitrary: bid }, { weight: 2, arbitrary: fc.bigInt(7n, 60n) }),
  size: fc.oneof(
    { weight: 4, arbitrary: fc.integer({ min: 16, max: 5_000 }) },
    { weight: 2, arbitrary: fc.integer({ min: 60_000, max: 400_000 }) },
    { weight: 1, arbitrary: fc.integer({ min: 1_000_000, max: 1_600_000 }) },
  ),
  seed: fc.nat(99),
  isStreamed: fc.boolean(),
})
const ofShard = fc.record({ kind: fc.constantFrom('mark', 'delete', 'read'), bid } as const)
const ofChunk = fc.record({
  kind: fc.constantFrom('readonly', 'normal', 'list', 'restart'),
} as const)
const call: fc.Arbitrary<Call> = fc.oneof(
  { weight: 6, arbitrary: put },
  { weight: 6, arbitrary: ofShard },
  { weight: 1, arbitrary: ofChunk },
)

class Model {
  readonly states = new Map<bigint, string>()
  isReadonly = false

  /** The number that a call is refused with, 0 for none; and what it does. */
  expect(call: Call): number {
    if (!('bid' in call)) return 0
    const state = this.states.get(call.bid) ?? 'absent'
    const isGone = state === 'marked' || state === 'deleted'
    switch (call.kind) {
      case 'put':
        if (this.isReadonly) return 622
        if (isGone) return 654
        this.states.set(call.bid, `${call.size}/${call.size === 0 ? 0 : call.seed}`)
        return 0
      case 'mark':
        if (state === 'absent' || isGone) return state === 'absent' ? 651 : 654
        this.states.set(call.bid, 'marked')
        return 0
      case 'delete':
        if (state !== 'marked') return state === 'absent' || isGone ? 651 : 653
        this.states.set(call.bid, 'deleted')
        return 0
      case 'read':
        return state === 'absent' ? 651 : isGone ? 654 : 0
    }
  }
}

it('of many at once leave what they say', { timeout: 240_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(call, { maxLength: 8 }), { maxLength: 14 }),
      async (rounds) => {
        const directory = newDirectory()
        let disk = await openDisk(directory)
        await disk.createChunk(VUID, CHUNK_BYTES)
        const model = new Model()
        for (const round of rounds) {
          // Calls of one shard follow each other; those of others run beside them.
          const shards = new Map<bigint, Call[]>()
          for (const call of round) {
            if ('bid' in call) shards.set(call.bid, [...(shards.get(call.bid) ?? []), call])
          }
          await Promise.all(
            [...shards.values()].map(async (calls) => {
              for (const call of calls) {
                const expected = model.expect(call)
                expect(await statusOf(() => act(disk, call)), JSON.stringify(call, text)).toBe(
                  expected,
                )
              }
            }),
          )
          for (const { kind } of round) {
            if (kind === 'readonly' || kind === 'normal') {
              await disk.setChunkStatus(VUID, kind)
              model.isReadonly = kind === 'readonly'
            }
            if (kind !== 'restart') continue
            await disk.close()
            disk = await openDisk(directory)
          }
          await expectStates(disk, model)
        }
        await disk.close()
      },
    ),
    { numRuns: 60 },
  )
})

function act(disk: DiskFiles, call: Call): Promise<unknown> {
  if (call.kind === 'put') {
    const bytes = content(call.size, call.seed)
    const body = call.isStreamed ? inPieces(bytes, 100_000) : bytes
    return disk.putShard(VUID, call.bid, call.size, body)
  }
  if (call.kind === 'mark') return disk.markDeleted(VUID, call.bid)
  if (call.kind === 'delete') return disk.deleteShard(VUID, call.bid)
  if (call.kind === 'read') return disk.readShard(VUID, call.bid)
  return Promise.resolve()
}

async function expectStates(disk: DiskFiles, { states, isReadonly }: Model): Promise<void> {
  for (const [bid, state] of states) expect(await outcomeOf(disk, VUID, bid), `${bid}`).toBe(state)
  const there = [...states].filter(([, state]) => state !== 'deleted').map(([bid]) => bid)
  const { shards } = disk.listShards(VUID, { from: 0n, status: 0, count: 1_000 })
  expect(shards.map(({ bid }) => bid)).toEqual(there.sort((a, b) => (a < b ? -1 : 1)))
  const stat = disk.statChunk(VUID)
  expect(stat).toMatchObject({ damagedBytes: 0, shards: there.length })
  expect(stat.status).toBe(isReadonly ? 'readonly' : 'normal')
}

function text(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value
}
