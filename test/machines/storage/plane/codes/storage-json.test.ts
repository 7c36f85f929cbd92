/** JSON of the store: numbers of 64 bits are numbers, and nothing else is another. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import {
  parseStorageJson,
  storageAnswer,
  storageJson,
  storageParsers,
} from '../../../../../machines/storage/plane/codes/index.ts'

it('writes bigints as bare numbers', () => {
  expect(storageJson({ vuid: 18446744073709551615n, list: [1n, null, undefined] })).toBe(
    '{"vuid":18446744073709551615,"list":[1,null,null]}',
  )
  expect(storageAnswer({ vuid: 2n ** 63n }, 201)).toMatchObject({
    status: 201,
    headers: { 'content-type': 'application/json; charset=utf-8' },
    body: '{"vuid":9223372036854775808}',
  })
})

it('writes all else as JSON does', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      expect(storageJson(value)).toBe(JSON.stringify(value))
    }),
  )
  const dated = { at: new Date(0), gone: undefined, done: () => 1 }
  expect(storageJson(dated)).toBe(JSON.stringify(dated))
  expect(storageJson(undefined)).toBe('null')
})

const whole = fc.bigInt({ min: -(2n ** 64n), max: 2n ** 64n })
const trickyText = fc.oneof(
  fc.string(),
  whole.map((value) => `${value}`),
  fc.constantFrom('"', '\\', '\\"12345678901234567890', ':12345678901234567890,'),
)
const { value: someValue } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    whole,
    trickyText,
    fc.boolean(),
    fc.constant(null),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0),
    fc.array(tie('value')),
    fc.dictionary(trickyText, tie('value'), { noNullPrototype: true }),
  ),
}))

/** Small numbers come back as numbers; doubles beyond 2^53 are whole in JSON as well. */
function asRead(value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : value
  if (typeof value === 'number') {
    const isWhole = /^-?\d+$/.test(String(value)) && !Number.isSafeInteger(value)
    return isWhole ? BigInt(String(value)) : value
  }
  if (Array.isArray(value)) return value.map(asRead)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, asRead(field)]))
}

it('reads back what was written, texts that look like numbers too', () => {
  fc.assert(
    fc.property(someValue, (value) => {
      expect(parseStorageJson(storageJson(value))).toEqual(asRead(value))
    }),
  )
})

it('reads long texts and forms of the platform', () => {
  const long = `${'x'.repeat(3_000_000)}\\`
  expect(parseStorageJson(storageJson({ long, id: 2n ** 60n }))).toEqual({ long, id: 2n ** 60n })
  expect(parseStorageJson('{"id":{"$bigint":"12345678901234567890"}}')).toEqual({
    id: 12345678901234567890n,
  })
})

it.each([
  '',
  '{"id":012345678901234567890}',
  '[12345678901234567890abc]',
  '12345678901234567890 1',
])('refuses what is no JSON: %s', (text) => {
  expect(() => parseStorageJson(text)).toThrow(expect.objectContaining({ code: 'malformed' }))
})

it('is how a route reads its body', () => {
  const read = storageParsers['application/json']!
  expect(read(Buffer.from('{"vuid":18446744073709551615}'))).toEqual({ vuid: 2n ** 64n - 1n })
})
