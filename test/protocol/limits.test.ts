/** Limits are complete, positive, and fit each other before anything runs. */
import { describe, expect, it } from 'vitest'
import { DEFAULT_LIMITS, type Limits, resolveLimits } from '../../src/protocol/index.ts'

const NAMES = Object.keys(DEFAULT_LIMITS) as (keyof Limits)[]

it('the defaults pass their own test and cannot be changed in passing', () => {
  expect(resolveLimits()).toEqual(DEFAULT_LIMITS)
  expect(Object.isFrozen(DEFAULT_LIMITS)).toBe(true)
  const resolved = resolveLimits()
  resolved.leaseMs = 1
  expect(DEFAULT_LIMITS.leaseMs).not.toBe(1)
})

it('what is not given stays as it was', () => {
  expect(resolveLimits({ leaseMs: 5_000 })).toEqual({ ...DEFAULT_LIMITS, leaseMs: 5_000 })
})

it('names end in what they count', () => {
  expect(NAMES.filter((name) => !/(Max|Ms)$/.test(name))).toEqual([])
})

it.each(NAMES)('%s is a positive integer', (name) => {
  for (const value of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, '5', null]) {
    const given = { [name]: value } as Partial<Limits>
    expect(() => resolveLimits(given)).toThrow(`limits: ${name} is a whole number above 0`)
  }
})

describe('relations', () => {
  it.each<[relation: string, broken: Partial<Limits>, kept: Partial<Limits>]>([
    [
      'payloadBytesMax < actorBytesMax',
      { payloadBytesMax: 1_000, actorBytesMax: 1_000 },
      { payloadBytesMax: 999, actorBytesMax: 1_000 },
    ],
    [
      'actorBytesMax < turnBytesMax',
      { actorBytesMax: 600_000, turnBytesMax: 600_000 },
      { actorBytesMax: 599_999, turnBytesMax: 600_000 },
    ],
    [
      'turnBytesMax < batchBytesMax',
      { turnBytesMax: 800_000, batchBytesMax: 800_000 },
      { turnBytesMax: 799_999, batchBytesMax: 800_000 },
    ],
    [
      'batchCountMax <= mailboxCountMax',
      { batchCountMax: 11, mailboxCountMax: 10 },
      { batchCountMax: 10, mailboxCountMax: 10 },
    ],
    [
      'clockSkewMaxMs < dedupeWindowMs',
      { clockSkewMaxMs: 600_000, dedupeWindowMs: 600_000 },
      { clockSkewMaxMs: 599_999, dedupeWindowMs: 600_000 },
    ],
    [
      'requestTimeoutMs < dedupeWindowMs',
      { requestTimeoutMs: 600_000, dedupeWindowMs: 600_000 },
      { requestTimeoutMs: 599_999, dedupeWindowMs: 600_000 },
    ],
    [
      'idBytesMax < addressBytesMax',
      { idBytesMax: 1_024, addressBytesMax: 1_024 },
      { idBytesMax: 1_023, addressBytesMax: 1_024 },
    ],
    [
      'pageCountMax <= scanCountMax',
      { pageCountMax: 11, scanCountMax: 10 },
      { pageCountMax: 10, scanCountMax: 10 },
    ],
  ])('%s', (relation, broken, kept) => {
    const [lower, sign, upper] = relation.split(' ')
    expect(() => resolveLimits(broken)).toThrow(
      expect.objectContaining({
        code: 'invalid-config',
        message: expect.stringMatching(
          new RegExp(`${lower} \\(.*\\) ${sign} ${upper} .*must hold`),
        ),
      }),
    )
    expect(resolveLimits(kept)).toMatchObject(kept)
  })
})

it('refuses what is no limit, and an address that no key could hold', () => {
  expect(() => resolveLimits({ leaseMS: 1 } as unknown as Partial<Limits>)).toThrow(
    'no limit "leaseMS"',
  )
  expect(() => resolveLimits({ addressBytesMax: 1_501 })).toThrow('addressBytesMax is at most 1500')
})
