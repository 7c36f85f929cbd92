/** What every `Checkpoints` promises. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type {
  CheckpointListOutcome,
  Checkpoints,
  ChunkReadOutcome,
  ClaimOutcome,
} from '../../src/ports/index.ts'
import { answer, bytes, type Passing, text } from './support.ts'

export interface CheckpointsHarness extends Passing {
  checkpoints: Checkpoints
  /** Another party on the same checkpoints; may be the same object. */
  connect(): Promise<Checkpoints>
  close(): Promise<void>
}

export function checkpointsSuite(name: string, create: () => Promise<CheckpointsHarness>): void {
  describe(`checkpoints: ${name}`, () => {
    let harness: CheckpointsHarness
    beforeEach(async () => {
      harness = await create()
    })
    afterEach(() => harness.close())

    const chunk = (slot: number, index = 0, shard = 1, attempt = 'a_-b') => ({
      ...{ shard, slot, attempt, index },
    })
    const write = (at: ReturnType<typeof chunk>, value: string): Promise<string> =>
      answer(harness, (done) => harness.checkpoints.write(at, bytes(value), done))
    const read = async (at: ReturnType<typeof chunk>, by = harness.checkpoints) => {
      const outcome = await answer<ChunkReadOutcome>(harness, (done) => by.read(at, done))
      return outcome.kind === 'found' ? text(outcome.bytes) : outcome.kind
    }
    const record = (slot: number, value: string, shard = 1, by = harness.checkpoints) =>
      answer<ClaimOutcome>(harness, (done) => by.record(shard, slot, bytes(value), done))
    const list = async (shard = 1, by = harness.checkpoints) => {
      const outcome = await answer<CheckpointListOutcome>(harness, (done) => by.list(shard, done))
      if (outcome.kind === 'unknown') throw new Error(outcome.why)
      return outcome.records.map(({ slot, value }) => `${slot}=${text(value)}`)
    }
    const removeBelow = (slot: number, shard = 1): Promise<string> =>
      answer(harness, (done) => harness.checkpoints.removeBelow(shard, slot, done))

    it('keeps chunks apart by shard, slot, attempt and index', async () => {
      const names = [
        ...[chunk(1), chunk(1, 1), chunk(1, 11), chunk(11), chunk(1, 0, 11)],
        chunk(1, 0, 1, 'other'),
      ]
      for (const [i, at] of names.entries()) expect(await write(at, `chunk ${i}`)).toBe('written')
      const other = await harness.connect()
      for (const [i, at] of names.entries()) expect(await read(at, other)).toBe(`chunk ${i}`)
      expect(await read(chunk(2))).toBe('absent')
      expect(await write(chunk(1), 'chunk 0')).toBe('written')
      expect(await read(chunk(1))).toBe('chunk 0')
    })

    it('has one record for a slot, and tells the others whose it is', async () => {
      expect(await record(5, 'mine')).toEqual({ kind: 'won' })
      const other = await harness.connect()
      const outcome = await record(5, 'theirs', 1, other)
      expect(outcome.kind === 'lost' && text(outcome.value)).toBe('mine')
      expect(await list()).toEqual(['5=mine'])
    })

    it('lists the records of a shard by number', async () => {
      for (const slot of [100, 9, 1_000_000_000_000, 20]) await record(slot, 'x')
      await record(7, 'of another shard', 11)
      expect(await list()).toEqual(['9=x', '20=x', '100=x', '1000000000000=x'])
      expect(await list(2)).toEqual([])
    })

    it('removes the chunks of one attempt, and nothing else', async () => {
      const gone = [chunk(5), chunk(5, 1), chunk(5, 10)]
      const others = [chunk(5, 0, 1, 'a_-bc'), chunk(5, 0, 1, 'x'), chunk(50), chunk(5, 0, 11)]
      for (const at of [...gone, ...others]) await write(at, 'x')
      await record(5, 'of another attempt')
      const discard = (): Promise<string> =>
        answer(harness, (done) => harness.checkpoints.discard(chunk(5), done))
      expect(await discard()).toBe('removed')
      expect(await Promise.all(gone.map((at) => read(at)))).toEqual(gone.map(() => 'absent'))
      expect(await Promise.all(others.map((at) => read(at)))).toEqual(others.map(() => 'x'))
      expect(await list()).toEqual(['5=of another attempt'])
      expect(await discard(), 'again').toBe('removed')
    })

    it('removes what is below a slot, recorded or not, and nothing else', async () => {
      for (const slot of [9, 10, 11, 100]) {
        await write(chunk(slot), 'x')
        await write(chunk(slot, 1), 'x')
        if (slot !== 9) await record(slot, 'x')
      }
      await write(chunk(9, 0, 11), 'of another shard')
      await record(9, 'x', 11)
      expect(await removeBelow(11)).toBe('removed')
      expect(await list()).toEqual(['11=x', '100=x'])
      expect(await Promise.all([read(chunk(9)), read(chunk(10, 1))])).toEqual(['absent', 'absent'])
      expect(await Promise.all([read(chunk(11)), read(chunk(100, 1))])).toEqual(['x', 'x'])
      expect(await read(chunk(9, 0, 11))).toBe('of another shard')
      expect(await list(11)).toEqual(['9=x'])
      expect(await removeBelow(11)).toBe('removed')
    })
  })
}
