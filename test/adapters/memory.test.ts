/** What the memory adapters add to their contracts: crashes, faults, and many messages. */
import { describe, expect, it } from 'vitest'
import {
  MemoryJournal,
  MemoryStore,
  MemoryTaskQueue,
  MemoryTransport,
  VirtualClock,
} from '../../src/adapters/memory/index.ts'
import type { JournalWriteOutcome, StoreFailure } from '../../src/ports/index.ts'
import { bytes, text } from '../contract/support.ts'

describe('memory store', () => {
  const setUp = (): { clock: VirtualClock; store: MemoryStore } => {
    const clock = new VirtualClock()
    return { clock, store: new MemoryStore({ clock, manualFlush: true }) }
  }
  const put = (
    store: MemoryStore,
    key: string,
    value: string | null,
    told: string[] = [],
  ): string[] => {
    store.write({
      writes: [[bytes(key), value === null ? null : bytes(value)]],
      visible: () => told.push('visible'),
      flushed: () => told.push('flushed'),
      failed: ({ kind }: StoreFailure) => told.push(kind),
    })
    return told
  }

  it('keeps in a crash what was flushed and nothing else', () => {
    const { clock, store } = setUp()
    const flushed = put(store, 'a', '1')
    put(store, 'gone', 'x')
    clock.runUntilIdle()
    store.flush()
    const visible = put(store, 'a', '2')
    put(store, 'a', '3')
    put(store, 'gone', null)
    put(store, 'b', '1')
    clock.runUntilIdle()
    const waiting = put(store, 'c', '1')
    expect([text(store.get(bytes('a'))), text(store.get(bytes('b')))]).toEqual(['3', '1'])
    const survivor = store.crash()
    clock.runUntilIdle()
    expect([flushed, visible, waiting]).toEqual([['visible', 'flushed'], ['visible'], []])
    const rows = [...survivor.range({ from: bytes(''), to: bytes('z') })]
    expect(rows.map(({ key, value }) => `${text(key)}=${text(value)}`)).toEqual(['a=1', 'gone=x'])
    expect(survivor.count(bytes(''), bytes('z'))).toBe(2)
    expect(() => store.get(bytes('a'))).toThrow()
  })

  it('flushes after its delay what was visible when the flush began', () => {
    const clock = new VirtualClock()
    const store = new MemoryStore({ clock, flushDelayMs: 10 })
    const first = put(store, 'a', '1')
    clock.advance(5)
    const second = put(store, 'a', '2')
    clock.advance(5)
    expect([first, second]).toEqual([['visible', 'flushed'], ['visible']])
    clock.advance(10)
    expect(second).toEqual(['visible', 'flushed'])
  })

  it('fails as asked, writes nothing then, and keeps the order of outcomes', () => {
    const { clock, store } = setUp()
    store.failNext('full')
    const full = put(store, 'a', '1')
    const next = put(store, 'b', '1')
    clock.runUntilIdle()
    expect([full, next, store.get(bytes('a'))]).toEqual([['full'], ['visible'], undefined])
    store.failNextFlush()
    store.flush()
    expect(next).toEqual(['visible', 'broken'])
    const later = put(store, 'c', '1')
    clock.runUntilIdle()
    expect(later).toEqual(['broken'])
    expect(store.crash().count(bytes(''), bytes('z'))).toBe(0)
  })

  it('holds many rows in order', () => {
    const { clock, store } = setUp()
    const keys = Array.from({ length: 20_000 }, (_, i) =>
      `k${(i * 7_919) % 20_000}`.padStart(8, '0'),
    )
    for (const key of keys) put(store, key, key)
    clock.runUntilIdle()
    for (const key of keys.slice(0, 5_000)) put(store, key, null)
    clock.runUntilIdle()
    const left = keys.slice(5_000).toSorted()
    const listed = [...store.range({ from: bytes(''), to: bytes('z') })].map(({ key }) => text(key))
    expect(listed).toEqual(left)
    expect(store.count(bytes(left[100]!), bytes(left[14_000]!))).toBe(13_900)
  })
})

describe('memory journal', () => {
  const setUp = () => {
    const clock = new VirtualClock()
    const journal = new MemoryJournal({ clock })
    const write = (
      slot: number,
      afterSequence: number,
      record = `${slot}`,
      by = journal,
    ): string[] => {
      const told: string[] = []
      by.write(
        { shard: 0, slot, record: bytes(record), afterSequence },
        (outcome: JournalWriteOutcome) => told.push(outcome.kind),
      )
      return told
    }
    const slots = (): string[] =>
      journal.server.slots(0).map(({ slot, record }) => `${slot}:${text(record)}`)
    return { clock, journal, write, slots }
  }

  it('has unknown outcomes of writes that happened, and of writes that did not', () => {
    const { clock, journal, write, slots } = setUp()
    journal.failNext({ on: 'write', happened: true })
    journal.failNext({ on: 'write', happened: false })
    const told = [write(1, 0), write(2, 1), write(1, 0, 'again')]
    clock.runUntilIdle()
    expect(told).toEqual([['unknown'], ['unknown'], ['refused']])
    expect(slots()).toEqual(['1:1'])
    const again = write(2, 1)
    clock.runUntilIdle()
    expect(again).toEqual(['written'])
  })

  it('lets a write land long after it was given up, if its conditions still hold', () => {
    const { clock, journal, write, slots } = setUp()
    journal.failNext({ on: 'write', happened: false, landsAfterMs: 100, count: 2 })
    write(1, 0, 'late')
    write(1, 0, 'late too')
    clock.advance(99)
    expect(slots()).toEqual([])
    clock.advance(1)
    expect(slots()).toEqual(['1:late'])
    const told = write(1, 0, 'retry')
    clock.runUntilIdle()
    expect(told).toEqual(['refused'])
  })

  it('holds one party while another goes on', () => {
    const { clock, journal, write, slots } = setUp()
    const frozen = journal.connect()
    frozen.hold()
    const held = write(1, 0, 'frozen', frozen)
    const won = write(1, 0, 'other')
    clock.runUntilIdle()
    expect([held, won, slots()]).toEqual([[], ['written'], ['1:other']])
    frozen.release()
    clock.runUntilIdle()
    expect(held).toEqual(['refused'])
    frozen.hold()
    const lost = write(2, 1, 'lost', frozen)
    clock.runUntilIdle()
    frozen.release('lose')
    clock.runUntilIdle()
    expect([lost, slots()]).toEqual([['unknown'], ['1:other']])
  })

  it('loses what was not synced, and says so by another server id', () => {
    const { clock, journal, write, slots } = setUp()
    const serverId = (): string => {
      const end = journal.server.end(0)
      return end.kind === 'known' ? end.serverId : ''
    }
    write(1, 0)
    write(2, 1)
    clock.runUntilIdle()
    journal.server.sync()
    write(3, 2)
    clock.runUntilIdle()
    const before = serverId()
    journal.server.loseUnsynced()
    expect(slots()).toEqual(['1:1', '2:2'])
    expect(serverId()).not.toBe(before)
    expect(journal.server.end(0)).toMatchObject({ lastSlot: 2, lastSequence: 2 })
    const beyond = write(4, 3)
    const refill = write(3, 2, 'again')
    clock.runUntilIdle()
    expect([beyond, refill]).toEqual([['refused'], ['written']])
    journal.server.wipe(0)
    expect(journal.server.end(0)).toMatchObject({ firstSlot: 0, lastSlot: 0, lastSequence: 0 })
  })
})

describe('memory task queue', () => {
  it('takes 100,000 waiting messages of many priorities and hands them out in order', () => {
    const clock = new VirtualClock()
    const queue = new MemoryTaskQueue({ clock })
    const count = 100_000
    for (let i = 0; i < count; i++) {
      const taskId = `${i}`
      queue.publish(
        {
          queue: 'q',
          priority: (i * 31) % 100,
          messageId: taskId,
          taskId,
          name: 'work',
          ticket: 't',
        },
        () => {},
      )
    }
    expect(queue.depth('q')).toBe(count)
    let seen = 0
    let last = { priority: 100, order: -1 }
    queue.consume({ queue: 'q', slots: 1_000 }, ({ message, ack }) => {
      const now = { priority: message.priority, order: Number(message.taskId) }
      const inOrder =
        now.priority < last.priority || (now.priority === last.priority && now.order > last.order)
      if (!inOrder) throw new Error(`${message.taskId} is out of order`)
      last = now
      seen++
      ack()
    })
    clock.runUntilIdle()
    expect([seen, queue.depth('q')]).toEqual([count, 0])
  })

  it('knows a message id for the dedupe window and no longer', () => {
    const clock = new VirtualClock()
    const queue = new MemoryTaskQueue({ clock, dedupeWindowMs: 1_000 })
    const publish = (): void =>
      queue.publish(
        { queue: 'q', priority: 0, messageId: 'm', taskId: 't', name: 'work', ticket: 't' },
        () => {},
      )
    publish()
    clock.advance(999)
    publish()
    expect(queue.depth('q')).toBe(1)
    clock.advance(1)
    publish()
    expect(queue.depth('q')).toBe(2)
  })
})

describe('memory transport', () => {
  it('leaves no timer behind when a request has its outcome', () => {
    const clock = new VirtualClock()
    const transport = new MemoryTransport({ clock })
    transport.subscribe('a', {}, ({ reply }) => reply?.(bytes('')))
    const told: string[] = []
    for (const timeoutMs of [100, 200, 100]) {
      transport.request({ subject: 'a', payload: bytes(''), timeoutMs }, ({ kind }) =>
        told.push(kind),
      )
    }
    clock.runUntilIdle()
    expect(told).toEqual(['reply', 'reply', 'reply'])
    expect(clock.advanceToNext()).toBe(false)
  })

  it('knows when nobody hears a subject or any of a pattern', () => {
    const transport = new MemoryTransport({ clock: new VirtualClock() })
    const asked = ['a.b', 'a.>', 'a.*', 'b.*', 'a.b.c', 'c.>']
    const heard = () => asked.filter((subject) => transport.hears(subject))
    expect(heard()).toEqual([])
    const exact = transport.subscribe('a.b', {}, () => {})
    const wild = [1, 2].map(() => transport.subscribe('*.b.c', {}, () => {}))
    expect(heard()).toEqual(['a.b', 'a.>', 'a.*', 'a.b.c', 'c.>'])
    exact.unsubscribe()
    wild[0]!.unsubscribe()
    expect(heard()).toEqual(['a.>', 'a.b.c', 'c.>'])
    wild[1]!.unsubscribe()
    expect(heard()).toEqual([])
  })

  it('times requests out at their own time', () => {
    const clock = new VirtualClock()
    const transport = new MemoryTransport({ clock })
    transport.subscribe('a', {}, () => {})
    const told: string[] = []
    for (const timeoutMs of [300, 100, 200]) {
      transport.request({ subject: 'a', payload: bytes(''), timeoutMs }, ({ kind }) =>
        told.push(`${kind} ${clock.monotonic()}`),
      )
    }
    clock.advance(1_000)
    expect(told).toEqual(['timeout 100', 'timeout 200', 'timeout 300'])
  })

  it('delivers the messages behind one whose handler threw', () => {
    const clock = new VirtualClock()
    const transport = new MemoryTransport({ clock })
    const seen: string[] = []
    transport.subscribe('a', {}, ({ payload }) => {
      if (text(payload) === 'bad') throw new Error('a fault of the handler')
      seen.push(text(payload)!)
    })
    for (const payload of ['1', 'bad', '2']) transport.publish('a', bytes(payload))
    expect(() => clock.runUntilIdle()).toThrow('a fault of the handler')
    clock.runUntilIdle()
    expect(seen).toEqual(['1', '2'])
  })
})
