/**
 * Actors of every kind, as a node that was alone leaves them, and what must become of them in a cluster: all
 * that was under way goes on, once.
 */
import { readFileSync } from 'node:fs'
import type { Client } from '../../src/index.ts'
import { shardOf } from '../../src/protocol/index.ts'
import { until } from '../waiting.ts'
import { WARD } from './wards.ts'

/** As every node that is alone has. */
export const SHARDS = 64

/** With a timer, a task on a worker, an event that is kept, messages from another shard. */
const KINDS = ['timer', 'task', 'kept', 'told'] as const
type Kind = (typeof KINDS)[number]
const STILL: readonly Kind[] = ['task', 'kept', 'told']

const TIMER_MS = 1_000
const WAIT = { timeoutMs: 40_000, every: 100 }
const CALL = { timeoutMs: 15_000 }
/** As many calls as are under way at once. */
const CALLS_AT_ONCE = 64

export class WardSet {
  readonly addresses: readonly string[]
  readonly #ranFile: string

  constructor(count: number, ranFile: string) {
    this.addresses = Array.from({ length: count }, (_, n) => `${WARD}/${n}`)
    this.#ranFile = ranFile
  }

  /** On a node without a worker: tasks wait. */
  async fill(client: Client): Promise<void> {
    await each(this.addresses, async (address) => {
      await client.start(address)
      await client.send(address, note('alone'))
      if (this.#of('timer').includes(address))
        await client.send(address, { type: 'SET', ms: TIMER_MS })
      if (this.#of('task').includes(address)) await client.send(address, { type: 'WORK' })
      if (!this.#of('kept').includes(address)) return
      await client.pause(address, { reason: 'lunch' })
      await client.send(address, note('kept'))
    })
    await this.#pass(client, 'first')
    await this.#all(client, 'told', { seen: ['alone', 'first'] })
  }

  /** All that is said of those that nothing happens to by itself; to tasks only where there is a worker. */
  async still(client: Client, kinds: readonly Kind[] = STILL): Promise<unknown[]> {
    const of = kinds.flatMap((kind) => this.#of(kind))
    const views = await each(of, (one) => client.get(one, CALL))
    const histories = await each(of, (one) => client.history(one, CALL))
    // One of them may be of a journal.
    return [views.map((view) => ({ ...view, durability: undefined })), histories]
  }

  /** @throws Error saying which kind is not as it has to be */
  async goesOn(client: Client): Promise<void> {
    await each(this.#of('kept'), (one) => client.resume(one, CALL))
    await this.#pass(client, 'second')
    await this.#all(client, 'timer', { rang: 1 })
    await this.#all(client, 'task', { worked: 1 })
    await this.#all(client, 'kept', { seen: ['alone', 'kept'] })
    await this.#all(client, 'told', { seen: ['alone', 'first', 'second'] })
    const ran = readFileSync(this.#ranFile, 'utf8').trim().split('\n')
    const [times, tasks] = [ran.length, this.#of('task').length]
    if (times !== tasks || new Set(ran).size !== tasks)
      throw new Error(`${tasks} tasks ran ${times} times`)
  }

  #of(kind: Kind): string[] {
    return this.addresses.filter((_, n) => KINDS[n % KINDS.length] === kind)
  }

  /** Each is told by an actor on another shard. */
  async #pass(client: Client, text: string): Promise<void> {
    const told = this.#of('told')
    await each(told, (to) => {
      const shard = shardOf(to, SHARDS)
      const from = told.find((one) => shardOf(one, SHARDS) !== shard)!
      return client.send(from, { type: 'PASS', to, text }, CALL)
    })
  }

  async #all(client: Client, kind: Kind, expected: Record<string, unknown>): Promise<void> {
    let odd: unknown
    const areAll = async () => {
      const found = await each(this.#of(kind), async (one) => {
        const { context } = await client.get(one, CALL)
        return context as Record<string, unknown>
      })
      odd = found.find((context) =>
        Object.entries(expected).some(
          ([name, value]) => JSON.stringify(context[name]) !== JSON.stringify(value),
        ),
      )
      return odd === undefined
    }
    await until(areAll, WAIT, () => `${kind}: ${JSON.stringify(odd)}`)
  }
}

export function note(text: string): { type: 'NOTE'; text: string } {
  return { type: 'NOTE', text }
}

/** Some at once, with what each of them gives. */
async function each<T, R>(items: readonly T[], act: (item: T) => Promise<R>): Promise<R[]> {
  const results = new Array<R>(items.length)
  let next = 0
  const work = async () => {
    while (next < items.length) {
      const at = next++
      results[at] = await act(items[at]!)
    }
  }
  await Promise.all(Array.from({ length: CALLS_AT_ONCE }, work))
  return results
}
