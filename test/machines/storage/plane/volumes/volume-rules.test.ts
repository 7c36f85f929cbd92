/** Who may write to a volume, and when it can be locked: each word in each standing. */
import { describe, expect, it } from 'vitest'
import {
  newVolume,
  VOLUME_STANDINGS,
  type VolumeEvent,
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
  ['n1 returns', { type: 'RETURN', token: 'n1', chunkBytesUsed: 9 }, [...as('idle')]],
  ['n2 returns', { type: 'RETURN', token: 'n2', chunkBytesUsed: 9 }, [...as('active')]],
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

it('whoever is refused a lock makes the holder give the volume back', () => {
  const { next } = decide(standing('active'), { type: 'LOCK' })
  expect(next.isWantedBack).toBe(true)
  const { answer } = decide(next, { type: 'RETAIN', token: 'n1', ...HELD })
  expect(answer).toMatchObject({ ok: true, isWantedBack: true, until: 1_010 })
  const returned = decide(next, { type: 'RETURN', token: 'n1', chunkBytesUsed: 9 }).next
  expect(returned).toMatchObject({ standing: 'idle', isWantedBack: false, holder: null })
})

it('chunks that were set for a lock are not taken as set for the unlock behind it', () => {
  const unlocking = { ...standing('unlocking'), isSet: false }
  const late = decide(unlocking, { type: 'CHUNKS_SET', to: 'readonly', failed: [] }).next
  expect(late).toEqual(unlocking)
  const { next } = decide(unlocking, { type: 'CHUNKS_SET', to: 'readwrite', failed: [] })
  expect(next).toMatchObject({ standing: 'idle', isSet: true })
})
