/** Types of the protocol that programs are written against. */
import { expectTypeOf, test } from 'vitest'
import {
  type Command,
  type ErrorCode,
  type ErrorRecord,
  type Operation,
  type Outcome,
  TroupeError,
  unpack,
} from '../../src/protocol/index.ts'

test('a command is an operation with an address', () => {
  expectTypeOf<Extract<Command, { op: 'send' }>>().toHaveProperty('event')
  expectTypeOf<Command['address']>().toEqualTypeOf<string>()
  expectTypeOf<{ op: 'get'; address: string }>().toExtend<Command>()
  expectTypeOf<{ op: 'get' }>().not.toExtend<Command>()
  expectTypeOf<{ op: 'send'; address: string }>().not.toExtend<Command>()
  expectTypeOf<{ op: 'explode' }>().not.toExtend<Operation>()
})

test('an outcome is told apart by its fields', () => {
  const read = (outcome: Outcome) => ('error' in outcome ? outcome.error : outcome.durability)
  expectTypeOf(read).returns.toEqualTypeOf<
    ErrorRecord | 'flushed' | 'journaled' | 'flushed+journaled'
  >()
})

test('codes are a closed set', () => {
  expectTypeOf<'busy'>().toExtend<ErrorCode>()
  expectTypeOf<string>().not.toExtend<ErrorCode>()
  expectTypeOf(TroupeError.from).parameter(0).toEqualTypeOf<ErrorRecord>()
})

test('what was unpacked has to be checked before it is used', () => {
  expectTypeOf(unpack).returns.toBeUnknown()
})
