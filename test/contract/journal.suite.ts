/** What every `Journal` promises. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type {
  Journal,
  JournalEndOutcome,
  JournalReadOutcome,
  JournalWriteOutcome,
} from '../../src/ports/index.ts'
import { answer, bytes, type Passing, text } from './support.ts'

export interface JournalHarness extends Passing {
  journal: Journal
  /** Another party on the same streams. */
  connect(): Promise<Journal>
  close(): Promise<void>
}

const SHARD = 3
/** A new connection, a stream that has to be created, a connection to another server. */
const TRIES_MAX = 10

export function journalSuite(name: string, create: () => Promise<JournalHarness>): void {
  describe(`journal: ${name}`, () => {
    let harness: JournalHarness
    beforeEach(async () => {
      harness = await create()
    })
    afterEach(() => harness.close())

    /** As every writer does it: after an unknown outcome the end is read, and the same sent again. */
    const write = async (
      slot: number,
      afterSequence: number,
      record: string | Uint8Array = `record ${slot}`,
      by = harness.journal,
      shard = SHARD,
    ): Promise<JournalWriteOutcome> => {
      const sent = typeof record === 'string' ? bytes(record) : record
      for (let tries = 1; ; tries++) {
        const outcome = await answer<JournalWriteOutcome>(harness, (done) =>
          by.write({ shard, slot, record: sent, afterSequence }, done),
        )
        if (outcome.kind !== 'unknown' || tries === TRIES_MAX) return outcome
        await answer<JournalEndOutcome>(harness, (done) => by.end(shard, done))
      }
    }
    const read = (slot: number, shard = SHARD): Promise<JournalReadOutcome> =>
      certain((done) => harness.journal.read(shard, slot, done))
    const end = (shard = SHARD): Promise<JournalEndOutcome & { kind: 'known' }> =>
      certain<JournalEndOutcome>((done) => harness.journal.end(shard, done)).then((outcome) => {
        if (outcome.kind !== 'known') throw new Error(outcome.why)
        return outcome
      })
    /** What is unknown is asked again. */
    const certain = async <T extends { kind: string }>(
      ask: (done: (outcome: T) => void) => void,
    ): Promise<T> => {
      for (let tries = 1; ; tries++) {
        const outcome = await answer<T>(harness, ask)
        if (outcome.kind !== 'unknown' || tries === TRIES_MAX) return outcome
      }
    }
    const remove = (slot: number): Promise<string> =>
      answer(harness, (done) => harness.journal.remove(SHARD, slot, done))
    /** Writes slots 1 to `count`; returns their sequences. */
    const fill = async (count: number): Promise<number[]> => {
      const sequences = [0]
      for (let slot = 1; slot <= count; slot++) {
        const outcome = await write(slot, sequences.at(-1)!)
        if (outcome.kind !== 'written') throw new Error(`slot ${slot}: ${outcome.kind}`)
        sequences.push(outcome.sequence)
      }
      return sequences
    }

    it('is empty at first', async () => {
      expect(await end()).toMatchObject({ firstSlot: 0, lastSlot: 0, lastSequence: 0 })
      expect(await read(1)).toEqual({ kind: 'empty' })
    })

    it('writes slot after slot and reads them back', async () => {
      const sequences = await fill(3)
      expect(await end()).toMatchObject({ firstSlot: 1, lastSlot: 3, lastSequence: sequences[3] })
      for (const slot of [1, 2, 3]) {
        const outcome = await read(slot)
        if (outcome.kind !== 'found') throw new Error(outcome.kind)
        expect([text(outcome.record), outcome.sequence]).toEqual([
          `record ${slot}`,
          sequences[slot],
        ])
      }
      expect(await read(4)).toEqual({ kind: 'empty' })
    })

    it('begins with any slot', async () => {
      const outcome = await write(41, 0)
      if (outcome.kind !== 'written') throw new Error(outcome.kind)
      expect((await write(42, outcome.sequence)).kind).toBe('written')
      expect(await end()).toMatchObject({ firstSlot: 41, lastSlot: 42 })
    })

    it('names the same server while nothing was lost', async () => {
      await fill(1)
      const { serverId } = await end()
      expect((await write(2, (await end()).lastSequence)).kind).toBe('written')
      expect((await end()).serverId).toBe(serverId)
    })

    it('refuses a slot that exists, whoever wrote it and whatever the end', async () => {
      const sequences = await fill(2)
      for (const after of [0, sequences[1]!, sequences[2]!]) {
        expect(await write(2, after, 'other')).toEqual({ kind: 'refused' })
      }
      expect(text(((await read(2)) as { record: Uint8Array }).record)).toBe('record 2')
    })

    it('refuses a new slot when the stream does not end where expected', async () => {
      const sequences = await fill(2)
      for (const after of [0, sequences[1]!, sequences[2]! + 1]) {
        expect(await write(3, after)).toEqual({ kind: 'refused' })
      }
      expect((await write(3, sequences[2]!)).kind).toBe('written')
    })

    it('keeps shards apart', async () => {
      await fill(2)
      expect((await write(1, 0, 'of shard 4', harness.journal, 4)).kind).toBe('written')
      expect(await end(4)).toMatchObject({ firstSlot: 1, lastSlot: 1 })
      expect(await end()).toMatchObject({ firstSlot: 1, lastSlot: 2 })
    })

    it('lets exactly one of many racing writers create a slot', async () => {
      const parties = await Promise.all(Array.from({ length: 6 }, () => harness.connect()))
      let after = 0
      for (let slot = 1; slot <= 10; slot++) {
        const outcomes = await Promise.all(
          parties.map((party, i) => write(slot, after, `by ${i}`, party)),
        )
        const winners = outcomes.flatMap((o, i) => (o.kind === 'written' ? [{ i, ...o }] : []))
        expect(winners).toHaveLength(1)
        expect(outcomes.filter(({ kind }) => kind === 'refused')).toHaveLength(5)
        const found = await read(slot)
        expect(found).toMatchObject({ kind: 'found', sequence: winners[0]!.sequence })
        expect(text((found as { record: Uint8Array }).record)).toBe(`by ${winners[0]!.i}`)
        after = winners[0]!.sequence
      }
    })

    it('removes slots from the beginning, and none of them can be written again', async () => {
      const sequences = await fill(5)
      expect(await remove(3)).toBe('removed')
      expect(await end()).toMatchObject({ firstSlot: 4, lastSlot: 5, lastSequence: sequences[5] })
      expect(await read(3)).toEqual({ kind: 'empty' })
      expect(await write(3, sequences[2]!)).toEqual({ kind: 'refused' })
      expect((await write(6, sequences[5]!)).kind).toBe('written')
      expect(await remove(2)).toBe('removed')
      expect((await end()).firstSlot).toBe(4)
    })

    it('gives bytes that are the reader’s to keep', async () => {
      await fill(1)
      const { lastSequence } = await end()
      expect((await write(2, lastSequence, 'mine')).kind).toBe('written')
      const first = (await read(2)) as { record: Uint8Array }
      first.record.fill(0)
      expect(text(((await read(2)) as { record: Uint8Array }).record)).toBe('mine')
    })

    it('keeps large and binary records', async () => {
      const record = Buffer.alloc(900 * 1024, 'a\x00\xff', 'latin1')
      expect((await write(1, 0, record)).kind).toBe('written')
      expect(Buffer.compare(((await read(1)) as { record: Uint8Array }).record, record)).toBe(0)
    })
  })
}
