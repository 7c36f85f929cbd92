/** What LMDB adds to the contract: kills, two processes, directories that cannot be used. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { open } from 'lmdb'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { LmdbStore } from '../../src/adapters/lmdb/index.ts'
import { TroupeError } from '../../src/protocol/index.ts'
import { write } from '../contract/store.support.ts'
import { bytes, realTime, text, until } from '../contract/support.ts'
import { scriptArguments } from '../script.ts'

const WRITER = fileURLToPath(new URL('./lmdb-writer.ts', import.meta.url))

interface Writer {
  lines: string[]
  /** Numbers of the transactions that it said were on disk. */
  flushed(): number[]
  failed(): string[]
  kill(signal: NodeJS.Signals): Promise<void>
  process: ChildProcess
}

function startWriter(directory: string, name: string, owner?: string): Writer {
  const args = [...scriptArguments(WRITER), directory, name, ...(owner ? [owner] : [])]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const lines: string[] = []
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line))
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  return {
    lines,
    process: child,
    flushed: () => lines.filter((l) => l.startsWith('flushed ')).map((l) => Number(l.slice(8))),
    failed: () => lines.filter((l) => !/^(open|flushed )/.test(l)),
    kill: async (signal) => {
      child.kill(signal)
      if (signal === 'SIGKILL' || signal === 'SIGTERM') await ended
    },
  }
}

let directory: string
const children: Writer[] = []
function writer(name: string, owner?: string): Writer {
  const started = startWriter(directory, name, owner)
  children.push(started)
  return started
}

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'troupe-lmdb-'))
})
afterEach(async () => {
  for (const child of children.splice(0)) await child.kill('SIGKILL')
  await rm(directory, { recursive: true, force: true })
})

/** Whole transactions only, and all that were told. */
function judge(store: LmdbStore, name: string, told: number[]): void {
  const rows = (kind: string): string[] =>
    [...store.range({ from: bytes(`${name}/${kind}/`), to: bytes(`${name}/${kind}0`) })].map(
      ({ key, value }) => {
        expect(text(key)).toBe(`${name}/${kind}/${text(value)}`)
        return text(value)!
      },
    )
  const there = rows('a')
  expect(rows('b')).toEqual(there)
  const numbers = there.map(Number).toSorted((a, b) => a - b)
  // A flushed transaction implies the earlier ones.
  expect(numbers).toEqual(numbers.map((_, i) => i + 1))
  expect(text(store.get(bytes(`${name}/last`)))).toBe(String(numbers.at(-1)))
  for (const n of told) expect(n).toBeLessThanOrEqual(numbers.length)
}

describe('lmdb: kill -9', () => {
  it('has everything that was told to be flushed, in whole transactions', {
    timeout: 60_000,
  }, async () => {
    for (let round = 0; round < 4; round++) {
      const name = `round ${round}`
      const child = writer(name)
      await until(realTime, () => child.flushed().length > 100 + 150 * round, 'flushed rows')
      await child.kill('SIGKILL')
      const store = LmdbStore.open({ directory })
      judge(store, name, child.flushed())
      await store.close()
    }
  })
})

describe('lmdb: two openers of one directory', () => {
  it('fences the older process; what it was told stays', { timeout: 60_000 }, async () => {
    const older = writer('older')
    await until(realTime, () => older.flushed().length > 50, 'the older process at work')
    const newer = writer('newer')
    await until(realTime, () => newer.flushed().length > 50, 'the newer process at work')
    await until(realTime, () => older.failed().length > 0, 'the older process to be fenced')
    expect(older.failed()[0]).toMatch(/^fenced /)
    const told = older.flushed()
    await until(realTime, () => newer.flushed().length > 300, 'the newer process at work')
    expect(newer.failed()).toEqual([])
    await newer.kill('SIGKILL')
    const store = LmdbStore.open({ directory })
    judge(store, 'newer', newer.flushed())
    judge(store, 'older', told)
    // Nothing of the refused transactions is there.
    const last = Number(text(store.get(bytes('older/last'))))
    expect(Math.max(...told)).toBe(last)
    await store.close()
  })

  it('fences a process that was frozen while it was superseded', { timeout: 60_000 }, async () => {
    const store = LmdbStore.open({ directory })
    await write(store, [['owner', 'older']])
    await store.close()
    const older = writer('older', 'older')
    await until(realTime, () => older.flushed().length > 50, 'the older process at work')
    await older.kill('SIGSTOP')
    // Opening waits for the lock if the process was frozen inside a commit: let it finish then.
    const thaw = setTimeout(() => older.process.kill('SIGCONT'), 1_000)
    const newer = writer('newer')
    await until(realTime, () => newer.flushed().length > 50, 'the newer process at work')
    clearTimeout(thaw)
    await older.kill('SIGCONT')
    await until(realTime, () => older.failed().length > 0, 'the older process to be fenced')
    expect(older.failed()[0]).toMatch(/^fenced /)
    expect(newer.failed()).toEqual([])
  })

  it('fences an older store of the same process, which can still read', async () => {
    const older = LmdbStore.open({ directory })
    expect(await write(older, [['a', '1']])).toBe('visible flushed')
    const newer = LmdbStore.open({ directory })
    const told = await Promise.all([write(older, [['a', '2']]), write(older, [['b', '2']])])
    expect(told).toEqual(['fenced', 'fenced'])
    expect(await write(older, [['a', '3']])).toBe('fenced')
    expect(await write(newer, [['c', '1']])).toBe('visible flushed')
    await realTime.elapse(5)
    expect([older.get(bytes('a')), older.get(bytes('b')), older.get(bytes('c'))].map(text)).toEqual(
      ['1', undefined, '1'],
    )
    await older.close()
    await newer.close()
  })

  it('lets a reader look without taking over', async () => {
    const store = LmdbStore.open({ directory })
    await write(store, [['a', '1']])
    const reader = LmdbStore.open({ directory, readOnly: true })
    expect(text(reader.get(bytes('a')))).toBe('1')
    expect(reader.count(bytes('a'), bytes('b'))).toBe(1)
    expect(() => reader.write({ writes: [], failed: () => {} })).toThrow()
    expect(await write(store, [['a', '2']])).toBe('visible flushed')
    await until(realTime, () => text(reader.get(bytes('a'))) === '2', 'the reader to see it')
    await reader.close()
    await store.close()
  })
})

describe('lmdb: directories', () => {
  const refusal = (path: string, readOnly = false): TroupeError => {
    try {
      void LmdbStore.open({ directory: path, readOnly }).close()
    } catch (error) {
      if (error instanceof TroupeError) return error
      throw error
    }
    throw new Error('opened')
  }

  it('creates what is missing', async () => {
    const store = LmdbStore.open({ directory: join(directory, 'a.b', 'c.mdb') })
    expect(await write(store, [['a', '1']])).toBe('visible flushed')
    await store.close()
  })

  it('refuses a file, and a reader without data', async () => {
    await writeFile(join(directory, 'file'), 'x')
    expect(refusal(join(directory, 'file')).message).toMatch(/a file of that name/)
    expect(refusal(join(directory, 'none'), true).message).toMatch(/not a store of Troupe/)
  })

  it('refuses damaged data and the data of another program, and leaves them alone', async () => {
    for (const content of [Buffer.alloc(16_384, 7), 'abc', Buffer.alloc(20_000)]) {
      const damaged = await mkdtemp(join(directory, 'damaged-'))
      await writeFile(join(damaged, 'data.mdb'), content)
      const error = refusal(damaged)
      expect([error.code, error.message]).toEqual([
        'store-failed',
        expect.stringMatching(/damaged-.*is not a store of Troupe/),
      ])
    }

    const foreign = join(directory, 'foreign')
    const other = open({ path: foreign, noSubdir: false })
    await other.put('greeting', 'hello')
    await other.close()
    expect(refusal(foreign).message).toMatch(/written by another program/)
    const again = open({ path: foreign, noSubdir: false })
    expect(again.get('greeting')).toBe('hello')
    await again.close()
  })
})

describe('a snapshot', () => {
  const PAGES = 64
  const write4KiB = async (store: LmdbStore, rounds: number) => {
    for (let round = 0; round < rounds; round++) {
      const value = 'x'.repeat(3_000)
      await write(
        store,
        [...Array(PAGES).keys()].map((i) => [`k${i}`, `${round}${value}`]),
      )
    }
    return (await stat(join(directory, 'data.mdb'))).size
  }

  it('lets the file grow while it is open, and no longer', async () => {
    const store = LmdbStore.open({ directory })
    const settled = await write4KiB(store, 30)
    const snapshot = store.snapshot()
    const grown = await write4KiB(store, 30)
    // Every round needs pages of its own: none of those before can be used again.
    expect(grown).toBeGreaterThan(settled + 20 * PAGES * 4_096)
    snapshot.close()
    const after = await write4KiB(store, 60)
    expect(after - grown).toBeLessThan(10 * PAGES * 4_096)
    await store.close()
  })
})
