/** The waiting helpers: they return as soon as they can, and say what they saw when they cannot. */
import { expect, it } from 'vitest'
import { holds, until } from './waiting.ts'

it('returns the first truthy value', async () => {
  let looks = 0
  const value = await until(
    () => (++looks === 3 ? 'here' : undefined),
    { timeoutMs: 5_000, every: 1 },
    'it',
  )
  expect(value).toBe('here')
  expect(looks).toBe(3)
})

it('waits through conditions that throw', async () => {
  let looks = 0
  const condition = async () => {
    if (++looks < 3) throw new Error('not yet')
    return true
  }
  await expect(until(condition, { timeoutMs: 5_000, every: 1 }, 'it')).resolves.toBe(true)
})

it('reports what it waited for and what it saw', async () => {
  await expect(
    until(
      () => false,
      { timeoutMs: 5, every: 1 },
      async () => 'three rows (saw two)',
    ),
  ).rejects.toThrow('waited 5 ms in vain for: three rows (saw two)')
  const broken = () => {
    throw new Error('no such file')
  }
  await expect(until(broken, { timeoutMs: 5, every: 1 }, 'the file')).rejects.toThrow(
    'waited 5 ms in vain for: the file; the condition throws: Error: no such file',
  )
})

it('looks once more at the deadline, so that a blocked process gets its chance', async () => {
  let looks = 0
  await until(() => ++looks === 2, { timeoutMs: 100, every: 150 }, 'the second look')
  expect(looks).toBe(2)
})

it('proves that a condition holds, and says when it did not', async () => {
  await holds(() => true, { forMs: 5, every: 1 }, 'quiet')
  let looks = 0
  await expect(holds(() => ++looks < 3, { forMs: 5_000, every: 1 }, 'quiet')).rejects.toThrow(
    /held for \d+ ms of 5000 ms only: quiet/,
  )
})
