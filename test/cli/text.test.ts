/** What people see: tables that fit their terminal, colours only where they are wanted. */
import { describe, expect, it } from 'vitest'
import { byteSize, cut, type Paint, painter, plainTable, table } from '../../src/cli/text.ts'

const plain: Paint = (_colour, text) => text
const look = (columns?: number) => ({ paint: plain, columns })

describe('tables', () => {
  const rows = [
    ['order/1', 'x'.repeat(30), 'short', 'y'.repeat(40)],
    ['order/22', 'z', 's', 'why'],
  ]
  const headings = ['ADDRESS', 'STATE', 'FOR', 'REASON']

  it('are aligned, and whole where nobody reads', () => {
    const lines = table(headings, rows, look())
    expect(lines[0]).toBe(`ADDRESS   STATE${' '.repeat(27)}FOR    REASON`)
    expect(lines[1]).toBe(`order/1   ${'x'.repeat(30)}  short  ${'y'.repeat(40)}`)
    expect(lines[2]).toBe(`order/22  z${' '.repeat(31)}s      why`)
  })

  it.each([100, 89, 70, 60, 40])('fit %i columns, and say what they are about', (columns) => {
    const lines = table(headings, rows, look(columns))
    for (const line of lines) expect([...line].length).toBeLessThanOrEqual(columns)
    expect(lines[1]).toMatch(/^order\/1 /)
    expect(lines[2]).toMatch(/^order\/22 .*z/)
  })

  it('cut the first column last of all', () => {
    const wide = [['order/'.padEnd(30, 'x'), 'y'.repeat(20)]]
    expect(table(['ADDRESS', 'STATE'], wide, look(45))[1]).toBe(
      `${wide[0]?.[0]}  ${'y'.repeat(12)}…`,
    )
  })

  it('cut no column below what can be told apart', () => {
    expect(table(headings, rows, look(5))[1]).toBe('order/1   xxxxxxx…  short  yyyyyyy…')
  })

  it('count characters, not their bytes', () => {
    expect(
      table(
        ['A', 'B'],
        [
          ['äö𝄞', '1'],
          ['abcd', '2'],
        ],
        look(),
      ),
    ).toEqual(['A     B', 'äö𝄞   1', 'abcd  2'])
    expect(cut('𝄞𝄞𝄞', 2)).toBe('𝄞…')
  })
})

it.each([
  [true, {}, true],
  [false, {}, false],
  [true, { NO_COLOR: '1' }, false],
  // An empty one counts as absent: https://no-color.org
  [true, { NO_COLOR: '' }, true],
  [true, { TERM: 'dumb' }, false],
])('colours: terminal %s, environment %j', (isTty, env, isColoured) => {
  const terminal = { env, isTty } as unknown as Parameters<typeof painter>[0]
  expect(painter(terminal)('red', 'x') !== 'x').toBe(isColoured)
})

it.each([
  [0, '0 B'],
  [1023, '1023 B'],
  [1536, '1.5 KiB'],
  [5 * 1024 ** 4, '5.0 TiB'],
])('%i bytes are %s', (bytes, text) => {
  expect(byteSize(bytes)).toBe(text)
})

it('a plain table has all of its data, in columns, and no data moves a cursor', () => {
  const rows = [
    ['1', `a\u001b[31mb${'x'.repeat(200)}`],
    ['22', 'c\nd'],
  ]
  expect(plainTable(['ID', 'NAME'], rows)).toEqual([
    'ID  NAME',
    `1   ab${'x'.repeat(200)}`,
    '22  c d',
  ])
})
