/** The audit trail of many actors: read in bounded parts, whole and in order. */
import { expect, it } from 'vitest'
import {
  type AuditView,
  type Outcome,
  pack,
  type ShardAudit,
  type ShardQuery,
  shardOf,
  unpack,
} from '../../src/protocol/index.ts'
import { counter, open, restart, start } from './support.ts'

type H = ReturnType<typeof open>

/** Rows that one answer may look at. */
const SCAN_MAX = 5

/** Every question to a shard, as it travelled, with what was answered. */
function questionsOf(h: H): { shard: number; query: ShardQuery; answer: ShardAudit }[] {
  const seen: ReturnType<typeof questionsOf> = []
  const { transport } = h
  const request = transport.request.bind(transport)
  transport.request = (asked, done) => {
    const shard = Number(/\d+$/.exec(asked.subject)?.[0])
    request(asked, (outcome) => {
      if (outcome.kind === 'reply' && asked.subject.includes('query')) {
        const { ok } = unpack(outcome.payload) as Outcome & { ok: ShardAudit }
        seen.push({ shard, query: unpack(asked.payload) as ShardQuery, answer: ok })
      }
      done(outcome)
    })
  }
  return seen
}

async function paused(actors: number, rounds: number, shardCount = 1): Promise<H> {
  const limits = { scanCountMax: SCAN_MAX, pageCountMax: SCAN_MAX }
  const h = open([counter], { shardCount, limits })
  for (let n = 0; n < actors; n++) await start(h, `counter/${n}`)
  for (let round = 0; round < rounds; round++) {
    for (let n = 0; n < actors; n++) {
      await h.run(h.client.pause(`counter/${n}`, { reason: `${round}` }))
      await h.run(h.client.resume(`counter/${n}`))
      await h.advance(1)
    }
  }
  return h
}

it('one actor among many is found part by part, the newest first', async () => {
  const h = await paused(12, 2)
  const seen = questionsOf(h)
  const trail = await h.run(h.client.audit({ address: 'counter/3', limit: SCAN_MAX }))
  expect(trail.map(({ operation }) => operation)).toEqual(['resume', 'pause', 'resume', 'pause'])
  expect(trail.map(({ detail }) => detail)).toMatchObject([
    {},
    { reason: '1' },
    {},
    { reason: '0' },
  ])
  expect(seen.length).toBeGreaterThanOrEqual(48 / SCAN_MAX)
  expect(Math.max(...seen.map(({ answer }) => answer.rows.length))).toBeLessThanOrEqual(2)
})

it('parts joined are the whole, whatever their size, with rows of one millisecond', async () => {
  const h = await paused(6, 2)
  const whole = restart(h, [counter], { limits: {} })
  const all = await whole.run(whole.client.audit({ limit: 1_000 }))
  expect(all).toHaveLength(24)
  for (const limit of [1, 2, 3, 7]) {
    const rows: AuditView[] = []
    let after: Uint8Array | undefined
    do {
      const query: ShardQuery = { kind: 'audit', limit, ...(after ? { after } : {}) }
      const answer = await ask(whole, query)
      rows.push(...answer.rows)
      after = answer.next
    } while (after)
    expect(rows).toEqual(all)
  }
})

it('only the shard of the actor is asked', async () => {
  const h = await paused(4, 1, 4)
  const seen = questionsOf(h)
  await h.run(h.client.audit({ address: 'counter/1', limit: 2 }))
  expect(new Set(seen.map(({ shard }) => shard))).toEqual(new Set([shardOf('counter/1', 4)]))
})

it('an answer ends before it becomes too large to travel', async () => {
  const h = open([counter], { shardCount: 1 })
  await start(h, 'counter/a')
  const blob = 'x'.repeat(100_000)
  for (let n = 0; n < 6; n++) await h.run(h.client.patch('counter/a', { blob }))
  const answer = await ask(h, { kind: 'audit', limit: 1_000 })
  expect(answer.rows.length).toBe(3)
  expect(answer.next).toBeDefined()
  expect(await h.run(h.client.audit())).toHaveLength(6)
})

function ask(h: H, query: ShardQuery): Promise<ShardAudit> {
  const asked = new Promise<ShardAudit>((resolve, reject) => {
    h.engines[0]?.query(query, (outcome) => {
      if ('ok' in outcome) resolve(unpack(pack(outcome.ok)) as ShardAudit)
      else reject(new Error(outcome.error.message))
    })
  })
  return h.run(asked)
}
