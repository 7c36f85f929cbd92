/**
 * What is remembered of a journal's sequences, over lines whose answers a test gives: it holds for one copy of
 * the stream, as read on one line.
 */
import { expect, it } from 'vitest'
import { type Connection, NatsJournal } from '../../../src/adapters/nats/index.ts'
import { SystemClock } from '../../../src/adapters/system/index.ts'
import { until } from '../../waiting.ts'
import { LineLog } from './connections.ts'

const CLUSTER = 'main'
const SHARD = 1
const SERVERS = ['first', 'second']
const PATIENCE = { timeoutMs: 10_000 }

/** A line to a server that says of each sequence which slot stands there; answers may be kept back. */
class ScriptedLine {
  readonly kept: (() => void)[] = []
  readonly #life: string
  readonly #replicas: number
  readonly #slots: Readonly<Record<number, number>>
  isKeeping = false
  #lost = () => {}

  /** @param slots by sequence; what is not there was removed */
  constructor(life: string, replicas: number, slots: Readonly<Record<number, number>>) {
    this.#life = life
    this.#replicas = replicas
    this.#slots = slots
  }

  get connection(): Connection {
    return {
      nats: { info: { server_name: 'n1', server_id: this.#life, version: '2.9.10' } },
      silence: { nowMs: 0, end: () => {}, isEnough: () => false },
      isConnected: true,
      payloadBytesMax: 1_000,
      listen: ({ lost }: { lost: () => void }) => {
        this.#lost = lost
        return { stop: () => {} }
      },
      request: (subject: string, payload: string) =>
        new Promise((resolve) => {
          const query = JSON.parse(payload) as { seq?: number }
          const isRead = subject.includes('.MSG.GET.')
          const body = isRead ? this.#message(query.seq ?? 0) : this.#info(subject)
          const answer = () => resolve({ data: Buffer.from(JSON.stringify(body)) })
          if (isRead && this.isKeeping) this.kept.push(answer)
          else answer()
        }),
      close: () => Promise.resolve(),
    } as unknown as Connection
  }

  lose(): void {
    this.#lost()
  }

  #info(subject: string): object {
    const sequences = Object.keys(this.#slots).map(Number)
    const replica = { name: 'n2', current: true, active: 0 }
    const replicas = this.#replicas
    return {
      config: {
        name: subject.slice(subject.lastIndexOf('.') + 1),
        subjects: [`troupe.${CLUSTER}.journal.${SHARD}.*`],
        ...{ retention: 'limits', storage: 'file', discard: 'new', num_replicas: replicas },
        ...{ max_msgs: -1, max_bytes: -1, max_age: 0, max_msgs_per_subject: -1, max_msg_size: -1 },
      },
      created: 'once',
      ...(replicas > 1 && { cluster: { leader: 'n1', replicas: [replica, replica] } }),
      state: {
        messages: sequences.length,
        first_seq: Math.min(...sequences),
        last_seq: Math.max(...sequences),
      },
    }
  }

  #message(seq: number): object {
    const slot = this.#slots[seq]
    if (slot === undefined) return { error: { code: 404, err_code: 10_037 } }
    const hdrs = Buffer.from(`NATS/1.0\r\nTroupe-Slot: ${slot}\r\n\r\n`).toString('base64')
    const subject = `troupe.${CLUSTER}.journal.${SHARD}.${slot}`
    return { message: { subject, seq, time: '', hdrs, data: '' } }
  }
}

/** A journal that is given these lines, one after the other. */
function journalOver(replicas: number, lines: readonly ScriptedLine[]) {
  let opened = 0
  const open = () => Promise.resolve(lines[Math.min(opened++, lines.length - 1)]!.connection)
  const deps = { cluster: CLUSTER, replicas, servers: SERVERS, open }
  const journal = new NatsJournal({ ...deps, clock: new SystemClock(), log: new LineLog() })
  const end = () =>
    new Promise<{ kind: string; lastSlot?: number }>((resolve) => journal.end(SHARD, resolve))
  const lastSlot = () =>
    until(
      async () => {
        const { kind, lastSlot } = await end()
        return kind === 'known' ? lastSlot : undefined
      },
      PATIENCE,
      'the end of the journal',
    )
  return { end, lastSlot }
}

/** With one that was removed before the last, and as it was written again without that. */
const BEFORE = { 1: 1, 2: 2, 4: 3 }
const AFTER = { 1: 1, 2: 2, 3: 3, 4: 4 }

it.each([1, 3])(
  'of %s replicas, a new line finds nothing of what the one before showed',
  async (replicas) => {
    const before = new ScriptedLine('life 1', replicas, BEFORE)
    const after = new ScriptedLine('life 2', replicas, AFTER)
    const { lastSlot } = journalOver(replicas, [before, after])
    expect(await lastSlot()).toBe(3)
    before.lose()
    expect(await lastSlot()).toBe(4)
  },
)

it('a look that began on the line before leaves nothing behind', async () => {
  const before = new ScriptedLine('life 1', 1, BEFORE)
  const after = new ScriptedLine('life 2', 1, AFTER)
  const { end, lastSlot } = journalOver(1, [before, after])
  before.isKeeping = true
  const looks: Promise<unknown>[] = []
  const isWaiting = () => {
    looks.push(end())
    return before.kept.length >= 2
  }
  await until(isWaiting, PATIENCE, 'a look that waits for both ends')
  before.lose()
  expect(await lastSlot()).toBe(4)
  for (const answer of before.kept) answer()
  await Promise.all(looks)
  expect(await lastSlot(), 'what the new line showed is still known').toBe(4)
})
