/** JSON as it comes in: its text before it is read. */
import { expect, it } from 'vitest'
import { readJson } from '../../src/gateway/json.ts'

it('reads UTF-8, with and without a byte order mark', () => {
  const text = Buffer.from('{"name":"Zoë 🙂"}')
  expect(readJson(text)).toEqual({ name: 'Zoë 🙂' })
  expect(readJson(Buffer.concat([Uint8Array.of(0xef, 0xbb, 0xbf), text]))).toEqual({
    name: 'Zoë 🙂',
  })
})

it('reads a part of a larger piece of memory', () => {
  const all = Buffer.from('xx{"a":1}xx')
  expect(readJson(new Uint8Array(all.buffer, all.byteOffset + 2, all.length - 4))).toEqual({ a: 1 })
})

it.each([
  ['a lone byte', [0x22, 0xff, 0x22]],
  ['half a character', [0x22, 0xc3, 0x22]],
  ['half of a pair', [0x22, 0xed, 0xa0, 0x80, 0x22]],
])('refuses what is not UTF-8: %s', (_what, bytes) => {
  expect(() => readJson(Uint8Array.from(bytes))).toThrow(/UTF-8/)
})
