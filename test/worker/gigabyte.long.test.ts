/** A command that writes a gigabyte neither blocks nor fills memory, while it is followed. */
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'

import { logStore } from './logs/run-dir.ts'
import { Runs } from './process/runs.ts'

const BYTES = 1_000_000_000
/** 17 bytes to a line: pieces of a megabyte end in the middle of one. */
const LINE = '0123456789abcdef\n'

let runs: Runs
beforeAll(async () => {
  runs = await Runs.create()
})
afterAll(() => runs.close())

function expectedDigest(): string {
  const hash = createHash('sha256')
  const block = Buffer.alloc(LINE.length * 65_536, LINE)
  let left = BYTES
  for (; left >= block.length; left -= block.length) hash.update(block)
  return hash.update(block.subarray(0, left)).digest('hex')
}

it('a gigabyte of output arrives whole at a reader that follows it', async () => {
  const before = process.memoryUsage().rss
  const shell = `yes ${LINE.trim()} | head -c ${BYTES}`
  const run = await runs.start('gigabyte', { command: { shell } })
  const hash = createHash('sha256')
  let bytes = 0
  let largest = 0
  for await (const piece of logStore()
    .of(run.dir)
    .follow({ stream: 'stdout', bytesMax: 1_000_000 })) {
    hash.update(piece.text)
    bytes += piece.text.length
    largest = Math.max(largest, process.memoryUsage().rss)
  }
  expect(bytes).toBe(BYTES)
  expect(hash.digest('hex')).toBe(expectedDigest())
  expect(await run.exit()).toMatchObject({ code: 0 })
  expect(largest - before).toBeLessThan(192 * 1024 * 1024)
})
