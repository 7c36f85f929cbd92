/** A link whose node answers as the test wants: what a real one does only once in a while. */
import { afterEach, beforeEach, expect, it } from 'vitest'
import { HttpLink } from '../../src/adapters/http/index.ts'
import { SystemClock, SystemRandom } from '../../src/adapters/system/index.ts'
import type { LinkAnswer, LinkSettlement, LinkTell, TaskDelivery } from '../../src/ports/index.ts'
import { pack, TroupeError, unpack } from '../../src/protocol/index.ts'
import { until } from '../waiting.ts'
import { silentLog } from '../worker/process/real-time.ts'

const SOON = { timeoutMs: 5_000 }

class ScriptedNode {
  /** What it was told, request by request. */
  readonly told: LinkSettlement[][] = []
  isDown = false
  readonly #answers: LinkAnswer[] = []
  #wake: () => void = () => {}

  /** To one of the next questions. */
  answer(number: number, ids: readonly string[]): void {
    const message = { queue: 'q', priority: 0, messageId: 'm', taskId: 't', name: 'n', ticket: 't' }
    const deliveries = ids.map((id) => ({ id, consumer: 1, message }))
    this.#answers.push({ number, deliveries, messages: [] })
    this.#wake()
  }

  async call(name: string, body: Uint8Array, options: { signal?: AbortSignal }) {
    if (name === 'poll') return pack(await this.#next(options.signal))
    if (this.isDown) throw new TroupeError('unavailable', 'nobody is there')
    if (name === 'tell') this.told.push((unpack(body) as LinkTell).settled)
    return pack(null)
  }

  close(): void {}

  async #next(signal: AbortSignal | undefined): Promise<LinkAnswer> {
    for (;;) {
      const answer = this.#answers.shift()
      if (answer) return answer
      await new Promise<void>((resolve) => {
        this.#wake = resolve
        signal?.addEventListener('abort', () => resolve(), { once: true })
      })
      signal?.throwIfAborted()
    }
  }
}

let node: ScriptedNode
let link: HttpLink
let deliveries: TaskDelivery[]

beforeEach(() => {
  node = new ScriptedNode()
  const clock = new SystemClock()
  const random = new SystemRandom()
  link = new HttpLink({ caller: node, instance: 'i', clock, random, log: silentLog })
  deliveries = []
})

afterEach(() => link.close())

const consume = (slots: number) =>
  link.consume({ queue: 'q', slots }, (delivery) => deliveries.push(delivery))

it('an answer that comes twice is taken once', async () => {
  consume(5)
  node.answer(1, ['a'])
  node.answer(1, ['a'])
  node.answer(2, ['b'])
  await until(() => deliveries.length >= 2, SOON, 'both answers')
  expect(deliveries).toHaveLength(2)
})

it('what comes for a consumer that has stopped goes back', async () => {
  const consumer = consume(5)
  node.answer(1, ['a'])
  await until(() => deliveries.length === 1, SOON, 'a delivery')
  consumer.stop()
  node.answer(2, ['b'])
  const back = { delivery: 'b', how: 'retry', delayMs: 0 }
  await until(() => node.told.flat().length > 0, SOON, 'it to be given back')
  expect(node.told.flat()).toEqual([back])
  expect(deliveries).toHaveLength(1)
})

it('after a long outage settlements are told in parts, and work once for each task', async () => {
  const count = 2_500
  consume(count)
  node.isDown = true
  node.answer(
    1,
    Array.from({ length: count }, (_, n) => `d${n}`),
  )
  await until(() => deliveries.length === count, SOON, 'all to come')
  for (let round = 0; round < 5; round++) for (const one of deliveries) one.working()
  for (const one of deliveries.slice(1)) one.ack()
  node.isDown = false
  const all = () => node.told.flat()
  await until(() => all().length >= count, { timeoutMs: 10_000 }, 'all to be told')
  expect(Math.max(...node.told.map((part) => part.length))).toBeLessThanOrEqual(1_000)
  expect(all().filter(({ how }) => how === 'ack')).toHaveLength(count - 1)
  expect(all().filter(({ how }) => how === 'working')).toEqual([{ delivery: 'd0', how: 'working' }])
})
