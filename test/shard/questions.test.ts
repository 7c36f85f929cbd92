/** Lists that many ask for at once are answered a few at a time, and past a bound the asker is told. */
import { expect, it } from 'vitest'
import type { Outcome } from '../../src/protocol/index.ts'
import { counter, open, start } from './support.ts'

const LIST = { kind: 'actors', filter: {}, sort: { by: 'id' }, limit: 10 } as const

it('a crowd of queries leaves room for commands', async () => {
  const limits = { queriesPerBatchMax: 4 }
  const h = open([counter], { shardCount: 1, limits })
  await start(h, 'counter/a')
  const answers: Outcome[] = []
  for (let n = 0; n < 100; n++) h.engines[0]!.query(LIST, (answer) => answers.push(answer))
  let answered = -1
  h.engines[0]!.submit({ op: 'get', address: 'counter/a' }, 10, () => {
    answered = answers.length
  })
  await h.advance(10)
  expect(answered).toBeGreaterThanOrEqual(0)
  expect(answered).toBeLessThanOrEqual(4)
  expect(answers).toHaveLength(100)
  for (const answer of answers) expect(answer).toMatchObject({ ok: { rows: [{}] } })
})

it('a query too many is told that the shard is busy', async () => {
  const limits = { mailboxCountMax: 20, batchCountMax: 10 }
  const h = open([counter], { shardCount: 1, limits })
  await h.advance(0)
  const codes: (string | undefined)[] = []
  const note = (answer: Outcome) => codes.push('error' in answer ? answer.error.code : undefined)
  for (let n = 0; n < 30; n++) h.engines[0]!.query(LIST, note)
  expect(codes).toEqual(Array.from({ length: 10 }, () => 'busy'))
  await h.advance(10)
  expect(codes.slice(10)).toEqual(Array.from({ length: 20 }, () => undefined))
})

it('a callback that emits without end fills the mailbox, not the memory', async () => {
  const limits = { mailboxCountMax: 20, batchCountMax: 10 }
  const h = open([counter], { shardCount: 1, limits })
  await h.advance(0)
  const [engine] = h.engines
  for (let n = 0; n < 1_000; n++) engine!.liveEvent('counter/a', 'x', { type: 'ADD' })
  expect(engine!.status().mailboxCount).toBe(20)
  await h.advance(10)
  expect(engine!.status().mailboxCount).toBe(0)
})
