/** What becomes of requests while a server does not let us hear answers, without any server. */
import type { Msg, NatsConnection, Payload, PublishOptions, SubscriptionOptions } from 'nats'
import { describe, expect, it } from 'vitest'
import { VirtualClock } from '../../../src/adapters/memory/index.ts'
import {
  type Connection,
  type ConnectionListener,
  NatsTransport,
} from '../../../src/adapters/nats/index.ts'
import { Requests } from '../../../src/adapters/nats/requests.ts'
import type { TransportOutcome } from '../../../src/ports/index.ts'
import { LineLog } from './connections.ts'

const TIMEOUT_MS = 60_000
const NOTHING = Buffer.alloc(0)

/** The library, as it is towards a server that answers whatever is asked, where it may. */
class FakeLibrary {
  mayHear = false
  denied: (subject: string) => void = () => {}
  readonly #heard = new Map<string, SubscriptionOptions['callback']>()

  subscribe(subject: string, { callback }: SubscriptionOptions): { unsubscribe(): void } {
    this.#heard.set(subject, callback)
    return { unsubscribe: () => this.#heard.delete(subject) }
  }

  publish(_subject: string, data: Payload, { reply = '' }: PublishOptions = {}): void {
    const pattern = `${reply.slice(0, reply.lastIndexOf('.'))}.*`
    queueMicrotask(() => {
      const callback = this.#heard.get(pattern)
      if (this.mayHear) return callback?.(null, { subject: reply, data } as Msg)
      // It gives the subscription up.
      if (!this.#heard.delete(pattern)) return
      callback?.(new Error('not allowed') as Parameters<NonNullable<typeof callback>>[0], {} as Msg)
      this.denied(pattern)
    })
  }
}

describe('answers that the server does not let us hear', () => {
  it('are heard by requests as soon as it does', async () => {
    const library = new FakeLibrary()
    const requests = new Requests(
      library as unknown as NatsConnection,
      new VirtualClock(),
      undefined,
    )
    const ask = () => requests.ask('a', 'x', { timeout: TIMEOUT_MS })
    await expect(ask()).rejects.toThrow('not allowed')
    await expect(ask(), 'told at once, every time').rejects.toThrow('not allowed')
    library.mayHear = true
    expect((await ask()).data).toBe('x')
  })

  it('are heard by the transport as soon as it does', async () => {
    const library = new FakeLibrary()
    const clock = new VirtualClock()
    const listen = (listener: ConnectionListener) => {
      library.denied = (subject) => listener.denied?.('subscription', subject)
      return { stop: () => {} }
    }
    const connection = { nats: library, isConnected: true, payloadBytesMax: 1_024, listen }
    const transport = new NatsTransport({
      connection: connection as unknown as Connection,
      clock,
      log: new LineLog(),
    })
    const ask = async () => {
      let outcome: TransportOutcome | undefined
      const request = { subject: 'a', payload: NOTHING, timeoutMs: TIMEOUT_MS }
      transport.request(request, (told) => {
        outcome = told
      })
      await new Promise<void>((resolve) => setImmediate(resolve))
      clock.advance(0)
      return outcome?.kind
    }
    expect([await ask(), await ask()]).toEqual(['timeout', 'timeout'])
    library.mayHear = true
    expect(await ask()).toBe('reply')
    transport.close()
  })
})
