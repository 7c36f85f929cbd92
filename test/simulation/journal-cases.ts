/** Lists that checkers of journals have to reject: how one is written again, and how one begins. */
import { FACTS_KEY, PUBLISHED_KEY } from './checkers/foundings.ts'
import { checkpoint, flushed, gone, known, List, owns, turn } from './event-list.ts'
import type { Happening } from './events.ts'

const begun = () => new List().claim().actor({ entries: [turn(1)] })
const won = (key: string): Happening => ({ kind: 'claim', node: 'n1', key, outcome: 'won' })
const taken: Happening = { kind: 'taken', node: 'n2', shard: 0, slot: 0, view: 1 }

/** Its checkpoint has the hash of the slot. */
const founded = () =>
  new List()
    .add(owns('n1', 'a'))
    .add(won(FACTS_KEY))
    .add(checkpoint(1, { hash: 'hash of 1' }))
    .slot({ kind: 'founded' })

export const JOURNAL_CASES: Record<string, readonly [what: string, make: () => List][]> = {
  'refill-is-whole': [
    [
      'a claim in the middle of what was committed',
      () =>
        begun()
          .batch({})
          .add(known(3))
          .add(flushed(3))
          .add({ kind: 'slots-lost', shard: 0, lastSlot: 2 })
          .slot(
            { kind: 'claim', node: 'n2', claimId: 'b', viewVersion: 2 },
            { slot: 3, prev: 'hash of 2', node: 'n2' },
          ),
    ],
  ],
  'published-is-whole': [
    ['nothing at all', () => new List().add(won(FACTS_KEY)).add(won(PUBLISHED_KEY))],
    ['a journal that has not begun', () => founded().add(won(PUBLISHED_KEY))],
    ['no checkpoint', () => founded().add(gone(1)).claim().add(won(PUBLISHED_KEY))],
    [
      'a checkpoint of something else',
      () =>
        founded()
          .add(checkpoint(1, { hash: 'else' }))
          .claim()
          .add(won(PUBLISHED_KEY)),
    ],
  ],
  'nobody-serves-too-early': [
    ['another, while the node is alone', () => new List().add(won(FACTS_KEY)).add(taken)],
    ['another, before all is there', () => founded().claim().add(taken)],
    [
      'the founder, before all is there',
      () =>
        founded()
          .claim()
          .add({ ...taken, node: 'n1' }),
    ],
  ],
}
