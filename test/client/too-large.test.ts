/** What a transport cannot carry in one message is sent in smaller ones, or refused by its name. */
import { expect, test } from 'vitest'
import { MemoryTransport, SeededRandom, VirtualClock } from '../../src/adapters/memory/index.ts'
import { Client } from '../../src/client/index.ts'
import {
  type Command,
  type Outcome,
  pack,
  resolveLimits,
  subjectsOf,
  unpack,
} from '../../src/protocol/index.ts'

const PAYLOAD_BYTES_MAX = 4_096

/** A shard that answers each command with so many bytes. */
function rig(answerBytes: number) {
  const clock = new VirtualClock()
  const transport = new MemoryTransport({ clock, payloadBytesMax: PAYLOAD_BYTES_MAX })
  const subjects = subjectsOf('test')
  const requests: Command[][] = []
  transport.subscribe(subjects.shard(0), {}, ({ payload, reply }) => {
    const commands = unpack(payload) as Command[]
    requests.push(commands)
    const outcomes = commands.map(({ id }): Outcome => {
      return { ok: { id, rest: 'x'.repeat(answerBytes) }, durability: 'flushed' }
    })
    reply?.(pack(outcomes))
  })
  transport.subscribe(subjects.query(0), {}, ({ reply }) => {
    reply?.(new Uint8Array(PAYLOAD_BYTES_MAX + 1))
  })
  const client = new Client({
    transport,
    subjects,
    clock,
    random: new SeededRandom(1),
    limits: resolveLimits(),
    shardCount: 1,
  })
  return { clock, client, requests }
}

async function sendTen(eventBytes: number, answerBytes: number) {
  const { clock, client, requests } = rig(answerBytes)
  const event = { type: 'A', rest: 'x'.repeat(eventBytes) }
  const sent = Promise.allSettled(Array.from({ length: 10 }, () => client.send('m/x', event)))
  await clock.settle(1_000)
  return { requests, outcomes: await sent }
}

test('commands that are too large together are sent apart', async () => {
  const { requests, outcomes } = await sendTen(1_000, 1)
  expect(outcomes.map(({ status }) => status)).toEqual(new Array(10).fill('fulfilled'))
  expect(requests.map((commands) => commands.length)).toEqual([3, 3, 3, 1])
})

test('commands of one turn arrive in order, whatever they have to be sent in', async () => {
  const { clock, client, requests } = rig(1)
  const sizes = [3_000, 3_000, 3_000, 10, 10, 10, 3_000]
  const sent = sizes.map((size, number) =>
    client.send('m/x', { type: 'A', number, rest: 'x'.repeat(size) }),
  )
  await clock.settle(1_000)
  await Promise.all(sent)
  const numbers = requests.flat().map((one) => one.op === 'send' && one.event['number'])
  expect(numbers).toEqual([0, 1, 2, 3, 4, 5, 6])
})

test('commands whose answers are too large together are asked again apart, by the same ids', async () => {
  const { requests, outcomes } = await sendTen(1, 1_000)
  expect(outcomes.map(({ status }) => status)).toEqual(new Array(10).fill('fulfilled'))
  expect(new Set(requests.flat().map(({ id }) => id)).size).toBe(10)
})

test('a command that is too large alone is refused, and was not applied', async () => {
  const { requests, outcomes } = await sendTen(PAYLOAD_BYTES_MAX, 1)
  expect(requests).toEqual([])
  for (const outcome of outcomes) {
    expect(outcome).toMatchObject({ reason: { code: 'too-large', retry: false } })
  }
})

test('an answer that is too large alone is told as such', async () => {
  const { outcomes } = await sendTen(1, PAYLOAD_BYTES_MAX)
  expect(outcomes[0]).toMatchObject({ reason: { code: 'too-large' } })
  expect(String((outcomes[0] as { reason: unknown }).reason)).toContain('is done')
  const { clock, client } = rig(1)
  const asked = client.audit({ limit: 1 })
  asked.catch(() => {})
  await clock.settle(1_000)
  await expect(asked).rejects.toMatchObject({ code: 'too-large' })
})
