/** Who moves units of a volume: one of each unit, and one at a time. */
import { describe, expect, it } from 'vitest'
import { vuidOf } from '../../../../../machines/storage/plane/codes/index.ts'
import {
  newVolume,
  type VolumeEvent,
  type VolumeRecord,
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
const claim = (index: number, mover: string) =>
  ({ type: 'CLAIM_MOVE', vuid: vuid(index), mover, at: 6 }) as const

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
    expect(next.moves).toEqual({ 0: { mover: 'a', at: 5 } })
  })

  it('refuses a second one, and says who the first is', () => {
    const { next, answer } = told(add(0, 'a'), add(0, 'b'))
    expect(answer).toMatchObject({ refused: 601, by: { mover: 'a', at: 5 } })
    expect(next.moves).toEqual({ 0: { mover: 'a', at: 5 } })
  })

  it('takes one in the place of another only if it is that one', () => {
    expect(told(add(0, 'a'), add(0, 'b', { instead: 'c' })).answer).toMatchObject({ refused: 601 })
    const { next, answer } = told(add(0, 'a'), claim(0, 'a'), add(0, 'b', { instead: 'a' }))
    expect(answer).toMatchObject({ ok: true })
    expect(next).toMatchObject({ moves: { 0: { mover: 'b' } }, mover: null })
  })

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
    const yielded = [...events, { type: 'YIELD_MOVE', mover: 'a' } as const]
    expect(told(...yielded).next.moves).toMatchObject({ 0: { mover: 'a' } })
    expect(told(...yielded, claim(1, 'b')).next.mover).toBe('b')
  })

  it('is not had by whom another mover of that unit came before', () => {
    const { answer } = told(add(0, 'a'), claim(0, 'b'))
    expect(answer).toMatchObject({ refused: 601, by: { mover: 'a' } })
  })

  it('is had by who was not announced', () => {
    expect(told(claim(0, 'a')).next).toMatchObject({ mover: 'a', moves: { 0: { mover: 'a' } } })
  })

  it('forgets who has ended, and nobody else', () => {
    const { next } = told(add(0, 'a'), add(1, 'b'), claim(0, 'a'), { type: 'END_MOVE', mover: 'a' })
    expect(next).toMatchObject({ mover: null, moves: { 1: { mover: 'b' } } })
    expect(next.moves).not.toHaveProperty('0')
    const other = told(claim(0, 'a'), { type: 'END_MOVE', mover: 'b' })
    expect(other.next.mover).toBe('a')
    expect(told(claim(0, 'a'), { type: 'YIELD_MOVE', mover: 'b' }).next.mover).toBe('a')
  })

  it('is locked by a mover only while it is its own', () => {
    expect(told(claim(0, 'a'), { type: 'LOCK', mover: 'a' }).next.standing).toBe('lock')
    const late = told(claim(0, 'a'), { type: 'END_MOVE', mover: 'a' }, { type: 'LOCK', mover: 'a' })
    expect(late.answer).toMatchObject({ refused: 914 })
    expect(late.next.standing).toBe('idle')
    expect(told({ type: 'LOCK' }).next.standing).toBe('lock')
  })
})
