/** The JSON form: for people, logs and HTTP; it loses no digit of a bigint. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { fromJson, toJson } from '../../src/protocol/index.ts'

const leaves = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.maxSafeInteger(),
  fc.boolean(),
  fc.constant(null),
  fc.bigInt({ min: -(2n ** 300n), max: 2n ** 300n }),
  fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
)
const values = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    leaves,
    fc.array(tie('value'), { maxLength: 4 }),
    // Two fields at least: an object with the single field `$map` would be taken for a Map.
    fc
      .dictionary(fc.string(), tie('value'), { maxKeys: 4, noNullPrototype: true })
      .map((fields) => ({
        ...fields,
        one: 1,
        two: 2,
      })),
    fc.array(fc.tuple(leaves, tie('value')), { maxLength: 3 }).map((rows) => new Map(rows)),
    fc.array(leaves, { maxLength: 3 }).map((members) => new Set(members)),
  ),
})).value

it('gives back JSON values, bigints, Maps, Sets and bytes', () => {
  fc.assert(
    fc.property(values, fc.constantFrom(undefined, 2), (value, indent) => {
      expect(fromJson(toJson(value, indent))).toStrictEqual(value)
    }),
  )
})

it.each([
  ['a bigint', 2n ** 64n, '{"$bigint":"18446744073709551616"}'],
  ['a Map', new Map([[1, 2n]]), '{"$map":[[1,{"$bigint":"2"}]]}'],
  ['a Set', new Set(['a']), '{"$set":["a"]}'],
  ['a Uint8Array', new Uint8Array([1, 2, 255]), '{"$bytes":"AQL/"}'],
  ['a Buffer, as the codec gives it', Buffer.from([1, 2, 255]), '{"$bytes":"AQL/"}'],
  ['a Date, as text', new Date(0), '"1970-01-01T00:00:00.000Z"'],
])('%s', (_what, value, json) => {
  expect(toJson(value)).toBe(json)
  expect(toJson({ held: [value] })).toBe(`{"held":[${json}]}`)
})

it('leaves ordinary objects alone that only look similar', () => {
  const similar = {
    a: { $bigint: 5 },
    b: { $bigint: '5', more: 1 },
    c: { $map: 'no' },
    d: { bigint: '5' },
  }
  expect(fromJson(toJson(similar))).toStrictEqual(similar)
})

it.each(['', '{', 'undefined', '{"$bigint":"x"}', '{"$map":[1]}'])('%j is malformed', (text) => {
  expect(() => fromJson(text)).toThrow(expect.objectContaining({ code: 'malformed' }))
})

it('data that looks like a tag comes back as it was', () => {
  for (const value of [
    { $bigint: '5' },
    { $map: [] },
    { $plain: [1] },
    { $bytes: { $set: [2n] } },
  ]) {
    expect(fromJson(toJson(value))).toEqual(value)
  }
  expect(toJson(undefined)).toBe('null')
})

it('a tag is one however it is escaped', () => {
  expect(fromJson('{"\\u0024bigint":"5"}')).toBe(5n)
  expect(fromJson('{"a":{"$\\u006dap":[[1,2]]}}')).toEqual({ a: new Map([[1, 2]]) })
})

it('bigints are kept at any depth, and what contains itself is refused', () => {
  const nested = (depth: number): unknown => (depth === 0 ? 5n : [{ a: nested(depth - 1), b: 1 }])
  for (const depth of [1, 7, 8, 9, 100]) {
    expect(fromJson(toJson(nested(depth)))).toStrictEqual(nested(depth))
  }
  const circle: Record<string, unknown> = {}
  circle['itself'] = { circle }
  expect(() => toJson(circle)).toThrow(TypeError)
})

it.each([100, 1_000, 10_000])(
  'a list of %i rows is the same with a tag in it and without',
  (count) => {
    const rows = Array.from({ length: count }, (_, n) => ({ name: `row ${n}`, at: [n, null] }))
    expect(fromJson(toJson(rows))).toEqual(rows)
    expect(fromJson(toJson([...rows, 5n]))).toEqual([...rows, 5n])
  },
)

it('what nests too deep for our functions is malformed', () => {
  const deep = `${'['.repeat(200_000)}${']'.repeat(200_000)}`
  expect(() => fromJson(deep)).toThrow(expect.objectContaining({ code: 'malformed' }))
})
