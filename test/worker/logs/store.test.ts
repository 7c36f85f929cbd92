/** What runs take, and clearing them away; reading streams of several hundred MB. */
import { mkdir, mkdtemp, readdir, rename, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { realClock } from '../process/real-time.ts'
import { Runs } from '../process/runs.ts'
import { logStore, RunDir } from './run-dir.ts'

const stream = 'stdout'
const store = logStore()
let root: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'troupe-store-'))
})
afterAll(() => rm(root, { recursive: true, force: true }))

/** Runs `a`, `b` and `c` of 1,000 bytes of output, which ended 3, 2 and 1 minutes ago, and a live one. */
async function fourRuns(name: string): Promise<string> {
  const base = join(root, name)
  const ages = { b: 2, a: 3, c: 1 }
  for (const [run, minutes] of Object.entries(ages)) {
    const dir = await RunDir.create(join(base, run))
    await dir.append('x'.repeat(1_000))
    await dir.end(realClock.now() - minutes * 60_000)
  }
  await (await RunDir.create(join(base, 'live'))).append('x'.repeat(1_000))
  await mkdir(join(base, 'no-run'))
  return base
}

describe('list', () => {
  it('tells runs with their bytes and ends, oldest first', async () => {
    const base = await fourRuns('list')
    const runs = await store.list(base)
    expect(runs.map((run) => run.dir.slice(base.length + 1))).toEqual(['a', 'b', 'c', 'live'])
    expect(runs[0]?.bytes).toBeGreaterThan(1_000)
    expect(runs[0]?.bytes).toBeLessThan(1_200)
    expect(Math.round(((runs[1]?.endedAt ?? 0) - realClock.now()) / 60_000)).toBe(-2)
    expect(runs[3]?.endedAt).toBeUndefined()
    expect(await store.list(root, 2)).toHaveLength(4)
    expect(await store.list(join(root, 'nowhere'))).toEqual([])
  })
})

describe('sweep', () => {
  it('removes by age', async () => {
    const base = await fourRuns('age')
    const { removed, keptCount } = await store.sweep(base, { keepMs: 90_000 })
    expect(removed.map((run) => run.dir.slice(base.length + 1))).toEqual(['a', 'b'])
    expect([keptCount, (await readdir(base)).sort()]).toEqual([2, ['c', 'live', 'no-run']])
  })

  it('removes by bytes, oldest first, and never what goes on', async () => {
    const base = await fourRuns('bytes')
    const two = await store.sweep(base, { keepBytesMax: 3_500 })
    expect(two.removed.map((run) => run.dir.slice(base.length + 1))).toEqual(['a'])
    expect(two.keptBytes).toBeLessThanOrEqual(3_500)
    await store.sweep(base, { keepBytesMax: 1 })
    expect((await readdir(base)).sort()).toEqual(['live', 'no-run'])
  })

  it('removes nothing without a reason, and finishes what a crash interrupted', async () => {
    const base = await fourRuns('crash')
    await rename(join(base, 'a'), join(base, 'a.removed'))
    expect((await store.sweep(base, {})).removed).toEqual([])
    expect((await readdir(base)).sort()).toEqual(['b', 'c', 'live', 'no-run'])
  })
})

describe('remove', () => {
  it('refuses a run that goes on', async () => {
    const runs = await Runs.create()
    const run = await runs.start('busy', { command: { argv: ['sleep', '60'] } })
    await run.whenStarted()
    await expect(store.remove(run.dir)).rejects.toMatchObject({ code: 'conflict' })
    await run.kill({ graceMs: 0 })
    await run.exit()
    await store.remove(run.dir)
    await store.remove(run.dir)
    expect(await readdir(runs.root)).toEqual([])
    await runs.close()
  })
})

describe('a stream of 300 MB', () => {
  it('is read by pieces and by line number without filling memory', async () => {
    const run = await RunDir.create(join(root, 'large'))
    const block = Buffer.alloc(10_000_000, `${'y'.repeat(99)}\n`)
    await writeFile(join(run.path, 'stdout'), block)
    for (let count = 1; count < 30; count++) await run.append(block)
    await run.end()
    const log = store.of(run.path)
    const before = process.memoryUsage().rss
    let bytes = 0
    for await (const piece of log.follow({ stream, bytesMax: 1_000_000 }))
      bytes += piece.text.length
    expect(bytes).toBe(300_000_000)
    const last = await log.readLinesFrom({ stream, line: 2_999_999 })
    expect(last.lines).toMatchObject([{ offset: 299_999_900, complete: true }])
    expect(last.end).toBe(true)
    expect(process.memoryUsage().rss - before).toBeLessThan(128 * 1024 * 1024)
    expect((await stat(join(run.path, 'stdout.lines'))).size).toBeLessThan(16_384)
    // Only the last two million bytes of what follows have line ends: whoever began to search before
    // them would find another line.
    await truncate(join(run.path, 'stdout'), 0)
    await truncate(join(run.path, 'stdout'), 149_000_000)
    await run.append(block.subarray(0, 2_000_000))
    const middle = await log.readLinesFrom({ stream, line: 1_500_000, linesMax: 10 })
    expect(middle.lines[0]).toMatchObject({ offset: 150_000_000, text: 'y'.repeat(99) })
    expect(middle.lines[9]?.offset).toBe(150_000_900)
  }, 60_000)
})
