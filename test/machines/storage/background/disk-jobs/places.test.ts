/** Whose disk is emptied, and how many at a time. */
import { describe, expect, it } from 'vitest'
import {
  adopted,
  asked,
  jobsOf,
  left,
  newPlaces,
  type Places,
  resized,
  switched,
} from '../../../../../machines/storage/background/disk-jobs/places.ts'

const OPEN: Places = { ...newPlaces(1), isOn: { disk_drop: true, disk_repair: true } }
const DROP = 'disk_drop'

function withJobs(from: Places, ...jobs: string[]): Places {
  return jobs.reduce((places, job) => asked(places, DROP, job).next, from)
}

describe('places', () => {
  it('are given in the order of asking, so many at a time', () => {
    const first = asked(OPEN, DROP, 'a')
    expect(first.messages).toEqual([{ to: 'a', event: { type: 'PLACE', isOn: true } }])
    const second = asked(first.next, DROP, 'b')
    expect(second.messages).toMatchObject([{ to: 'b', event: { type: 'QUEUED' } }])
    const third = asked(second.next, DROP, 'c')
    expect(left(third.next, ['a']).messages).toMatchObject([{ to: 'b', event: { type: 'PLACE' } }])
  })

  it('of one kind are none of the other', () => {
    const { messages } = asked(withJobs(OPEN, 'a'), 'disk_repair', 'b')
    expect(messages).toMatchObject([{ to: 'b', event: { type: 'PLACE' } }])
  })

  it('asked for again are told again, and not given twice', () => {
    const both = withJobs(OPEN, 'a', 'b')
    expect(asked(both, DROP, 'a')).toMatchObject({
      next: both,
      messages: [{ to: 'a', event: { type: 'PLACE' } }],
    })
    expect(asked(both, DROP, 'b').messages).toMatchObject([{ to: 'b', event: { type: 'QUEUED' } }])
    expect(jobsOf(asked(both, DROP, 'b').next)).toEqual(['a', 'b'])
  })

  it('that are given back by who has none change nothing', () => {
    const one = withJobs(OPEN, 'a')
    expect(left(one, ['x'])).toEqual({ next: one, messages: [] })
  })

  it('are given to nobody while the switch is closed, and to all that wait when it is opened', () => {
    const closed = withJobs(newPlaces(2), 'a', 'b', 'c')
    expect(jobsOf(closed)).toEqual(['a', 'b', 'c'])
    const opened = switched(closed, DROP, true)
    expect(opened.messages).toMatchObject([
      { to: 'a', event: { type: 'PLACE' } },
      { to: 'b', event: { type: 'PLACE' } },
      { to: 'c', event: { type: 'QUEUED' } },
    ])
    const again = switched(opened.next, DROP, false)
    expect(again.messages).toEqual([
      { to: 'a', event: { type: 'SWITCH', isOn: false } },
      { to: 'b', event: { type: 'SWITCH', isOn: false } },
      { to: 'c', event: { type: 'QUEUED', why: 'the switch disk_drop is closed' } },
    ])
    // Whoever has one keeps it; nobody follows while it is closed.
    expect(left(again.next, ['a']).messages).toEqual([])
    expect(switched(again.next, DROP, false).messages).toEqual([])
  })

  it('of a watch that is gone count, and who has them hears how its switch stands', () => {
    const waiting = withJobs({ ...OPEN, concurrency: 0 }, 'c')
    const why = 'it is not known yet which disks are in hand'
    expect(asked(waiting, DROP, 'c').messages).toEqual([
      { to: 'c', event: { type: 'QUEUED', why } },
    ])
    const inHand = ['a', 'b'].map((job) => ({ kind: DROP, job }) as const)
    const known = adopted(waiting, inHand)
    expect(known.messages).toEqual(
      inHand.map(({ job }) => ({ to: job, event: { type: 'SWITCH', isOn: true } })),
    )
    expect(adopted(known.next, inHand)).toEqual({ next: known.next, messages: [] })
    const two = resized(known.next, 2)
    expect(two.messages).toEqual([])
    expect(left(two.next, ['b']).messages).toMatchObject([{ to: 'c', event: { type: 'PLACE' } }])
  })

  it('that become more are given at once; that become fewer, run out', () => {
    const all = withJobs(OPEN, 'a', 'b', 'c')
    const more = resized(all, 2)
    expect(more.messages).toMatchObject([{ to: 'b', event: { type: 'PLACE' } }])
    const fewer = resized(more.next, 1)
    expect(fewer.messages).toEqual([])
    expect(left(fewer.next, ['a']).messages).toEqual([])
    expect(left(left(fewer.next, ['a']).next, ['b']).messages).toMatchObject([{ to: 'c' }])
    expect(resized(all, 1)).toEqual({ next: all, messages: [] })
  })
})
