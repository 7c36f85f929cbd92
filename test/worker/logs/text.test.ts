/** Pieces and lines of text: cut between characters, and together the whole. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import type { RunLog } from '../../../src/worker/logs/index.ts'
import { logStore, RunDir } from './run-dir.ts'

const stream = 'stdout'

async function withRun<T>(use: (run: RunDir, log: RunLog) => Promise<T>): Promise<T> {
  const run = await RunDir.create()
  try {
    return await use(run, logStore().of(run.path))
  } finally {
    await run.remove()
  }
}

/** Text in which characters of every length are common. */
const text = fc
  .array(
    fc.oneof(
      fc.constantFrom('a', '\n', 'é', '中', '🙂', '\ufeff', '\r\n'),
      fc.string({ unit: 'binary' }),
    ),
    {
      maxLength: 60,
    },
  )
  .map((parts) => parts.join('').toWellFormed())
const broken = fc
  .array(
    fc.oneof(
      fc.uint8Array({ maxLength: 6 }),
      fc.constantFrom(
        [0xe4, 0xb8],
        [0xf0, 0x9f, 0x99],
        [0xed, 0xa0, 0x80],
        [0xe0, 0x80],
        [0xf0, 0x80, 0x80],
        [0xc3],
        [0xc0, 0x80],
        [0xf4, 0x90],
        [0x0a],
      ),
      text.map((part) => Buffer.from(part)),
    ),
    { maxLength: 12 },
  )
  .map((parts) => Buffer.concat(parts.map((part) => Uint8Array.from(part))))
const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 8 })

const decode = (bytes: Uint8Array) => new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes)

/** Writes in chunks of `writes` bytes, reads after each up to `reads` bytes, ends, and reads the rest. */
async function readWhileWritten(bytes: Uint8Array, writes: number[], reads: number[]) {
  return withRun(async (run, log) => {
    const pieces: { text: string; from: number; offset: number }[] = []
    let written = 0
    let offset = 0
    for (let turn = 0; ; turn++) {
      if (written < bytes.length) {
        const next = written + writes[turn % writes.length]!
        await run.append(bytes.subarray(written, next))
        written = next
        if (written >= bytes.length) await run.end()
      } else if (turn === 0) await run.end()
      const piece = await log.read({ stream, offset, bytesMax: reads[turn % reads.length]! })
      expect(piece.from).toBe(offset)
      expect(piece.end).toBe(written >= bytes.length && piece.offset === bytes.length)
      pieces.push(piece)
      offset = piece.offset
      if (piece.end) return pieces
    }
  })
}

describe('read', () => {
  it('gives pieces that are well-formed and together the text', async () => {
    await fc.assert(
      fc.asyncProperty(text, sizes, sizes, async (whole, writes, reads) => {
        const pieces = await readWhileWritten(Buffer.from(whole), writes, reads)
        expect(pieces.map((piece) => piece.text).join('')).toBe(whole)
        for (const piece of pieces) {
          expect(piece.text.isWellFormed()).toBe(true)
          expect(Buffer.byteLength(piece.text)).toBe(piece.offset - piece.from)
        }
      }),
      { numRuns: 150 },
    )
  }, 30_000)

  it('gives what a decoder makes of bytes that are not UTF-8, however they are cut', async () => {
    await fc.assert(
      fc.asyncProperty(broken, sizes, sizes, async (bytes, writes, reads) => {
        const pieces = await readWhileWritten(bytes, writes, reads)
        expect(pieces.map((piece) => piece.text).join('')).toBe(decode(bytes))
      }),
      { numRuns: 150 },
    )
  }, 30_000)

  it('moves on from any offset inside a character to the next, and says so', async () => {
    await fc.assert(
      fc.asyncProperty(broken, fc.nat(), async (bytes, seed) =>
        withRun(async (run, log) => {
          await run.append(bytes)
          await run.end()
          const offset = seed % (bytes.length + 2)
          const piece = await log.read({ stream, offset })
          expect(piece.from - Math.min(offset, bytes.length)).toBeGreaterThanOrEqual(0)
          expect(piece.from - offset).toBeLessThanOrEqual(3)
          const head = decode(bytes.subarray(0, piece.from))
          expect(head + piece.text).toBe(decode(bytes))
        }),
      ),
      { numRuns: 150 },
    )
  }, 30_000)

  it('waits for the rest of a character, and gives up on it when the run ends', async () =>
    withRun(async (run, log) => {
      await run.append(Buffer.from([0x61, 0xf0, 0x9f, 0x99]))
      expect(await log.read({ stream })).toEqual({
        text: 'a',
        from: 0,
        offset: 1,
        size: 4,
        end: false,
      })
      expect(await log.read({ stream, offset: 1 })).toMatchObject({ text: '', offset: 1 })
      expect(await log.read({ stream, offset: 2 })).toMatchObject({
        text: '',
        offset: 2,
        end: false,
      })
      await run.end()
      expect(await log.read({ stream, offset: 1 })).toMatchObject({
        text: '\ufffd',
        offset: 4,
        end: true,
      })
      expect(await log.read({ stream, offset: 2 })).toMatchObject({ text: '', from: 4, end: true })
    }))

  it.each([
    [0xe0, 0x80],
    [0xed, 0xa0],
    [0xf0, 0x80],
    [0xf4, 0x90],
    [0xc0, 0x80],
  ])('does not wait for what can no longer become a character: %i %i', async (...bytes) =>
    withRun(async (run, log) => {
      await run.append(Uint8Array.from(bytes))
      expect(await log.read({ stream })).toMatchObject({ text: '\ufffd\ufffd', offset: 2 })
      expect(await log.read({ stream, offset: 1 })).toMatchObject({ text: '\ufffd', from: 1 })
    }),
  )

  it('reads nothing of a stream that is not there, and nothing beyond its end', async () =>
    withRun(async (run, log) => {
      const empty = { text: '', from: 0, offset: 0, size: 0, end: false }
      expect(await log.read({ stream: 'stderr' })).toEqual(empty)
      await run.append('abc')
      expect(await log.read({ stream, offset: 99 })).toMatchObject({
        text: '',
        offset: 3,
        end: false,
      })
      await run.end()
      expect(await log.read({ stream: 'stderr' })).toEqual({ ...empty, end: true })
      expect(await log.sizes()).toEqual({ stdout: 3, stderr: 0 })
      expect(await logStore().of('/nowhere/run').read({ stream })).toEqual(empty)
    }))

  it('refuses offsets and sizes that are none', async () =>
    withRun(async (_run, log) => {
      const refused = { code: 'malformed' }
      await expect(log.read({ stream, offset: -1 })).rejects.toMatchObject(refused)
      await expect(log.read({ stream, bytesMax: 0.5 })).rejects.toMatchObject(refused)
      await expect(log.readLinesFrom({ stream, line: Number.NaN })).rejects.toMatchObject(refused)
    }))
})

describe('readLines', () => {
  it('gives the lines of any text, however it is written and read', async () => {
    await fc.assert(
      fc.asyncProperty(
        text,
        sizes,
        fc.integer({ min: 1, max: 5 }),
        async (whole, reads, linesMax) =>
          withRun(async (run, log) => {
            const bytes = Buffer.from(whole)
            await run.append(bytes)
            await run.end()
            let offset = 0
            let joined = ''
            for (let turn = 0; ; turn++) {
              const bytesMax = reads[turn % reads.length]!
              const read = await log.readLines({ stream, offset, bytesMax, linesMax })
              expect(read.lines.length).toBeLessThanOrEqual(linesMax)
              for (const line of read.lines) {
                expect(bytes.subarray(0, line.offset).toString()).toBe(joined)
                joined += line.text + (line.complete ? '\n' : '')
              }
              offset = read.offset
              if (read.end) break
            }
            expect(joined).toBe(whole)
          }),
      ),
      { numRuns: 150 },
    )
  }, 30_000)

  it('keeps a line back until it is whole or the run is over', async () =>
    withRun(async (run, log) => {
      await run.append('one\ntwo')
      const first = await log.readLines({ stream })
      expect(first.lines).toEqual([{ text: 'one', offset: 0, complete: true }])
      expect(first.offset).toBe(4)
      expect((await log.readLines({ stream, offset: 4 })).lines).toEqual([])
      await run.end()
      const last = await log.readLines({ stream, offset: 4 })
      expect(last).toMatchObject({
        lines: [{ text: 'two', offset: 4, complete: false }],
        end: true,
      })
    }))
})

describe('readLinesFrom', () => {
  it('finds every line of any text by its number', async () => {
    await fc.assert(
      fc.asyncProperty(text, fc.integer({ min: 1, max: 30 }), async (whole, scanBytes) =>
        withRun(async (run) => {
          const log = logStore({ scanBytes }).of(run.path)
          const half = Buffer.from(whole).length >> 1
          await run.append(Buffer.from(whole).subarray(0, half))
          await log.readLinesFrom({ stream, line: 1_000 })
          await run.append(Buffer.from(whole).subarray(half))
          await run.end()
          const lines = whole.split('\n')
          for (let line = lines.length + 1; line >= 0; line--) {
            const read = await log.readLinesFrom({ stream, line, linesMax: 1 })
            const expected =
              line === lines.length - 1 && lines[line] === '' ? undefined : lines[line]
            expect(read.lines[0]?.text).toBe(expected)
            expect(read.line).toBe(Math.min(line, lines.length - 1))
          }
        }),
      ),
      { numRuns: 100 },
    )
  }, 30_000)

  it('goes on by line numbers while a stream grows', async () =>
    withRun(async (run) => {
      const log = logStore({ scanBytes: 16 }).of(run.path)
      const seen: string[] = []
      let line = 0
      for (let round = 0; round < 20; round++) {
        await run.append(`line ${round} a\nline ${round} b\npart`)
        const read = await log.readLinesFrom({ stream, line })
        seen.push(...read.lines.map((one) => one.text))
        line = read.nextLine
        await run.append('\n')
      }
      expect(seen.length).toBe(59)
      expect(seen.slice(0, 4)).toEqual(['line 0 a', 'line 0 b', 'part', 'line 1 a'])
    }))

  it('does not trust an index that is not one', async () =>
    withRun(async (run, log) => {
      await run.append('a\nb\nc\n')
      await run.append('nonsense', 'stdout.lines')
      expect((await log.readLinesFrom({ stream, line: 2 })).lines[0]?.text).toBe('c')
    }))
})
