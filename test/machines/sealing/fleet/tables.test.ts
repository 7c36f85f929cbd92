/** Tables for people: long texts below their rows, spans of time, and nothing that moves a cursor. */
import { expect, it } from 'vitest'
import { ageText, plain, tableLines } from '../../../../machines/sealing/fleet/tables.ts'

it('breaks a long text at words, below its row', () => {
  const rows = [{ cells: ['a', 'b'], below: 'permanent: the parameters of this size are missing' }]
  expect(tableLines(['ONE', 'TWO'], rows, 40)).toEqual([
    'ONE  TWO',
    'a    b',
    '     permanent: the parameters of this',
    '     size are missing',
  ])
})

it('breaks a word that is longer than the terminal, and nothing where there is none', () => {
  const below = 'x'.repeat(70)
  const [, , ...lines] = tableLines(['A'], [{ cells: ['a'], below }], 40)
  expect(lines.map((line) => line.trim().length)).toEqual([35, 35])
  expect(tableLines(['A'], [{ cells: ['a'], below }], undefined)).toHaveLength(3)
})

it('leaves no control characters in what others wrote', () => {
  expect(plain('a\u001b[31mred\u001b[0m\r\n\tb')).toBe('ared b')
})

it.each([
  [0, '0s'],
  [999, '0s'],
  [17_900, '17s'],
  [822_000, '13m 42s'],
  [3_600_000, '1h'],
  [3_605_000, '1h'],
  [90_061_000, '1d 1h'],
])('writes a span of %d ms as %s', (spanMs, text) => {
  expect(ageText(spanMs)).toBe(text)
})
