/** Who moves units of a volume: one of each unit, and one at a time; what is left when it has ended: nothing. */
import { describe, expect, it } from 'vitest'
import { vuidOf } from '../../../../../machines/storage/plane/codes/index.ts'
import {
  newVolume,
  type VolumeEvent,
  type VolumeRecord,
  volumeEvents,
} from '../../../../../machines/storage/plane/volumes/volume-record.ts'
import {
  decide,
  type VolumeDecision,
} from '../../../../../machines/storage/plane/volumes/volume-rules.ts'

const VID = 7
const vuid = (index: number, epoch = 1) => vuidOf({ vid: VID, index, epoch })

function volume(): VolumeRecord {
  const kept = { retiredKeptMs: 1, readyKeptMs: 1 }
  const made = newVolume({ vid: VID, mode: 101, chunkBytesMax: 1, ...kept, at: 0 }, 3)
  const units = [0, 1, 2].map((index) => ({ index, epoch: 1, diskId: index + 1 }))
  return { ...made, standing: 'idle', fittings: {}, units, epochs: [1, 1, 1] }
}

const add = (index: number, mover: string, more: { instead?: string; epoch?: number } = {}) => {
  const { epoch = 1, ...instead } = more
  return { type: 'ADD_MOVE', vuid: vuid(index, epoch), mover, at: 5, ...instead } as const
}
const claim = (index: number, mover: string, turn = 1) =>
  ({ type: 'CLAIM_MOVE', vuid: vuid(index), mover, turn, at: 6 }) as const
const yielded = (mover: string, turn = 1) => ({ type: 'YIELD_MOVE', mover, turn }) as const

const END = { type: 'END_MOVE', mover: 'a' } as const
const under = (mover?: string, turn = 1) =>
  mover === undefined ? {} : ({ claim: { mover, turn } } as const)
const lock = (mover?: string, turn = 1) => ({ type: 'LOCK', ...under(mover, turn) }) as const
const alloc = (index: number, mover?: string, turn = 1) => ({
  type: 'ALLOC_UNIT' as const,
  ...{ vuid: vuid(index), excludes: [], ...under(mover, turn) },
})
const CHOSEN = { type: 'CHOSEN', picks: [{ index: 0, diskId: 9 }] } as const
const CHUNK = { index: 0, epoch: 2, diskId: 9 }
const MADE = { type: 'MADE', made: [CHUNK], failed: [] } as const
const swap = (mover?: string, turn = 1) =>
  ({
    type: 'UPDATE_UNIT',
    ...{ oldVuid: vuid(0), newVuid: vuid(0, 2), newDiskId: 9, at: 7 },
    ...{ isOldNormal: false, ...under(mover, turn) },
  }) as const

/** What the last of them is answered, and what there is then. */
function told(...events: VolumeEvent[]): VolumeDecision {
  let decision: VolumeDecision = { next: volume() }
  for (const event of events) decision = decide(decision.next, event)
  return decision
}

describe('a unit', () => {
  it('has one mover, who may say so again', () => {
    const { next, answer } = told(add(0, 'a'), add(0, 'a'))
    expect(answer).toMatchObject({ ok: true })
    expect(next.moves).toEqual({ 0: { mover: 'a', at: 5, turn: 1 } })
  })

  it('refuses a second one, and says who the first is', () => {
    const { next, answer } = told(add(0, 'a'), add(0, 'b'))
    expect(answer).toMatchObject({ refused: 601, by: { mover: 'a', at: 5 } })
    expect(next.moves).toMatchObject({ 0: { mover: 'a' } })
  })

  it('takes one in the place of another only if it is that one', () => {
    expect(told(add(0, 'a'), add(0, 'b', { instead: 'c' })).answer).toMatchObject({ refused: 601 })
    const { next, answer } = told(add(0, 'a'), claim(0, 'a'), add(0, 'b', { instead: 'a' }))
    expect(answer).toMatchObject({ ok: true })
    expect(next).toMatchObject({ moves: { 0: { mover: 'b' } }, mover: null })
  })

  it.each(['', 'a b', 'a/b', '\u0000', 'a'.repeat(129)])(
    'has no mover whose id is none of a task: %j',
    (mover) => {
      const isTaken = (by: string) => volumeEvents.ADD_MOVE.safeParse(add(0, by)).success
      expect(isTaken(mover)).toBe(false)
      expect(isTaken('disk_drop-2678-387752-cg08egoi5d8une4a6cp0')).toBe(true)
    },
  )

  it('has to be there, and not to have moved', () => {
    expect(told(add(3, 'a')).answer).toMatchObject({ refused: 924 })
    expect(told(add(0, 'a', { epoch: 2 })).answer).toMatchObject({ refused: 918 })
  })
})

describe('a volume', () => {
  it('is one mover’s at a time', () => {
    const events = [add(0, 'a'), add(1, 'b'), claim(0, 'a')]
    expect(told(...events, claim(0, 'a')).answer).toMatchObject({ ok: true })
    expect(told(...events, claim(1, 'b')).answer).toMatchObject({
      ...{ refused: 914, by: { mover: 'a' } },
    })
    const free = [...events, yielded('a')]
    expect(told(...free).next.moves).toMatchObject({ 0: { mover: 'a' } })
    expect(told(...free, claim(1, 'b')).next.mover).toBe('b')
  })

  it('is not had by whom another mover of that unit came before', () => {
    const { answer } = told(add(0, 'a'), claim(0, 'b'))
    expect(answer).toMatchObject({ refused: 601, by: { mover: 'a' } })
  })

  it('is not had by who was not announced, nor by who has ended: a claim comes late', () => {
    for (const before of [[], [add(0, 'a'), claim(0, 'a'), END]]) {
      const { next, answer } = told(...before, claim(0, 'a'))
      expect(answer).toMatchObject({ refused: 929 })
      expect(next).toMatchObject({ mover: null, moves: {} })
    }
    const moved = { ...volume(), units: [{ index: 0, epoch: 2, diskId: 9 }] }
    expect(decide(moved, claim(0, 'a')).answer).toMatchObject({ refused: 918 })
  })

  it('forgets who has ended, and nobody else', () => {
    const { next } = told(add(0, 'a'), add(1, 'b'), claim(0, 'a'), { type: 'END_MOVE', mover: 'a' })
    expect(next).toMatchObject({ mover: null, moves: { 1: { mover: 'b' } } })
    expect(next.moves).not.toHaveProperty('0')
    const claimed = [add(0, 'a'), claim(0, 'a')]
    expect(told(...claimed, { type: 'END_MOVE', mover: 'b' }).next.mover).toBe('a')
    expect(told(...claimed, yielded('b')).next.mover).toBe('a')
  })
})

/** A call outlives its step, and comes when the move has stepped back, or has claimed its volume anew. */
describe('what was asked for in a turn that is over', () => {
  const again = [add(0, 'a'), claim(0, 'a'), yielded('a'), claim(0, 'a', 2)]

  it('is no claim any more, also when the claim comes behind its own end', () => {
    for (const before of [[claim(0, 'a'), yielded('a')], [yielded('a')]]) {
      const { next, answer } = told(add(0, 'a'), add(1, 'b'), ...before, claim(0, 'a'))
      expect(answer).toMatchObject({ refused: 929 })
      expect(next.mover).toBeNull()
      expect(decide(next, claim(1, 'b')).next.mover).toBe('b')
      expect(decide(next, claim(0, 'a', 2)).next.mover).toBe('a')
    }
  })

  it('ends no later one', () => {
    expect(told(...again, yielded('a')).next.mover).toBe('a')
    expect(told(...again, yielded('a', 2)).next.mover).toBeNull()
    const overtaken = told(add(0, 'a'), claim(0, 'a'), lock('a'), claim(0, 'a', 2), yielded('a'))
    expect(overtaken.next).toMatchObject({ mover: 'a', standing: 'lock' })
  })

  it('neither locks, nor makes a chunk, nor swaps one in that is out of date', () => {
    for (const late of [lock('a'), alloc(0, 'a')]) {
      const { next, answer } = told(...again, late)
      expect(answer).toMatchObject({ refused: 929 })
      expect(next).toMatchObject({ standing: 'idle', fittings: {} })
    }
    const ready = [...again, lock('a', 2), alloc(0, 'a', 2), CHOSEN, MADE]
    expect(told(...ready, swap('a')).answer).toMatchObject({ refused: 929 })
    expect(told(...ready, swap('a', 2)).next.units[0]).toEqual(CHUNK)
  })
})

describe('the lock of a mover', () => {
  const locked = [add(0, 'a'), add(1, 'b'), claim(0, 'a'), lock('a')]

  it('is granted only while the volume is its own', () => {
    expect(told(...locked).next).toMatchObject({ standing: 'lock', isLockedForMover: true })
    const late = told(...locked.slice(0, 3), END, lock('a'))
    expect(late.answer).toMatchObject({ refused: 929 })
    expect(late.next.standing).toBe('idle')
  })

  it.each([
    ['its turn', yielded('a')],
    ['itself', END],
    ['whoever finds it gone', add(0, 'c', { instead: 'a' })],
  ])('goes with %s, and nobody has to ask for that', (_, end) => {
    const { next } = told(...locked, end)
    expect(next).toMatchObject({ standing: 'unlocking', isLockedForMover: false, isSet: false })
  })

  it('is not taken away by another that ends', () => {
    const { next } = told(...locked, { type: 'END_MOVE', mover: 'b' }, yielded('b'))
    expect(next).toMatchObject({ standing: 'lock', mover: 'a' })
  })

  it('is no operator’s: what he has locked stays locked', () => {
    expect(told(lock()).next).toMatchObject({ standing: 'lock', isLockedForMover: false })
    const claimed = [add(0, 'a'), claim(0, 'a')]
    for (const both of [
      [lock(), lock('a')],
      [lock('a'), lock()],
    ]) {
      const { next } = told(...claimed, ...both, END)
      expect(next).toMatchObject({ standing: 'lock', mover: null })
    }
  })
})

describe('a chunk for a unit that is to be moved', () => {
  const claimed = [add(0, 'a'), claim(0, 'a')]

  it('is its mover’s alone, while the volume is', () => {
    expect(told(...claimed, alloc(0, 'a')).next.fittings).toMatchObject({ 0: { mover: 'a' } })
    expect(told(...claimed, alloc(0)).answer).toMatchObject({ refused: 601, by: { mover: 'a' } })
    expect(told(...claimed, alloc(0, 'b')).answer).toMatchObject({ refused: 601 })
    expect(told(...claimed, alloc(1, 'a')).answer).toMatchObject({ refused: 929 })
    expect(told(add(0, 'a'), alloc(0, 'a')).answer).toMatchObject({ refused: 929 })
  })

  it.each([
    ['wanted', [], []],
    ['ready', [CHOSEN, MADE], [{ ...CHUNK, isDue: true }]],
  ])('goes with it when it is %s', (_, steps, retired) => {
    const { next } = told(...claimed, alloc(0, 'a'), ...steps, END)
    expect(next).toMatchObject({ fittings: {}, moves: {} })
    expect(next.retired).toEqual(retired)
  })

  it.each([
    ['made', MADE, 'ready'],
    [
      'not made',
      { type: 'MADE', made: [], failed: [{ ...CHUNK, why: 'lost' }] } as const,
      'wanted',
    ],
  ])('goes behind its making when it is %s', (_, end, step) => {
    const { next } = told(...claimed, alloc(0, 'a'), CHOSEN, END)
    expect(next.fittings).toMatchObject({ 0: { step: 'chosen' } })
    const over = decide(next, end).next
    expect(over.fittings).toEqual({})
    expect(over.retired).toEqual([{ ...CHUNK, isDue: true }])
    // Whoever is next may have it instead.
    const taken = decide(decide(next, add(0, 'b')).next, end).next
    expect(taken.fittings).toMatchObject({ 0: { step, mover: 'b' } })
  })

  it('is not asked for, nor takes its place, by a call that comes late', () => {
    const ended = [...claimed, alloc(0, 'a'), CHOSEN, MADE, END]
    expect(told(...ended, alloc(0, 'a')).answer).toMatchObject({ refused: 929 })
    expect(told(...ended, alloc(0, 'a')).next.fittings).toEqual({})
    const left = [...claimed, alloc(0, 'a'), CHOSEN, MADE, yielded('a'), lock()]
    expect(told(...left, swap('a')).answer).toMatchObject({ refused: 929 })
    expect(told(...left, swap()).answer).toMatchObject({ refused: 601 })
    const { answer, next } = told(...left, claim(0, 'a', 2), swap('a', 2), END, swap('a', 2))
    expect([answer, next.units[0]]).toMatchObject([{ ok: true }, CHUNK])
  })

  it('that was made for whoever is next is that mover’s, and goes with it', () => {
    const { next } = told(alloc(0), CHOSEN, MADE, add(0, 'a'))
    expect(next.fittings).toMatchObject({ 0: { step: 'ready', mover: 'a' } })
    expect(decide(next, END).next).toMatchObject({ fittings: {}, retired: [CHUNK] })
  })
})

describe('a mover that was announced', () => {
  const call = { type: 'BIRTH_OVER', mover: 'a' } as const
  const unheard = (code: string) =>
    ({
      type: 'troupe.deadLetter',
      ...{ to: 'migrate-task/a', event: { type: 'ANNOUNCED' }, error: { code } },
    }) as const

  it('is called when it should have begun, and forgotten when there is nobody', () => {
    const { next, words } = told(add(0, 'a'), call)
    expect(words).toEqual([{ to: 'migrate-task/a', event: { type: 'ANNOUNCED' } }])
    for (const code of ['unknown-actor', 'finished']) {
      expect(decide(next, unheard(code)).next.moves).toEqual({})
    }
    expect(decide(next, unheard('version-unknown')).next.moves).toMatchObject({ 0: {} })
  })

  it('is left in peace once it has claimed the volume, or has ended', () => {
    expect(told(add(0, 'a'), claim(0, 'a'), call).words).toEqual([])
    expect(told(add(0, 'a'), END, call).words).toEqual([])
    const late = told(add(0, 'a'), claim(0, 'a'), unheard('unknown-actor'))
    expect(late.next).toMatchObject({ mover: 'a', moves: { 0: { mover: 'a' } } })
  })
})
