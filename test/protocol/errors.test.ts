/** Failures cross process boundaries as data and come out as what they were. */
import { describe, expect, it } from 'vitest'
import {
  ERROR_CODES,
  type ErrorCode,
  type ErrorRecord,
  errorRecord,
  invariant,
  pack,
  TroupeError,
  toErrorRecord,
  unpack,
} from '../../src/protocol/index.ts'

const CODES = Object.keys(ERROR_CODES) as ErrorCode[]

describe('TroupeError', () => {
  it.each(CODES)('%s survives the wire', (code) => {
    const sent = new TroupeError(code, 'what, where', {
      address: 'job/1',
      detail: { states: ['a'] },
    })
    const received = TroupeError.from(unpack(pack(sent.toJSON())) as ErrorRecord)
    expect(received).toBeInstanceOf(TroupeError)
    expect(received).toMatchObject({
      name: 'TroupeError',
      code,
      message: 'what, where',
      retry: ERROR_CODES[code].retry,
      address: 'job/1',
      detail: { states: ['a'] },
    })
    expect(received.toJSON()).toStrictEqual(sent.toJSON())
  })

  it('has no empty fields as data, and keeps its cause to itself', () => {
    const cause = new Error('socket closed, password=hunter2')
    const error = new TroupeError('unavailable', 'no owner', { cause })
    expect(error.cause).toBe(cause)
    expect(error.toJSON()).toStrictEqual({ code: 'unavailable', message: 'no owner', retry: true })
    expect(JSON.stringify(error)).not.toContain('hunter2')
    expect('cause' in new TroupeError('unavailable', 'no owner')).toBe(false)
  })

  it.each(['from-a-later-version', 'toString', '__proto__', ''])(
    'reads the unknown code %j as internal',
    (code) => {
      const record = { code, message: 'm', retry: true } as unknown as ErrorRecord
      expect(TroupeError.from(record)).toMatchObject({
        code: 'internal',
        message: 'm',
        retry: false,
      })
    },
  )

  it('believes its own table, not the record, about retries', () => {
    expect(TroupeError.from({ code: 'conflict', message: 'm', retry: true }).retry).toBe(false)
  })
})

describe('the vocabulary', () => {
  it('names and explains each code', () => {
    expect(CODES.length).toBeGreaterThan(20)
    for (const code of CODES) {
      expect(code).toMatch(/^[a-z]+(-[a-z]+)*$/)
      expect(ERROR_CODES[code].means.length).toBeGreaterThan(20)
    }
  })

  it('retries only what certainly can be tried again with the same id', () => {
    expect(CODES.filter((code) => ERROR_CODES[code].retry)).toEqual([
      'busy',
      'unavailable',
      'moved',
      'no-answer',
    ])
  })
})

describe('failures as data', () => {
  it('keeps the code of our own errors only', () => {
    expect(toErrorRecord(new TroupeError('busy', 'full'), 'conflict').code).toBe('busy')
    expect(toErrorRecord(new TypeError('x is undefined'))).toStrictEqual({
      code: 'internal',
      message: 'x is undefined',
      retry: false,
    })
    expect(toErrorRecord(new Error('boom'), 'parked').code).toBe('parked')
  })

  it.each([
    ['text', 'text'],
    [42, '42'],
    [null, 'null'],
    [undefined, 'undefined'],
    [{ message: 'not an Error' }, 'not an Error'],
  ])('takes a thrown %j', (thrown, message) => {
    expect(toErrorRecord(thrown)).toStrictEqual({ code: 'internal', message, retry: false })
  })

  it('fills in whether a retry helps', () => {
    expect(errorRecord('busy', 'full', { address: 'job/1' })).toStrictEqual({
      code: 'busy',
      message: 'full',
      retry: true,
      address: 'job/1',
    })
    expect(errorRecord('busy', 'full', { detail: 0 }).detail).toBe(0)
  })
})

it('a broken invariant throws, and is no TroupeError', () => {
  expect(() => invariant(true, 'fine')).not.toThrow()
  expect(() => invariant(0, 'slot follows slot')).toThrow('broken invariant: slot follows slot')
  expect(() => invariant(false, 'x')).not.toThrow(TroupeError)
})
