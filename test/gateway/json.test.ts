/** JSON as it comes in: its text before it is read. */
import { expect, it } from 'vitest'
import { isPlainJson, readJson } from '../../src/gateway/json.ts'
import { pack, unpack } from '../../src/protocol/index.ts'

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

it.each([
  '{"type":"NEXT","by":"bench","n":[0.5,-10,1e5],"at":"2026-01-02"}',
  '{"constructor":1,"deep":{"list":[{"a":null}]}}',
])('is plain when packing changes nothing: %s', (text) => {
  expect(isPlainJson(text)).toBe(true)
  const value = readJson(Buffer.from(text))
  expect(unpack(pack(value))).toStrictEqual(value)
})

it.each([
  ['a tag', '{"at":{"$date":"2026-01-02T00:00:00Z"}}'],
  ['an escape', '{"half":"\\ud800"}'],
  ['a method of its own', '{"toJSON":1}'],
  ['a zero below itself', '{"n":-0}'],
  ['the same in a list', '[-0]'],
  ['the same behind a blank', '{"n": -0.0}'],
])('is not plain: %s', (_what, text) => {
  expect(isPlainJson(text)).toBe(false)
})
