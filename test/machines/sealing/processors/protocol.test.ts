/** Lines: how bytes become lines, and lines replies. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { LineCutter } from '../../../../machines/sealing/processors/lines.ts'
import { readReady, readReply } from '../../../../machines/sealing/processors/protocol.ts'

const REFUSED = { kind: 'refused', id: 1, message: 'no', isPassing: false }
const PLAIN = { cancel: false, progress: false }

it.each([
  ['pc1 processor ready', { kind: 'ready', abilities: PLAIN }],
  ['  pc1 processor ready \r', { kind: 'ready', abilities: PLAIN }],
  [
    'pc1 processor ready {"cancel":true,"progress":true}',
    { kind: 'ready', abilities: { cancel: true, progress: true } },
  ],
  [
    'pc1 processor ready {"cancel":true,"speed":9}',
    { kind: 'ready', abilities: { cancel: true, progress: false } },
  ],
  ['pc1 processor ready {"cancel":1}', { kind: 'ready', abilities: PLAIN }],
  ['pc1 processor ready {broken}', { kind: 'ready', abilities: PLAIN }],
  ['pc2 processor ready', { kind: 'other-stage', stage: 'pc2' }],
  ['pc1 processor ready soon', { kind: 'noise' }],
  ['the pc1 processor ready', { kind: 'noise' }],
  ['', { kind: 'noise' }],
])('reads the first line %j', (line, expected) => {
  expect(readReady(line, 'pc1')).toEqual(expected)
})

it.each([
  ['{"id":1,"err_msg":null,"output":false}', { kind: 'output', id: 1, output: false }],
  ['{"id":1,"output":0}', { kind: 'output', id: 1, output: 0 }],
  ['{"id":1,"err_msg":"no","output":null}', REFUSED],
  ['{"id":1,"err_msg":"","output":null}', { ...REFUSED, message: '' }],
  ['{"id":1,"err_msg":"no","output":null,"retry":true}', { ...REFUSED, isPassing: true }],
  ['{"id":1,"err_msg":"no","output":null,"retry":"never"}', REFUSED],
  // Of two answers, the one that does no harm.
  ['{"id":1,"err_msg":"no","output":1}', REFUSED],
  ['{"id":1,"progress":{"done":1}}', { kind: 'progress', id: 1, progress: { done: 1 } }],
  ['{"id":1,"progress":1,"output":2}', { kind: 'output', id: 1, output: 2 }],
  ['50%{"id":1,"err_msg":null,"output":3}', { kind: 'output', id: 1, output: 3 }],
])('reads the reply %s', (line, expected) => {
  expect(readReply(line)).toEqual(expected)
})

it.each([
  ['{"id":12,"err_msg":null,"output":{', [12]],
  ['{"err_msg":null, "id" : 3 }', [3]],
  ['{"id":1,"err_msg":null}', [1]],
  ['{"id":-1,"output":1}', []],
  ['{"id":"7","output":1}', []],
  ['{"id":123456789012345678901,"output":1}', []],
  ['x"id":4,"id":5', [4, 5]],
  ['[1,2]', []],
  ['null', []],
  ['oops', []],
])('finds whom the unreadable %s may be for', (line, ids) => {
  expect(readReply(line)).toMatchObject({ kind: 'unreadable', ids })
})

it('cuts lines alike, however the bytes arrive', () => {
  const text = fc.array(fc.constantFrom('a', 'é', '🙂', '\n', '\r\n', 'bcd'), { maxLength: 40 })
  fc.assert(
    fc.property(text, fc.array(fc.nat(5), { minLength: 1 }), (parts, sizes) => {
      const whole = Buffer.from(parts.join(''))
      const lines = cut(pieces(whole, sizes), 1_000)
      const expected = whole.toString().split('\n')
      if (expected.at(-1) === '') expected.pop()
      expect(lines).toEqual(expected.map((line) => line.replace(/\r$/, '')))
    }),
  )
})

it('keeps the head of a line that is too long, and reads on behind it', () => {
  const long = 'x'.repeat(20_000)
  const lines = cut(pieces(Buffer.from(`ab\n${long}\ncd\n`), [700]), 5_000)
  expect(lines).toEqual(['ab', `!${long.slice(0, 4_096)}`, 'cd'])
})

it('takes a line that is just as long as it may be', () => {
  const line = 'x'.repeat(5_000)
  expect(cut([Buffer.from(`${line}\n${line}y\n`)], 5_000)).toEqual([
    line,
    `!${line.slice(0, 4_096)}`,
  ])
})

function cut(chunks: readonly Buffer[], bytesMax: number): string[] {
  const lines: string[] = []
  const cutter = new LineCutter(bytesMax, {
    line: (text) => lines.push(text),
    overlong: (head) => lines.push(`!${head}`),
  })
  for (const chunk of chunks) cutter.write(chunk)
  cutter.end()
  return lines
}

/** Of these sizes in turn, at least one byte each. */
function pieces(whole: Buffer, sizes: readonly number[]): Buffer[] {
  const chunks: Buffer[] = []
  for (let from = 0, turn = 0; from < whole.length; turn++) {
    const size = Math.max(1, sizes[turn % sizes.length]!)
    chunks.push(whole.subarray(from, from + size))
    from += size
  }
  return chunks
}
