/** Who is asked about a journal that may have lost its end, one round after the other. */
import { describe, expect, it } from 'vitest'
import { MemoryJournal, MemoryStore, VirtualClock } from '../../src/adapters/memory/index.ts'
import { silentLog } from '../../src/adapters/system/index.ts'
import { pack } from '../../src/protocol/index.ts'
import { type OtherTails, SlotReader, Tail } from '../../src/shard/index.ts'
import { appliedKey, tailKey } from '../../src/shard/keys.ts'
import { encodeRecord } from '../../src/shard/slot-records.ts'
import type { TailRow } from '../../src/shard/tail.ts'
import { Witnesses } from '../../src/shard/witnesses.ts'

const SHARD = 1
const PREV = '0'.repeat(16)
const BEFORE = { prev: PREV, serverId: 'copy-1' }
const NOW = { kind: 'known', firstSlot: 1, lastSequence: 9, serverId: 'copy-2' } as const

interface Claim {
  slot: number
  node: string
  view: number
}

const idOf = ({ slot, node }: Claim) => `${node}@${slot}`
const claimed = (claim: Claim): TailRow => {
  const { slot, node, view: viewVersion } = claim
  const record = { kind: 'claim', ...BEFORE, node, claimId: idOf(claim), viewVersion } as const
  return { slot, bytes: encodeRecord(record) }
}
const released = (slot: number, claim: Claim): TailRow => {
  const epoch = { slot: claim.slot, claimId: idOf(claim) }
  return { slot, bytes: encodeRecord({ kind: 'release', ...BEFORE, epoch, to: 'z' }) }
}
const batch = (slot: number, claim: Claim): TailRow => {
  const epoch = { slot: claim.slot, claimId: idOf(claim) }
  const record = { kind: 'batch', ...BEFORE, epoch, batchId: `b${slot}`, writes: [] } as const
  return { slot, bytes: encodeRecord(record) }
}

interface Scene {
  /** What is left of the journal; the last one is at its end. */
  journal: TailRow[]
  own?: TailRow[]
  members?: string[]
  /** What each node has kept; who is not in it is silent, and given up in the end. */
  kept: Record<string, TailRow[]>
}

/** @returns who was asked, round by round, until all was said */
async function rounds({ journal, own = [], members = [], kept }: Scene) {
  const clock = new VirtualClock()
  const store = new MemoryStore({ clock })
  const line = new MemoryJournal({ clock })
  line.read = (_shard, slot, done) => {
    const row = journal.find((one) => one.slot === slot)
    clock.defer(() =>
      done(row ? { kind: 'found', record: row.bytes, sequence: slot } : { kind: 'empty' }),
    )
  }
  const applied = own.at(-1)?.slot ?? 0
  store.write({
    writes: [
      ...own.map(({ slot, bytes }) => [tailKey(SHARD, slot), bytes] as const),
      [appliedKey(SHARD), pack([applied, PREV])],
    ],
    failed: () => {},
  })
  await clock.settle()
  const asked: string[][] = []
  const otherTails: OtherTails = {
    collect: ({ claimants, heard }, done) => {
      const nodes = [...new Set([...members, ...claimants])].filter((one) => !heard.includes(one))
      asked.push(nodes)
      const tails = nodes.flatMap((node) => {
        const rows = kept[node]
        return rows ? [{ node, applied: 0, rows }] : []
      })
      clock.defer(() =>
        done(
          tails,
          nodes.filter((node) => !kept[node]),
        ),
      )
      return { stop: () => {} }
    },
  }
  const witnesses = new Witnesses({
    ...{ shard: SHARD, node: 'me', viewVersion: 5, otherTails },
    slots: new SlotReader(SHARD, line, clock),
    tail: new Tail(SHARD, store, silentLog),
  })
  const newest = journal.at(-1)
  const end = { ...NOW, lastSlot: newest?.slot ?? 0 }
  let isOver = false
  const ask = () =>
    witnesses.ask(end, newest?.bytes, (how) => {
      if (how === 'heard' && asked.length < 9) ask()
      else isOver = true
    })
  ask()
  await clock.settle(100)
  expect(isOver).toBe(true)
  return { asked, heard: witnesses.of(end) }
}

const X = { slot: 2, node: 'x', view: 1 }
const Y = { slot: 5, node: 'y', view: 3 }

describe('about a journal that may have lost its end', () => {
  it('the members are asked first, then who claimed last, whether a view names it or not', async () => {
    const { asked, heard } = await rounds({
      ...{ journal: [claimed(X), batch(3, X)], members: ['b'], kept: { b: [], x: [batch(4, X)] } },
    })
    expect(asked).toEqual([['b'], ['x']])
    expect(heard?.tails.map(({ node }) => node)).toEqual(['b', 'x'])
  })

  it('whom a newer claim has replaced is not waited for, though its records end what is left', async () => {
    const { asked } = await rounds({
      journal: [claimed(X), batch(3, X)],
      members: ['y'],
      kept: { y: [batch(4, X), claimed(Y)] },
    })
    expect(asked).toEqual([['y']])
  })

  it('whoever is named by what another kept is asked next, and nobody twice', async () => {
    const { asked, heard } = await rounds({
      journal: [claimed(X)],
      members: ['b', 'dead'],
      kept: { b: [claimed(Y)], y: [batch(6, Y)] },
    })
    expect(asked).toEqual([['b', 'dead'], ['y']])
    expect(heard?.givenUp).toEqual(['dead'])
    expect(heard?.tails.map(({ node }) => node)).toEqual(['b', 'y'])
  })

  it('a claim of an older view is none, however high its slot: that branch was given up', async () => {
    const { asked } = await rounds({
      journal: [claimed({ slot: 51, node: 'y', view: 4 })],
      members: ['b'],
      kept: { b: [claimed({ slot: 100, node: 'w', view: 2 })], y: [] },
    })
    expect(asked).toEqual([['b'], ['y']])
  })

  it('of one view the later claim counts', async () => {
    const again = { slot: 7, node: 'y', view: 3 }
    const { asked } = await rounds({
      journal: [claimed(Y)],
      members: ['b'],
      kept: { b: [batch(6, Y), claimed(again), released(8, again)] },
    })
    expect(asked).toEqual([['b']])
  })

  it.each([
    ['before', ['b', 'c']],
    ['behind', ['c', 'b']],
  ])('who has released is not asked, told %s its claim', async (_, members) => {
    const { asked } = await rounds({
      journal: [claimed(X)],
      members,
      kept: { b: [claimed(Y), released(6, Y)], c: [claimed(Y)] },
    })
    expect(asked).toEqual([members])
  })

  it('nor is who has released at the end that is left, or where a newer view owns the shard', async () => {
    const journal = [claimed(X), released(3, X)]
    expect((await rounds({ journal, kept: {} })).asked).toEqual([[]])
    const newer = [claimed({ slot: 4, node: 'n', view: 6 })]
    expect((await rounds({ journal: newer, kept: {} })).asked).toEqual([[]])
  })

  it('what this store kept names others, and not itself', async () => {
    const mine = { slot: 4, node: 'me', view: 4 }
    const journal = [claimed(X)]
    expect((await rounds({ journal, own: [claimed(Y)], kept: { y: [] } })).asked).toEqual([
      [],
      ['y'],
    ])
    expect((await rounds({ journal, own: [claimed(mine)], kept: {} })).asked).toEqual([[]])
  })

  it('a claim whose slot was removed names nobody', async () => {
    expect((await rounds({ journal: [batch(9, X)], kept: {} })).asked).toEqual([[]])
  })
})
