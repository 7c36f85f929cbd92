/** What is done to a whole LMDB store: copies of one that is at work, compaction, retiring, who has it open. */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cp, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openEnvironment } from '../../src/adapters/lmdb/environment.ts'
import {
  compactStore,
  copyStore,
  LmdbStore,
  openersOf,
  retireStore,
} from '../../src/adapters/lmdb/index.ts'
import { write } from '../contract/store.support.ts'
import { bytes, text } from '../contract/support.ts'
import { scriptArguments } from '../script.ts'
import { until } from '../waiting.ts'

const WRITER = fileURLToPath(new URL('./lmdb-writer.ts', import.meta.url))
const COMPACTOR = fileURLToPath(new URL('./lmdb-compactor.ts', import.meta.url))

let directory: string
const writers: ChildProcess[] = []
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'troupe-care-'))
})
afterEach(async () => {
  for (const writer of writers.splice(0)) await kill(writer)
  await rm(directory, { recursive: true, force: true })
})

async function kill(child: ChildProcess): Promise<void> {
  const isOver = child.exitCode !== null || child.signalCode !== null
  const ended = new Promise((resolve) => child.once('close', resolve))
  child.kill('SIGKILL')
  if (!isOver) await ended
}

/** A process that writes until it is killed or fenced; resolves when it is at work. */
async function startWriter(place: string): Promise<{ child: ChildProcess; lines: string[] }> {
  const child = spawn(process.execPath, [...scriptArguments(WRITER), place, 'w'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  writers.push(child)
  const lines: string[] = []
  createInterface({ input: child.stdout! }).on('line', (line) => lines.push(line))
  await until(() => lines.length > 100, { timeoutMs: 20_000 }, 'the writer to be at work')
  return { child, lines }
}

async function storeOf(rows: number, size = 500): Promise<string> {
  const place = join(directory, 'store')
  const store = LmdbStore.open({ directory: place })
  for (let at = 0; at < rows; at += 500) {
    const group = Array.from({ length: Math.min(500, rows - at) }, (_, i) => at + i)
    await write(
      store,
      group.map((n) => [`k${n}`, `${n}`.padEnd(size)]),
    )
  }
  await store.close()
  return place
}

async function rowsOf(place: string): Promise<number> {
  const store = LmdbStore.open({ directory: place, readOnly: true })
  const rows = store.count(bytes('k'), bytes('l'))
  await store.close()
  return rows
}

/** Leaves most of the file free. */
async function emptied(rows: number): Promise<string> {
  const place = await storeOf(rows)
  const store = LmdbStore.open({ directory: place })
  for (let at = 0; at < rows - 10; at += 500) {
    const group = Array.from({ length: Math.min(500, rows - 10 - at) }, (_, i) => at + i)
    await write(
      store,
      group.map((n) => [`k${n}`, null]),
    )
  }
  await store.close()
  return place
}

describe('a copy', () => {
  it('of a store at work has whole transactions, and the writer goes on', async () => {
    const place = join(directory, 'store')
    const { lines } = await startWriter(place)
    const before = lines.length
    await copyStore(place, join(directory, 'copy'))
    await until(() => lines.length > before + 100, { timeoutMs: 20_000 }, 'the writer to go on')
    expect(lines.filter((line) => !/^(open|flushed )/.test(line))).toEqual([])
    const copy = LmdbStore.open({ directory: join(directory, 'copy') })
    const last = Number(text(copy.get(bytes('w/last'))))
    expect(last).toBeGreaterThan(0)
    for (const kind of ['a', 'b']) {
      expect(copy.count(bytes(`w/${kind}/`), bytes(`w/${kind}0`))).toBe(last)
    }
    await copy.close()
  }, 60_000)

  it('tells how far it is', async () => {
    const place = await storeOf(2_000)
    const told: [number, number][] = []
    await copyStore(place, join(directory, 'copy'), (done, of) => told.push([done, of]))
    const [done, of] = told.at(-1) ?? []
    expect(done).toBe(of)
    expect(of).toBe((await stat(join(directory, 'copy', 'data.mdb'))).size)
  })

  it('of what is no store is refused', async () => {
    await mkdir(join(directory, 'store'))
    await writeFile(join(directory, 'store', 'data.mdb'), Buffer.alloc(20_000))
    const copying = copyStore(join(directory, 'store'), join(directory, 'copy'))
    await expect(copying).rejects.toThrow(/is not a store of Troupe/)
    await expect(copyStore(join(directory, 'none'), join(directory, 'copy'))).rejects.toThrow(
      /has no data.mdb/,
    )
  })
})

describe('who has it open', () => {
  it('is told of other processes, and not of one that was killed', async () => {
    const place = join(directory, 'store')
    expect(await openersOf(place)).toEqual([])
    const { child } = await startWriter(place)
    expect(await openersOf(place)).toEqual([child.pid])
    await kill(child)
    expect(await openersOf(place)).toEqual([])
  }, 60_000)

  it('is told without those that were killed, also while others have it open', async () => {
    const place = join(directory, 'store')
    const { child } = await startWriter(place)
    const reader = LmdbStore.open({ directory: place, readOnly: true })
    expect(reader.get(bytes('w/last'))).toBeDefined()
    expect((await openersOf(place)).sort()).toEqual([child.pid, process.pid].sort())
    await kill(child)
    expect(await openersOf(place)).toEqual([process.pid])
    await reader.close()
  }, 60_000)

  it('is told of this process too, which goes on', async () => {
    const place = await storeOf(10)
    const store = LmdbStore.open({ directory: place })
    expect(await openersOf(place)).toEqual([process.pid])
    expect(await write(store, [['a', '1']])).toBe('visible flushed')
    await store.close()
    expect(await openersOf(place)).toEqual([])
  })
})

describe('compaction', () => {
  it('gives free pages back and changes nothing else, also the second time', async () => {
    const place = await emptied(5_000)
    const { beforeBytes, afterBytes } = await compactStore(place, 'one')
    expect(afterBytes).toBeLessThan(beforeBytes / 10)
    expect((await readdir(place)).sort()).toEqual(['current', 'generation-one'])
    expect(await rowsOf(place)).toBe(10)
    const store = LmdbStore.open({ directory: place })
    expect(text(store.get(bytes('k4995')))?.trim()).toBe('4995')
    expect(await write(store, [['k1', 'new']])).toBe('visible flushed')
    await store.close()
    await compactStore(place, 'two')
    expect((await readdir(place)).sort()).toEqual(['current', 'generation-two'])
    expect(await rowsOf(place)).toBe(11)
  })

  it('is refused while a node has it open', async () => {
    const place = await storeOf(10)
    const store = LmdbStore.open({ directory: place })
    await expect(compactStore(place, 'one')).rejects.toThrow(
      new RegExp(`in use by process ${process.pid}: stop the node first`),
    )
    expect(await write(store, [['a', '1']])).toBe('visible flushed')
    await store.close()
  })

  it('gives way to a node that starts meanwhile', async () => {
    const place = await storeOf(2_000)
    let node: LmdbStore | undefined
    const compacting = compactStore(place, 'one', () => {
      node ??= LmdbStore.open({ directory: place })
    })
    await expect(compacting).rejects.toThrow(
      /a node has opened .* meanwhile; the store is as it was/,
    )
    expect(await write(node!, [['a', '1']])).toBe('visible flushed')
    await node!.close()
    expect(existsSync(join(place, 'generation-one'))).toBe(false)
    expect(await rowsOf(place)).toBe(2_000)
  })

  it('is completed by the next opener when it was cut short behind its commit', async () => {
    const place = await emptied(1_000)
    // As after a crash: it is retired, and nothing names what takes its place.
    await mkdir(join(place, 'current'))
    await expect(compactStore(place, 'one')).rejects.toThrow()
    await rm(join(place, 'current'), { recursive: true })
    expect(() => LmdbStore.open({ directory: place, readOnly: true })).toThrow(/was cut short/)
    const store = LmdbStore.open({ directory: place })
    expect(store.count(bytes('k'), bytes('l'))).toBe(10)
    await store.close()
    expect((await readdir(place)).sort()).toEqual(['current', 'generation-one'])
  })

  it('is the old store or the new one, wherever it was killed', async () => {
    const place = await emptied(2_000)
    await cp(place, join(directory, 'template'), { recursive: true })
    const whole = await compactor(place, '')
    expect(whole.code).toBe(0)
    const calls = Number(whole.out)
    expect(calls).toBeGreaterThan(8)
    const steps = ['copy', ...Array.from({ length: calls }, (_, n) => `${n + 1}`)]
    const generations = new Set<string>()
    for (let at = 0; at < steps.length; at += 4) {
      const group = steps.slice(at, at + 4)
      for (const one of await Promise.all(group.map(killedAt))) generations.add(one)
    }
    // Before its commit and behind it.
    expect([...generations].sort()).toEqual(['data.mdb', 'generation-next'])
  }, 170_000)

  it('that was cut short before its commit leaves the store as it was', async () => {
    const place = await storeOf(10)
    await mkdir(join(place, 'generation-half'))
    await writeFile(join(place, 'generation-half', 'data.mdb'), 'half of it')
    const store = LmdbStore.open({ directory: place })
    expect(store.count(bytes('k'), bytes('l'))).toBe(10)
    await store.close()
    expect(existsSync(join(place, 'generation-half'))).toBe(false)
  })
})

/** Kills a compaction of a fresh store at a step. @returns what the store is after the next opener */
async function killedAt(step: string): Promise<string> {
  const place = join(directory, `killed-${step}`)
  await cp(join(directory, 'template'), place, { recursive: true })
  expect(await compactor(place, step)).toMatchObject({ code: null, signal: 'SIGKILL' })
  expect(await openersOf(place)).toEqual([])
  const store = LmdbStore.open({ directory: place })
  expect([step, store.count(bytes('k'), bytes('l'))]).toEqual([step, 10])
  expect(text(store.get(bytes('k1995')))?.trim()).toBe('1995')
  expect(await write(store, [['k1', 'new']])).toBe('visible flushed')
  await store.close()
  expect(await rowsOf(place)).toBe(11)
  // Nothing is left of the other one.
  const names = (await readdir(place)).filter((name) => /^(?:data\.mdb|generation-.*)$/.test(name))
  expect([step, names.length]).toEqual([step, 1])
  await compactStore(place, 'after')
  expect(await rowsOf(place)).toBe(11)
  return names[0] ?? ''
}

function compactor(
  place: string,
  step: string,
): Promise<{ code: number | null; signal: string | null; out: string }> {
  const child = spawn(process.execPath, [...scriptArguments(COMPACTOR), place, step], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let out = ''
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString()
  })
  return new Promise((resolve) => {
    child.once('close', (code, signal) => resolve({ code, signal, out }))
  })
}

describe('a store that is retired', () => {
  it('is so by its owner only', async () => {
    const place = await storeOf(10)
    const older = openEnvironment({ directory: place })
    const newer = openEnvironment({ directory: place })
    expect(older.retire(undefined)).toBe(false)
    expect(newer.retire(undefined)).toBe(true)
    await older.close()
    await newer.close()
  })

  it('is refused by every opener, and can be retired again', async () => {
    const place = await storeOf(10)
    await retireStore(place)
    for (const readOnly of [false, true]) {
      expect(() => LmdbStore.open({ directory: place, readOnly })).toThrow(
        /was being reset .* run that reset again/,
      )
    }
    await retireStore(place)
  })

  it('is not retired while a node has it open', async () => {
    const place = await storeOf(10)
    const store = LmdbStore.open({ directory: place })
    await expect(retireStore(place)).rejects.toThrow(/in use by process/)
    await store.close()
    expect(await rowsOf(place)).toBe(10)
  })
})
