/** Choices of a semaphore: what those wait for who ask by a name, while it changes. */
import { expect, it } from 'vitest'
import {
  acquire,
  type Request,
  release,
  resize,
  TEXT_BYTES_MAX,
} from '../../../machines/platform/semaphore.ts'
import { namesOf, type Semaphore } from '../../../machines/platform/serving.ts'
import { asked, empty, gotBy, request, who } from './semaphore-rig.ts'

/** By the name of a choice. */
const chosen = (holder: string, choice: string): Request => ({ ...request(holder), wants: choice })
const sizeOf = ({ slots: all, limits: most, gaps: least, choices: known }: Semaphore) => ({
  ...{ slots: all, limits: most, gaps: least, choices: known },
})

it('who waits for a choice waits for what it means now; who holds keeps what it has', () => {
  const limits = { c0: 1, c1: 1, c2: 1 }
  const begin = empty(9, { limits, choices: { any: [['c0'], ['c1']], one: [['c1']] } })
  let now = asked(begin, chosen('a', 'any'), chosen('b', 'any'), chosen('c', 'any'))
  now = asked(now, chosen('d', 'any'), request('e', 1, ['c1']))
  expect([who(now.waiters), now.demands.length]).toEqual([['c', 'd', 'e'], 2])
  const one = resize(now, { ...sizeOf(now), choices: { any: [['c1'], ['c2']] } })
  now = one.next
  expect(one.granted.map((given) => [given.holder, namesOf(now, given)])).toEqual([['c', ['c2']]])
  expect([gotBy(now, 'a'), gotBy(now, 'b')]).toEqual([['c0'], ['c1']])
  expect(acquire(now, chosen('a', 'any'))).toMatchObject({ next: now, answer: { token: 1 } })
  expect(acquire(now, chosen('d', 'any')).answer).toMatchObject({ granted: false, position: 1 })
  // However often it changes: of each choice only what somebody has is kept.
  for (let n = 0; n < 9; n++)
    now = resize(now, { ...sizeOf(now), choices: { any: [['c1'], [`x${n}`, 'c0']] } }).next
  expect(now.demands.map(({ options }) => options)).toHaveLength(5)
  now = release(now, 'a', null).next
  expect(gotBy(now, 'd')).toEqual(['x8', 'c0'])
  expect(who(now.waiters)).toEqual(['e'])
})

it('a choice that is gone serves nobody; what would be too much text is not taken over', () => {
  let now = asked(
    empty(1, { choices: { any: [['c0']] } }),
    ...[request('x'), chosen('a', 'any'), request('b', 1, ['c0'])],
  )
  for (const name of ['other', 'constructor'])
    expect(acquire(now, chosen('y', name)).answer).toMatchObject({
      refused: 'unknown-choice',
      message: `there is no choice "${name}" here; there is any`,
    })
  expect(acquire(now, chosen('b', 'any')).answer).toMatchObject({ refused: 'mismatch' })
  expect(acquire(now, request('a', 1, ['c0'])).answer).toMatchObject({ refused: 'mismatch' })
  const wide = Array.from({ length: TEXT_BYTES_MAX / 64 }, (_, n) => [`${n}`.padStart(64, 'n')])
  const refused = resize(now, { ...sizeOf(now), choices: { any: wide } })
  expect(refused).toMatchObject({ next: now, answer: { refused: 'full' } })
  const { next, ended } = resize(now, { ...sizeOf(now), choices: {} })
  expect(ended.map(({ who: { holder }, reason }) => [holder, reason])).toEqual([['a', 'resized']])
  now = next
  expect(who(now.waiters)).toEqual(['b'])
})
