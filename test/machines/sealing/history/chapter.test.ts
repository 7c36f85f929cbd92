/** Chapters as values: once each, in order, never more than an actor keeps, and what they add up to. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import {
  CHAPTERS_MAX,
  type Chapter,
  type Chapters,
  CSV_HEADER,
  chapter,
  clipped,
  exportRows,
  HISTORY_BYTES_MAX,
  stageTotals,
  withChapter,
} from '../../../../machines/sealing/history/index.ts'
import { pack } from '../../../../src/protocol/index.ts'
import { chapterOf, entryOf } from './chapters.ts'

const NOTHING: Chapters = { chapters: [], chaptersDropped: 0 }

function written(...chapters: Chapter[]): Chapters {
  return chapters.reduce((known, one) => withChapter(known, one) ?? known, NOTHING)
}

it('a chapter that comes again changes nothing, unless its sector ended later', () => {
  const first = chapterOf()
  const known = written(first)
  expect(known.chapters).toEqual([first])
  expect(withChapter(known, first)).toBeUndefined()
  expect(withChapter(known, chapterOf({ endedAt: 8_000, end: 'Aborted' }))).toBeUndefined()
  const later = chapterOf({ endedAt: 9_500, end: 'Aborted', reason: 'it expired' })
  expect(withChapter(known, later)?.chapters).toEqual([later])
  const other = chapterOf({ thread: 'w2~store9-ffffff', plan: 'unseal', endedAt: 5_000 })
  expect(withChapter(known, other)?.chapters).toEqual([other, first])
  const again = chapterOf({ startedAt: 20_000, endedAt: 30_000, plan: 'rebuild' })
  expect(withChapter(known, again)?.chapters).toEqual([first, again])
})

it('keeps the newest, and knows how many entries and chapters went', () => {
  const message = 'm'.repeat(490)
  const entries = Array.from({ length: 200 }, (_, n) =>
    entryOf(n, { error: { level: 'temporary', message } }),
  )
  const many = Array.from({ length: CHAPTERS_MAX + 3 }, (_, n) =>
    chapterOf({ startedAt: n, endedAt: n + 1, entries, dropped: 7 }),
  )
  const { chapters, chaptersDropped } = written(...many)
  expect([chapters.length, chaptersDropped, chapters.at(-1)?.startedAt]).toEqual([
    ...[CHAPTERS_MAX, 3, CHAPTERS_MAX + 2],
  ])
  const newest = chapters.at(-1)
  expect([newest?.entries.length, newest?.dropped]).toEqual([200, 7])
  expect([chapters[0]?.entries.length, chapters[0]?.dropped]).toEqual([0, 207])
  const cut = chapters.find((one) => one.entries.length > 0 && one.entries.length < 200)
  expect(cut?.entries.at(-1)?.at).toBe(199)
  expect((cut?.entries.length ?? 0) + (cut?.dropped ?? 0)).toBe(207)
})

it('stays below what an actor keeps, whatever comes, and is what its schema says', () => {
  const text = fc.oneof(
    fc.string({ maxLength: 40 }),
    fc.integer({ min: 1, max: 9_000 }).map((length) => '\u0001'.repeat(length)),
  )
  const given = fc.record({
    thread: text,
    startedAt: fc.integer({ min: 0, max: 30 }),
    endedAt: fc.integer({ min: 0, max: 30 }),
    reason: fc.option(text),
    entries: fc.array(
      fc
        .record({ message: text, worker: text, event: text, by: text })
        .map(({ message, ...one }) =>
          entryOf(1, { ...one, error: { level: 'critical', message } }),
        ),
      { maxLength: 40 },
    ),
  })
  fc.assert(
    fc.property(fc.array(given, { maxLength: 12 }), (list) => {
      const all = written(...list.map(chapterOf))
      for (const one of all.chapters) expect(chapter.parse(one)).toEqual(one)
      expect(Buffer.byteLength(JSON.stringify(all))).toBeLessThan(HISTORY_BYTES_MAX * 1.25)
      expect(pack(all).length).toBeLessThan(256 * 1024)
    }),
    { numRuns: 60 },
  )
})

it('texts of others are cut to what a person reads', () => {
  const long = 'x'.repeat(5_000)
  const entries = [entryOf(1, { worker: long, error: { level: long, message: long }, by: long })]
  const cut = clipped(chapterOf({ reason: long, thread: long, entries }))
  expect([cut.reason?.length, cut.thread.length]).toEqual([500, 256])
  expect(withChapter(written(cut), chapterOf({ thread: long }))).toBeUndefined()
  const [entry] = cut.entries
  const lengths = [entry?.worker.length, entry?.error?.message.length, entry?.by?.length]
  expect(lengths).toEqual([256, 500, 256])
})

it('what each state took: work, waiting, tries that failed; what people did is no work', () => {
  const error = { level: 'temporary', message: 'it broke' }
  const entries = [
    entryOf(1, { event: 'failed', to: 'TicketAssigned', error, durationMs: 10 }),
    entryOf(2, { event: 'Pause', to: 'TicketAssigned', by: 'ann', durationMs: 0, waitedMs: 5 }),
    entryOf(3),
    entryOf(4, { from: 'PC1Done', to: 'PC2Done', event: 'PC2' }),
    entryOf(5, { from: 'NoSuchState', to: 'Finished' }),
  ]
  expect(stageTotals('sealer', entries)).toEqual([
    {
      ...{ state: 'TicketAssigned', stage: 'PC1', count: 1, failures: 1 },
      ...{ workMs: 1_010, waitedMs: 505 },
    },
    { state: 'PC1Done', stage: 'PC2', count: 1, failures: 0, workMs: 1_000, waitedMs: 250 },
    { state: 'NoSuchState', stage: null, count: 1, failures: 0, workMs: 1_000, waitedMs: 250 },
  ])
})

it('a line per entry, as JSON or CSV', () => {
  const error = { level: 'permanent', message: 'no "proof",\nnone at all' }
  const chapters = [chapterOf({ entries: [entryOf(0, { error })] }), chapterOf({ plan: 'unseal' })]
  const csv = [...exportRows(chapters, 'csv')]
  expect(csv[0]).toBe(
    's-t010000-2,sealer,1,Finished,1970-01-01T00:00:00.000Z,PC1,TicketAssigned,PC1Done,w1,' +
      'w1~store1-0a1b2c,1000,250,permanent,"no ""proof"",\nnone at all",',
  )
  expect(csv).toHaveLength(3)
  const json = [...exportRows(chapters, 'jsonl')].map((line) => JSON.parse(line) as object)
  expect(json[1]).toMatchObject({ chapter: 2, plan: 'unseal', durationMs: 1_000, by: null })
  expect(Object.keys(json[0] ?? {})).toEqual(CSV_HEADER.split(','))
})
