/** Twenty minutes of events as numbers: which minute counts where, over clocks that jump. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import {
  addTo,
  NO_WINDOW,
  printed,
  printedBytes,
  SLOTS,
  shown,
  type Window,
  windowSchema,
} from '../../../../machines/storage/windows/index.ts'

const MINUTE_MS = 60_000
/** 2023-03-02T11:23:47Z, as in the seed's example. */
const AT = 1_677_756_227_000
const zeros = (count: number) => new Array<number>(count).fill(0)
const minutesAgo = (minutes: number) => AT - minutes * MINUTE_MS

it('shows the oldest minute first and the present one last', () => {
  let window = addTo(NO_WINDOW, minutesAgo(19), 7)
  window = addTo(window, minutesAgo(1), 2)
  window = addTo(addTo(window, AT, 3), AT + 1, 1)
  expect(shown(window, AT)).toEqual([7, ...zeros(17), 2, 4])
  expect(shown(window, AT + MINUTE_MS)).toEqual([...zeros(17), 2, 4, 0])
  expect(shown(window, AT + 20 * MINUTE_MS)).toEqual(zeros(SLOTS))
  expect(windowSchema.parse(window)).toEqual(window)
})

it('leaves what it was given as it was, and keeps what adds nothing', () => {
  const before = structuredClone(NO_WINDOW)
  expect(addTo(NO_WINDOW, AT, 0)).toBe(NO_WINDOW)
  addTo(NO_WINDOW, AT, 5)
  expect(NO_WINDOW).toEqual(before)
})

it('forgets a slot that comes round again', () => {
  const window = addTo(addTo(NO_WINDOW, minutesAgo(20), 9), AT, 1)
  expect(shown(window, AT)).toEqual([...zeros(19), 1])
})

it('what comes late counts for its own minute, or for none', () => {
  const window = addTo(NO_WINDOW, AT, 1)
  expect(shown(addTo(window, minutesAgo(5), 4), AT)).toEqual([...zeros(14), 4, ...zeros(4), 1])
  for (const late of [20, 40, 60]) expect(addTo(window, minutesAgo(late), 4)).toBe(window)
})

it('a clock that was wrong for a moment costs nothing later', () => {
  const year = 365 * 86_400_000
  let window = addTo(NO_WINDOW, AT + year, 100)
  for (let minutes = 19; minutes >= 0; minutes--) window = addTo(window, minutesAgo(minutes), 1)
  expect(shown(window, AT)).toEqual(new Array<number>(SLOTS).fill(1))
  // Nor is what is yet to come shown as if it were past.
  expect(shown(addTo(NO_WINDOW, AT + MINUTE_MS, 5), AT)).toEqual(zeros(SLOTS))
})

it('agrees with a plain list of events, in whatever order they come within the window', () => {
  const events = fc.array(fc.record({ ago: fc.nat({ max: 19 }), n: fc.nat({ max: 1_000 }) }), {
    maxLength: 60,
  })
  fc.assert(
    fc.property(events, (all) => {
      const window = all.reduce<Window>(
        (sum, { ago, n }) => addTo(sum, minutesAgo(ago), n),
        NO_WINDOW,
      )
      const expected = zeros(SLOTS)
      for (const { ago, n } of all) expected[19 - ago]! += n
      expect(shown(window, AT)).toEqual(expected)
    }),
  )
})

it('prints as the reference does', () => {
  expect(printed(shown(addTo(NO_WINDOW, AT, 6957), AT))).toBe(`[${'0 '.repeat(19)}6957]`)
  const sizes = [0, 1, 1023, 1024, 1536, 1024 ** 2, 14_473_209_599, 1024 ** 4, 1024 ** 5, 1024 ** 6]
  expect(printedBytes(sizes)).toBe(
    '[0.000B 1.000B 1023.000B 1.000KB 1.500KB 1.000MB 13.479GB 1.000TB 1.000PB 1024.000PB]',
  )
})
