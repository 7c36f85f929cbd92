/** What the units say of a blob together: bad, beyond repair, or not to be told. */
import { describe, expect, it } from 'vitest'
import { verdictOf } from '../../../../../machines/storage/background/inspect/verdict.ts'
import { codeModeOf, unitCount } from '../../../../../machines/storage/plane/codes/index.ts'
import type { Finding } from '../../../../../machines/storage/plane/upkeep/index.ts'

const WORDS: Readonly<Record<string, Finding>> = {
  w: { kind: 'whole', size: 10 },
  s: { kind: 'whole', size: 9 },
  x: { kind: 'absent' },
  c: { kind: 'corrupt', why: 'a bit' },
  d: { kind: 'deleted' },
  a: { kind: 'away', why: 'silent' },
  g: { kind: 'gone', why: 'broken' },
}

function verdict(mode: string, text: string) {
  const findings = [...text].map((letter) => WORDS[letter] as Finding)
  expect(findings).toHaveLength(unitCount(codeModeOf(mode)))
  return verdictOf(codeModeOf(mode), findings)
}

describe.each([
  ['all are whole', 'wwwwwwwww', { kind: 'whole' }],
  ['those that can be asked are', 'wwwwwwaag', { kind: 'whole' }],
  ['one is missing', 'wwwwwwwwx', { kind: 'damaged', missed: [8], corrupt: [] }],
  ['as many as may be', 'cxwwwwwwx', { kind: 'damaged', missed: [1, 8], corrupt: [0] }],
  ['one has another length', 'wwswwwwww', { kind: 'damaged', missed: [], corrupt: [2] }],
  ['one says that it is deleted', 'dxxwwwwww', { kind: 'deleted' }],
  ['the last one is deleted, the others have forgotten', 'xxxxxxxxd', { kind: 'deleted' }],
  ['nobody has it any more', 'xxxxxxxxx', { kind: 'whole' }],
  ['with those that are away it can be made', 'wwwwwaxxx', { kind: 'unsure' }],
  [
    'also without disks that are gone it is lost',
    'wwwwwgxxx',
    { kind: 'lost', whole: [0, 1, 2, 3, 4], away: [] },
  ],
  ['too few are left', 'wcccccaxx', { kind: 'lost', whole: [0], away: [6] }],
  ['none is right', 'ccccccccc', { kind: 'lost', whole: [], away: [] }],
])('EC6P3: %s', (_, text, expected) => {
  it(text, () => expect(verdict('EC6P3', text)).toEqual(expected))
})

it('a copy is made of any other', () => {
  expect(verdict('Replica3', 'xcw')).toEqual({ kind: 'damaged', missed: [0], corrupt: [1] })
  expect(verdict('Replica3', 'xca')).toEqual({ kind: 'unsure' })
  expect(verdict('Replica3', 'xcg')).toMatchObject({ kind: 'lost' })
})

it('local parity counts for its AZ', () => {
  // Four of nine are missing, one more than parity: the AZs make up one each.
  expect(verdict('EC6P3L3', 'xwxwxwxwwwww')).toMatchObject({ kind: 'damaged' })
  expect(verdict('EC6P3L3', 'xxxxxxxwwwww')).toMatchObject({ kind: 'lost' })
})
