import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { appendFile, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Journals } from '../../src/worker/journals.ts'

let directory: string
let journals: Journals
const others: Journals[] = []

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'troupe-journals-'))
  journals = new Journals(directory, { openMax: 2, freeMax: 2 })
  journals.open()
})

afterEach(async () => {
  for (const one of [journals, ...others.splice(0)]) one.close()
  await rm(directory, { recursive: true, force: true })
})

const FIRST = { first: 'one\nand ☃' }
const SECOND = { second: 2 }
const THIRD = { third: 'three' }

/** As the next process finds them. */
function reopened(): Journals {
  const next = new Journals(directory, { freeMax: 2 })
  next.open()
  others.push(next)
  return next
}

const pathOf = (file: string) => join(directory, file)
const present = () => readdirSync(directory).toSorted()
const sizes = () => present().map((file) => readFileSync(pathOf(file)).length)

/** Files of these journals that this process has open. */
function openFiles(): string[] {
  const links = readdirSync('/proc/self/fd').map((descriptor) => {
    try {
      return readlinkSync(`/proc/self/fd/${descriptor}`)
    } catch {
      return ''
    }
  })
  return links.filter((path) => path.startsWith(directory)).toSorted()
}

it('give back whole lines only, wherever they are cut, and go on behind them', async () => {
  journals.begin('a', FIRST)
  journals.append('a', SECOND)
  const whole = readFileSync(pathOf('1'))
  const firstEnd = whole.indexOf('\n') + 1
  for (let bytes = 0; bytes <= whole.length; bytes++) {
    await writeFile(pathOf('1'), whole.subarray(0, bytes))
    const next = reopened()
    if (bytes < firstEnd) {
      expect(next.names(), `${bytes} bytes`).toEqual([])
      next.begin('b', THIRD)
      expect(present()).toEqual(['1'])
      expect(reopened().names(), `${bytes} bytes`).toEqual(['b'])
      expect(reopened().read('b'), `${bytes} bytes`).toEqual([THIRD])
    } else {
      const expected = bytes === whole.length ? [FIRST, SECOND] : [FIRST]
      expect(next.read('a'), `${bytes} bytes`).toEqual(expected)
      next.append('a', THIRD)
      expect(reopened().read('a'), `${bytes} bytes`).toEqual([...expected, THIRD])
    }
    next.close()
  }
})

it('write over what could be written only in part', async () => {
  journals.begin('a', FIRST)
  await appendFile(pathOf('1'), `["a",{"second":"${'x'.repeat(500)}`)
  expect(journals.read('a')).toEqual([FIRST])
  journals.append('a', THIRD)
  journals.append('a', SECOND)
  expect(reopened().read('a')).toEqual([FIRST, THIRD, SECOND])
})

it.each([
  ['a hole', '\0\0\0'],
  ['a line of who had the file before', '["b",{"first":1}]'],
  ['what is no line of ours', '{"second":2}'],
])('count nothing behind %s, which a loss of power left', async (_what, left) => {
  journals.begin('a', FIRST)
  const first = readFileSync(pathOf('1'), 'utf8')
  await writeFile(pathOf('1'), `${first}${left}\n${first}`)
  expect(reopened().read('a')).toEqual([FIRST])
  expect(reopened().names()).toEqual(['a'])
})

it('are not begun when the disk is full, and nothing of them stays', async () => {
  await symlink('/dev/full', pathOf('1'))
  expect(() => journals.begin('a', FIRST)).toThrow('ENOSPC')
  expect(journals.has('a')).toBe(false)
  expect(present()).toEqual([])
  expect(openFiles()).toEqual([])
})

it('have nothing to say when there is none, and cannot be gone on with', () => {
  expect(journals.has('a')).toBe(false)
  expect(journals.read('a')).toEqual([])
  expect(() => journals.append('a', FIRST)).toThrow('there is no journal of a')
  journals.remove('a')
  journals.moveTo('a', pathOf('b'))
  expect(present()).toEqual([])
})

it('that are begun anew have nothing of before', () => {
  journals.begin('a', FIRST)
  journals.append('a', SECOND)
  journals.begin('a', THIRD)
  expect(journals.read('a')).toEqual([THIRD])
  expect(openFiles()).toEqual([pathOf('1')])
})

it('stay open, those of before only as far as there is room', () => {
  for (const name of ['a', 'b', 'c']) journals.begin(name, FIRST)
  expect(openFiles()).toEqual([pathOf('2'), pathOf('3')])
  journals.append('a', SECOND)
  expect(openFiles()).toEqual([pathOf('1'), pathOf('3')])
  expect(journals.read('a')).toEqual([FIRST, SECOND])
})

it('that are flushed are closed when that is done, and not before', async () => {
  journals.begin('a', FIRST)
  const flushed = journals.flush('a')
  journals.close()
  expect(openFiles()).toEqual([pathOf('1')])
  await flushed
  expect(openFiles()).toEqual([])
  // Written by an attempt that ends when its worker has stopped.
  journals.append('a', SECOND)
  await journals.flush('a')
  expect(openFiles()).toEqual([])
  expect(reopened().read('a')).toEqual([FIRST, SECOND])
})

describe('the file of one that is over', () => {
  it('is empty and open, and the next one begins in it with nothing of before', () => {
    journals.begin('a', FIRST)
    journals.append('a', SECOND)
    journals.remove('a')
    expect([present(), sizes(), openFiles()]).toEqual([['1'], [0], [pathOf('1')]])
    expect(reopened().names()).toEqual([])
    journals.begin('b', THIRD)
    expect([present(), openFiles()]).toEqual([['1'], [pathOf('1')]])
    expect(journals.has('a')).toBe(false)
    expect(journals.read('b')).toEqual([THIRD])
    expect(reopened().names()).toEqual(['b'])
    expect(reopened().read('b')).toEqual([THIRD])
  })

  it('goes when enough wait', () => {
    const names = ['a', 'b', 'c', 'd']
    journals = new Journals(directory, { freeMax: 2 })
    for (const name of names) journals.begin(name, FIRST)
    for (const name of names) journals.remove(name)
    expect([present(), sizes()]).toEqual([
      ['1', '2'],
      [0, 0],
    ])
    expect(openFiles()).toEqual([pathOf('1'), pathOf('2')])
  })

  it('of an earlier process is used as well, when enough wait it goes', async () => {
    for (const file of ['1', '5', '7']) await writeFile(pathOf(file), '["a",{"cut')
    const next = reopened()
    expect(present()).toHaveLength(2)
    for (const name of ['a', 'b', 'c']) next.begin(name, FIRST)
    expect(present()).toHaveLength(3)
    expect(reopened().names().toSorted()).toEqual(['a', 'b', 'c'])
    expect(reopened().read('c')).toEqual([FIRST])
  })

  it('is made anew when the journal was moved away', () => {
    journals.begin('a', FIRST)
    journals.moveTo('a', pathOf('kept'))
    expect([present(), openFiles()]).toEqual([['kept'], []])
    journals.begin('b', SECOND)
    expect(reopened().read('b')).toEqual([SECOND])
    expect(readFileSync(pathOf('kept'), 'utf8')).toBe(`${JSON.stringify(['a', FIRST])}\n`)
  })

  it('is emptied while it is flushed, and closed behind that', async () => {
    journals.begin('a', FIRST)
    const flushed = journals.flush('a')
    journals.remove('a')
    journals.begin('b', SECOND)
    await Promise.all([flushed, journals.flush('b')])
    expect(openFiles()).toEqual([pathOf('1')])
    expect(reopened().read('b')).toEqual([SECOND])
  })

  it('is not touched by who had it before, when the next process has given it away', () => {
    journals.begin('a', FIRST)
    journals.close()
    const next = reopened()
    next.append('a', SECOND)
    next.remove('a')
    next.begin('b', THIRD)
    expect(journals.read('a')).toEqual([])
    expect(() => journals.append('a', SECOND)).toThrow('the journal of a was given to b')
    journals.moveTo('a', pathOf('kept'))
    expect(present()).toEqual(['1'])
    expect(reopened().read('b')).toEqual([THIRD])
  })
})
