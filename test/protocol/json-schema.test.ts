/** JSON Schema of what callers send: said in full, or refused with its place. */
import { expect, it } from 'vitest'
import { z } from 'zod'
import { jsonSchemaOf } from '../../src/protocol/index.ts'

const tree = z.object({
  name: z.string(),
  get below() {
    return z.array(tree)
  },
})

it.each([
  [
    z.object({ n: z.number() }),
    { type: 'object', properties: { n: { type: 'number' } }, required: ['n'] },
  ],
  [z.bigint(), { type: 'integer' }],
  [z.string().transform((text) => new Date(text)), { type: 'string' }],
  [z.stringbool(), { type: 'string' }],
  [z.number().default(1), { type: 'number', default: 1 }],
  [z.unknown(), {}],
])('says what is sent: %#', (schema, said) => {
  expect(jsonSchemaOf(schema)).toEqual({ schema: said })
})

it('says what holds itself', () => {
  expect(jsonSchemaOf(tree)).toMatchObject({
    schema: { properties: { below: { items: { $ref: '#' } } } },
  })
})

it.each([
  [z.date(), '', /JSON has no date: take z\.iso\.datetime/],
  [z.object({ lines: z.array(z.object({ due: z.date() })) }), 'lines[].due', /no date/],
  [z.object({ a: z.tuple([z.string(), z.map(z.string(), z.string())]) }), 'a[1]', /z\.record/],
  [z.record(z.string(), z.set(z.string())), '*', /z\.array/],
  [z.object({ a: z.union([z.string(), z.undefined()]) }), 'a', /\.optional\(\)/],
  [z.object({ a: z.instanceof(URL) }), 'a', /z\.instanceof/],
  [z.object({ a: z.nan() }), 'a', /no nan/],
  [z.object({ a: z.symbol() }), 'a', /no symbol/],
  [{} as z.ZodType, '', /./],
])('says where it cannot: %#', (schema, at, why) => {
  expect(jsonSchemaOf(schema)).toEqual({ unsayable: { at, why: expect.stringMatching(why) } })
})
