/** The public door opens on purpose: what src/index.ts exports is listed in exports.txt. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { exportedNames, listDifferences } from './exported-names.ts'
import { fixture, ROOT } from './sources.ts'

it('exports what the list says', () => {
  const listed = readFileSync(join(ROOT, 'test/repo/exports.txt'), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
  const differences = listDifferences(exportedNames(join(ROOT, 'src/index.ts')), listed)
  expect(differences, 'change test/repo/exports.txt like this, if you mean it').toEqual([])
})

it('sees the names of a real room', () => {
  const names = exportedNames(join(ROOT, 'src/protocol/index.ts'))
  expect(names).toEqual(
    expect.arrayContaining(['shardOf', 'Command', 'ERROR_CODES', 'TroupeError']),
  )
})

it('finds every kind of export', () => {
  expect(exportedNames(join(fixture('exports'), 'index.ts'))).toEqual([
    '* from zod',
    'Box',
    'Shape',
    'Text',
    'all',
    'constant',
    'deep',
    'default',
    'other',
    'renamed',
    'work',
  ])
  expect(exportedNames(join(fixture('exports'), 'missing.ts'))).toEqual([])
})

it('would notice a name that came or went', () => {
  expect(listDifferences(['kept', 'new'], ['gone', 'kept'])).toEqual(['+ new', '- gone'])
})
