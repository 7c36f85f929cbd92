/** Rows that do not fit into one message come in several: no list misses one, or has one twice. */
import { expect, it } from 'vitest'
import { tell } from '../../src/machine/index.ts'
import { unpack } from '../../src/protocol/index.ts'
import type { Harness } from '../shard/harness.ts'
import { type Args, code, host, open, send, start } from '../shard/support.ts'

const PAYLOAD_BYTES_MAX = 4_096
const COUNT = 60

const book = host(
  'book',
  { initial: 'on', states: { on: { on: { LEND: { actions: 'lend' } } } } },
  {
    actions: {
      lend: tell((({ event }: Args) => ({
        to: 'book/nobody',
        event: { type: 'LEND', text: event.text.padEnd(200, ' ') },
      })) as never),
    },
  },
  { index: () => ({ title: 'x'.repeat(200) }) },
)

async function library(): Promise<{ h: Harness; wanted: string[] }> {
  const h = open([book], { shardCount: 3, payloadBytesMax: PAYLOAD_BYTES_MAX })
  const wanted = Array.from({ length: COUNT }, (_, n) => `book/${n}`).sort()
  for (const address of wanted) await start(h, address)
  return { h, wanted }
}

/** The rows that each question asked for, of those asked from now on. */
function limitsAsked({ transport }: Harness): number[] {
  const limits: number[] = []
  const request = transport.request.bind(transport)
  transport.request = (asked, done) => {
    if (asked.subject.includes('query'))
      limits.push((unpack(asked.payload) as { limit: number }).limit)
    request(asked, done)
  }
  return limits
}

it.each(['list', 'scan'] as const)('a %s has every row once', async (kind) => {
  const { h, wanted } = await library()
  const limits = limitsAsked(h)
  const found: string[] = []
  let cursor: string | undefined
  do {
    const query = { filter: { machine: 'book' }, limit: 50, ...(cursor && { cursor }) }
    const page = await h.run(h.client[kind](query))
    found.push(...page.rows.map(({ address }) => address))
    cursor = page.cursor
  } while (cursor !== undefined)
  expect(kind === 'list' ? found : found.sort()).toEqual(wanted)
  expect(limits[0]).toBe(50)
  expect(Math.min(...limits)).toBeLessThan(25)
})

it('what was too much for one answer is asked for once in a call', async () => {
  const { h } = await library()
  const limits = limitsAsked(h)
  await h.run(h.client.scan({ filter: { machine: 'book' }, limit: 50 }))
  expect(limits).toEqual([...limits].sort((a, b) => b - a))
})

it('trails and dead letters have all their rows, the newest first', async () => {
  const { h } = await library()
  const letters: string[] = []
  for (let n = 0; n < COUNT; n++) {
    await send(h, `book/${n}`, 'LEND', { text: `${n}` })
    await h.run(h.client.pause(`book/${n}`, { reason: `${n}`.padEnd(200, ' ') }))
    await h.advance(1)
    letters.unshift(`${n}`)
  }
  const found = await h.run(h.client.deadLetters(1_000))
  expect(found.map(({ event }) => (event as unknown as Args['event']).text.trim())).toEqual(letters)
  expect(await h.run(h.client.deadLetters(7))).toEqual(found.slice(0, 7))
  const trail = await h.run(h.client.audit({ limit: 1_000 }))
  const reasons = trail.map(({ detail }) => (detail as { reason: string }).reason.trim())
  expect(reasons).toEqual(letters)
})

it('a row that is too large alone is told as such', async () => {
  const large = host(
    'large',
    { initial: 'on', states: { on: {} } },
    {},
    {
      index: () => ({ title: 'x'.repeat(PAYLOAD_BYTES_MAX) }),
    },
  )
  const h = open([large], { shardCount: 1, payloadBytesMax: PAYLOAD_BYTES_MAX })
  await start(h, 'large/1')
  expect(await code(h, h.client.list({ filter: { machine: 'large' } }))).toBe('too-large')
})

it('a shard bounds what it reads of dead letters for one answer', async () => {
  const h = open([book], { shardCount: 1, limits: { payloadBytesMax: 2_048 } })
  await start(h, 'book/1')
  for (let n = 0; n < 20; n++) await send(h, 'book/1', 'LEND', { text: `${n}` })
  const limits = limitsAsked(h)
  expect(await h.run(h.client.deadLetters(20))).toHaveLength(20)
  expect(limits.length).toBeGreaterThan(2)
})
