/** What every `Transport` promises. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { MessageHandler, Transport, TransportOutcome } from '../../src/ports/index.ts'
import { answer, bytes, type Passing, text, until } from './support.ts'

export interface TransportHarness extends Passing {
  transport: Transport
  /** Another party; may be the same object. */
  connect(): Promise<Transport>
  /** Bytes of one message that it takes. */
  payloadBytesMax: number
  /** What handlers have thrown, as the process gets it. */
  thrown: unknown[]
  close(): Promise<void>
}

const TIMEOUT_MS = 1_000

export function transportSuite(name: string, create: () => Promise<TransportHarness>): void {
  describe(`transport: ${name}`, () => {
    let harness: TransportHarness
    let transport: Transport
    beforeEach(async () => {
      harness = await create()
      transport = harness.transport
    })
    afterEach(() => harness.close())

    const subscribe = async (
      subject: string,
      handle: MessageHandler,
      queue?: string,
      by = transport,
    ): Promise<{ unsubscribe(): void }> => {
      const subscription = by.subscribe(subject, queue === undefined ? {} : { queue }, handle)
      // A server has to learn of it first.
      await harness.elapse(20)
      return subscription
    }
    const request = (subject: string, payload: string, timeoutMs = TIMEOUT_MS): Promise<string> =>
      answer<TransportOutcome>(harness, (done) =>
        transport.request({ subject, payload: bytes(payload), timeoutMs }, done),
      ).then((outcome) =>
        outcome.kind === 'reply' ? `reply ${text(outcome.payload)}` : outcome.kind,
      )
    const requestOf = (subject: string, byteCount: number): Promise<TransportOutcome> =>
      answer(harness, (done) => {
        const payload = new Uint8Array(byteCount)
        transport.request({ subject, payload, timeoutMs: TIMEOUT_MS }, done)
      })

    const echo: MessageHandler = ({ payload, reply }) => reply?.(bytes(`to ${text(payload)}`))

    it('stays on one connection as long as none is lost', async () => {
      const first = transport.connection()
      expect(first).toBeTypeOf('number')
      await request('nobody', '')
      expect(transport.connection()).toBe(first)
    })

    it('answers a request with the reply, whole and binary', async () => {
      const other = await harness.connect()
      await subscribe('a.b', echo, undefined, other)
      expect(await request('a.b', 'x')).toBe('reply to x')
      expect(await request('a.b', '\x00\xff')).toBe('reply to \x00\xff')
      expect(await request('a.b', '')).toBe('reply to ')
    })

    it('tells no-responders when nobody listens, before the time is out', async () => {
      await subscribe('a.b', echo)
      expect(await request('a', 'x')).toBe('no-responders')
      expect(await request('a.b.c', 'x')).toBe('no-responders')
      expect(await request('a.c', 'x')).toBe('no-responders')
    })

    it('tells timeout when somebody listens and does not reply; a late reply is nobody’s', async () => {
      let late: ((payload: Uint8Array) => void) | undefined
      await subscribe('slow', ({ reply }) => {
        late = reply
      })
      const outcome = request('slow', 'x', 50)
      expect(await outcome).toBe('timeout')
      late?.(bytes('too late'))
      await harness.elapse(20)
      await subscribe('a', echo)
      expect(await request('a', 'x')).toBe('reply to x')
    })

    it('takes the first reply only', async () => {
      await subscribe('a', ({ reply }) => {
        reply?.(bytes('1'))
        reply?.(bytes('2'))
      })
      expect(await request('a', 'x')).toBe('reply 1')
    })

    it('publishes to all that listen and gives them no way to reply', async () => {
      const seen: string[] = []
      const other = await harness.connect()
      await subscribe('news', ({ subject, payload, reply }) =>
        seen.push(`1 ${subject} ${text(payload)} ${reply === undefined}`),
      )
      await subscribe('news', ({ payload }) => seen.push(`2 ${text(payload)}`), undefined, other)
      transport.publish('news', bytes('x'))
      transport.publish('nobody', bytes('x'))
      await until(harness, () => seen.length >= 2)
      expect(seen.toSorted()).toEqual(['1 news x true', '2 x'])
    })

    it('publishes text as its UTF-8, in its order among other messages', async () => {
      const seen: string[] = []
      const other = await harness.connect()
      await subscribe(
        'news',
        ({ payload }) => seen.push(Buffer.from(payload).toString()),
        undefined,
        other,
      )
      transport.publish('news', 'one €')
      transport.publish('news', bytes('two'))
      transport.publish('news', '')
      transport.publish('news', 'x'.repeat(harness.payloadBytesMax + 1))
      transport.publish('news', '€'.repeat(Math.ceil(harness.payloadBytesMax / 2)))
      transport.publish('news', 'three\r\nPUB news 1\r\nx')
      transport.publish('news', bytes('four'))
      await until(harness, () => seen.length >= 5)
      expect(seen).toEqual(['one €', 'two', '', 'three\r\nPUB news 1\r\nx', 'four'])
    })

    it('matches * with one token and a final > with one or more', async () => {
      const seen: string[] = []
      for (const pattern of ['a.*', 'a.>', '*.b', '*', '>', 'a.*.c', 'a.b.>', 'a.b']) {
        await subscribe(pattern, () => seen.push(pattern))
      }
      const expected: [string, string[]][] = [
        ['a', ['*', '>']],
        ['a.b', ['*.b', '>', 'a.*', 'a.>', 'a.b']],
        ['a.x', ['>', 'a.*', 'a.>']],
        ['a.b.c', ['>', 'a.*.c', 'a.>', 'a.b.>']],
        ['x.b', ['*.b', '>']],
        ['a.b.c.d', ['>', 'a.>', 'a.b.>']],
      ]
      for (const [subject, patterns] of expected) {
        seen.length = 0
        transport.publish(subject, bytes(''))
        await until(harness, () => seen.length >= patterns.length, `messages to ${subject}`)
        await harness.elapse(20)
        expect(seen.toSorted()).toEqual(patterns)
      }
    })

    it('never says that nobody hears a subject, or one of a pattern, to which somebody listens', async () => {
      const cases: [string, string[]][] = [
        ['a.b', ['a.b', 'a.*', 'a.>', '*.b', '>']],
        ['a.*', ['a.x', 'a.*', 'a.>', '*.b', '>']],
        ['a.>', ['a.x', 'a.x.y', '*.b', 'a.*.c', '>']],
      ]
      for (const [listened, asked] of cases) {
        for (const subject of asked) transport.hears(subject)
        const subscription = await subscribe(listened, () => {})
        for (const subject of asked) expect(transport.hears(subject), subject).toBe(true)
        subscription.unsubscribe()
      }
    })

    it('lets requests reach wildcards, and tells them the subject', async () => {
      await subscribe('shard.*', ({ subject, reply }) => reply?.(bytes(subject)))
      expect(await request('shard.7', 'x')).toBe('reply shard.7')
      expect(await request('shard', 'x')).toBe('no-responders')
    })

    it('shares messages among the members of a queue; others get all', async () => {
      const counts = [0, 0, 0, 0]
      const count = (i: number) => (): void => void counts[i]!++
      await subscribe('work', count(0), 'q')
      await subscribe('work', count(1), 'q')
      await subscribe('work', count(2), 'other')
      await subscribe('work', count(3))
      for (let i = 0; i < 100; i++) transport.publish('work', bytes(`${i}`))
      await until(harness, () => counts[2]! + counts[3]! >= 200)
      await until(harness, () => counts[0]! + counts[1]! >= 100)
      await harness.elapse(20)
      expect(counts[0]! + counts[1]!).toBe(100)
      expect(counts.slice(2)).toEqual([100, 100])
      expect(Math.min(counts[0]!, counts[1]!)).toBeGreaterThan(10)
    })

    it('forgets a subscription that ended', async () => {
      const subscriptions = [
        await subscribe('a', echo),
        await subscribe('a', echo, 'q'),
        await subscribe('*', echo),
      ]
      expect(await request('a', 'x')).toBe('reply to x')
      for (const subscription of subscriptions) {
        subscription.unsubscribe()
        subscription.unsubscribe()
      }
      await harness.elapse(20)
      expect(await request('a', 'x')).toBe('no-responders')
    })

    it('keeps the order of one sender', async () => {
      const seen: number[] = []
      const other = await harness.connect()
      await subscribe('a', ({ payload }) => seen.push(Number(text(payload))), undefined, other)
      for (let i = 0; i < 1_000; i++) transport.publish('a', bytes(`${i}`))
      await until(harness, () => seen.length >= 1_000)
      expect(seen).toEqual(Array.from({ length: 1_000 }, (_, i) => i))
    })

    it('delivers later than the call, and bytes that nobody else changes', async () => {
      const kept: Uint8Array[] = []
      for (const i of [0, 1]) {
        await subscribe('a', ({ payload }) => {
          kept[i] = payload
          if (i === 0) payload.fill(0)
        })
      }
      const mine = bytes('mine')
      transport.publish('a', mine)
      expect(kept).toEqual([])
      mine.fill(1)
      await until(harness, () => kept.filter(Boolean).length === 2)
      expect([text(kept[0]), text(kept[1])]).toEqual(['\0\0\0\0', 'mine'])
      expect(mine).toEqual(Buffer.alloc(4, 1))
    })

    it('takes messages up to its limit, and says which one was larger', async () => {
      const bytesMax = harness.payloadBytesMax
      const seen: number[] = []
      await subscribe('a', ({ payload, reply }) => {
        seen.push(payload.length)
        reply?.(payload)
      })
      await subscribe('larger', ({ reply }) => reply?.(new Uint8Array(bytesMax + 1)))
      expect(await requestOf('a', bytesMax)).toMatchObject({ kind: 'reply' })
      const request = { kind: 'too-large', what: 'request', bytesMax }
      expect(await requestOf('a', bytesMax + 1)).toEqual(request)
      expect(await requestOf('larger', 1)).toEqual({ ...request, what: 'reply' })
      transport.publish('a', new Uint8Array(bytesMax + 1))
      transport.publish('a', new Uint8Array(1))
      await until(harness, () => seen.includes(1), 'the smaller message')
      expect(seen).toEqual([bytesMax, 1])
    })

    it('goes on after a handler that throws', async () => {
      const seen: string[] = []
      await subscribe('a', ({ payload, reply }) => {
        seen.push(text(payload)!)
        if (text(payload) === 'bad') throw new Error('of a handler')
        reply?.(payload)
      })
      await subscribe('b', ({ payload }) => seen.push(text(payload)!))
      for (const word of ['1', 'bad', '2']) transport.publish('a', bytes(word))
      transport.publish('b', bytes('3'))
      await until(harness, () => seen.length >= 4, 'all messages')
      expect(seen).toEqual(['1', 'bad', '2', '3'])
      expect(harness.thrown.map(String)).toEqual(['Error: of a handler'])
      expect(await request('a', 'x')).toBe('reply x')
    })

    it('gives each of many requests its own reply', async () => {
      await subscribe('a', echo)
      const replies = await Promise.all(
        Array.from({ length: 500 }, (_, i) => request('a', `${i}`, i % 2 ? 5_000 : 6_000)),
      )
      expect(replies).toEqual(replies.map((_, i) => `reply to ${i}`))
    })
  })
}
