/** What a sender does when the target of a channel knows less, or more, than it should. */
import { describe, expect, it } from 'vitest'
import { MemoryStore, SeededRandom, VirtualClock } from '../../src/adapters/memory/index.ts'
import { silentLog } from '../../src/adapters/system/index.ts'
import type { Transport } from '../../src/ports/index.ts'
import {
  pack,
  type RelayReply,
  type RelayRequest,
  resolveLimits,
  subjectsOf,
  unpack,
} from '../../src/protocol/index.ts'
import { Batch } from '../../src/shard/batch.ts'
import { Channels } from '../../src/shard/channels.ts'
import { generationsOf } from '../../src/shard/lineage.ts'

const TARGET = 1
const limits = resolveLimits()

/** The channels of shard 0, whose target answers as it is told. */
class Sender {
  readonly clock = new VirtualClock()
  readonly store = new MemoryStore({ clock: this.clock })
  readonly requests: RelayRequest[] = []
  readonly answers: RelayReply[] = []
  readonly channels: Channels
  isChanged = false
  #slot = 0

  constructor() {
    const { clock, store } = this
    const request: Transport['request'] = ({ payload }, done) => {
      this.requests.push(unpack(payload) as RelayRequest)
      const answer = this.answers.shift()
      clock.after(1, () =>
        done(answer ? { kind: 'reply', payload: pack(answer) } : { kind: 'no-responders' }),
      )
    }
    this.channels = new Channels({
      ...{ shard: 0, store, clock, limits, log: silentLog, subjects: subjectsOf('test') },
      transport: { request } as Transport,
      random: new SeededRandom(1),
      changed: () => {
        this.isChanged = true
      },
    })
    this.channels.load()
  }

  /** One commit with so many messages; whatever else there is to do goes with it, if there is room. */
  commit(count = 0, { hasRoom = true } = {}): void {
    const { channels, store, clock } = this
    this.#slot += 1
    const batch = new Batch(this.#slot, clock.now())
    const event = { type: 'NOTE' }
    const message = { from: 'a/1', to: 'b/1', event }
    if (count > 0)
      batch.outgoing.set(
        TARGET,
        Array.from({ length: count }, () => message),
      )
    this.isChanged = false
    channels.write(batch)
    if (hasRoom) channels.removeAcknowledged(batch)
    store.write({ writes: batch.writes, failed: () => {} })
    clock.advance(0)
    channels.committed(batch)
  }

  /** Whatever the target was asked since, in short. */
  async asked(ms = limits.channelResendMs): Promise<object[]> {
    await this.clock.settle(ms)
    return this.requests.splice(0).map(({ generation, lineage, oldest, first, messages }) => ({
      ...{ oldest, first, count: messages.length },
      ...(lineage && { generation, lineage }),
    }))
  }
}

describe('a target that has forgotten messages', () => {
  it('gets those that are still here again, and all that come after', async () => {
    const sender = new Sender()
    sender.answers.push({ acked: 3 })
    sender.commit(3)
    expect(await sender.asked()).toEqual([{ oldest: 1, first: 1, count: 3 }])
    sender.answers.push({ expected: 2 }, { acked: 4 })
    // Its acknowledgement has come, and no commit since that takes them away.
    sender.commit(1, { hasRoom: false })
    expect(await sender.asked(5_000)).toEqual([
      { oldest: 1, first: 4, count: 1 },
      { oldest: 1, first: 2, count: 3 },
    ])
    expect(sender.channels.waitingFor(TARGET)).toBe(0)
  })

  it('is told from which one on they are still here', async () => {
    const sender = new Sender()
    sender.answers.push({ acked: 3 })
    sender.commit(3)
    await sender.asked()
    sender.commit()
    sender.answers.push({ expected: 2 }, { acked: 4 })
    sender.commit(1)
    expect(await sender.asked(5_000)).toEqual([
      { oldest: 4, first: 4, count: 1 },
      { oldest: 4, first: 4, count: 1 },
    ])
    expect(sender.channels.waitingFor(TARGET)).toBe(0)
  })
})

describe('a target that knows a newer generation', () => {
  it('is sent the same messages under one above it, once that is committed', async () => {
    const sender = new Sender()
    sender.answers.push({ above: 70 })
    sender.commit(2)
    expect(await sender.asked(50)).toEqual([{ oldest: 1, first: 1, count: 2 }])
    expect([sender.isChanged, generationsOf(0, sender.store)]).toEqual([true, []])
    sender.answers.push({ above: 70 }, { acked: 3 })
    sender.commit(1)
    const [generation] = generationsOf(0, sender.store)
    expect(generation).toBeGreaterThan(70)
    const begun = { generation, lineage: [[generation, 4]] }
    const request = { oldest: 1, first: 1, count: 3, ...begun }
    expect(await sender.asked(5_000)).toEqual([request, request])
    sender.commit()
    expect(generationsOf(0, sender.store), 'one is enough').toEqual([generation])
  })

  it('reads the same after a restart, whichever channels had messages since', async () => {
    const sender = new Sender()
    sender.answers.push({ above: 70 })
    sender.commit(2)
    await sender.asked(50)
    sender.commit()
    const [generation] = generationsOf(0, sender.store)
    const { clock, store } = sender
    const requests: RelayRequest[] = []
    const request: Transport['request'] = ({ payload }) => {
      requests.push(unpack(payload) as RelayRequest)
    }
    const again = new Channels({
      ...{ shard: 0, store, clock, limits, log: silentLog, subjects: subjectsOf('test') },
      ...{ transport: { request } as Transport, random: new SeededRandom(2), changed: () => {} },
    })
    again.load()
    again.resume()
    expect(requests).toMatchObject([
      { generation, lineage: [[generation, 3]], oldest: 1, first: 1 },
    ])
  })
})
