/** The deliberate bugs fit the sources of today, and the table of README.md tells of all of them. */
import { describe, expect, it } from 'vitest'
import { BUGS } from './bug-list.ts'
import { readBugTable, withCaught } from './bug-table.ts'
import { misfit } from './mutants.ts'

describe('the deliberate bugs', () => {
  it.each(BUGS)('$name: fits the sources', ({ replacements = [] }) => {
    expect(replacements.map(misfit).filter((why) => why !== undefined)).toEqual([])
  })

  it('are told apart by their names', () => {
    const names = BUGS.map(({ name }) => name)
    expect(new Set(names).size).toBe(names.length)
  })

  it('say when the sources have moved on', () => {
    const [from, twice] = ['the text of another day', 'shard']
    expect(misfit({ file: 'engine', text: from, by: '' })).toContain('not once in engine.ts')
    expect(misfit({ file: 'engine', text: twice, by: '' })).toContain('not once in engine.ts')
    expect(misfit({ file: 'nowhere', text: from, by: '' })).toBe('no such file: nowhere.ts')
  })
})

describe('the table of who catches what', () => {
  it('names exactly the bugs that exist', () => {
    expect(readBugTable().map(({ bug }) => bug)).toEqual(BUGS.map(({ name }) => name))
  })

  it('has somebody who catches each', () => {
    expect(readBugTable().filter(({ checker }) => checker === undefined)).toEqual([])
  })

  it('keeps the rows of bugs that were not hunted, and drops those of bugs that are gone', () => {
    const text = withCaught(EMPTY, ['one', 'two'], [caught('one', 1), caught('two', 2)])
    const again = withCaught(text, ['two', 'three', 'one'], [caught('three', 3), caught('one', 9)])
    expect(readBugTable(again)).toEqual([caught('two', 2), caught('three', 3), caught('one', 9)])
    expect(readBugTable(withCaught(again, ['two'], []))).toEqual([caught('two', 2)])
    expect(again.startsWith('before\n')).toBe(true)
    expect(again.endsWith('\nafter\n')).toBe(true)
  })

  it('tells of a bug that nobody caught', () => {
    const missed = { bug: 'one', seeds: 200, checker: undefined }
    expect(readBugTable(withCaught(EMPTY, ['one'], [missed]))).toEqual([missed])
  })

  it('is not written where its marks are gone', () => {
    expect(() => withCaught('no marks\n', [], [])).toThrow('has lost the marks')
  })
})

const EMPTY =
  'before\n<!-- bugs: written by `npm run sim -- --bugs --write` -->\n<!-- end of bugs -->\nafter\n'

function caught(bug: string, seeds: number) {
  return { bug, seeds, checker: 'timers' }
}
