/** Random values for tests of the protocol: legal names, nasty names, and what a codec may be given. */
import fc from 'fast-check'
import { DEFAULT_LIMITS } from '../../src/protocol/index.ts'

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what ids must not hold
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/

export const machineNames: fc.Arbitrary<string> = fc.stringMatching(/^[A-Za-z][A-Za-z0-9_-]{0,63}$/)

/** Whole code points, with what has a meaning in paths, subjects, shells and URLs made frequent. */
const idCharacters = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...'/%.*> \\"\'?#$:@+~|é漢😀\u2028\u200b\ufeff') },
  { weight: 4, arbitrary: fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 1 }) },
  { weight: 2, arbitrary: fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }) },
)

/** Ids of 1 to 256 bytes of UTF-8 without control characters. */
export const ids: fc.Arbitrary<string> = fc
  .string({ unit: idCharacters, minLength: 1, maxLength: 40 })
  .filter((id) => !CONTROL.test(id) && Buffer.byteLength(id) <= DEFAULT_LIMITS.idBytesMax)

/** Short, so that an address of several parts stays below its limit. */
export const childIds: fc.Arbitrary<string> = ids.filter((id) => Buffer.byteLength(id) <= 30)

/**
 * What may be packed: JSON-like values and Map, Set, Date, bigint, bytes and undefined. Not in it,
 * because the codec does not keep them: -0, the key `__proto__`, halves of surrogate pairs.
 */
export const packables: fc.Arbitrary<unknown> = fc.letrec<{ value: unknown; leaf: unknown }>(
  (tie) => {
    const keys = fc.string({ unit: 'grapheme' }).filter((key) => key !== '__proto__')
    return {
      leaf: fc.oneof(
        fc.string({ unit: 'grapheme' }),
        fc.integer(),
        fc.maxSafeInteger(),
        fc.double().map((number) => (Object.is(number, -0) ? 0 : number)),
        fc.boolean(),
        fc.constantFrom(null, undefined),
        fc.bigInt(),
        fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }),
        fc.bigInt({ min: -(2n ** 600n), max: 2n ** 600n }),
        fc.date({ noInvalidDate: true }),
        fc.uint8Array({ maxLength: 40 }),
      ),
      value: fc.oneof(
        { maxDepth: 4, withCrossShrink: true },
        tie('leaf'),
        fc.array(tie('value'), { maxLength: 5 }),
        fc.dictionary(keys, tie('value'), { maxKeys: 5, noNullPrototype: true }),
        fc
          .array(fc.tuple(tie('leaf'), tie('value')), { maxLength: 4 })
          .map((rows) => new Map(rows)),
        fc.array(tie('leaf'), { maxLength: 4 }).map((members) => new Set(members)),
      ),
    }
  },
).value
