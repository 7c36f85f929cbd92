/**
 * Whether a checkpoint belongs to the chain of records that the journal holds.
 *
 * Decides: that the record in its slot says so, or the next one, which names it, when that is removed.
 * Leaves to others: what it means that neither is there.
 */
import { hashBytes } from '../protocol/index.ts'
import type { Checkpoint } from './checkpoint-form.ts'
import type { SlotReader } from './slot-reader.ts'
import { recordOf } from './tail.ts'

/** `nowhere`: the journal ends before it, or begins later, or does not say for the moment. */
export type CheckpointPlace = 'on the chain' | 'off the chain' | 'nowhere'

/** The end of the journal is not asked for: for an owner that would have a meaning (slot-reader.ts). */
export function placeOf(
  slots: SlotReader,
  { slot, hash }: Pick<Checkpoint, 'slot' | 'hash'>,
  done: (place: CheckpointPlace) => void,
): void {
  const tell = (isSame: boolean) => done(isSame ? 'on the chain' : 'off the chain')
  slots.read(slot, (found) => {
    if (found) return tell(hashBytes(found.record) === hash)
    slots.read(slot + 1, (next) => {
      if (!next) return done('nowhere')
      tell(recordOf({ slot: slot + 1, bytes: next.record })?.prev === hash)
    })
  })
}
