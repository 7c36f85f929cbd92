/** What comes after an owner has stopped: what is true is told, and nothing runs any more. */
import { expect, it } from 'vitest'
import { fromCallback } from 'xstate'
import { silentLog } from '../../src/adapters/system/index.ts'
import { tell } from '../../src/machine/index.ts'
import type { TransportOutcome, TransportRequest } from '../../src/ports/index.ts'
import { pack, shardOf, subjectsOf } from '../../src/protocol/index.ts'
import { type Args, counter, host, open, restart, send, start } from './support.ts'

it('a batch that is flushed after the stop is told, and starts no callback', async () => {
  const live = fromCallback(() => {})
  const m = host('m', { invoke: { src: 'live', id: 'live' } }, { actors: { live } })
  const h = open([m], { shardCount: 1 })
  await h.advance(10)
  const write = h.store.write.bind(h.store)
  Object.assign(h.store, {
    write(transaction: Parameters<typeof write>[0]) {
      write(transaction)
      // Behind what makes it visible, before what flushes it.
      h.clock.defer(() => h.engines[0]!.stop())
    },
  })
  expect(await start(h, 'm/1')).toMatchObject({ address: 'm/1' })
  expect(h.engines[0]!.state).toBe('stopped')
  expect(h.liveStarted).toEqual([])
  const next = restart(h, [m])
  await next.advance(10)
  expect(next.liveStarted).toMatchObject([{ address: 'm/1', childId: 'live' }])
})

it('a late answer of another shard is none of its business', async () => {
  const lines: string[] = []
  const line = (_fields: object, message: string) => void lines.push(message)
  const log = { ...silentLog, warn: line, error: line, child: () => log }
  const idOn = (shard: number) =>
    [...'abcdefgh'].map((id) => `counter/${id}`).find((address) => shardOf(address, 2) === shard)!
  const sender = host(
    'sender',
    { on: { GO: { actions: 'go' } } },
    {
      actions: {
        go: tell((({ event }: Args) => ({ to: event.to, event: { type: 'ADD', by: 1 } })) as never),
      },
    },
  )
  const h = open([counter, sender], { shardCount: 2, log })
  const from = shardOf('sender/1', 2)
  const relay = subjectsOf('test').relay(1 - from)
  const request = h.transport.request.bind(h.transport)
  let answer: ((outcome: TransportOutcome) => void) | undefined
  Object.assign(h.transport, {
    request(asked: TransportRequest, done: (outcome: TransportOutcome) => void) {
      if (asked.subject === relay) answer = done
      else request(asked, done)
    },
  })
  await start(h, 'sender/1')
  await send(h, 'sender/1', 'GO', { to: idOn(1 - from) })
  h.engines[from]!.stop()
  answer!({ kind: 'reply', payload: pack({ acked: 9 }) })
  await h.advance(10_000)
  expect(lines).toEqual([])
})
