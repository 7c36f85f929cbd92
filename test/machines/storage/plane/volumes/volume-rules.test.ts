/** Who may write to a volume, and when it can be locked: each word in each standing. */
import { describe, expect, it } from 'vitest'
import {
  newVolume,
  VOLUME_STANDINGS,
  type VolumeEvent,
  type VolumeRecord,
  type VolumeStanding,
} from '../../../../../machines/storage/plane/volumes/volume-record.ts'
import { decide } from '../../../../../machines/storage/plane/volumes/volume-rules.ts'

const KEPT = { retiredKeptMs: 1_000, readyKeptMs: 2_000 }
const INPUT = { vid: 7, mode: 101, chunkBytesMax: 2 ** 30, ...KEPT, at: 5 }
const HELD = { retainMs: 1_000, at: 10, chunkBytesUsed: 99 }
const standing = (as: VolumeStanding) => ({
  ...{ ...newVolume(INPUT, 3), standing: as },
  holder: as === 'active' ? { token: 'n1', until: 50 } : null,
})

/** What each word makes of each standing: a standing, or the number of the refusal. */
const TABLE: [string, VolumeEvent, (VolumeStanding | number)[]][] = [
  // creating, idle, active by n1, lock, unlocking
  ['n1 acquires', { type: 'ACQUIRE', token: 'n1', ...HELD }, [929, 'active', 'active', 929, 929]],
  ['n2 acquires', { type: 'ACQUIRE', token: 'n2', ...HELD }, [929, 'active', 929, 929, 929]],
  ['n1 retains', { type: 'RETAIN', token: 'n1', ...HELD }, [929, 929, 'active', 929, 929]],
  ['n2 retains', { type: 'RETAIN', token: 'n2', ...HELD }, [929, 929, 929, 929, 929]],
  ['n1 returns', { type: 'RETURN', token: 'n1', chunkBytesUsed: 9, at: 20 }, [...as('idle')]],
  ['n2 returns', { type: 'RETURN', token: 'n2', chunkBytesUsed: 9, at: 20 }, [...as('active')]],
  ['lock', { type: 'LOCK' }, [902, 'lock', 902, 'lock', 902]],
  ['unlock', { type: 'UNLOCK' }, [903, 'idle', 903, 'unlocking', 'unlocking']],
  ['forced unlock', { type: 'UNLOCK', force: true }, [903, 'idle', 903, 'unlocking', 'idle']],
]

/** All stay as they are, but for what the active one becomes. */
function as(active: VolumeStanding): VolumeStanding[] {
  return VOLUME_STANDINGS.map((one) => (one === 'active' ? active : one))
}

describe.each(TABLE)('%s', (_name, event, outcomes) => {
  it.each(VOLUME_STANDINGS.map((from, at) => [from, outcomes[at]] as const))(
    '%s: %s',
    (from, outcome) => {
      const { next, answer } = decide(standing(from), event)
      if (typeof outcome === 'number') expect(answer).toMatchObject({ refused: outcome })
      else expect(answer).toMatchObject({ ok: true, standing: outcome })
      expect(next.standing).toBe(typeof outcome === 'number' ? from : outcome)
    },
  )
})

describe('one that a unit is moved of', () => {
  const claimed = { ...standing('lock'), mover: 'a' }
  const unlocked = (now: VolumeRecord, event: { force?: true } = {}) =>
    decide(now, { type: 'UNLOCK', ...event })

  it('is unlocked by force only', () => {
    expect(unlocked(claimed, { force: true }).next.standing).toBe('unlocking')
    expect(unlocked(claimed).answer).toMatchObject({ refused: 903 })
    expect(unlocked({ ...claimed, mover: null }).next.standing).toBe('unlocking')
  })

  it("by force is its mover's no more: what that asks for by its claim is refused", () => {
    const claim = { mover: 'a', turn: 1 }
    const planned = { ...claimed, moves: { 1: { ...claim, at: 5 } } }
    const { next } = unlocked(planned, { force: true })
    expect(next).toMatchObject({ mover: null, moves: { 1: { turn: 2 } } })
    const locked = { ...next, standing: 'lock' } as const
    expect(decide(locked, { type: 'LOCK', claim }).answer).toMatchObject({ refused: 929 })
  })
})

it('whoever is refused a lock makes the holder give the volume back', () => {
  const { next } = decide(standing('active'), { type: 'LOCK' })
  expect(next.isWantedBack).toBe(true)
  const { answer } = decide(next, { type: 'RETAIN', token: 'n1', ...HELD })
  expect(answer).toMatchObject({ ok: true, isWantedBack: true, until: 1_010 })
  const returned = decide(next, { type: 'RETURN', token: 'n1', chunkBytesUsed: 9, at: 20 }).next
  expect(returned).toMatchObject({ standing: 'idle', isWantedBack: false, holder: null })
})

describe('one that was given back for a mover', () => {
  const claim = { mover: 'disk_drop-1', turn: 1 }
  const moves = { 1: { ...claim, at: 5 } }
  const wanted = { ...standing('active'), moves, mover: 'disk_drop-1', isWantedBack: true }
  const acquire = (from: VolumeRecord, at: number) =>
    decide(from, { type: 'ACQUIRE', token: 'n1', ...HELD, at })
  const back: [string, VolumeEvent, number][] = [
    ['returned', { type: 'RETURN', token: 'n1', chunkBytesUsed: 9, at: 20 }, 20],
    ['of a holder that fell silent', { type: 'RETAIN_OVER' }, 50],
  ]

  it.each(back)('%s: no writer takes it for 30 s, and the mover locks it', (_, event, at) => {
    const { next } = decide(wanted, event)
    expect(acquire(next, at + 29_999).answer).toMatchObject({
      ...{ refused: 929, message: expect.stringContaining('is kept until 1970-01-01T00:00:30.') },
    })
    expect(acquire(next, at + 30_000).answer).toMatchObject({ ok: true, isWantedBack: false })
    const locked = decide(next, { type: 'LOCK', claim })
    expect(locked.answer).toMatchObject({ ok: true, standing: 'lock' })
  })

  it('is free when that has ended, and where nobody wanted it', () => {
    const { next } = decide(wanted, { type: 'RETURN', token: 'n1', chunkBytesUsed: 9, at: 20 })
    const freed = decide(next, { type: 'END_MOVE', mover: 'disk_drop-1' }).next
    expect(acquire(freed, 21).answer).toMatchObject({ ok: true })
    const unwanted = { ...wanted, isWantedBack: false }
    const { next: other } = decide(unwanted, {
      ...{ type: 'RETURN', token: 'n1', chunkBytesUsed: 9, at: 20 },
    })
    expect(acquire(other, 21).answer).toMatchObject({ ok: true })
  })
})

it('chunks that were set for a lock are not taken as set for the unlock behind it', () => {
  const unlocking = { ...standing('unlocking'), isSet: false }
  const late = decide(unlocking, { type: 'CHUNKS_SET', to: 'readonly', failed: [] }).next
  expect(late).toEqual(unlocking)
  const { next } = decide(unlocking, { type: 'CHUNKS_SET', to: 'readwrite', failed: [] })
  expect(next).toMatchObject({ standing: 'idle', isSet: true })
})
